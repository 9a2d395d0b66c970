// From a coordinate to the nodes around it, as grid/axis.rs and
// grid/longitude.rs do.
#pragma once

#include "abi.cuh"

namespace skydose {

// Node `index` at or below, and how much of the way to the next.
struct Bracket {
    u32 index;
    float weight;
    bool inside;
};

// The cell of `len` ascending nodes that holds x: the first or the last where
// x lies beyond them.
template <typename Nodes>
__device__ inline u32 cell_of(const Nodes& node, u32 len, double x) {
    u32 low = 0;
    u32 high = len - 1;
    while (high - low > 1) {
        const u32 middle = (low + high) / 2;
        if (x >= node(middle)) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

struct Nodes {
    const double* values;
    __device__ double operator()(u32 i) const { return values[i]; }
};

// n / d, for d within the range of a float: to the last bits, at a third of a
// division's work. Double precision is slow on many devices.
__device__ inline double quotient(double n, double d) {
    const double r = 1.0f / static_cast<float>(d);
    return n * fma(r, fma(-d, r, 1.0), r);
}

// The cell of an evenly spaced axis at a position counted in steps, counted
// from `lowest`.
__device__ inline Bracket even_cell(double position, int lowest, int highest) {
    int cell = static_cast<int>(position);
    cell = cell > lowest ? cell : lowest;
    cell = cell < highest ? cell : highest;
    const float weight = static_cast<float>(position - cell);
    return {static_cast<u32>(cell - lowest), fminf(fmaxf(weight, 0.0f), 1.0f), true};
}

// `slack`: what lies below a node by no more than this counts as on it, and so
// belongs to the cell above.
__device__ inline Bracket locate(const Axis& axis, const double* tables, double x, double slack = 0.0) {
    Bracket found = {0, 0.0f, x >= axis.low && x <= axis.high};
    if (!found.inside || axis.len == 1) return found;
    if (axis.even) {
        const int lowest = static_cast<int>(axis.offset);
        return even_cell((x + slack - axis.first) * axis.inverse_step, lowest, lowest + static_cast<int>(axis.len) - 2);
    }
    const double* nodes = tables + axis.nodes;
    found.index = cell_of(Nodes{nodes}, axis.len, x + slack);
    const double low = nodes[found.index];
    found.weight = fmaxf(static_cast<float>(quotient(x - low, nodes[found.index + 1] - low)), 0.0f);
    return found;
}

// The node west of a longitude, any turn of the circle; the last one of a
// global axis is west of the seam.
__device__ inline Bracket locate_node(const Longitude& longitude, const double* tables, double degrees) {
    const Axis& axis = longitude.axis;
    double x = degrees - axis.low;
    if (x <= -360.0) x += 360.0;
    if (x < 0.0) x += 360.0;
    if (x >= 360.0) x -= 360.0;
    x += axis.low;
    if (x > axis.high) {
        if (longitude.global) {
            const double weight = (x - axis.high) / (axis.low + 360.0 - axis.high);
            return {axis.len - 1, static_cast<float>(weight < 1.0 ? weight : 1.0), true};
        }
        // A hair below the first node turned into a full circle above.
        if (x - 360.0 >= axis.low - 1e-9) x = axis.low;
    }
    return locate(axis, tables, x);
}

// The column in memory west of a longitude in -180 to 180.
__device__ inline Bracket locate_column(const Longitude& longitude, const double* tables, double degrees) {
    const Axis& axis = longitude.axis;
    Bracket found;
    if (longitude.globe) {
        double x = degrees - axis.first;
        x = x < 0.0 ? x + 360.0 : x;
        x = x >= 360.0 ? x - 360.0 : x;
        found = even_cell(x * axis.inverse_step, 0, static_cast<int>(axis.len) - 1);
        found.inside = x >= 0.0;
    } else {
        found = locate_node(longitude, tables, degrees);
    }
    found.index = found.index >= longitude.start ? found.index - longitude.start
                                                 : found.index + axis.len - longitude.start;
    found.inside = found.inside && found.index + 1 < longitude.columns;
    return found;
}

}  // namespace skydose
