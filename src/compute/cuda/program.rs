//! A program, a grid and a field's times as the kernels take them, and the
//! specialisation that they need.

use super::layout::{self, MOST_CHANNELS, NONE, PHASES};
use crate::{
    compute::{Window, cpu::path::Steps},
    exposure::program::{Integration, Lane, Program},
    field::slab::padded,
    grid::{Axis, LevelAxis, LongitudeAxis},
    trajectory::phase::Phase,
    units::Dimension,
};

/// How field values lie in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 4 bytes, as on the CPU.
    #[default]
    Float32,
    /// 2 bytes times a scale a channel: figures within 1e-3 of those of
    /// `Float32`.
    Float16,
}

impl Precision {
    /// As results write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
        }
    }

    /// Bytes a value.
    #[must_use]
    pub fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float16 => 2,
        }
    }

    /// What a program's fields are kept in: logarithms lose too much in 2
    /// bytes and stay in 4.
    #[must_use]
    pub fn of(self, program: &Program) -> Self {
        if program.lanes.iter().any(|lane| lane.log) { Self::Float32 } else { self }
    }
}

/// What the kernels are compiled for, as the head of `kernels/abi.cuh` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "each is one option of the compiler")]
pub(super) struct Specialisation {
    channels: usize,
    half: bool,
    path: bool,
    levels: u32,
    missing: bool,
    density: u32,
    log: bool,
    thresholds: bool,
    dose: bool,
    rolling: bool,
}

impl Specialisation {
    pub(super) fn new(program: &Program, levels: &LevelAxis, precision: Precision, missing: bool) -> Self {
        Self {
            channels: padded(program.channels()).unwrap_or(MOST_CHANNELS),
            half: precision == Precision::Float16,
            path: program.integration == Integration::Path,
            levels: match levels {
                LevelAxis::Levels { log: false, .. } => 0,
                LevelAxis::Levels { log: true, .. } => 1,
                LevelAxis::Layers { .. } => 2,
                LevelAxis::Hybrid { log: false, .. } => 3,
                LevelAxis::Hybrid { log: true, .. } => 4,
                LevelAxis::HybridLayers { .. } => 5,
            },
            missing,
            density: match (program.needs_density(), program.temperature) {
                (false, _) => 0,
                (true, Some(_)) => 1,
                (true, None) => 2,
            },
            log: program.lanes.iter().any(|lane| lane.log),
            thresholds: program.lanes.iter().any(|lane| !lane.thresholds.is_empty()),
            dose: program.engine_flow.is_some(),
            rolling: program.lanes.iter().any(|lane| lane.rolling_window_s.is_some()),
        }
    }

    /// The compiler's options.
    pub(super) fn options(&self) -> Vec<String> {
        let flag = u32::from;
        #[expect(clippy::cast_possible_truncation, reason = "at most 16")]
        let channels = self.channels as u32;
        [
            ("CHANNELS", channels),
            ("HALF", flag(self.half)),
            ("PATH", flag(self.path)),
            ("LEVELS", self.levels),
            ("MISSING", flag(self.missing)),
            ("DENSITY", self.density),
            ("LOG", flag(self.log)),
            ("THRESHOLDS", flag(self.thresholds)),
            ("DOSE", flag(self.dose)),
            ("ROLLING", flag(self.rolling)),
        ]
        .iter()
        .map(|(name, value)| format!("-DSKYDOSE_{name}={value}"))
        .collect()
    }
}

/// The numbers that axes, thresholds and curves point to.
#[derive(Debug, Default)]
pub(super) struct Tables(pub Vec<f64>);

#[expect(clippy::cast_possible_truncation, reason = "tables, axes and lanes are short")]
fn count(n: usize) -> u32 {
    n as u32
}

impl Tables {
    /// Where the values now stand.
    fn add(&mut self, values: impl IntoIterator<Item = f64>) -> u32 {
        let at = count(self.0.len());
        self.0.extend(values);
        at
    }

    fn pairs(&mut self, pairs: impl IntoIterator<Item = (f64, f64)>) -> u32 {
        self.add(pairs.into_iter().flat_map(|(a, b)| [a, b]))
    }

    fn axis(&mut self, axis: &Axis) -> layout::Axis {
        let (low, high) = axis.range();
        let (first, inverse_step) = axis.even().unwrap_or((0.0, 0.0));
        layout::Axis {
            low,
            high,
            first,
            inverse_step,
            nodes: self.add(axis.values().iter().copied()),
            len: count(axis.len()),
            offset: count(axis.offset()),
            even: u32::from(axis.even().is_some()),
        }
    }

    fn longitude(&mut self, longitude: &LongitudeAxis) -> layout::Longitude {
        layout::Longitude {
            axis: self.axis(longitude.axis()),
            global: u32::from(longitude.is_global()),
            globe: u32::from(longitude.is_even_globe()),
            start: count(longitude.node(0)),
            columns: count(longitude.columns()),
        }
    }

    fn levels(&mut self, levels: &LevelAxis) -> layout::Axis {
        let bare = |nodes, len| layout::Axis { nodes, len: count(len), ..bytemuck::Zeroable::zeroed() };
        match levels {
            LevelAxis::Levels { axis, .. } => self.axis(axis),
            LevelAxis::Layers { edges_pa } => bare(self.add(edges_pa.iter().copied()), edges_pa.len()),
            LevelAxis::Hybrid { coefficients, .. } | LevelAxis::HybridLayers { coefficients } => {
                bare(self.pairs(coefficients.iter().copied()), coefficients.len())
            }
        }
    }

    /// The axes of a window.
    pub(super) fn grid(&mut self, window: &Window<'_>) -> layout::Grid {
        let grid = window.grid;
        let (row, rows) = (grid.longitude.columns(), grid.latitude.len());
        let stands_alone = grid.levels.is_layered() || grid.levels.len() == 1;
        layout::Grid {
            levels: self.levels(&grid.levels),
            latitude: self.axis(&grid.latitude),
            longitude: self.longitude(&grid.longitude),
            plane: if stands_alone { 0 } else { count(row * rows) },
            row: if rows > 1 { count(row) } else { 0 },
            plane_points: count(row * rows),
            row_points: count(row),
            stands_alone: u32::from(stands_alone),
            spare: 0,
        }
    }

    /// The field's times: where they stand, and how many.
    pub(super) fn times(&mut self, times_s: &[f64]) -> (u32, u32) {
        (self.add(times_s.iter().copied()), count(times_s.len()))
    }

    /// What is computed.
    pub(super) fn program(&mut self, program: &Program) -> layout::Program {
        let lanes = program.lanes.len();
        let mask = |of: &dyn Fn(&Lane) -> bool| {
            program.lanes.iter().enumerate().filter(|(_, lane)| of(lane)).fold(0, |mask, (i, _)| mask | 1 << i)
        };
        let limits =
            || program.lanes.iter().enumerate().flat_map(|(i, l)| l.thresholds.iter().map(move |t| (i, t.value)));
        let windows = || program.lanes.iter().filter_map(|lane| lane.rolling_window_s);
        let thresholds = limits().count();
        let mut alert = [f32::INFINITY; MOST_CHANNELS];
        for (alert, lane) in alert.iter_mut().zip(&program.lanes) {
            *alert = lane.thresholds.iter().map(|t| at_or_below(t.value)).fold(f32::INFINITY, f32::min);
        }
        let mut rolling_slot = [NONE; MOST_CHANNELS];
        let rolling_lanes = program.lanes.iter().enumerate().filter(|(_, lane)| lane.rolling_window_s.is_some());
        for (slot, (lane, _)) in rolling_lanes.enumerate() {
            rolling_slot[lane] = count(slot);
        }
        let (mut flow_table, mut flow_len) = ([0; PHASES], [0; PHASES]);
        if let Some(flow) = &program.engine_flow {
            for (i, &phase) in Phase::PARTS.iter().enumerate() {
                let curve: Vec<(f64, f64)> = flow.curve(phase).collect();
                flow_len[i] = count(curve.len());
                flow_table[i] = self.pairs(curve);
            }
        }
        let at_dose = 1 + 4 * lanes;
        let at_above = at_dose + if program.engine_flow.is_some() { lanes } else { 0 };
        layout::Program {
            lanes: count(lanes),
            temperature: program.temperature.map_or(NONE, count),
            humidity: program.humidity.map_or(NONE, count),
            dense: mask(&|lane| lane.factors().1 > 0.0),
            thin: mask(&|lane| lane.factors().2 > 0.0),
            dose_thin: mask(&|lane| lane.stored == Dimension::MassConcentration),
            log: mask(&|lane| lane.log),
            thresholds: count(thresholds),
            threshold_table: self.pairs(limits().map(|(lane, value)| (lane as f64, value))),
            flow_table,
            flow_len,
            rolling: count(windows().count()),
            rolling_table: self.add(windows()),
            stride: count(at_above + thresholds),
            at_dose: count(at_dose),
            at_above: count(at_above),
            alert,
            rolling_slot,
        }
    }
}

/// The steps of a window's grid.
pub(super) fn steps(program: &Program, window: &Window<'_>) -> layout::Steps {
    let [per_longitude_deg, per_latitude_deg, per_level, per_second] =
        Steps::new(program.integration, window.grid, window.times_s).densities();
    layout::Steps { per_longitude_deg, per_latitude_deg, per_level, per_second }
}

/// The largest `f32` that is not above a number.
#[expect(clippy::cast_possible_truncation, reason = "corrected downwards")]
fn at_or_below(value: f64) -> f32 {
    let rounded = value as f32;
    if f64::from(rounded) > value { rounded.next_down() } else { rounded }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exposure::program::{Quantity, Threshold};

    fn lane(stored: Dimension, thresholds: &[f64], rolling_window_s: Option<f64>) -> Lane {
        Lane {
            contaminant: "x".into(),
            stored,
            quantity: Quantity::Concentration,
            log: false,
            thresholds: thresholds.iter().map(|&value| Threshold { label: "".into(), value }).collect(),
            dosage_limits: Vec::new(),
            rolling_window_s,
        }
    }

    #[test]
    fn a_program_is_masks_and_tables() {
        let program = Program {
            lanes: vec![
                lane(Dimension::MassConcentration, &[0.1, 0.2], None),
                lane(Dimension::MassMixingRatio, &[], Some(600.0)),
            ],
            temperature: Some(2),
            humidity: None,
            integration: Integration::Path,
            engine_flow: None,
        };
        let mut tables = Tables::default();
        let packed = tables.program(&program);
        assert_eq!((packed.lanes, packed.temperature, packed.humidity), (2, 2, NONE));
        assert_eq!((packed.dense, packed.thin, packed.dose_thin), (0b10, 0, 0b01));
        assert_eq!((packed.thresholds, packed.rolling, packed.stride, packed.at_above), (2, 1, 11, 9));
        assert_eq!(&tables.0[packed.threshold_table as usize..][..4], [0.0, 0.1, 0.0, 0.2]);
        assert!((tables.0[packed.rolling_table as usize] - 600.0).abs() < 1e-12);
        assert!(f64::from(packed.alert[0]) <= 0.1 && packed.alert[1].is_infinite());
        assert_eq!(&packed.rolling_slot[..2], [NONE, 0]);
        let levels = LevelAxis::Layers { edges_pa: vec![1.0, 2.0] };
        let options = Specialisation::new(&program, &levels, Precision::Float16, true).options();
        for expected in
            ["CHANNELS=4", "HALF=1", "PATH=1", "LEVELS=2", "DENSITY=1", "ROLLING=1", "THRESHOLDS=1", "DOSE=0"]
        {
            assert!(options.contains(&format!("-DSKYDOSE_{expected}")), "{expected}: {options:?}");
        }
    }

    #[test]
    fn an_alert_is_never_above_its_threshold() {
        for value in [0.1, 0.2, 1e-7, 3.0, 2e-9] {
            assert!(f64::from(at_or_below(value)) <= value);
        }
    }
}
