// The entry points: what they do and how they are launched is in abi.cuh.
#include "abi.cuh"
#include "options.cuh"
#include "rolling.cuh"
#include "walk.cuh"

using namespace skydose;

// What this code was made for, to be read in a cubin by people and by tools.
#define SKYDOSE_TEXT_OF(x) #x
#define SKYDOSE_TEXT(x) SKYDOSE_TEXT_OF(x)
extern "C" {
extern __device__ const char skydose_options[];
__device__ const char skydose_options[] =
    "skydose options: CHANNELS=" SKYDOSE_TEXT(SKYDOSE_CHANNELS) " HALF=" SKYDOSE_TEXT(SKYDOSE_HALF)
    " PATH=" SKYDOSE_TEXT(SKYDOSE_PATH) " LEVELS=" SKYDOSE_TEXT(SKYDOSE_LEVELS)
    " MISSING=" SKYDOSE_TEXT(SKYDOSE_MISSING) " DENSITY=" SKYDOSE_TEXT(SKYDOSE_DENSITY)
    " LOG=" SKYDOSE_TEXT(SKYDOSE_LOG) " THRESHOLDS=" SKYDOSE_TEXT(SKYDOSE_THRESHOLDS)
    " DOSE=" SKYDOSE_TEXT(SKYDOSE_DOSE) " ROLLING=" SKYDOSE_TEXT(SKYDOSE_ROLLING);
}

extern "C" __global__ void __launch_bounds__(BLOCK_THREADS, 4) skydose_count(const __grid_constant__ Evaluation e) {
    const u32 place = warp_of_grid();
    if (place >= e.fleet.count) return;
    const u32 index = e.fleet.order == nullptr ? place : e.fleet.order[place];
    const u32 samples = count_samples(e, e.fleet.flights[index]);
    if (thread_of_warp() == 0) e.output.counts[index] = samples;
}

extern "C" __global__ void __launch_bounds__(BLOCK_THREADS, BLOCKS) skydose_evaluate(const __grid_constant__ Evaluation e) {
    __shared__ Scratch scratch[WARPS_PER_BLOCK];
    const u32 place = warp_of_grid();
    if (place >= e.fleet.count) return;
    const u32 index = e.fleet.order == nullptr ? place : e.fleet.order[place];
    Walk walk = {e, scratch[threadIdx.x / WARP], index, e.fleet.flights[index], place_of_thread()};
    walk.run();
}

extern "C" __global__ void __launch_bounds__(BLOCK_THREADS, 4) skydose_roll(const __grid_constant__ Evaluation e) {
    const u32 rolling = e.program.rolling;
    const u32 place = warp_of_grid();
    if (place >= e.fleet.count * rolling) return;
    const u32 flight = place / rolling;
    const u32 slot = place % rolling;
    const u32 index = e.fleet.order == nullptr ? flight : e.fleet.order[flight];
    const u64 first = e.fleet.flights[index].history;
    const u64 column = slot * e.output.history_len + first;
    const History history = {e.output.history_time + first, e.output.history_value + column,
                             e.output.history_integral + column};
    const double largest = roll(history, e.output.states[index].samples, e.tables[e.program.rolling_table + slot]);
    if (thread_of_warp() == 0) e.output.rolling[static_cast<u64>(index) * rolling + slot] = largest;
}
