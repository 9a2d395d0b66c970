// Waypoints as they come up.
#pragma once

#include "abi.cuh"
#include "geodesy.cuh"

namespace skydose {

struct Waypoint {
    double time_s;
    double longitude_deg;
    double latitude_deg;
    double pressure_pa;
};

// units / 1e7, rounded as a division does (Markstein 1990): what a file that
// gives seven decimals says is what comes out, to the bit.
__device__ inline double degrees_of(int units) {
    const double n = units;
    const double quotient = n * DEGREES_PER_UNIT;
    return fma(fma(-quotient, UNITS_PER_DEGREE, n), DEGREES_PER_UNIT, quotient);
}

// Of the 32 waypoints that an anchor is for, the one with number `n`.
__device__ inline double coordinate(double anchor_deg, float unit, int n) {
    return unit == 0.0f ? degrees_of(n) : anchor_deg + static_cast<double>(unit) * static_cast<u32>(n);
}

// `waypoint` counts from the flight's first.
__device__ inline double time_of(const Fleet& fleet, const Flight& flight, u32 waypoint) {
    const u32 units = flight.step == 0 ? fleet.time[flight.time + waypoint] : flight.time + waypoint * flight.step;
    return flight.base_s + static_cast<double>(flight.unit_s) * units;
}

__device__ inline Waypoint waypoint_of(const Fleet& fleet, const Flight& flight, u32 waypoint) {
    const u32 at = flight.first_waypoint + waypoint;
    const Anchor& anchor = fleet.anchors[flight.anchor + waypoint / WARP];
    return {time_of(fleet, flight, waypoint),
            wrap_longitude(coordinate(anchor.longitude_deg, anchor.longitude_unit, fleet.longitude[at])),
            coordinate(anchor.latitude_deg, anchor.latitude_unit, fleet.latitude[at]),
            anchor.pressure_pa + static_cast<double>(anchor.pressure_unit) * fleet.pressure[at]};
}

// The phase of the segment that ends at a waypoint: that in which it starts.
__device__ inline u32 phase_at(const Fleet& fleet, const Flight& flight, u32 waypoint) {
    const u32 start = waypoint == 0 ? 0 : waypoint - 1;
    const u64 phases = fleet.anchors[flight.anchor + start / WARP].phases;
    return static_cast<u32>(phases >> (2 * (start % WARP))) & (PHASES - 1);
}

}  // namespace skydose
