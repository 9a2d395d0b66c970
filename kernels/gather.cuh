// Values at a point: the corners of its cell, weighed in time, height,
// latitude and longitude, as compute/cpu/gather.rs.
#pragma once

#include "cell.cuh"
#include "options.cuh"

namespace skydose {

// a + w (b - a): one rounding for the product and the sum, as on the host.
__device__ inline float lerp(float a, float b, float w) { return fmaf(b - a, w, a); }

__device__ inline float float_of(unsigned short half) {
#ifdef SKYDOSE_HOST
    return skydose_float_of_half(half);
#else
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
#endif
}

// This thread's channels at one grid point: one load of up to 16 bytes.
__device__ inline void load(u64 values, u64 at, float (&out)[WIDTH]) {
    if constexpr (HALF) {
        const unsigned short* from = reinterpret_cast<const unsigned short*>(values) + at;
        if constexpr (WIDTH == 4) {
            const uint2 pair = __ldg(reinterpret_cast<const uint2*>(from));
            out[0] = float_of(static_cast<unsigned short>(pair.x));
            out[1] = float_of(static_cast<unsigned short>(pair.x >> 16));
            out[2] = float_of(static_cast<unsigned short>(pair.y));
            out[3] = float_of(static_cast<unsigned short>(pair.y >> 16));
        } else if constexpr (WIDTH == 2) {
            const u32 pair = __ldg(reinterpret_cast<const u32*>(from));
            out[0] = float_of(static_cast<unsigned short>(pair));
            out[1] = float_of(static_cast<unsigned short>(pair >> 16));
        } else {
            out[0] = float_of(__ldg(from));
        }
    } else {
        const float* from = reinterpret_cast<const float*>(values) + at;
        if constexpr (WIDTH == 4) {
            const float4 four = __ldg(reinterpret_cast<const float4*>(from));
            out[0] = four.x;
            out[1] = four.y;
            out[2] = four.z;
            out[3] = four.w;
        } else if constexpr (WIDTH == 2) {
            const float2 two = __ldg(reinterpret_cast<const float2*>(from));
            out[0] = two.x;
            out[1] = two.y;
        } else {
            out[0] = __ldg(from);
        }
    }
}

// Grid points of a cell's corners: the lowest one, the level below, and both
// again one latitude to the north; their eastern neighbours follow them.
struct Corners {
    u64 at[4];
};

__device__ inline Corners corners_of(const Grid& grid, u32 point) {
    const u64 at = point;
    return {{at, at + grid.plane, at + grid.row, at + grid.plane + grid.row}};
}

// Channels `first` and on of one slab, in space alone; eastern neighbours are
// `step` points further.
__device__ inline void gather_slab(const Slab* slab, const Corners& corners, u32 step, const Cell& cell, u32 first,
                                   float (&out)[WIDTH]) {
    float side[2][WIDTH];
#pragma unroll
    for (u32 east = 0; east < 2; ++east) {
        float corner[4][WIDTH];
#pragma unroll
        for (u32 i = 0; i < 4; ++i) load(slab->values, (corners.at[i] + east * step) * CHANNELS + first, corner[i]);
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) {
            side[east][j] = lerp(lerp(corner[0][j], corner[1][j], cell.level),
                                 lerp(corner[2][j], corner[3][j], cell.level), cell.latitude);
        }
    }
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) out[j] = lerp(side[0][j], side[1][j], cell.longitude) * slab->scale[first + j];
}

// Channels `first` and on at a point between these corners.
__device__ inline void weigh(const Interval& interval, const Corners& corners, u32 step, const Cell& cell, u32 first,
                             float (&out)[WIDTH]) {
    if constexpr (HALF) {
        // Each time has its own scale, so space comes first.
        float later[WIDTH];
        gather_slab(interval.earlier, corners, step, cell, first, out);
        gather_slab(interval.later, corners, step, cell, first, later);
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) out[j] = lerp(out[j], later[j], cell.time);
    } else {
        // The order of the host, so that the same weights give the same bits.
        const u64 earlier = interval.earlier->values;
        const u64 later = interval.later->values;
        float side[2][WIDTH];
#pragma unroll
        for (u32 east = 0; east < 2; ++east) {
            float corner[4][WIDTH];
#pragma unroll
            for (u32 i = 0; i < 4; ++i) {
                const u64 at = (corners.at[i] + east * step) * CHANNELS + first;
                float after[WIDTH];
                load(earlier, at, corner[i]);
                load(later, at, after);
#pragma unroll
                for (u32 j = 0; j < WIDTH; ++j) corner[i][j] = lerp(corner[i][j], after[j], cell.time);
            }
#pragma unroll
            for (u32 j = 0; j < WIDTH; ++j) {
                side[east][j] = lerp(lerp(corner[0][j], corner[1][j], cell.level),
                                     lerp(corner[2][j], corner[3][j], cell.level), cell.latitude);
            }
        }
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) out[j] = lerp(side[0][j], side[1][j], cell.longitude);
    }
}

__device__ inline bool is_on_node(float weight) { return is_none(weight) || is_all(weight); }

// Where an axis has all its weight at one end, both ends become that one.
__device__ inline void join(float weight, u32& low, u32& step) {
    if (is_all(weight)) low += step;
    if (is_on_node(weight)) step = 0;
}

// Whether a corner of the cell has no weight along some axis.
__device__ inline bool is_on_node(const Cell& cell) {
    return is_on_node(cell.time) || (!LAYERED && is_on_node(cell.level)) || is_on_node(cell.latitude) ||
           is_on_node(cell.longitude);
}

// Once more, without the corners that have no weight.
__device__ inline void look_again(Interval interval, const Grid& grid, const Cell& cell, u32 first,
                                  float (&out)[WIDTH]) {
    if (is_all(cell.time)) interval.earlier = interval.later;
    if (is_none(cell.time)) interval.later = interval.earlier;
    u32 point = cell.point, plane = grid.plane, row = grid.row, step = 1;
    join(cell.level, point, plane);
    join(cell.latitude, point, row);
    join(cell.longitude, point, step);
    const u64 at = point;
    float again[WIDTH];
    weigh(interval, {{at, at + plane, at + row, at + plane + row}}, step, cell, first, again);
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) out[j] = is_missing(out[j]) ? again[j] : out[j];
}

// Channels `first` and on at a cell's point.
__device__ inline void gather(const Interval& interval, const Grid& grid, const Cell& cell, u32 first,
                              float (&out)[WIDTH]) {
    weigh(interval, corners_of(grid, cell.point), 1, cell, first, out);
    if constexpr (MISSING) {
        bool lacks = false;
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) lacks = lacks || is_missing(out[j]);
        if (lacks && is_on_node(cell)) look_again(interval, grid, cell, first, out);
    }
}

}  // namespace skydose
