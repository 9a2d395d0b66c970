// What host and device agree on: every struct that crosses, every entry point.
//
// The mirror is src/compute/cuda/layout.rs; both sides assert sizes and
// offsets, so a change here does not compile until it is made there.
//
// How an evaluation runs
// ----------------------
//   up, once a fleet     Flight[], Anchor[], longitude[], latitude[], pressure[], time[]
//   up, once a program   the tables (axes, times, thresholds, curves)
//   up, once a time      its slab: values [level][latitude][longitude][channel],
//                        surface pressures [latitude][longitude]; Slab[] of the window
//   state                State[] zeroed by the host, previous[], figures[]
//   with rolling peaks   skydose_count once, then Flight.history set by the host
//   every window         skydose_evaluate
//   with rolling peaks   skydose_roll once, after the last window
//   down                 State[], figures[], and rolling[]
//
// Windows are runs of consecutive times that overlap by one; any cut gives the
// same bytes. All kernels take one Evaluation by value and are launched with
// BLOCK_THREADS threads a block and no dynamic shared memory:
//
//   skydose_count     a warp a flight:    ceil(fleet.count / WARPS_PER_BLOCK) blocks
//   skydose_evaluate  the same
//   skydose_roll      a warp a flight and rolling lane:
//                     ceil(fleet.count * program.rolling / WARPS_PER_BLOCK) blocks
//
// Options of the compiler (NVRTC): --std=c++17 --fmad=false
// --gpu-architecture=sm_XX, and the specialisation, all of it or defaults:
//
//   SKYDOSE_CHANNELS    1, 2, 4, 8, 16   channels a grid point, padding included
//   SKYDOSE_HALF        0 float32, 1 float16 times Slab.scale
//   SKYDOSE_PATH        0 waypoints alone, 1 samples between them
//   SKYDOSE_LEVELS      LEVELS_* below
//   SKYDOSE_MISSING     1 where a value inside the field may be NaN
//   SKYDOSE_DENSITY     DENSITY_* below
//   SKYDOSE_LOG         1 where a lane holds logarithms
//   SKYDOSE_THRESHOLDS  1 where there is one
//   SKYDOSE_DOSE        1 where a dose is asked for
//   SKYDOSE_ROLLING     1 where a rolling peak is asked for
//
// A specialisation may do more than is asked: the figures do not change.
#pragma once

namespace skydose {

typedef unsigned int u32;
typedef unsigned long long u64;

constexpr u32 WARP = 32;
constexpr u32 BLOCK_THREADS = 128;
constexpr u32 WARPS_PER_BLOCK = BLOCK_THREADS / WARP;
constexpr u32 MOST_CHANNELS = 16;
constexpr u32 PHASES = 4;
constexpr u32 NONE = 0xffffffffu;

#define LEVELS_LINEAR 0         // pressures [Pa]
#define LEVELS_LOG 1            // their logarithms
#define LEVELS_LAYERS 2         // boundaries of layers [Pa]
#define LEVELS_HYBRID 3         // a + b p_s
#define LEVELS_HYBRID_LOG 4     // the same, linear in the logarithm of pressure
#define LEVELS_HYBRID_LAYERS 5  // half levels a + b p_s

#define DENSITY_NONE 0   // no lane needs it
#define DENSITY_FIELD 1  // from the channel of temperature
#define DENSITY_ISA 2    // from the standard atmosphere's temperature

// Waypoints: 12 bytes each, 16 where a flight's times are not evenly spaced,
// and 48 for every 32 of a flight, from which the 32 are counted.
constexpr double DEGREES_PER_UNIT = 1e-7;  // where an Anchor's unit is 0
constexpr double UNITS_PER_DEGREE = 1e7;
// By how much a pressure may be rounded: half the unit of 32 waypoints that
// go from nothing to 131,072 Pa.
constexpr double ROUNDING_PA = 1.0 / 65536;

// An ascending axis of grid/axis.rs. `nodes` counts doubles of the tables.
struct Axis {
    double low;           // first node
    double high;          // last node
    double first;         // where even: node 0 of the axis this one was cut from
    double inverse_step;  // where even
    u32 nodes;
    u32 len;
    u32 offset;           // nodes before the first that were cut off
    u32 even;             // 1 where evenly spaced
};

struct Longitude {
    Axis axis;    // all nodes, from west to east
    u32 global;   // 1 where the axis goes all the way round
    u32 globe;    // 1 where it is evenly spaced all the way round
    u32 start;    // the node in column 0
    u32 columns;  // in memory
};

// The nodes are pressures, their logarithms, boundaries of layers, or pairs
// (a, b) of hybrid coefficients, of which `axis.len` is the number.
struct Grid {
    Axis levels;
    Axis latitude;
    Longitude longitude;
    u32 plane;         // points to the next level; 0 where a level stands alone
    u32 row;           // points to the next latitude; 0 on an axis of one
    u32 plane_points;  // points a level
    u32 row_points;    // points a latitude
    u32 stands_alone;  // 1 where a level's value is taken as it is
    u32 spare;
};

// How finely a path is sampled: steps a unit along each axis, compute/cpu/path.rs.
struct Steps {
    double per_longitude_deg;
    double per_latitude_deg;
    double per_level;
    double per_second;
};

// One time of the field in device memory.
struct Slab {
    u64 values;                  // float or half, [point][channel]
    u64 surface_pa;              // float [row][column]; 0 where the levels need none
    float scale[MOST_CHANNELS];  // of float16: value = half * scale
};

// The window. `slabs[0]` is time `first`.
struct Field {
    const Slab* slabs;
    u32 times;       // where in the tables [s since 1970]
    u32 times_len;   // of the whole field
    u32 first;
    u32 slabs_len;
};

// Where 32 waypoints of a flight lie: a longitude is `longitude_deg +
// longitude_unit * (unsigned) n`, any turn of the circle; or n 1e-7 degrees,
// signed, where the unit is 0, which gives back seven decimals to the bit.
// Units are powers of two.
struct Anchor {
    double longitude_deg;
    double latitude_deg;
    double pressure_pa;
    float longitude_unit;
    float latitude_unit;
    float pressure_unit;
    u32 spare;
    u64 phases;  // of the segment that starts at each waypoint: two bits, the first lowest
};

struct Flight {
    double base_s;      // whole seconds since 1970, at or before its first waypoint
    float unit_s;       // of its times: a power of two
    u32 first_waypoint; // in the columns
    u32 len;            // waypoints
    u32 step;           // units from waypoint to waypoint, the first at `time`;
                        // 0: its times are time[time ...]
    u32 time;
    u32 history;        // its first sample in the history, for rolling peaks
    u32 anchor;         // its first anchor
    u32 spare;
};

struct Fleet {
    const Flight* flights;
    const Anchor* anchors;
    const int* longitude;
    const int* latitude;
    const u32* pressure;
    const u32* time;
    const u32* order;  // the flights to take, `count` of them; null: all in order
    u32 count;
    u32 spare;
};

struct Program {
    u32 lanes;
    u32 temperature;                   // its channel, or NONE
    u32 humidity;                      // its channel, or NONE
    u32 dense;                         // lanes that are v rho, a bit each
    u32 thin;                          // lanes that are v / rho
    u32 dose_thin;                     // lanes whose mixing ratio is v / rho
    u32 log;                           // lanes whose v is a logarithm
    u32 thresholds;                    // their number, all lanes
    u32 threshold_table;               // pairs (lane, value), lane by lane
    u32 flow_table[PHASES];            // pairs (pressure [Pa], flow [kg/s]), ascending
    u32 flow_len[PHASES];
    u32 rolling;                       // lanes that have a window
    u32 rolling_table;                 // their windows [s]
    u32 stride;                        // doubles a flight and phase in the figures
    u32 at_dose;                       // its place among them
    u32 at_above;                      // seconds above each threshold
    float alert[MOST_CHANNELS];        // at or below each lane's lowest threshold; infinity where none
    u32 rolling_slot[MOST_CHANNELS];   // which of the rolling lanes, or NONE
};

// How far a flight has come; all zero before its first sample.
struct State {
    u32 waypoint;               // the next sample: part `step` of the segment
    u32 step;                   // that ends at `waypoint`
    u32 phases;                 // whose figures are begun, a bit each
    u32 flags;                  // STATE_*
    u32 samples;                // taken so far
    u32 spare;
    double previous_time_s;
    double previous_pressure_pa;
};

constexpr u32 STATE_STARTED = 1;  // there is a last sample
constexpr u32 STATE_INSIDE = 2;   // it lies inside the field

// Places in the figures of a flight and phase, `figures[(flight * PHASES +
// phase) * stride]`; defined where the phase's bit is set in State.phases.
//   0                  seconds between samples at which every lane had a value
//   1                  dosage, one a lane
//   1 + lanes          peak; -infinity where there is none
//   1 + 2 lanes        its time [s since 1970]
//   1 + 3 lanes        seconds at which this lane had a value and another had not
//   at_dose            dose, where SKYDOSE_DOSE
//   at_above           seconds at or above each threshold
constexpr u32 AT_COMMON = 0;
constexpr u32 AT_DOSAGE = 1;

struct Output {
    State* states;             // a flight
    float* previous;           // a flight, 2 channels: values and mixing ratios of the last sample
    double* figures;           // a flight, PHASES, stride
    u32* counts;               // of samples a flight, by skydose_count
    double* history_time;      // a sample
    float* history_value;      // a rolling lane, history_len
    double* history_integral;  // the same
    u64 history_len;           // samples of all flights
    double* rolling;           // a flight, a rolling lane: the largest integral over
                               // one window, -infinity where there is none
};

struct Evaluation {
    const double* tables;
    Grid grid;
    Steps steps;
    Field field;
    Fleet fleet;
    Program program;
    Output output;
};

#define SIZE(type, bytes) static_assert(sizeof(type) == bytes, "layout.rs differs");
#ifdef __CUDACC_RTC__  // has no offsetof; the host's compiler checks the offsets
#define AT(type, field, bytes)
#else
#define AT(type, field, bytes) static_assert(__builtin_offsetof(type, field) == bytes, "layout.rs differs");
#endif
SIZE(Axis, 48)
AT(Axis, low, 0) AT(Axis, high, 8) AT(Axis, first, 16) AT(Axis, inverse_step, 24)
AT(Axis, nodes, 32) AT(Axis, len, 36) AT(Axis, offset, 40) AT(Axis, even, 44)
SIZE(Longitude, 64)
AT(Longitude, axis, 0) AT(Longitude, global, 48) AT(Longitude, globe, 52) AT(Longitude, start, 56)
AT(Longitude, columns, 60)
SIZE(Grid, 184)
AT(Grid, levels, 0) AT(Grid, latitude, 48) AT(Grid, longitude, 96) AT(Grid, plane, 160)
AT(Grid, row, 164) AT(Grid, plane_points, 168) AT(Grid, row_points, 172) AT(Grid, stands_alone, 176)
AT(Grid, spare, 180)
SIZE(Steps, 32)
AT(Steps, per_longitude_deg, 0) AT(Steps, per_latitude_deg, 8) AT(Steps, per_level, 16)
AT(Steps, per_second, 24)
SIZE(Slab, 80)
AT(Slab, values, 0) AT(Slab, surface_pa, 8) AT(Slab, scale, 16)
SIZE(Field, 24)
AT(Field, slabs, 0) AT(Field, times, 8) AT(Field, times_len, 12) AT(Field, first, 16)
AT(Field, slabs_len, 20)
SIZE(Anchor, 48)
AT(Anchor, longitude_deg, 0) AT(Anchor, latitude_deg, 8) AT(Anchor, pressure_pa, 16)
AT(Anchor, longitude_unit, 24) AT(Anchor, latitude_unit, 28) AT(Anchor, pressure_unit, 32)
AT(Anchor, spare, 36) AT(Anchor, phases, 40)
SIZE(Flight, 40)
AT(Flight, base_s, 0) AT(Flight, unit_s, 8) AT(Flight, first_waypoint, 12) AT(Flight, len, 16)
AT(Flight, step, 20) AT(Flight, time, 24) AT(Flight, history, 28) AT(Flight, anchor, 32)
AT(Flight, spare, 36)
SIZE(Fleet, 64)
AT(Fleet, flights, 0) AT(Fleet, anchors, 8) AT(Fleet, longitude, 16) AT(Fleet, latitude, 24)
AT(Fleet, pressure, 32) AT(Fleet, time, 40) AT(Fleet, order, 48) AT(Fleet, count, 56)
AT(Fleet, spare, 60)
SIZE(Program, 216)
AT(Program, lanes, 0) AT(Program, temperature, 4) AT(Program, humidity, 8) AT(Program, dense, 12)
AT(Program, thin, 16) AT(Program, dose_thin, 20) AT(Program, log, 24) AT(Program, thresholds, 28)
AT(Program, threshold_table, 32) AT(Program, flow_table, 36) AT(Program, flow_len, 52)
AT(Program, rolling, 68) AT(Program, rolling_table, 72) AT(Program, stride, 76)
AT(Program, at_dose, 80) AT(Program, at_above, 84) AT(Program, alert, 88)
AT(Program, rolling_slot, 152)
SIZE(State, 40)
AT(State, waypoint, 0) AT(State, step, 4) AT(State, phases, 8) AT(State, flags, 12)
AT(State, samples, 16) AT(State, spare, 20) AT(State, previous_time_s, 24)
AT(State, previous_pressure_pa, 32)
SIZE(Output, 72)
AT(Output, states, 0) AT(Output, previous, 8) AT(Output, figures, 16) AT(Output, counts, 24)
AT(Output, history_time, 32) AT(Output, history_value, 40) AT(Output, history_integral, 48)
AT(Output, history_len, 56) AT(Output, rolling, 64)
SIZE(Evaluation, 600)
AT(Evaluation, tables, 0) AT(Evaluation, grid, 8) AT(Evaluation, steps, 192)
AT(Evaluation, field, 224) AT(Evaluation, fleet, 248) AT(Evaluation, program, 312)
AT(Evaluation, output, 528)
#undef SIZE
#undef AT

}  // namespace skydose
