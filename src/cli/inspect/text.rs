//! Lines, tables and figures of a report, 100 columns wide.

use std::fmt::Write as _;

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns of an entry's label, with the margin before it.
const LABEL: usize = 14;
const MARGIN: &str = "  ";
/// Columns that the last cell of a row needs to stand beside the others.
const ROOM: usize = 30;

/// A report, line by line.
#[derive(Debug, Default)]
pub(super) struct Report {
    text: String,
}

/// On which side of its column a cell stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

impl Report {
    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    pub(super) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// The name that what follows is about.
    pub(super) fn title(&mut self, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
    }

    /// A heading within the report.
    pub(super) fn heading(&mut self, text: &str) {
        self.blank();
        self.line(text);
    }

    /// A line, broken between words where it is too long.
    pub(super) fn line(&mut self, text: &str) {
        self.hanging(MARGIN, MARGIN.len(), text);
    }

    /// A label and what there is to say of it.
    pub(super) fn entry(&mut self, label: &str, text: &str) {
        let start = format!("{MARGIN}{label:<width$}", width = LABEL - MARGIN.len());
        self.hanging(&start, LABEL, text);
    }

    /// What is worth knowing.
    pub(super) fn note(&mut self, text: &str) {
        self.hanging("  note        ", LABEL, text);
    }

    /// What is wrong.
    pub(super) fn fault(&mut self, text: &str) {
        self.hanging("  WRONG       ", LABEL, text);
    }

    /// Rows of cells, each column as wide as its widest cell; `sides` of the
    /// columns. A last column that is too long is broken between words, and
    /// stands below its row where the others leave it too little room.
    pub(super) fn table(&mut self, sides: &[Side], rows: &[Vec<String>]) {
        let columns = sides.len();
        let width = |c: usize| rows.iter().filter_map(|row| Some(row.get(c)?.chars().count())).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let before: usize = widths.iter().take(columns.saturating_sub(1)).map(|w| w + 2).sum();
        let has_room = MARGIN.len() + before <= WIDTH - ROOM;
        for row in rows {
            let mut line = MARGIN.to_owned();
            for (c, cell) in row.iter().enumerate().take(columns) {
                let pad = " ".repeat(widths[c] - cell.chars().count());
                let last = c + 1 == columns;
                match sides[c] {
                    Side::Left if last && !has_room => {
                        self.text.push_str(line.trim_end());
                        self.text.push('\n');
                        line.clear();
                        self.hanging("      ", 6, cell);
                    }
                    Side::Left if last => {
                        let start = line.chars().count();
                        self.hanging(&line, start, cell);
                        line.clear();
                    }
                    Side::Left => line.extend([cell.as_str(), &pad, "  "]),
                    Side::Right => line.extend([pad.as_str(), cell, "  "]),
                }
            }
            if !line.is_empty() {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
            }
        }
    }

    /// `start` and words behind it; further lines begin in column `indent`.
    fn hanging(&mut self, start: &str, indent: usize, text: &str) {
        let mut line = start.to_owned();
        let mut column = line.chars().count();
        let mut is_first = true;
        for word in text.split_whitespace() {
            let length = word.chars().count();
            if !is_first && column + 1 + length > WIDTH {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                line = " ".repeat(indent);
                column = indent;
                is_first = true;
            }
            if !is_first {
                line.push(' ');
                column += 1;
            }
            line.push_str(word);
            column += length;
            is_first = false;
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// A figure with up to five digits that count.
pub(super) fn number(value: f64) -> String {
    let size = value.abs();
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e6).contains(&size) {
        return format!("{value:.3e}");
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "-3 to 6, then 0 to 7")]
    let decimals = (4 - size.log10().floor() as i32).clamp(0, 7) as usize;
    trimmed(format!("{value:.decimals$}"))
}

/// A coordinate with as many decimals as it needs, up to four.
pub(super) fn coordinate(value: f64) -> String {
    trimmed(format!("{value:.4}"))
}

fn trimmed(text: String) -> String {
    if !text.contains('.') {
        return text;
    }
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

/// A count with its thousands apart.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun.
pub(super) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// A file's size.
pub(super) fn size(bytes: u64) -> String {
    let bytes = bytes as f64;
    [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")]
        .into_iter()
        .find(|(unit, _)| bytes >= *unit)
        .map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{:.1} {name}", bytes / unit))
}

/// A length of time.
pub(super) fn duration(seconds: f64) -> String {
    // Up to two units each stay readable: 90 min, 36 h, 30 days.
    let (unit, name) = match seconds.abs() {
        s if s >= 3.0 * 86_400.0 => (86_400.0, "days"),
        s if s >= 3.0 * 3600.0 || (s >= 3600.0 && s % 3600.0 == 0.0) => (3600.0, "h"),
        s if s >= 180.0 || (s >= 60.0 && s % 60.0 == 0.0) => (60.0, "min"),
        _ => (1.0, "s"),
    };
    format!("{} {name}", trimmed(format!("{:.1}", seconds / unit)))
}

/// `a, b and c`.
pub(super) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => {
            let mut out = first.join(", ");
            let _ = write!(out, " and {last}");
            out
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_true() {
        let cases = [(0.0, "0"), (273.149_99, "273.15"), (1.087_422_3e-6, "1.087e-6"), (-0.5, "-0.5")];
        for (value, expected) in cases {
            assert_eq!(number(value), expected);
        }
        assert_eq!(number(101_325.0), "101325");
        assert_eq!(number(1_013_250.0), "1.013e6");
        assert_eq!(coordinate(359.25), "359.25");
        assert_eq!(coordinate(-0.000_01), "0");
        assert_eq!((count(0), count(999), count(1_234_567)), ("0".into(), "999".into(), "1,234,567".into()));
        assert_eq!(counted(1, "flight", "flights"), "1 flight");
        assert_eq!((size(982_752), size(12)), ("982.8 kB".into(), "12 bytes".into()));
        for (seconds, expected) in [(1.0, "1 s"), (5400.0, "90 min"), (3600.0, "1 h"), (86_400.0, "24 h")] {
            assert_eq!(duration(seconds), expected);
        }
        assert_eq!(duration(30.0 * 86_400.0), "30 days");
        assert_eq!(list(&["a", "b", "c"]), "a, b and c");
    }

    #[test]
    fn lines_stay_within_the_width() {
        let mut report = Report::default();
        report.entry("levels", &"some words ".repeat(30));
        report.table(
            &[Side::Left, Side::Right, Side::Left],
            &[
                vec!["name".into(), "minimum".into(), "what".into()],
                vec!["t".into(), "1".into(), "temperature ".repeat(20)],
            ],
        );
        assert!(report.as_str().lines().all(|line| line.chars().count() <= WIDTH), "{}", report.as_str());
        assert!(report.as_str().contains("\n  t           1  temperature temperature"), "{}", report.as_str());
        assert!(report.as_str().contains("\n                 temperature"), "{}", report.as_str());
        let long = "a_very_long_name".repeat(5);
        let mut report = Report::default();
        report.table(&[Side::Left, Side::Left], &[vec![long.clone(), "what it is".into()]]);
        assert_eq!(report.as_str(), format!("  {long}\n      what it is\n"));
    }
}
