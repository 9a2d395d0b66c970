// The largest mean over a moving window, as compute/rolling.rs finds it, from
// the history of a whole flight: a warp slides the window's end over 32
// segments at a time.
#pragma once

#include "warp.cuh"

namespace skydose {

struct History {
    const double* time_s;
    const float* value;
    double* integral;  // up to each sample; steps without a value add nothing
};

// The largest integral over a window that ends in the segment from sample
// i - 1 to i of a run of values that begins at sample `run`.
__device__ inline double slide(const History& history, u32 run, u32 i, double window_s) {
    const double t0 = history.time_s[i - 1];
    const double t1 = history.time_s[i];
    double largest = -infinite();
    if (t1 - window_s < history.time_s[run] || !(t1 > t0)) return largest;
    const double c0 = history.value[i - 1];
    const double i0 = history.integral[i - 1];
    const double slope = (history.value[i] - c0) / (t1 - t0);
    // The first sample that the window's start has yet to pass.
    u32 low = run;
    u32 high = i;
    while (high - low > 1) {
        const u32 middle = (low + high) / 2;
        if (history.time_s[middle] + window_s < t0) {
            low = middle;
        } else {
            high = middle;
        }
    }
    for (u32 k = high; k <= i; ++k) {
        const double ta = history.time_s[k - 1];
        const double tb = history.time_s[k];
        if (ta + window_s > t1) break;
        const double from = fmax(ta + window_s, t0);
        const double to = fmin(tb + window_s, t1);
        if (from > to || tb <= ta) continue;
        const double ca = history.value[k - 1];
        const double ia = history.integral[k - 1];
        const double tail_slope = (history.value[k] - ca) / (tb - ta);
        const auto integral = [&](double t) {
            const double s = t - window_s - ta;
            return i0 + (c0 + 0.5 * slope * (t - t0)) * (t - t0) - ia - (ca + 0.5 * tail_slope * s) * s;
        };
        largest = fmax(largest, fmax(integral(from), integral(to)));
        // Between them the integral is largest where its slope is zero.
        if (slope < tail_slope) {
            const double difference = c0 + slope * (from - t0) - ca - tail_slope * (from - window_s - ta);
            const double turn = from + difference / (tail_slope - slope);
            if (turn > from && turn < to) largest = fmax(largest, integral(turn));
        }
    }
    return largest;
}

// The largest integral over any window that was sampled throughout; minus
// infinity where there is none.
__device__ inline double roll(const History& history, u32 samples, double window_s) {
    const u32 thread = thread_of_warp();
    double largest = -infinite();
    double upto = 0.0;  // the integral up to the 32 samples
    u32 run = 0;        // where the current run of values begins
    for (u32 start = 0; start < samples; start += WARP) {
        const u32 i = start + thread;
        const bool exists = i < samples;
        const float value = exists ? history.value[i] : missing();
        float before = missing();
        double seconds = 0.0;
        if (exists && i > 0) {
            before = history.value[i - 1];
            seconds = history.time_s[i] - history.time_s[i - 1];
        }
        const bool is_step = !is_missing(value) && !is_missing(before);
        const double area = is_step ? 0.5 * (static_cast<double>(value) + before) * seconds : 0.0;
        const double integral = upto + sum_upto(area);
        if (exists) history.integral[i] = integral;
        upto = from_thread(integral, WARP - 1);
        // A run begins behind the last value that is missing.
        const u32 gaps = __ballot_sync(ALL, is_missing(value));
        const u32 below = gaps & ((1u << thread) - 1);
        const u32 own_run = below == 0 ? run : start + (WARP - static_cast<u32>(__clz(static_cast<int>(below))));
        if (gaps != 0) run = start + (WARP - static_cast<u32>(__clz(static_cast<int>(gaps))));
        // The integrals of all threads are read by all.
        __syncwarp();
        if (is_step) largest = fmax(largest, slide(history, own_run, i, window_s));
    }
#pragma unroll
    for (u32 offset = WARP / 2; offset >= 1; offset /= 2) {
        largest = fmax(largest, __shfl_xor_sync(ALL, largest, static_cast<int>(offset)));
    }
    return largest;
}

}  // namespace skydose
