// The kernels as a shared library for the CPU: one entry, which launches a
// kernel by its name.
#include "cuda_on_cpu.hpp"

#include "exposure.cu"

namespace {

template <void (*KERNEL)(Evaluation)>
void run(const void* argument) {
    KERNEL(*static_cast<const Evaluation*>(argument));
}

struct Entry {
    const char* name;
    void (*body)(const void*);
};

constexpr Entry ENTRIES[] = {
    {"skydose_count", run<skydose_count>},
    {"skydose_evaluate", run<skydose_evaluate>},
    {"skydose_roll", run<skydose_roll>},
};

}  // namespace

// `args[0]` points to the Evaluation. 0 when it has run, 1 for a kernel that
// is not there, 2 for a launch that abi.cuh does not allow.
extern "C" int skydose_host_launch(const char* kernel, unsigned grid, unsigned block, unsigned shared_bytes,
                                   void** args) {
    for (const Entry& entry : ENTRIES) {
        if (std::strcmp(entry.name, kernel) != 0) continue;
        if (block != BLOCK_THREADS || shared_bytes != 0 || grid == 0 || args == nullptr) return 2;
        cuda_on_cpu::launch(grid, block, entry.body, args[0]);
        return 0;
    }
    return 1;
}
