// The threads of a block as threads of the system, for ThreadSanitizer: a
// meeting orders memory only where it is a __syncwarp().
#include "cuda_on_cpu.hpp"

#include <atomic>
#include <barrier>
#include <memory>
#include <thread>
#include <vector>

namespace cuda_on_cpu {

thread_local Coordinates coordinates;

namespace {

struct Warp {
    std::atomic<std::uint64_t> values[2][WARP];
    std::atomic<unsigned> kinds[2][WARP];
    std::atomic<unsigned> arrived{0};
    std::barrier<> sync{WARP};
};

thread_local Warp* warp;
thread_local unsigned met;
thread_local std::uint64_t seen[WARP];

// Waits for the whole warp without telling ThreadSanitizer of any order.
void gather_warp() {
    const unsigned all = met * WARP;
    warp->arrived.fetch_add(1, std::memory_order_relaxed);
    while (warp->arrived.load(std::memory_order_relaxed) < all) std::this_thread::yield();
}

}  // namespace

const std::uint64_t* meet(Meeting kind, std::uint64_t value) {
    const unsigned number = ++met % 2;
    warp->values[number][lane()].store(value, std::memory_order_relaxed);
    warp->kinds[number][lane()].store(static_cast<unsigned>(kind), std::memory_order_relaxed);
    gather_warp();
    for (unsigned i = 0; i < WARP; ++i) {
        seen[i] = warp->values[number][i].load(std::memory_order_relaxed);
        if (warp->kinds[number][i].load(std::memory_order_relaxed) != static_cast<unsigned>(kind)) {
            std::fprintf(stderr, "cuda_on_cpu: threads %u and %u of a warp do not meet at the same operation\n",
                         lane(), i);
            std::abort();
        }
    }
    if (kind == Meeting::sync) warp->sync.arrive_and_wait();
    return seen;
}

void launch(unsigned blocks, unsigned threads, void (*body)(const void*), const void* argument) {
    for (unsigned block = 0; block < blocks; ++block) {
        std::vector<std::unique_ptr<Warp>> warps;
        for (unsigned i = 0; i < threads; i += WARP) warps.push_back(std::make_unique<Warp>());
        std::vector<std::thread> all;
        for (unsigned i = 0; i < threads; ++i) {
            all.emplace_back([&, i] {
                coordinates = {{i, 0, 0}, {block, 0, 0}};
                warp = warps[i / WARP].get();
                met = 0;
                body(argument);
            });
        }
        for (std::thread& thread : all) thread.join();
    }
}

}  // namespace cuda_on_cpu
