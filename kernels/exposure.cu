// The entry points: what they do and how they are launched is in abi.cuh.
#include "abi.cuh"
#include "options.cuh"
#include "rolling.cuh"
#include "walk.cuh"

using namespace skydose;

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
