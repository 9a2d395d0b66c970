// CUDA C++ as the kernels use it, on the CPU: what a compiler needs to take
// kernels/exposure.cu as C++20.
//
// The threads of a warp are fibers that switch at every warp-wide operation,
// in turn, so a launch is fast and always runs in the same order. With
// SKYDOSE_THREADS they are threads of the system, for ThreadSanitizer: only
// __syncwarp() orders memory between them, as on the device; a shuffle or vote
// exchanges its value and nothing else.
//
// Threads of a warp that do not meet at the same operation abort the program.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define SKYDOSE_HOST 1

#define __device__
#define __global__
#define __grid_constant__
#define __launch_bounds__(...)

#ifdef SKYDOSE_THREADS
#define __shared__ static  // one block runs at a time
#else
#define __shared__ static thread_local  // launches may run beside each other
#endif

struct float2 {
    float x, y;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct uint2 {
    unsigned x, y;
};
struct dim3 {
    unsigned x, y, z;
};

namespace cuda_on_cpu {

constexpr unsigned WARP = 32;

// What a thread does with the others of its warp.
enum class Meeting : unsigned { sync, shuffle, vote };

// Every thread's value of this meeting, to be read until the next but one.
const std::uint64_t* meet(Meeting kind, std::uint64_t value);

struct Coordinates {
    dim3 thread;
    dim3 block;
};
extern thread_local Coordinates coordinates;

// Runs `body` for every thread of every block.
void launch(unsigned blocks, unsigned threads, void (*body)(const void*), const void* argument);

template <typename T>
std::uint64_t bits_of(T value) {
    static_assert(sizeof(T) <= 8);
    std::uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof(T));
    return bits;
}

template <typename T>
T from(std::uint64_t bits) {
    T value;
    std::memcpy(&value, &bits, sizeof(T));
    return value;
}

inline unsigned lane() { return coordinates.thread.x % WARP; }

inline void check_mask(unsigned mask) {
    if (mask != 0xffffffffu) {
        std::fprintf(stderr, "cuda_on_cpu: a mask of %08x, and only whole warps are known\n", mask);
        std::abort();
    }
}

template <typename T>
T shuffle(unsigned mask, T value, unsigned source) {
    check_mask(mask);
    const unsigned own = lane();
    return from<T>(meet(Meeting::shuffle, bits_of(value))[source < WARP ? source : own]);
}

}  // namespace cuda_on_cpu

#define threadIdx (cuda_on_cpu::coordinates.thread)
#define blockIdx (cuda_on_cpu::coordinates.block)

inline void __syncwarp(unsigned mask = 0xffffffffu) {
    cuda_on_cpu::check_mask(mask);
    cuda_on_cpu::meet(cuda_on_cpu::Meeting::sync, 0);
}

template <typename T>
T __shfl_sync(unsigned mask, T value, int source) {
    return cuda_on_cpu::shuffle(mask, value, static_cast<unsigned>(source) % cuda_on_cpu::WARP);
}

template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int offset) {
    return cuda_on_cpu::shuffle(mask, value, cuda_on_cpu::lane() ^ static_cast<unsigned>(offset));
}

// A thread without one below it keeps its own value.
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned offset) {
    const unsigned lane = cuda_on_cpu::lane();
    return cuda_on_cpu::shuffle(mask, value, lane >= offset ? lane - offset : lane);
}

inline unsigned __ballot_sync(unsigned mask, int predicate) {
    cuda_on_cpu::check_mask(mask);
    const std::uint64_t* votes = cuda_on_cpu::meet(cuda_on_cpu::Meeting::vote, predicate != 0);
    unsigned ballot = 0;
    for (unsigned i = 0; i < cuda_on_cpu::WARP; ++i) ballot |= static_cast<unsigned>(votes[i]) << i;
    return ballot;
}

inline int __any_sync(unsigned mask, int predicate) { return __ballot_sync(mask, predicate) != 0; }

inline int __ffs(int value) { return __builtin_ffs(value); }
inline int __clz(int value) { return value == 0 ? 32 : __builtin_clz(static_cast<unsigned>(value)); }
inline float __int_as_float(int bits) { return cuda_on_cpu::from<float>(static_cast<unsigned>(bits)); }
inline double __longlong_as_double(long long bits) {
    return cuda_on_cpu::from<double>(static_cast<std::uint64_t>(bits));
}
inline long long __double_as_longlong(double value) { return static_cast<long long>(cuda_on_cpu::bits_of(value)); }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

// A load that is not aligned is a fault on the device.
template <typename T>
T __ldg(const T* address) {
    if (reinterpret_cast<std::uintptr_t>(address) % alignof(T) != 0 ||
        (sizeof(T) == 8 && reinterpret_cast<std::uintptr_t>(address) % 8 != 0)) {
        std::fprintf(stderr, "cuda_on_cpu: a load of %zu bytes at %p is not aligned\n", sizeof(T),
                     static_cast<const void*>(address));
        std::abort();
    }
    return *address;
}

// IEEE 754 binary16.
inline float skydose_float_of_half(unsigned short half) {
    const unsigned sign = (half & 0x8000u) << 16;
    const unsigned exponent = half >> 10 & 0x1f;
    const unsigned fraction = half & 0x3ffu;
    if (exponent == 0) {
        const float value = std::ldexp(static_cast<float>(fraction), -24);
        return sign != 0 ? -value : value;
    }
    const unsigned bits = exponent == 0x1f ? 0x7f800000u | fraction << 13 : (exponent + 112) << 23 | fraction << 13;
    return cuda_on_cpu::from<float>(sign | bits);
}
