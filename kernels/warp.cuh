// Threads of a warp: all 32 take part in everything here.
#pragma once

#include "abi.cuh"

namespace skydose {

constexpr u32 ALL = 0xffffffffu;

__device__ inline u32 thread_of_warp() { return threadIdx.x % WARP; }

__device__ inline u32 warp_of_grid() { return blockIdx.x * WARPS_PER_BLOCK + threadIdx.x / WARP; }

template <typename T>
__device__ inline T from_thread(T value, u32 thread) {
    return __shfl_sync(ALL, value, static_cast<int>(thread));
}

// Sum over the threads whose numbers agree modulo `stride`, the same bytes in
// all of them: a fixed tree.
__device__ inline double sum_over(double value, u32 stride) {
#pragma unroll
    for (u32 offset = WARP / 2; offset >= stride; offset /= 2) {
        value += __shfl_xor_sync(ALL, value, static_cast<int>(offset));
    }
    return value;
}

__device__ inline u32 sum_over(u32 value) {
#pragma unroll
    for (u32 offset = WARP / 2; offset >= 1; offset /= 2) {
        value += __shfl_xor_sync(ALL, value, static_cast<int>(offset));
    }
    return value;
}

// Sum over this thread and those below it.
template <typename T>
__device__ inline T sum_upto(T value) {
    const u32 thread = thread_of_warp();
#pragma unroll
    for (u32 offset = 1; offset < WARP; offset *= 2) {
        const T below = __shfl_up_sync(ALL, value, offset);
        if (thread >= offset) value += below;
    }
    return value;
}

// Not a number, for floats and doubles alike: the compiler is told nothing of
// finite mathematics.
template <typename T>
__device__ inline bool is_missing(T value) {
    return value != value;
}

__device__ inline float missing() { return __int_as_float(0x7fffffff); }

__device__ inline double infinite() { return __longlong_as_double(0x7ff0000000000000LL); }

}  // namespace skydose
