//! A file of fields: its sources, their axes and variables.

use std::path::Path;

use rayon::prelude::*;

use super::{
    axes,
    text::{Report, Side, counted, number, size},
    verdict,
};
use crate::{
    contaminant::Entry,
    field::{
        self, FieldError, FieldSource, Levels, Variable, Window,
        dataset::{Dataset, DatasetFile},
    },
    time::UnixTime,
};

/// Values of a plane that are read at most to see the range of a variable.
const SAMPLED: usize = 1 << 24;

/// What a plane of a variable holds.
struct Sample {
    /// Least and greatest, where any is there.
    range: Option<(f64, f64)>,
    missing: usize,
    values: usize,
}

/// Reports on a file; whether all of it that was looked at can be read.
///
/// # Errors
/// Where it cannot be opened.
pub(super) fn inspect(path: &Path, file: &DatasetFile, report: &mut Report) -> Result<bool, FieldError> {
    let sources = field::open_within(path, crate::app::default_memory())?;
    let bytes = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file).map(|m| m.len());
    let size = bytes.map_or_else(String::new, |bytes| format!(", {}", size(bytes)));
    let is_archive = sources.first().is_some_and(|s| s.path().is_some_and(|inner| inner != path));
    let format = match sources.as_slice() {
        [one] if !is_archive => one.format(),
        many => format!("zip of {}", counted(many.len() as u64, "field file", "field files")),
    };
    report.line(&format!("fields: {format}{size}"));
    let here = of_these(file, &sources);
    let dataset = Dataset::of(sources, here)?;
    let mut is_readable = true;
    for source in dataset.sources() {
        if is_archive {
            let name = source.path().map_or_else(String::new, |p| p.display().to_string());
            let name = name.strip_prefix(&format!("{}:", path.display())).unwrap_or(&name).to_owned();
            report.heading(&format!("{name}: {}", source.format()));
        }
        is_readable &= describe(source.as_ref(), dataset.file(), report);
        for remark in source.remarks() {
            report.note(remark);
        }
    }
    verdict::alone(&dataset, report);
    Ok(is_readable)
}

/// The rules of the data-set file for variables of these sources; the others
/// are of the other files.
fn of_these(file: &DatasetFile, sources: &[Box<dyn FieldSource>]) -> DatasetFile {
    let mut file = file.clone();
    file.variables.retain(|name, _| sources.iter().any(|s| s.variables().iter().any(|v| v.name == *name)));
    file
}

/// Axes and variables of a source, those that share their axes together.
fn describe(source: &dyn FieldSource, file: &DatasetFile, report: &mut Report) -> bool {
    let variables = source.variables();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (i, variable) in variables.iter().enumerate() {
        match groups.iter_mut().find(|group| axes::same(&variables[group[0]], variable)) {
            Some(group) => group.push(i),
            None => groups.push(vec![i]),
        }
    }
    let samples: Vec<Result<Sample, FieldError>> =
        (0..variables.len()).into_par_iter().map(|i| sample(source, i)).collect();
    let mut faults = Vec::new();
    for group in &groups {
        let first = &variables[group[0]];
        report.blank();
        for (label, text) in axes::describe(first, file) {
            report.entry(label, &text);
        }
        report.entry("ranges", &sampled_at(first));
        report.blank();
        let mut rows = vec![["variable", "unit", "min", "max", "missing", "what"].map(str::to_owned).to_vec()];
        rows.extend(group.iter().map(|&i| row(&variables[i], samples[i].as_ref().ok())));
        report.table(&[Side::Left, Side::Left, Side::Right, Side::Right, Side::Right, Side::Left], &rows);
        faults.extend(axes::faults(first));
    }
    faults.dedup();
    for fault in &faults {
        report.fault(fault);
    }
    for error in samples.iter().filter_map(|sample| sample.as_ref().err()) {
        report.fault(&error.to_string());
    }
    samples.iter().all(Result::is_ok)
}

/// Where the ranges of a table are from.
fn sampled_at(variable: &Variable) -> String {
    let time = variable.times_s.get(variable.times_s.len() / 2).map(|t| UnixTime(*t).to_string());
    let level = axes::level_name(&variable.levels, variable.levels.len() / 2);
    let place: Vec<String> = [time, level].into_iter().flatten().collect();
    format!("of the plane at {}", place.join(", "))
}

fn row(variable: &Variable, sample: Option<&Sample>) -> Vec<String> {
    let unknown = || "?".to_owned();
    let end = |pick: fn((f64, f64)) -> f64| {
        sample.map_or_else(unknown, |s| s.range.map_or_else(|| "–".to_owned(), |range| number(pick(range))))
    };
    let missing = sample.map_or_else(unknown, |s| share(s.missing, s.values));
    vec![
        variable.name.clone(),
        variable.units.clone().unwrap_or_else(|| "–".to_owned()),
        end(|range| range.0),
        end(|range| range.1),
        missing,
        what(variable),
    ]
}

/// The catalogue's name and title, else what the file calls it.
fn what(variable: &Variable) -> String {
    let names = [Some(&variable.name), variable.standard_name.as_ref(), variable.long_name.as_ref()];
    match names.into_iter().flatten().find_map(|name| Entry::find(name)) {
        Some(entry) if entry.title == entry.name.replace('_', " ") => entry.name.to_owned(),
        Some(entry) => format!("{}: {}", entry.name, entry.title),
        None => {
            let own = variable.long_name.as_ref().or(variable.standard_name.as_ref());
            own.map_or_else(|| "not in the catalogue".to_owned(), |name| format!("({name})"))
        }
    }
}

/// A part in percent that is 0 or 100 only where nothing or everything is.
fn share(part: usize, whole: usize) -> String {
    if part == 0 {
        return "none".to_owned();
    }
    if part == whole {
        return "all".to_owned();
    }
    let percent = part as f64 / whole as f64 * 100.0;
    if percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{:.1} %", percent.min(99.9)) }
}

/// Reads the plane in the middle.
fn sample(source: &dyn FieldSource, variable: usize) -> Result<Sample, FieldError> {
    let header = &source.variables()[variable];
    let middle = |n: usize| if n == 0 { 0..0 } else { n / 2..n / 2 + 1 };
    let (rows, columns) = (header.latitudes_deg.len(), header.longitudes_deg.len());
    let most = (SAMPLED / columns.max(1)).clamp(1, rows.max(1));
    let first = (rows - most.min(rows)) / 2;
    let window = Window {
        member: 0,
        times: middle(header.times_s.len()),
        levels: if header.levels == Levels::Surface { 0..1 } else { middle(header.levels.len()) },
        latitudes: first..(first + most).min(rows),
        longitudes: 0..columns.min(SAMPLED),
    };
    let mut values = vec![0.0_f32; window.len()];
    source.read(variable, &window, &mut values)?;
    let there = values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v));
    let (mut low, mut high, mut n) = (f64::INFINITY, f64::NEG_INFINITY, 0);
    for value in there {
        low = low.min(value);
        high = high.max(value);
        n += 1;
    }
    Ok(Sample { range: (n > 0).then_some((low, high)), missing: values.len() - n, values: values.len() })
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn little_is_not_called_nothing() {
        assert_eq!(share(0, 10), "none");
        assert_eq!(share(1, 1_000_000), "< 0.1 %");
        assert_eq!(share(1, 3), "33.3 %");
        assert_eq!(share(999_999, 1_000_000), "99.9 %");
        assert_eq!(share(10, 10), "all");
    }
}
