//! `ratio`: a step up or down at the end of each window, by jobs arrived
//! against jobs completed in it.
//!
//! Needs no speeds and no queue's length, and reacts as slowly as its window.

use super::{Demand, Memory, Policy, Supply, View, time};
use crate::scaling::Window;

/// See the module.
pub struct Ratio;

impl Policy for Ratio {
    fn name(&self) -> &'static str {
        "ratio"
    }

    fn about(&self) -> &'static str {
        "a step up or down, by jobs arrived against jobs completed in a window"
    }

    fn demand(&self, view: &View, _: &Supply, memory: &Memory) -> Demand {
        let window = window(view, memory);
        let capacity = view.outside + f64::from(nodes(view, &window)) * view.speed();
        let why = format!(
            "{:.0} jobs arrived and {:.0} were completed in {} of a window of {}",
            window.arrived,
            window.completed,
            time(length_s(view, &window)),
            time(view.settings.ratio.window.as_secs_f64())
        );
        Demand { at_least: capacity, at_most: capacity, why }
    }

    fn remember(&self, view: &View, memory: &mut Memory) {
        let window = window(view, memory);
        let nodes = Some(nodes(view, &window));
        memory.window = Some(if has_ended(view, &window) {
            Window { since: view.now, arrived: 0.0, completed: 0.0, nodes }
        } else {
            Window { nodes, ..window }
        });
    }
}

/// The window that jobs are counted in, this sample included.
fn window(view: &View, memory: &Memory) -> Window {
    let before = memory.window.unwrap_or(Window { since: view.now, arrived: 0.0, completed: 0.0, nodes: None });
    Window {
        arrived: before.arrived + view.arriving_per_s * view.since_last_s,
        completed: before.completed + view.completions_per_s.unwrap_or(0.0) * view.since_last_s,
        ..before
    }
}

/// The nodes that the window asks for: another number at its end alone.
fn nodes(view: &View, window: &Window) -> u32 {
    let settings = &view.settings.ratio;
    let least: u32 = view.pools.iter().map(|pool| pool.bounds.minimum).sum();
    let most: u32 = view.pools.iter().map(|pool| pool.bounds.maximum).sum();
    let now = window.nodes.unwrap_or_else(|| view.standing());
    if !has_ended(view, window) {
        return now.clamp(least, most);
    }
    let step = settings.step.unwrap_or_else(|| (most - least).div_ceil(3)).max(1);
    // Nothing arrived and nothing completed is no demand.
    let ratio = if window.arrived > 0.0 { window.arrived / window.completed } else { 0.0 };
    let held_up = settings.keep_while_backlog && view.ready > 0.0;
    let next = if ratio > settings.above {
        now.saturating_add(step)
    } else if ratio < settings.below && !held_up {
        now.saturating_sub(step)
    } else {
        now
    };
    next.clamp(least, most)
}

/// Whether the window is over with this sample.
fn has_ended(view: &View, window: &Window) -> bool {
    length_s(view, window) >= view.settings.ratio.window.as_secs_f64()
}

fn length_s(view: &View, window: &Window) -> f64 {
    view.now.duration_since(window.since).as_secs_f64()
}
