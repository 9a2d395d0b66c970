// From a pressure to the levels around it, as grid/level.rs does.
#pragma once

#include "axis.cuh"
#include "options.cuh"

namespace skydose {

// Pressures were rounded on their way here. One that may have been that of a
// level, or of a boundary of layers, counts as it: aircraft fly at flight
// levels, and there the levels and layers of dispersion models end.
__device__ inline bool is_between(double pressure_pa, double low_pa, double high_pa) {
    return pressure_pa >= low_pa - ROUNDING_PA && pressure_pa <= high_pa + ROUNDING_PA;
}

// A number as one that compares alike with a positive one, without the units
// of double precision.
__device__ inline long long order_of(double value) { return __double_as_longlong(value); }

// As `cell_of`, of pressures.
template <typename Nodes>
__device__ inline u32 level_of(const Nodes& node, u32 len, double pressure_pa) {
    const long long x = order_of(pressure_pa + ROUNDING_PA);
    u32 low = 0;
    u32 high = len - 1;
    while (high - low > 1) {
        const u32 middle = (low + high) / 2;
        if (x >= order_of(node(middle))) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

// How much of the way from one level to the next.
__device__ inline float part_of(double x, double low, double high) {
    return fminf(fmaxf(static_cast<float>(quotient(x - low, high - low)), 0.0f), 1.0f);
}

struct HybridNodes {
    const double* pairs;
    double surface_pa;
    __device__ double operator()(u32 i) const { return pairs[2 * i] + pairs[2 * i + 1] * surface_pa; }
};

struct PascalNodes {
    const double* logarithms;
    __device__ double operator()(u32 i) const { return exp(logarithms[i]); }
};

__device__ inline Bracket even_level(const Axis& levels, double x) {
    const int lowest = static_cast<int>(levels.offset);
    return even_cell((x - levels.first) * levels.inverse_step, lowest, lowest + static_cast<int>(levels.len) - 2);
}

// `surface_pa` counts for hybrid levels only. In layers the weight is none.
__device__ inline Bracket locate_level(const Axis& levels, const double* tables, double pressure_pa,
                                       double surface_pa) {
    const double* nodes = tables + levels.nodes;
    const u32 last = levels.len - 1;
    Bracket found = {0, 0.0f, false};
    if constexpr (SKYDOSE_LEVELS == LEVELS_LINEAR || SKYDOSE_LEVELS == LEVELS_LAYERS) {
        found.inside = is_between(pressure_pa, nodes[0], nodes[last]);
        if (!found.inside || last == 0) return found;
        if (levels.even) return even_level(levels, pressure_pa + ROUNDING_PA);
        found.index = level_of(Nodes{nodes}, levels.len, pressure_pa);
        if constexpr (!LAYERED) found.weight = part_of(pressure_pa, nodes[found.index], nodes[found.index + 1]);
    } else if constexpr (SKYDOSE_LEVELS == LEVELS_LOG) {
        const double x = log(pressure_pa);
        const double slack = ROUNDING_PA / pressure_pa;
        found.inside = x >= nodes[0] - slack && x <= nodes[last] + slack;
        if (!found.inside || last == 0) return found;
        if (levels.even) return even_level(levels, x + slack);
        found.index = cell_of(Nodes{nodes}, levels.len, x + slack);
        found.weight = part_of(x, nodes[found.index], nodes[found.index + 1]);
    } else {
        const HybridNodes at = {nodes, surface_pa};
        found.inside = is_between(pressure_pa, at(0), at(last));
        if (!found.inside || last == 0) return found;
        found.index = level_of(at, levels.len, pressure_pa);
        const double low = at(found.index);
        const double high = at(found.index + 1);
        if (SKYDOSE_LEVELS == LEVELS_HYBRID_LOG && low > 0.0) {
            found.weight = part_of(log(pressure_pa), log(low), log(high));
        } else if constexpr (!LAYERED) {
            found.weight = part_of(pressure_pa, low, high);
        }
    }
    return found;
}

// The smallest step between the levels `first` to `last` and those after them.
template <typename At>
__device__ inline double finest_of(const At& at, u32 first, u32 last) {
    double finest = infinite();
    for (u32 i = first; i <= last; ++i) finest = fmin(finest, at(i + 1) - at(i));
    return finest;
}

// The smallest pressure difference between neighbouring levels on the way from
// one pressure to another.
__device__ inline double finest_between(const Axis& levels, const double* tables, double from_pa, double to_pa) {
    const double* nodes = tables + levels.nodes;
    const double low = fmin(from_pa, to_pa);
    const double high = fmax(from_pa, to_pa);
    if (levels.len < 2) return infinite();
    if constexpr (HYBRID) {
        // Over the sea: close enough to choose a step.
        const HybridNodes at = {nodes, 101325.0};
        return finest_of(at, level_of(at, levels.len, low), level_of(at, levels.len, high));
    } else if constexpr (SKYDOSE_LEVELS == LEVELS_LOG) {
        const u32 first = cell_of(Nodes{nodes}, levels.len, log(low + ROUNDING_PA));
        const u32 last = cell_of(Nodes{nodes}, levels.len, log(high + ROUNDING_PA));
        return finest_of(PascalNodes{nodes}, first, last);
    } else {
        const Nodes at = {nodes};
        return finest_of(at, level_of(at, levels.len, low), level_of(at, levels.len, high));
    }
}

}  // namespace skydose
