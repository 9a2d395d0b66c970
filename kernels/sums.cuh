// A flight's figures of one phase: sums that every thread keeps of its own
// samples, and the totals in memory that they are added to.
//
// The order of addition is part of the answer. A thread adds its samples of
// one interval of the field's times and one phase in the order of time; at the
// end of the interval or phase the threads' sums are added in a fixed tree,
// and the result to the total. Windows are cut at the field's times, so that
// no cut changes a byte.
#pragma once

#include "lane.cuh"
#include "options.cuh"
#include "warp.cuh"

namespace skydose {

struct Sums {
    double common_s;
    double dosage[WIDTH];
    double partial_s[MISSING ? WIDTH : 1];
    double dose[DOSE ? WIDTH : 1];
};

__device__ inline void clear(Sums& sums) {
    sums.common_s = 0.0;
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        sums.dosage[j] = 0.0;
        if constexpr (MISSING) sums.partial_s[j] = 0.0;
        if constexpr (DOSE) sums.dose[j] = 0.0;
    }
}

// Which channels this thread holds, of which sample of a round.
struct Place {
    u32 thread;
    u32 first;   // its first channel
    u32 within;  // its sample of each round
    bool leads;  // it alone writes its channels' totals
};

__device__ inline Place place_of_thread() {
    const u32 thread = thread_of_warp();
    return {thread, thread % GROUP * WIDTH, thread / GROUP, thread < GROUP};
}

// The threads' sums into the totals, and the sums back to zero.
__device__ inline void put_down(const Program& program, const Place& place, Sums& sums, double* figures) {
    const u32 lanes = program.lanes;
    const double common_s = sum_over(sums.common_s, GROUP);
    if (place.thread == 0) figures[AT_COMMON] += common_s;
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        const u32 lane = place.first + j;
        const bool writes = place.leads && lane < lanes;
        const double dosage = sum_over(sums.dosage[j], GROUP);
        if (writes) figures[AT_DOSAGE + lane] += dosage;
        if constexpr (MISSING) {
            const double partial_s = sum_over(sums.partial_s[j], GROUP);
            if (writes) figures[AT_DOSAGE + 3 * lanes + lane] += partial_s;
        }
        if constexpr (DOSE) {
            const double dose = sum_over(sums.dose[j], GROUP);
            if (writes) figures[program.at_dose + lane] += dose;
        }
    }
    clear(sums);
}

// Nothing was met yet.
__device__ inline void begin_figures(const Program& program, double* figures) {
    const u32 peak = AT_DOSAGE + program.lanes;
    const u32 time = peak + program.lanes;
    for (u32 i = thread_of_warp(); i < program.stride; i += WARP) {
        double value = 0.0;
        if (i >= peak && i < time) value = -infinite();
        if (i >= time && i < time + program.lanes) value = missing();
        figures[i] = value;
    }
}

__device__ inline void put_peak(const Program& program, double* figures, u32 lane, float peak, double time_s) {
    figures[AT_DOSAGE + program.lanes + lane] = peak;
    figures[AT_DOSAGE + 2 * program.lanes + lane] = time_s;
}

// The peaks so far of this thread's channels; what no value exceeds where a
// channel is no lane.
__device__ inline void take_peaks(const Program& program, const Place& place, const double* figures,
                                  float (&peaks)[WIDTH]) {
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        const u32 lane = place.first + j;
        peaks[j] = static_cast<float>(lane < program.lanes ? figures[AT_DOSAGE + program.lanes + lane] : infinite());
    }
}

// Part of a linear step from `a` to `b` that is at or above a threshold.
__device__ inline double fraction_above(double a, double b, double threshold) {
    const double low = a <= b ? a : b;
    const double high = a <= b ? b : a;
    if (low >= threshold) return 1.0;
    if (high < threshold) return 0.0;
    return (high - threshold) / (high - low);
}

// Adds the time above each threshold along the steps of one round. Most
// rounds of most flights never come here.
__device__ inline void add_time_above(const Program& program, const double* tables, const Place& place,
                                      const float (&before)[WIDTH], const float (&after)[WIDTH], double seconds,
                                      double* figures) {
    for (u32 i = 0; i < program.thresholds; ++i) {
        const double* row = tables + program.threshold_table + 2 * i;
        const u32 lane = static_cast<u32>(row[0]);
        const double threshold = row[1];
        double above_s = 0.0;
        if (place.first == lane - lane % WIDTH) {
            const double a = pick(before, lane % WIDTH);
            const double b = pick(after, lane % WIDTH);
            // Missing at either end is no step.
            if ((a >= threshold && !is_missing(b)) || (b >= threshold && !is_missing(a))) {
                above_s = seconds * fraction_above(a, b, threshold);
            }
        }
        if (!__any_sync(ALL, above_s > 0.0)) continue;
        above_s = sum_over(above_s, 1);
        if (place.thread == 0) figures[program.at_above + i] += above_s;
    }
}

}  // namespace skydose
