// A warp's way along one flight through one window: 32 consecutive samples at
// a time are made, located, gathered and reduced.
#pragma once

#include "cell.cuh"
#include "gather.cuh"
#include "lane.cuh"
#include "path.cuh"
#include "sums.cuh"

namespace skydose {

// What a warp's threads tell each other of their 32 samples: each thread
// makes one sample, and each group of threads gathers the channels of one.
struct Scratch {
    float4 weights[WARP];                 // time, level, latitude, longitude
    double time_s[WARP + 1];              // behind that of the sample before
    double seconds[WARP];                 // of the step that ends here, 0 where it is not sampled
    double flow[DOSE ? WARP + 1 : 1];     // behind that of the sample before
    float pressure_pa[DENSE ? WARP : 1];
    float temperature[SKYDOSE_DENSITY == DENSITY_ISA ? WARP : 1];
    u32 point[WARP];                      // NONE outside the field
};

// The last sample of the 32 before: its step is not done yet.
struct Last {
    float values[WIDTH];                  // of this thread's channels
    float ratios[DOSE ? WIDTH : 1];
    double time_s;
    double pressure_pa;
    bool inside;
};

// The largest values of the 32 samples that this thread saw.
struct Highest {
    float value[WIDTH];
    u32 sample[WIDTH];
};

struct Walk {
    const Evaluation& e;
    Scratch& scratch;
    const u32 flight_index;
    const Flight flight;
    const Place place;
    Sums sums = {};
    Last last = {};
    float peaks[WIDTH] = {};
    u32 phase = NONE;           // NONE before the first sample
    u32 begun = 0;              // phases that have figures, a bit each
    u32 samples = 0;            // taken so far
    double* figures = nullptr;  // of the phase

    __device__ void run();
    __device__ u32 take(const Sample& sample, const Interval& interval, double end_s);
    __device__ void turn_to(u32 next);
    __device__ void locate(const Sample& sample, const Interval& interval, u32 n);
    __device__ void round(const Interval& interval, u32 round, u32 n, Highest& highest);
    __device__ void raise_peaks(const Highest& highest);
    __device__ void add_step(const float (&before)[WIDTH], const float (&after)[WIDTH], double seconds, bool lacks);
    __device__ void add_dose(const float (&before)[WIDTH], const float (&after)[WIDTH],
                             const float (&ratios)[DOSE ? WIDTH : 1], u32 i, double seconds);
    __device__ void remember(const float (&values)[WIDTH], u32 i, bool exists);
};

// Up to which instant the window takes samples: the last one takes those at
// its end and after it too, where there is no field.
__device__ inline double window_end(const Evaluation& e) {
    const u32 end = e.field.first + e.field.slabs_len;
    return end >= e.field.times_len ? infinite() : e.tables[e.field.times + end - 1];
}

// The value of the sample before, from the group of threads below; the first
// group's is the last of the round before, which the last group still has.
__device__ inline float before_of(const Place& place, float value, float last) {
    const float given = place.thread >= WARP - GROUP ? last : value;
    return from_thread(given, (place.thread + WARP - GROUP) % WARP);
}

// How many of the 32 samples are taken together: those of one interval and
// one phase, within the window.
__device__ inline u32 Walk::take(const Sample& sample, const Interval& interval, double end_s) {
    const u32 together = from_thread(sample.phase, 0);
    const bool joins = sample.exists && sample.point.time_s < fmin(interval.end_s, end_s) && sample.phase == together;
    const u32 others = ~__ballot_sync(ALL, joins);
    return others == 0 ? WARP : static_cast<u32>(__ffs(static_cast<int>(others)) - 1);
}

// Turns to another phase; the last sample, at which it begins, belongs to
// both.
__device__ inline void Walk::turn_to(u32 next) {
    if (phase != NONE) put_down(e.program, place, sums, figures);
    phase = next;
    figures = e.output.figures + (static_cast<u64>(flight_index) * PHASES + phase) * e.program.stride;
    if ((begun >> phase & 1) == 0) {
        begin_figures(e.program, figures);
        begun |= 1u << phase;
    }
    // What other threads wrote is read here, and written by others later.
    __syncwarp();
    take_peaks(e.program, place, figures, peaks);
    __syncwarp();
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        if (last.values[j] > peaks[j]) {
            peaks[j] = last.values[j];
            if (place.leads) put_peak(e.program, figures, place.first + j, peaks[j], last.time_s);
        }
    }
}

// A thread's own sample into the scratch of the warp.
__device__ inline void Walk::locate(const Sample& sample, const Interval& interval, u32 n) {
    const u32 i = place.thread;
    const double time_s = sample.point.time_s;
    const double pressure_pa = sample.point.pressure_pa;
    Cell cell = {NONE, 0.0f, 0.0f, 0.0f, 0.0f};
    if (i < n) cell = cell_at(e, interval, sample.point);
    const bool inside = cell.point != NONE;
    const double time_below = __shfl_up_sync(ALL, time_s, 1);
    const int inside_below = __shfl_up_sync(ALL, static_cast<int>(inside), 1);
    const double before_s = i == 0 ? last.time_s : time_below;
    const bool is_sampled = inside && (i == 0 ? last.inside : inside_below != 0);
    scratch.weights[i] = make_float4(cell.time, cell.level, cell.latitude, cell.longitude);
    scratch.point[i] = cell.point;
    scratch.time_s[i + 1] = time_s;
    scratch.seconds[i] = is_sampled ? time_s - before_s : 0.0;
    if constexpr (DENSE) scratch.pressure_pa[i] = static_cast<float>(pressure_pa);
    if constexpr (SKYDOSE_DENSITY == DENSITY_ISA) {
        scratch.temperature[i] = inside ? static_cast<float>(isa_temperature(pressure_pa)) : 0.0f;
    }
    if constexpr (DOSE) scratch.flow[i + 1] = i < n ? flow_at(e.program, e.tables, phase, pressure_pa) : 0.0;
    if (i == 0) {
        scratch.time_s[0] = last.time_s;
        if constexpr (DOSE) scratch.flow[0] = flow_at(e.program, e.tables, phase, last.pressure_pa);
    }
    last.time_s = from_thread(time_s, n - 1);
    last.pressure_pa = from_thread(pressure_pa, n - 1);
    last.inside = from_thread(static_cast<int>(inside), n - 1) != 0;
}

// Dosage and time of one step: the trapezoid. `lacks`: some lane has no value
// at either end.
__device__ inline void Walk::add_step(const float (&before)[WIDTH], const float (&after)[WIDTH], double seconds,
                                      bool lacks) {
    if (!(seconds > 0.0)) return;
    const double half = 0.5 * seconds;
    if constexpr (MISSING) {
        if (lacks) {
#pragma unroll
            for (u32 j = 0; j < WIDTH; ++j) {
                const float sum = before[j] + after[j];
                if (is_missing(sum)) continue;
                sums.dosage[j] = fma(half, static_cast<double>(sum), sums.dosage[j]);
                sums.partial_s[j] += seconds;
            }
            return;
        }
    }
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        sums.dosage[j] = fma(half, static_cast<double>(before[j] + after[j]), sums.dosage[j]);
    }
    sums.common_s += seconds;
}

// The mass ingested along a step: the trapezoid of mixing ratio times flow.
__device__ inline void Walk::add_dose(const float (&before)[WIDTH], const float (&after)[WIDTH],
                                      const float (&ratios)[DOSE ? WIDTH : 1], u32 i, double seconds) {
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        const u32 k = DOSE ? j : 0;
        const float ratio_before = before_of(place, ratios[k], last.ratios[k]);
        last.ratios[k] = ratios[k];
        const double sum = scratch.flow[i] * ratio_before + scratch.flow[i + 1] * ratios[k];
        if (!is_missing(sum)) {
            sums.dose[k] += 0.5 * seconds * sum;
        } else if (seconds > 0.0 && !is_missing(before[j] + after[j])) {
            // Sampled, but without the density that the dose needs: a sum that
            // leaves this step out would pass for a dose.
            sums.dose[k] = missing();
        }
    }
}

// Keeps a sample for the rolling peaks.
__device__ inline void Walk::remember(const float (&values)[WIDTH], u32 i, bool exists) {
    if (!exists) return;
    const u64 at = static_cast<u64>(flight.history) + samples + i;
    if (place.first == 0) e.output.history_time[at] = scratch.time_s[i + 1];
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        const u32 slot = e.program.rolling_slot[place.first + j];
        if (slot != NONE) e.output.history_value[slot * e.output.history_len + at] = values[j];
    }
}

// Gathers and reduces the samples of one round.
__device__ inline void Walk::round(const Interval& interval, u32 round, u32 n, Highest& highest) {
    const u32 i = round * ROUND + place.within;
    const bool exists = i < n;
    const u32 point = exists ? scratch.point[i] : NONE;
    float values[WIDTH];
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) values[j] = missing();
    if (point != NONE) {
        const float4 weights = scratch.weights[i];
        gather(interval, e.grid, {point, weights.x, weights.y, weights.z, weights.w}, place.first, values);
    }
    float ratios[DOSE ? WIDTH : 1];
    if constexpr (DENSE || LOG || DOSE) {
        const float temperature = SKYDOSE_DENSITY == DENSITY_ISA ? scratch.temperature[i] : 0.0f;
        to_quantities(e.program, place.first, DENSE ? scratch.pressure_pa[DENSE ? i : 0] : 0.0f, temperature, values,
                      ratios);
    }
    float before[WIDTH];
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        before[j] = before_of(place, values[j], last.values[j]);
        last.values[j] = values[j];
        if (values[j] > highest.value[j]) {
            highest.value[j] = values[j];
            highest.sample[j] = i;
        }
    }
    const double seconds = exists ? scratch.seconds[i] : 0.0;
    bool lacks = false;
    if constexpr (MISSING) {
        bool own = false;
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) {
            own = own || (place.first + j < e.program.lanes && is_missing(before[j] + values[j]));
        }
        const u32 group = ((1u << GROUP) - 1) << (place.thread - place.thread % GROUP);
        lacks = (__ballot_sync(ALL, own) & group) != 0;
    }
    add_step(before, values, seconds, lacks);
    if constexpr (DOSE) add_dose(before, values, ratios, i, seconds);
    if constexpr (THRESHOLDS) {
        bool reaches = false;
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) {
            const float alert = e.program.alert[place.first + j];
            reaches = reaches || before[j] >= alert || values[j] >= alert;
        }
        if (__any_sync(ALL, reaches && seconds > 0.0)) {
            add_time_above(e.program, e.tables, place, before, values, seconds, figures);
        }
    }
    if constexpr (ROLLING) remember(values, i, exists);
}

// Raises the phase's peaks to what the 32 samples had; the earliest of equal
// ones counts. Few of a flight's 32 samples hold a new peak.
__device__ inline void Walk::raise_peaks(const Highest& highest) {
    bool exceeds = false;
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) exceeds = exceeds || highest.value[j] > peaks[j];
    if (!__any_sync(ALL, exceeds)) return;
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        float peak = highest.value[j];
        u32 sample = highest.sample[j];
#pragma unroll
        for (u32 offset = WARP / 2; offset >= GROUP; offset /= 2) {
            const float other = __shfl_xor_sync(ALL, peak, static_cast<int>(offset));
            const u32 of_other = __shfl_xor_sync(ALL, sample, static_cast<int>(offset));
            if (other > peak || (other == peak && of_other < sample)) {
                peak = other;
                sample = of_other;
            }
        }
        if (peak > peaks[j]) {
            peaks[j] = peak;
            if (place.leads) put_peak(e.program, figures, place.first + j, peak, scratch.time_s[sample + 1]);
        }
    }
}

__device__ inline void Walk::run() {
    State& state = e.output.states[flight_index];
    float* previous = e.output.previous + static_cast<u64>(flight_index) * 2 * CHANNELS + place.first;
    const State from = state;
    const bool started = (from.flags & STATE_STARTED) != 0;
    Cursor cursor = {from.waypoint, from.step};
    begun = from.phases;
    samples = from.samples;
    last.time_s = started ? from.previous_time_s : missing();
    last.pressure_pa = started ? from.previous_pressure_pa : missing();
    last.inside = (from.flags & STATE_INSIDE) != 0;
#pragma unroll
    for (u32 j = 0; j < WIDTH; ++j) {
        last.values[j] = started ? previous[j] : missing();
        if constexpr (DOSE) last.ratios[j] = started ? previous[CHANNELS + j] : missing();
    }
    const double end_s = window_end(e);
    Interval interval = {0.0, 0.0, -infinite(), 0.0, nullptr, nullptr};
    while (cursor.waypoint < flight.len) {
        const Sample sample = take_samples(e, flight, cursor);
        const double time_s = from_thread(sample.point.time_s, 0);
        if (time_s >= end_s) break;
        if (time_s >= interval.end_s) {
            if (phase != NONE) put_down(e.program, place, sums, figures);
            interval = interval_of(e, time_s);
        }
        const u32 n = take(sample, interval, end_s);
        const u32 together = from_thread(sample.phase, 0);
        if (together != phase) turn_to(together);
        locate(sample, interval, n);
        __syncwarp();
        Highest highest;
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) {
            highest.value[j] = static_cast<float>(-infinite());
            highest.sample[j] = 0;
        }
        for (u32 r = 0; r * ROUND < n; ++r) round(interval, r, n, highest);
        raise_peaks(highest);
        // To every group: the values of the last sample that exists.
        const u32 holder = (n - 1) % ROUND * GROUP + place.thread % GROUP;
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) {
            last.values[j] = from_thread(last.values[j], holder);
            if constexpr (DOSE) last.ratios[j] = from_thread(last.ratios[j], holder);
        }
        samples += n;
        cursor = {from_thread(sample.next.waypoint, n - 1), from_thread(sample.next.step, n - 1)};
        // The scratch is written anew.
        __syncwarp();
    }
    if (phase == NONE) return;
    put_down(e.program, place, sums, figures);
    if (place.leads) {
#pragma unroll
        for (u32 j = 0; j < WIDTH; ++j) {
            previous[j] = last.values[j];
            if constexpr (DOSE) previous[CHANNELS + j] = last.ratios[j];
        }
    }
    if (place.thread == 0) {
        const u32 flags = STATE_STARTED | (last.inside ? STATE_INSIDE : 0);
        state = {cursor.waypoint, cursor.step, begun, flags, samples, 0, last.time_s, last.pressure_pa};
    }
}

}  // namespace skydose
