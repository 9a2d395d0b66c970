// From a sample to its cell in the field, as compute/cpu/locate.rs.
#pragma once

#include "axis.cuh"
#include "level.cuh"
#include "path.cuh"

namespace skydose {

// Two neighbouring times of the field; the same for all samples that a warp
// takes together.
struct Interval {
    double low_s;
    double per_second;
    double end_s;         // samples from here on belong to the next interval
    double last_s;        // no field after it; infinite but at the end of the field
    const Slab* earlier;  // null where there is no field
    const Slab* later;
};

struct Cell {
    u32 point;  // grid point of the lowest corner, NONE outside the field
    float time;
    float level;
    float latitude;
    float longitude;
};

// The interval that an instant lies in.
__device__ inline Interval interval_of(const Evaluation& e, double time_s) {
    const double* times_s = e.tables + e.field.times;
    const u32 last = e.field.times_len - 1;
    if (time_s < times_s[0]) return {0.0, 0.0, times_s[0], 0.0, nullptr, nullptr};
    const bool is_last = time_s >= times_s[last];
    const u32 index = last == 0 ? 0 : is_last ? last - 1 : cell_of(Nodes{times_s}, e.field.times_len, time_s);
    Interval interval = {times_s[index], 0.0, is_last ? infinite() : times_s[index + 1],
                         is_last ? times_s[last] : infinite(), nullptr, nullptr};
    const u32 slab = index - e.field.first;
    if (index >= e.field.first && slab < e.field.slabs_len) {
        interval.earlier = e.field.slabs + slab;
        interval.later = interval.earlier;
    }
    if (last > 0) {
        interval.per_second = 1.0 / (times_s[index + 1] - times_s[index]);
        if (slab + 1 < e.field.slabs_len) {
            interval.later += 1;
        } else {
            interval.earlier = nullptr;
        }
    }
    return interval;
}

// A weight below this is none: what it belongs to need not have a value, by
// the rule and with the bound of compute/cpu/node.rs.
constexpr float NO_WEIGHT = 1e-6f;

__device__ inline bool is_none(float weight) { return weight < NO_WEIGHT; }
__device__ inline bool is_all(float weight) { return weight > 1.0f - NO_WEIGHT; }

__device__ inline double part_way(double a, double b, float weight) {
    const double value = a + weight * (b - a);
    if (!is_missing(value)) return value;
    return is_none(weight) ? a : is_all(weight) ? b : missing();
}

// Value or missing: a neighbour without weight is not looked at, for it may
// not exist.
__device__ inline double surface_along(const float* surface_pa, u32 point, float weight) {
    const double a = surface_pa[point];
    return weight > 0.0f ? part_way(a, surface_pa[point + 1], weight) : a;
}

__device__ inline double surface_in(const Slab* slab, const Grid& grid, u32 point, const Cell& cell) {
    const float* surface_pa = reinterpret_cast<const float*>(slab->surface_pa);
    if (surface_pa == nullptr) return missing();
    const double south = surface_along(surface_pa, point, cell.longitude);
    if (!(cell.latitude > 0.0f)) return south;
    const double north = surface_along(surface_pa, point + grid.row_points, cell.longitude);
    return part_way(south, north, cell.latitude);
}

// Surface pressure [Pa], bilinear and linear in time.
__device__ inline double surface_pressure(const Interval& interval, const Grid& grid, u32 point, const Cell& cell) {
    const double earlier = surface_in(interval.earlier, grid, point, cell);
    if (!(cell.time > 0.0f)) return earlier;
    return part_way(earlier, surface_in(interval.later, grid, point, cell), cell.time);
}

__device__ inline Cell cell_at(const Evaluation& e, const Interval& interval, const Waypoint& at) {
    Cell cell = {NONE, 0.0f, 0.0f, 0.0f, 0.0f};
    if (interval.earlier == nullptr || at.time_s > interval.last_s) return cell;
    const Bracket column = locate_column(e.grid.longitude, e.tables, at.longitude_deg);
    const Bracket row = locate(e.grid.latitude, e.tables, at.latitude_deg);
    if (!(column.inside && row.inside)) return cell;
    cell.time = fminf(static_cast<float>((at.time_s - interval.low_s) * interval.per_second), 1.0f);
    cell.latitude = row.weight;
    cell.longitude = column.weight;
    const u32 point = row.index * e.grid.row_points + column.index;
    double surface_pa = 0.0;
    if constexpr (HYBRID) surface_pa = surface_pressure(interval, e.grid, point, cell);
    const Bracket level = locate_level(e.grid.levels, e.tables, at.pressure_pa, surface_pa);
    if (!level.inside) return cell;
    cell.level = e.grid.stands_alone ? 0.0f : level.weight;
    cell.point = point + level.index * e.grid.plane_points;
    return cell;
}

}  // namespace skydose
