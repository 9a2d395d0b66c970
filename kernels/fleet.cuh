// Waypoints as they come up: 12 bytes each, and 16 where times are uneven.
#pragma once

#include "abi.cuh"

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

// `waypoint` counts from the flight's first.
__device__ inline double time_of(const Fleet& fleet, const Flight& flight, u32 waypoint) {
    const u32 units = flight.step == 0 ? fleet.time[flight.time + waypoint] : flight.time + waypoint * flight.step;
    return flight.base_s + static_cast<double>(flight.unit_s) * units;
}

__device__ inline Waypoint waypoint_of(const Fleet& fleet, const Flight& flight, u32 waypoint) {
    const u32 at = flight.first_waypoint + waypoint;
    return {time_of(fleet, flight, waypoint), degrees_of(fleet.longitude[at]), degrees_of(fleet.latitude[at]),
            (fleet.pressure[at] >> PHASE_BITS) * PASCALS_PER_UNIT};
}

// The phase of the segment that ends at a waypoint: that in which it starts.
__device__ inline u32 phase_at(const Fleet& fleet, const Flight& flight, u32 waypoint) {
    const u32 start = waypoint == 0 ? 0 : waypoint - 1;
    return fleet.pressure[flight.first_waypoint + start] & (PHASES - 1);
}

}  // namespace skydose
