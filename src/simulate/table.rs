//! Runs side by side, as a table: Markdown for people, CSV for programs.

use std::fmt::Write as _;

use super::{Figures, Run, Scenario};

/// A column: its head, and a run's entry.
type Column = (&'static str, fn(&Figures) -> String);

const COLUMNS: &[Column] = &[
    ("to maximum, min", |f| minutes(f.to_maximum_s)),
    ("of which slowest boot", |f| minutes(f.to_maximum_s.map(|_| f.slowest_boot_s))),
    ("back at minimum, min", |f| minutes(f.to_minimum_s)),
    ("wait p50, min", |f| minutes(Some(f.wait_s[0]))),
    ("wait p95, min", |f| minutes(Some(f.wait_s[1]))),
    ("longest wait, min", |f| minutes(Some(f.wait_s[2]))),
    ("node-hours", |f| format!("{:.2}", f.node_hours)),
    ("cost", |f| format!("{:.2}", f.cost)),
    ("over clairvoyant", |f| absent_or(f.over_clairvoyant(), |ratio| format!("{ratio:.3}"))),
    ("utilisation, %", |f| absent_or(f.utilisation, |part| format!("{:.1}", part * 100.0))),
    ("interrupted", |f| f.interrupted.to_string()),
    ("scaling actions", |f| f.actions.to_string()),
    ("unfinished", |f| f.unfinished.to_string()),
];

/// One row a run.
#[must_use]
pub fn markdown(name: &str, scenario: &Scenario, jobs: usize, runs: &[Run]) -> String {
    let flights = jobs as u64 * u64::from(scenario.jobs.flights);
    let mut text = format!("## {name}\n\n{} {jobs} jobs, {flights} flights.\n\n", scenario.about);
    let heads: Vec<&str> = COLUMNS.iter().map(|(head, _)| *head).collect();
    let _ = writeln!(text, "| policy | {} |", heads.join(" | "));
    let _ = writeln!(text, "|---|{}", "---:|".repeat(heads.len()));
    for run in runs {
        let entries: Vec<String> = COLUMNS.iter().map(|(_, entry)| entry(&run.figures)).collect();
        let _ = writeln!(text, "| {} | {} |", run.contender, entries.join(" | "));
    }
    text
}

/// How the first run stands against what good scaling comes to, and against
/// the others: one row an aim, missed ones said so.
#[must_use]
pub fn aims(runs: &[Run]) -> String {
    let Some((first, others)) = runs.split_first() else { return String::new() };
    let f = &first.figures;
    let mut text = format!("\n| aim for {} | figure | met |\n|---|---:|---|\n", first.contender);
    let mut row = |aim: &str, figure: String, met: bool| {
        let _ = writeln!(text, "| {aim} | {figure} | {} |", if met { "yes" } else { "**no**" });
    };
    if let Some(to_maximum) = f.to_maximum_s {
        let beyond = to_maximum - f.slowest_boot_s;
        row("at the maximum within the slowest boot and 60 s", format!("{beyond:.0} s"), beyond <= 60.0);
        row("at the maximum within 30 min", minutes(f.to_maximum_s), to_maximum <= 1800.0);
    }
    let back = f.to_minimum_s.is_some_and(|back| back <= 600.0);
    row("at the minimum within 10 min of the last job", minutes(f.to_minimum_s), back);
    if let Some(utilisation) = f.utilisation {
        row("95 % of the slots busy while jobs wait", format!("{:.1} %", utilisation * 100.0), utilisation >= 0.95);
    }
    if let Some(ratio) = f.over_clairvoyant() {
        row("at most 1.15 times the clairvoyant's cost", format!("{ratio:.3}"), ratio <= 1.15);
    }
    row("no job interrupted", f.interrupted.to_string(), f.interrupted == 0);
    for other in others {
        let g = &other.figures;
        let wait = f.wait_s[1] / g.wait_s[1].max(1e-9);
        let cost = f.cost / g.cost.max(1e-9);
        let met = g.unfinished > 0 || wait < 1.0 && cost <= 1.0;
        let left = if g.unfinished > 0 { format!("; it leaves {} jobs", g.unfinished) } else { String::new() };
        row(
            &format!("shorter waits than {} at no more cost", other.contender),
            format!("p95 × {wait:.2}, cost × {cost:.2}{left}"),
            met,
        );
    }
    text
}

/// The same figures, unrounded, times in seconds; absent ones are empty.
#[must_use]
pub fn csv(runs: &[Run]) -> String {
    let mut text = "policy,to_maximum_s,slowest_boot_s,to_minimum_s,wait_p50_s,wait_p95_s,wait_max_s,node_hours,cost,\
                    least_cost,utilisation,interrupted,actions,unfinished\n"
        .to_owned();
    for Run { contender, figures: f, .. } in runs {
        let optional = |figure: Option<f64>| figure.map(|figure| figure.to_string()).unwrap_or_default();
        let _ = writeln!(
            text,
            "{contender},{},{},{},{},{},{},{},{},{},{},{},{},{}",
            optional(f.to_maximum_s),
            f.slowest_boot_s,
            optional(f.to_minimum_s),
            f.wait_s[0],
            f.wait_s[1],
            f.wait_s[2],
            f.node_hours,
            f.cost,
            optional(f.least_cost),
            optional(f.utilisation),
            f.interrupted,
            f.actions,
            f.unfinished
        );
    }
    text
}

impl Figures {
    /// Cost over the clairvoyant's least.
    #[must_use]
    pub fn over_clairvoyant(&self) -> Option<f64> {
        self.least_cost.filter(|least| *least > 0.0).map(|least| self.cost / least)
    }
}

fn minutes(seconds: Option<f64>) -> String {
    absent_or(seconds, |seconds| format!("{:.1}", seconds / 60.0))
}

fn absent_or(figure: Option<f64>, text: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| "–".to_owned(), text)
}
