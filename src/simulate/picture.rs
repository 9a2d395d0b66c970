//! Runs side by side, as a picture: backlog, nodes and wait over time.

use std::error::Error;

use plotters::prelude::*;

use super::{Moment, Run, SimulationError};

/// Width and height in pixels.
const SIZE: (u32, u32) = (1000, 900);

/// Told apart by people who see few colours too.
const COLOURS: &[RGBColor] = &[
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];

/// A panel: its title, what it shows, and what it shows besides, thinly.
struct Panel {
    title: &'static str,
    figure: fn(&Moment) -> f64,
    beside: Option<fn(&Moment) -> f64>,
}

const PANELS: [Panel; 3] = [
    Panel { title: "backlog, jobs waiting or held", figure: |m| m.backlog as f64, beside: None },
    Panel {
        title: "nodes at work; thin: nodes asked for",
        figure: |m| f64::from(m.up),
        beside: Some(|m| f64::from(m.wanted)),
    },
    Panel { title: "wait of the oldest job, min", figure: |m| m.oldest_s / 60.0, beside: None },
];

/// The runs as an SVG document.
///
/// # Errors
/// [`SimulationError::Picture`] where there is nothing to draw.
pub fn picture(title: &str, runs: &[Run]) -> Result<String, SimulationError> {
    let mut svg = String::new();
    draw(&mut svg, title, runs).map_err(|error| SimulationError::Picture(error.to_string()))?;
    Ok(svg)
}

fn draw(svg: &mut String, title: &str, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(56);
    head.titled(title, ("sans-serif", 22))?;
    legend(&head, runs)?;
    for (panel, area) in PANELS.iter().zip(body.split_evenly((PANELS.len(), 1))) {
        draw_panel(&area, panel, runs)?;
    }
    root.present()?;
    drop(head);
    Ok(())
}

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// A line and a name for each run, left to right.
fn legend(head: &Area, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let mut x = 60;
    for (run, colour) in runs.iter().zip(COLOURS.iter().cycle()) {
        head.draw(&PathElement::new([(x, 44), (x + 26, 44)], colour.stroke_width(3)))?;
        head.draw(&Text::new(run.contender.clone(), (x + 32, 36), ("sans-serif", 15)))?;
        x += 60 + 9 * i32::try_from(run.contender.len()).unwrap_or(0);
    }
    Ok(())
}

fn draw_panel(area: &Area, panel: &Panel, runs: &[Run]) -> Result<(), Box<dyn Error>> {
    let moments = || runs.iter().flat_map(|run| &run.moments);
    let end = moments().map(hours).fold(0.0, f64::max);
    let beside = panel.beside.unwrap_or(panel.figure);
    let top = moments().map(|m| (panel.figure)(m).max(beside(m))).fold(1.0, f64::max) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(28)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.12))
        .x_desc("hours")
        .x_label_formatter(&|x| format!("{x:.1}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .draw()?;
    for (run, colour) in runs.iter().zip(COLOURS.iter().cycle()) {
        if let Some(beside) = panel.beside {
            chart.draw_series(LineSeries::new(steps(&run.moments, beside), colour.mix(0.45).stroke_width(1)))?;
        }
        chart.draw_series(LineSeries::new(steps(&run.moments, panel.figure), colour.stroke_width(2)))?;
    }
    Ok(())
}

fn hours(moment: &Moment) -> f64 {
    moment.at_s / 3600.0
}

/// The points of a line that matter: where its figure changes. Of long runs
/// each stretch shows its largest figure, so that no peak is lost.
#[expect(clippy::float_cmp, reason = "the very same figure goes on")]
fn steps(moments: &[Moment], figure: fn(&Moment) -> f64) -> Vec<(f64, f64)> {
    let stretch = moments.len().div_ceil(SIZE.0 as usize).max(1);
    let tops = moments.chunks(stretch).map(|chunk| (hours(&chunk[0]), chunk.iter().map(figure).fold(0.0, f64::max)));
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (at, top) in tops {
        if let [.., (_, a), (last, b)] = points.as_mut_slice()
            && a == b
            && *b == top
        {
            *last = at;
            continue;
        }
        points.push((at, top));
    }
    points
}
