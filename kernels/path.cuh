// The samples of a path: the waypoints, and those between them, as
// compute/cpu/path.rs makes them. Nothing between waypoints ever crosses to
// the device: every warp makes its own 32 samples.
#pragma once

#include "atmosphere.cuh"
#include "fleet.cuh"
#include "geodesy.cuh"
#include "level.cuh"
#include "options.cuh"
#include "warp.cuh"

namespace skydose {

// No segment is cut finer than this.
constexpr double MOST_STEPS = 4096.0;
// A segment that is a whole number of steps long but for rounding is cut into
// that many, here as on the host.
constexpr double WHOLE_STEP = 1e-6;

// The next sample: part `step` of the segment that ends at `waypoint`.
struct Cursor {
    u32 waypoint;
    u32 step;
};

struct Sample {
    Waypoint point;
    u32 phase;
    bool exists;
    Cursor next;  // the sample after it
};

// How the segment that ends at a waypoint is cut: `parts` equal ones, and a
// sample more right at the field's first and at its last instant.
struct Cut {
    u32 parts;
    u32 at_first;  // which sample is that at the field's first instant, or NONE
    u32 at_last;
    u32 count;
};

__device__ inline double instant(double from_s, double to_s, u32 k, u32 parts) {
    return k == parts ? to_s : from_s + (to_s - from_s) * (static_cast<double>(k) / parts);
}

// Before how many of a segment's instants `edge_s` is to be put; NONE where it
// lies outside or is one of them.
__device__ inline u32 place_of(double edge_s, double from_s, double to_s, u32 parts) {
    if (!(from_s < edge_s && edge_s < to_s)) return NONE;
    u32 before = static_cast<u32>((edge_s - from_s) / (to_s - from_s) * parts);
    while (before > 0 && instant(from_s, to_s, before, parts) >= edge_s) before -= 1;
    while (instant(from_s, to_s, before + 1, parts) < edge_s) before += 1;
    return instant(from_s, to_s, before + 1, parts) > edge_s ? before : NONE;
}

__device__ inline Cut cut_of(const Evaluation& e, const Waypoint& from, const Waypoint& to) {
    const double turn = fabs(to.longitude_deg - from.longitude_deg);
    const double longitude = fmin(turn, 360.0 - turn) * e.steps.per_longitude_deg;
    const double latitude = fabs(to.latitude_deg - from.latitude_deg) * e.steps.per_latitude_deg;
    const double time = (to.time_s - from.time_s) * e.steps.per_second;
    double level = 0.0;
    if (from.pressure_pa != to.pressure_pa) {
        const double spacing = finest_between(e.grid.levels, e.tables, from.pressure_pa, to.pressure_pa);
        level = fabs(to.pressure_pa - from.pressure_pa) / spacing * e.steps.per_level;
    }
    const double steps = ceil(fmax(fmax(longitude, latitude), fmax(time, level)) - WHOLE_STEP);
    Cut cut;
    cut.parts = steps > 1.0 ? static_cast<u32>(fmin(steps, MOST_STEPS)) : 1;
    const double* times_s = e.tables + e.field.times;
    const double first_s = times_s[0];
    const double last_s = times_s[e.field.times_len - 1];
    cut.at_first = place_of(first_s, from.time_s, to.time_s, cut.parts);
    cut.at_last = last_s > first_s ? place_of(last_s, from.time_s, to.time_s, cut.parts) : NONE;
    if (cut.at_first != NONE && cut.at_last != NONE) cut.at_last += 1;
    cut.count = cut.parts + (cut.at_first != NONE ? 1 : 0) + (cut.at_last != NONE ? 1 : 0);
    return cut;
}

__device__ inline Cut cut_of(const Evaluation& e, const Flight& flight, u32 waypoint) {
    if (waypoint >= flight.len) return {0, NONE, NONE, 0};
    if (waypoint == 0) return {1, NONE, NONE, 1};
    return cut_of(e, waypoint_of(e.fleet, flight, waypoint - 1), waypoint_of(e.fleet, flight, waypoint));
}

// Sample `step` of a segment: along the great circle at constant speed,
// pressure altitude linear in time.
__device__ inline Waypoint between(const Evaluation& e, const Waypoint& from, const Waypoint& to, const Cut& cut,
                                   u32 step) {
    const double* times_s = e.tables + e.field.times;
    Waypoint at;
    if (step == cut.at_first) {
        at.time_s = times_s[0];
    } else if (step == cut.at_last) {
        at.time_s = times_s[e.field.times_len - 1];
    } else {
        const u32 edges = (step > cut.at_first ? 1 : 0) + (step > cut.at_last ? 1 : 0);
        at.time_s = instant(from.time_s, to.time_s, step + 1 - edges, cut.parts);
    }
    const double fraction = (at.time_s - from.time_s) / (to.time_s - from.time_s);
    along_great_circle(from.longitude_deg, from.latitude_deg, to.longitude_deg, to.latitude_deg, fraction,
                       &at.longitude_deg, &at.latitude_deg);
    at.pressure_pa = from.pressure_pa;
    if (from.pressure_pa != to.pressure_pa) {
        const double low = isa_altitude(from.pressure_pa);
        const double high = isa_altitude(to.pressure_pa);
        at.pressure_pa = isa_pressure(low + fraction * (high - low));
    }
    return at;
}

// The warp's next 32 samples, one a thread, consecutive from `cursor` on.
__device__ inline Sample take_samples(const Evaluation& e, const Flight& flight, const Cursor& cursor) {
    const u32 thread = thread_of_warp();
    Sample sample = {};
    if constexpr (!PATH) {
        const u32 waypoint = cursor.waypoint + thread;
        sample.exists = waypoint < flight.len;
        if (sample.exists) {
            sample.point = waypoint_of(e.fleet, flight, waypoint);
            sample.phase = phase_at(e.fleet, flight, waypoint);
        }
        sample.next = {waypoint + 1, 0};
        return sample;
    } else {
        // A segment a thread: how many samples it has left. 32 segments have
        // at least as many, or the flight ends.
        const Cut own = cut_of(e, flight, cursor.waypoint + thread);
        const u32 left = own.count - (thread == 0 ? cursor.step : 0);
        const u32 upto = sum_upto(left);
        sample.exists = thread < from_thread(upto, WARP - 1);
        // The first segment whose samples reach beyond this thread's.
        u32 segment = 0;
#pragma unroll
        for (u32 half = WARP / 2; half >= 1; half /= 2) {
            if (from_thread(upto, segment + half - 1) <= thread) segment += half;
        }
        const Cut cut = {from_thread(own.parts, segment), from_thread(own.at_first, segment),
                         from_thread(own.at_last, segment), from_thread(own.count, segment)};
        const u32 start = from_thread(upto - left, segment);
        if (!sample.exists) return sample;
        const u32 waypoint = cursor.waypoint + segment;
        const u32 step = thread - start + (segment == 0 ? cursor.step : 0);
        sample.phase = phase_at(e.fleet, flight, waypoint);
        const Waypoint to = waypoint_of(e.fleet, flight, waypoint);
        if (step + 1 == cut.count) {
            sample.point = to;
            sample.next = {waypoint + 1, 0};
        } else {
            sample.point = between(e, waypoint_of(e.fleet, flight, waypoint - 1), to, cut, step);
            sample.next = {waypoint, step + 1};
        }
        return sample;
    }
}

// Samples of a whole flight.
__device__ inline u32 count_samples(const Evaluation& e, const Flight& flight) {
    if constexpr (!PATH) return flight.len;
    u32 samples = 0;
    for (u32 waypoint = thread_of_warp(); waypoint < flight.len; waypoint += WARP) {
        samples += cut_of(e, flight, waypoint).count;
    }
    return sum_over(samples);
}

}  // namespace skydose
