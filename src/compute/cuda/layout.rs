//! What host and device agree on: the mirror of `kernels/abi.cuh`, which says
//! what each number is, which kernels there are and how they are launched.
//!
//! Sizes and offsets are asserted on both sides, and a test compares the two
//! lists.

use bytemuck::{Pod, Zeroable};

/// An address in device memory; 0 is none.
pub type Address = u64;

/// Threads of a warp.
pub const WARP: u32 = 32;
/// Threads a block of every launch.
pub const BLOCK_THREADS: u32 = 128;
/// Warps a block.
pub const WARPS_PER_BLOCK: u32 = BLOCK_THREADS / WARP;
/// Channels of the widest kernel.
pub const MOST_CHANNELS: usize = 16;
/// Figures a flight: one set a phase, in the order of `Phase::PARTS`.
pub const PHASES: usize = 4;
/// No channel, no slot.
pub const NONE: u32 = u32::MAX;
/// Units a degree of longitude and latitude.
pub const UNITS_PER_DEGREE: f64 = 1e7;
/// Waypoints that an [`Anchor`] is for.
pub const ANCHORED: usize = WARP as usize;
/// A flag of [`State`]: there is a last sample.
pub const STATE_STARTED: u32 = 1;
/// A flag of [`State`]: the last sample lies inside the field.
pub const STATE_INSIDE: u32 = 2;

/// The kernels' names.
pub mod entry {
    /// Counts the samples of each flight, for the history of rolling peaks: a
    /// warp a flight.
    pub const COUNT: &str = "skydose_count";
    /// Takes the samples of a window: a warp a flight.
    pub const EVALUATE: &str = "skydose_evaluate";
    /// The rolling peaks, after the last window: a warp a flight and rolling
    /// lane.
    pub const ROLL: &str = "skydose_roll";
}

/// An ascending axis of the grid; `nodes` counts numbers of the tables.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Axis {
    pub low: f64,
    pub high: f64,
    pub first: f64,
    pub inverse_step: f64,
    pub nodes: u32,
    pub len: u32,
    pub offset: u32,
    pub even: u32,
}

/// Longitudes, and their columns in memory.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Longitude {
    pub axis: Axis,
    pub global: u32,
    pub globe: u32,
    pub start: u32,
    pub columns: u32,
}

/// The axes of a slab, and how far apart neighbours lie in it.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Grid {
    pub levels: Axis,
    pub latitude: Axis,
    pub longitude: Longitude,
    pub plane: u32,
    pub row: u32,
    pub plane_points: u32,
    pub row_points: u32,
    pub stands_alone: u32,
    pub spare: u32,
}

/// How finely a path is sampled: steps a unit along each axis.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Steps {
    pub per_longitude_deg: f64,
    pub per_latitude_deg: f64,
    pub per_level: f64,
    pub per_second: f64,
}

/// One time of the field in device memory.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Slab {
    pub values: Address,
    pub surface_pa: Address,
    pub scale: [f32; MOST_CHANNELS],
}

/// The window: `slabs[0]` is time `first`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Field {
    pub slabs: Address,
    pub times: u32,
    pub times_len: u32,
    pub first: u32,
    pub slabs_len: u32,
}

/// Where 32 waypoints of a flight lie.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Anchor {
    pub longitude_deg: f64,
    pub latitude_deg: f64,
    pub pressure_pa: f64,
    pub longitude_unit: f32,
    pub latitude_unit: f32,
    pub pressure_unit: f32,
    pub spare: u32,
    pub phases: u64,
}

/// One flight in the columns of a fleet.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Flight {
    pub base_s: f64,
    pub unit_s: f32,
    pub first_waypoint: u32,
    pub len: u32,
    pub step: u32,
    pub time: u32,
    pub history: u32,
    pub anchor: u32,
    pub spare: u32,
}

/// Waypoints in columns, and which flights are taken.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Fleet {
    pub flights: Address,
    pub anchors: Address,
    pub longitude: Address,
    pub latitude: Address,
    pub pressure: Address,
    pub time: Address,
    pub order: Address,
    pub count: u32,
    pub spare: u32,
}

/// What is computed of each lane.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Program {
    pub lanes: u32,
    pub temperature: u32,
    pub humidity: u32,
    pub dense: u32,
    pub thin: u32,
    pub dose_thin: u32,
    pub log: u32,
    pub thresholds: u32,
    pub threshold_table: u32,
    pub flow_table: [u32; PHASES],
    pub flow_len: [u32; PHASES],
    pub rolling: u32,
    pub rolling_table: u32,
    pub stride: u32,
    pub at_dose: u32,
    pub at_above: u32,
    pub alert: [f32; MOST_CHANNELS],
    pub rolling_slot: [u32; MOST_CHANNELS],
}

/// How far a flight has come; all zero before its first sample.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct State {
    pub waypoint: u32,
    pub step: u32,
    pub phases: u32,
    pub flags: u32,
    pub samples: u32,
    pub spare: u32,
    pub previous_time_s: f64,
    pub previous_pressure_pa: f64,
}

/// What the kernels leave.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Output {
    pub states: Address,
    pub previous: Address,
    pub figures: Address,
    pub counts: Address,
    pub history_time: Address,
    pub history_value: Address,
    pub history_integral: Address,
    pub history_len: u64,
    pub rolling: Address,
}

/// The argument of every kernel.
#[repr(C)]
#[derive(Debug, Clone, Copy, Pod, Zeroable)]
#[expect(missing_docs, reason = "abi.cuh says what each field is")]
pub struct Evaluation {
    pub tables: Address,
    pub grid: Grid,
    pub steps: Steps,
    pub field: Field,
    pub fleet: Fleet,
    pub program: Program,
    pub output: Output,
}

/// Asserts the size of each struct and the offset of each of its fields, and
/// lists them as `abi.cuh` does.
macro_rules! layout {
    ($($name:ident: $size:literal { $($field:ident: $offset:literal),* })*) => {
        $(
            const _: () = assert!(size_of::<$name>() == $size);
            $(const _: () = assert!(std::mem::offset_of!($name, $field) == $offset);)*
        )*
        #[cfg(test)]
        const LAYOUT: &[&str] = &[
            $(
                concat!("SIZE(", stringify!($name), ", ", stringify!($size), ")"),
                $(concat!("AT(", stringify!($name), ", ", stringify!($field), ", ", stringify!($offset), ")"),)*
            )*
        ];
    };
}

layout! {
    Axis: 48 { low: 0, high: 8, first: 16, inverse_step: 24, nodes: 32, len: 36, offset: 40, even: 44 }
    Longitude: 64 { axis: 0, global: 48, globe: 52, start: 56, columns: 60 }
    Grid: 184 { levels: 0, latitude: 48, longitude: 96, plane: 160, row: 164, plane_points: 168, row_points: 172, stands_alone: 176, spare: 180 }
    Steps: 32 { per_longitude_deg: 0, per_latitude_deg: 8, per_level: 16, per_second: 24 }
    Slab: 80 { values: 0, surface_pa: 8, scale: 16 }
    Field: 24 { slabs: 0, times: 8, times_len: 12, first: 16, slabs_len: 20 }
    Anchor: 48 { longitude_deg: 0, latitude_deg: 8, pressure_pa: 16, longitude_unit: 24, latitude_unit: 28, pressure_unit: 32, spare: 36, phases: 40 }
    Flight: 40 { base_s: 0, unit_s: 8, first_waypoint: 12, len: 16, step: 20, time: 24, history: 28, anchor: 32, spare: 36 }
    Fleet: 64 { flights: 0, anchors: 8, longitude: 16, latitude: 24, pressure: 32, time: 40, order: 48, count: 56, spare: 60 }
    Program: 216 { lanes: 0, temperature: 4, humidity: 8, dense: 12, thin: 16, dose_thin: 20, log: 24, thresholds: 28, threshold_table: 32, flow_table: 36, flow_len: 52, rolling: 68, rolling_table: 72, stride: 76, at_dose: 80, at_above: 84, alert: 88, rolling_slot: 152 }
    State: 40 { waypoint: 0, step: 4, phases: 8, flags: 12, samples: 16, spare: 20, previous_time_s: 24, previous_pressure_pa: 32 }
    Output: 72 { states: 0, previous: 8, figures: 16, counts: 24, history_time: 32, history_value: 40, history_integral: 48, history_len: 56, rolling: 64 }
    Evaluation: 600 { tables: 0, grid: 8, steps: 192, field: 224, fleet: 248, program: 312, output: 528 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABI: &str = include_str!("../../../kernels/abi.cuh");

    #[test]
    fn both_sides_assert_the_same_layout() {
        let (_, asserts) = ABI.split_once("#endif\n").unwrap();
        let theirs: Vec<String> =
            asserts.lines().flat_map(|line| line.split_inclusive(')')).map(|s| s.trim().to_owned()).collect();
        let theirs: Vec<&str> = theirs.iter().map(String::as_str).filter(|s| s.ends_with(')')).collect();
        assert_eq!(theirs, LAYOUT);
    }

    #[test]
    fn both_sides_have_the_same_constants() {
        for line in [
            format!("WARP = {WARP};"),
            format!("BLOCK_THREADS = {BLOCK_THREADS};"),
            format!("MOST_CHANNELS = {MOST_CHANNELS};"),
            format!("PHASES = {PHASES};"),
            format!("UNITS_PER_DEGREE = {UNITS_PER_DEGREE:e};"),
            format!("STATE_STARTED = {STATE_STARTED};"),
            format!("STATE_INSIDE = {STATE_INSIDE};"),
        ] {
            assert!(ABI.contains(&line), "{line}");
        }
        for name in [entry::COUNT, entry::EVALUATE, entry::ROLL] {
            assert!(ABI.contains(name), "{name}");
        }
    }
}
