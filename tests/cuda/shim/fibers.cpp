// The threads of a warp as fibers: each runs to its next meeting, then the
// next one of the warp goes on. A meeting is one switch a thread.
#include "cuda_on_cpu.hpp"

#include <memory>
#include <vector>

#ifndef __x86_64__
#include <ucontext.h>
#endif

namespace cuda_on_cpu {

thread_local Coordinates coordinates;

namespace {

constexpr std::size_t STACK_BYTES = 256 * 1024;

#ifdef __x86_64__
// Where a fiber left off: its stack, on which the registers lie that a
// function call preserves.
struct Context {
    void* stack = nullptr;
};

extern "C" void skydose_switch(void** from, void* to);
asm(R"(
.text
.p2align 4
.type skydose_switch,@function
skydose_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size skydose_switch,.-skydose_switch
)");

void switch_to(Context& from, Context& to) { skydose_switch(&from.stack, to.stack); }

void prepare(Context& context, char* stack, void (*entry)()) {
    auto** top = reinterpret_cast<void**>(stack + STACK_BYTES - 64);
    *--top = nullptr;                           // where `entry` would return to; keeps the alignment of a call
    *--top = reinterpret_cast<void*>(entry);
    for (int i = 0; i < 6; ++i) *--top = nullptr;
    context.stack = top;
}
#else
struct Context {
    ucontext_t saved;
};

void switch_to(Context& from, Context& to) { swapcontext(&from.saved, &to.saved); }

void prepare(Context& context, char* stack, void (*entry)()) {
    getcontext(&context.saved);
    context.saved.uc_stack.ss_sp = stack;
    context.saved.uc_stack.ss_size = STACK_BYTES;
    context.saved.uc_link = nullptr;
    makecontext(&context.saved, entry, 0);
}
#endif

constexpr unsigned FINISHED = ~0u;

struct Warp {
    Context caller;
    Context fibers[WARP];
    std::unique_ptr<char[]> stacks{new char[WARP * STACK_BYTES]};
    std::uint64_t values[2][WARP];
    unsigned met[WARP];  // meetings so far
    Meeting kind[WARP];  // of the last one
    unsigned first_thread;
    unsigned lane;
    void (*body)(const void*);
    const void* argument;
};

thread_local std::unique_ptr<Warp> warp;

void go_to(Warp& w, unsigned lane) {
    Context& from = w.fibers[w.lane];
    w.lane = lane;
    coordinates.thread.x = w.first_thread + lane;
    switch_to(from, w.fibers[lane]);
}

void run_fiber() {
    Warp& w = *warp;
    w.body(w.argument);
    w.met[w.lane] = FINISHED;
    if (w.lane + 1 < WARP) {
        go_to(w, w.lane + 1);
    } else {
        switch_to(w.fibers[w.lane], w.caller);
    }
    std::abort();  // a finished fiber is not resumed
}

[[noreturn]] void diverged(unsigned lane) {
    std::fprintf(stderr, "cuda_on_cpu: threads %u and %u of a warp do not meet at the same operation\n", lane,
                 lane + 1);
    std::abort();
}

}  // namespace

const std::uint64_t* meet(Meeting kind, std::uint64_t value) {
    Warp& w = *warp;
    const unsigned lane = w.lane;
    const unsigned number = ++w.met[lane];
    w.kind[lane] = kind;
    w.values[number % 2][lane] = value;
    go_to(w, (lane + 1) % WARP);
    // All above have arrived by now, and have not gone on.
    if (lane + 1 < WARP && (w.met[lane + 1] != number || w.kind[lane + 1] != kind)) diverged(lane);
    return w.values[number % 2];
}

void launch(unsigned blocks, unsigned threads, void (*body)(const void*), const void* argument) {
    if (!warp) warp = std::make_unique<Warp>();
    Warp& w = *warp;
    w.body = body;
    w.argument = argument;
    coordinates = {{0, 0, 0}, {0, 0, 0}};
    for (unsigned block = 0; block < blocks; ++block) {
        coordinates.block.x = block;
        for (w.first_thread = 0; w.first_thread < threads; w.first_thread += WARP) {
            for (unsigned i = 0; i < WARP; ++i) {
                prepare(w.fibers[i], w.stacks.get() + i * STACK_BYTES, run_fiber);
                w.met[i] = 0;
            }
            w.lane = 0;
            coordinates.thread.x = w.first_thread;
            switch_to(w.caller, w.fibers[0]);
        }
    }
}

}  // namespace cuda_on_cpu
