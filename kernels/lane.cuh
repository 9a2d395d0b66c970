// From a field's channels to the lanes' quantities, exposure/program.rs: v, v
// rho or v / rho, and the mixing ratio beside it where a dose is asked for.
#pragma once

#include "atmosphere.cuh"
#include "options.cuh"
#include "warp.cuh"

namespace skydose {

// One of this thread's channels, chosen at run time without leaving registers.
__device__ inline float pick(const float (&values)[WIDTH], u32 which) {
    float picked = values[0];
#pragma unroll
    for (u32 j = 1; j < WIDTH; ++j) picked = which == j ? values[j] : picked;
    return picked;
}

// A channel of this thread's sample, whichever thread of its group holds it.
__device__ inline float channel_of(const float (&values)[WIDTH], u32 channel) {
    const u32 thread = thread_of_warp();
    return from_thread(pick(values, channel % WIDTH), thread - thread % GROUP + channel / WIDTH);
}

// All threads take part. `temperature` counts where the field has none.
__device__ inline void to_quantities(const Program& program, u32 first, float pressure_pa, float temperature,
                                     float (&values)[WIDTH], float (&ratios)[DOSE ? WIDTH : 1]) {
    float rho = 1.0f;
    float inverse = 1.0f;
    if constexpr (DENSE) {
        if constexpr (SKYDOSE_DENSITY == DENSITY_FIELD) temperature = channel_of(values, program.temperature);
        const float humidity = program.humidity == NONE ? 0.0f : channel_of(values, program.humidity);
        rho = density(pressure_pa, temperature, humidity);
        inverse = 1.0f / rho;
    }
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        const u32 lane = first + j;
        if constexpr (LOG) {
            if (program.log >> lane & 1) values[j] = expf(values[j]);
        }
        if constexpr (DOSE) ratios[j] = program.dose_thin >> lane & 1 ? values[j] * inverse : values[j];
        // Chosen, not multiplied by zero: a lane without density is not
        // missing where temperature or humidity are.
        if constexpr (DENSE) {
            if ((program.dense | program.thin) >> lane & 1) values[j] *= program.dense >> lane & 1 ? rho : inverse;
        }
    }
}

// Air through the engines [kg s-1]: linear in pressure, constant beyond.
__device__ inline double flow_at(const Program& program, const double* tables, u32 phase, double pressure_pa) {
    const double* curve = tables + program.flow_table[phase];
    const u32 len = program.flow_len[phase];
    u32 above = 0;
    while (above < len && curve[2 * above] <= pressure_pa) above += 1;
    if (above == 0) return curve[1];
    const double* low = curve + 2 * (above - 1);
    if (above == len) return low[1];
    return low[1] + (pressure_pa - low[0]) / (low[2] - low[0]) * (low[3] - low[1]);
}

}  // namespace skydose
