// From a pressure to the levels around it, as grid/level.rs does.
#pragma once

#include "axis.cuh"
#include "options.cuh"

namespace skydose {

// Pressures were rounded on their way here. One that may have been that of a
// level, or of a boundary of layers, counts as it: aircraft fly at flight
// levels, and there the levels and layers of dispersion models end.
__device__ inline double onto(double pressure_pa, double end_pa) {
    return fabs(pressure_pa - end_pa) <= ROUNDING_PA ? end_pa : pressure_pa;
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

// `surface_pa` counts for hybrid levels only. In layers the weight is none.
__device__ inline Bracket locate_level(const Axis& levels, const double* tables, double pressure_pa,
                                       double surface_pa) {
    const double* nodes = tables + levels.nodes;
    if constexpr (SKYDOSE_LEVELS == LEVELS_LINEAR) {
        return locate(levels, tables, onto(onto(pressure_pa, levels.low), levels.high), ROUNDING_PA);
    } else if constexpr (SKYDOSE_LEVELS == LEVELS_LOG) {
        double x = log(pressure_pa);
        const double slack = ROUNDING_PA / pressure_pa;
        if (fabs(x - levels.low) <= slack) x = levels.low;
        if (fabs(x - levels.high) <= slack) x = levels.high;
        return locate(levels, tables, x, slack);
    } else if constexpr (SKYDOSE_LEVELS == LEVELS_LAYERS) {
        const u32 last = levels.len - 1;
        return {cell_of(Nodes{nodes}, levels.len, pressure_pa + ROUNDING_PA), 0.0f,
                pressure_pa + ROUNDING_PA >= nodes[0] && pressure_pa - ROUNDING_PA <= nodes[last]};
    } else {
        const HybridNodes at = {nodes, surface_pa};
        const u32 last = levels.len - 1;
        pressure_pa = onto(onto(pressure_pa, at(0)), at(last));
        Bracket found = {0, 0.0f, pressure_pa >= at(0) && pressure_pa <= at(last)};
        if (!found.inside || last == 0) return found;
        found.index = cell_of(at, levels.len, pressure_pa + ROUNDING_PA);
        const double low = at(found.index);
        const double high = at(found.index + 1);
        pressure_pa = fmax(pressure_pa, low);
        if constexpr (SKYDOSE_LEVELS == LEVELS_HYBRID_LOG) {
            found.weight = static_cast<float>(low > 0.0 ? log(pressure_pa / low) / log(high / low)
                                                        : (pressure_pa - low) / (high - low));
        } else {
            found.weight = static_cast<float>((pressure_pa - low) / (high - low));
        }
        return found;
    }
}

// The pressure difference between the levels around a pressure.
__device__ inline double spacing_at(const Axis& levels, const double* tables, double pressure_pa) {
    const double* nodes = tables + levels.nodes;
    if (levels.len < 2) return infinite();
    if constexpr (HYBRID) {
        // Over the sea: close enough to choose a step.
        const HybridNodes at = {nodes, 101325.0};
        const u32 i = cell_of(at, levels.len, pressure_pa + ROUNDING_PA);
        return at(i + 1) - at(i);
    } else if constexpr (SKYDOSE_LEVELS == LEVELS_LOG) {
        const PascalNodes at = {nodes};
        const u32 i = cell_of(Nodes{nodes}, levels.len, log(pressure_pa + ROUNDING_PA));
        return at(i + 1) - at(i);
    } else {
        const u32 i = cell_of(Nodes{nodes}, levels.len, pressure_pa + ROUNDING_PA);
        return nodes[i + 1] - nodes[i];
    }
}

}  // namespace skydose
