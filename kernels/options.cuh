// What this compilation is specialised for; abi.cuh lists the options.
#pragma once

#include "abi.cuh"

#ifndef SKYDOSE_CHANNELS
#define SKYDOSE_CHANNELS 8
#endif
#ifndef SKYDOSE_HALF
#define SKYDOSE_HALF 0
#endif
#ifndef SKYDOSE_PATH
#define SKYDOSE_PATH 1
#endif
#ifndef SKYDOSE_LEVELS
#define SKYDOSE_LEVELS LEVELS_LINEAR
#endif
#ifndef SKYDOSE_MISSING
#define SKYDOSE_MISSING 1
#endif
#ifndef SKYDOSE_DENSITY
#define SKYDOSE_DENSITY DENSITY_NONE
#endif
#ifndef SKYDOSE_LOG
#define SKYDOSE_LOG 0
#endif
#ifndef SKYDOSE_THRESHOLDS
#define SKYDOSE_THRESHOLDS 1
#endif
#ifndef SKYDOSE_DOSE
#define SKYDOSE_DOSE 0
#endif
#ifndef SKYDOSE_ROLLING
#define SKYDOSE_ROLLING 0
#endif

namespace skydose {

constexpr bool HALF = SKYDOSE_HALF != 0;
constexpr bool PATH = SKYDOSE_PATH != 0;
constexpr bool MISSING = SKYDOSE_MISSING != 0;
constexpr bool DENSE = SKYDOSE_DENSITY != DENSITY_NONE;
constexpr bool LOG = SKYDOSE_LOG != 0;
constexpr bool THRESHOLDS = SKYDOSE_THRESHOLDS != 0;
constexpr bool DOSE = SKYDOSE_DOSE != 0;
constexpr bool ROLLING = SKYDOSE_ROLLING != 0;
constexpr bool HYBRID = SKYDOSE_LEVELS >= LEVELS_HYBRID;
constexpr bool LAYERED = SKYDOSE_LEVELS == LEVELS_LAYERS || SKYDOSE_LEVELS == LEVELS_HYBRID_LAYERS;

// A sample's channels are spread over neighbouring threads of the warp, four
// a thread, so that the threads of one sample read one run of memory. A warp
// takes its 32 samples in rounds.
constexpr u32 CHANNELS = SKYDOSE_CHANNELS;
constexpr u32 WIDTH = CHANNELS < 4 ? CHANNELS : 4;  // channels a thread
constexpr u32 GROUP = CHANNELS / WIDTH;             // threads a sample
constexpr u32 ROUND = WARP / GROUP;                 // samples a round

// Blocks that a multiprocessor holds at a time: with 4, a thread has 128
// registers, with 3 it has 168.
constexpr u32 BLOCKS = PATH || DOSE || DENSE || HYBRID || MISSING ? 3 : 4;

static_assert(CHANNELS == 1 || CHANNELS == 2 || CHANNELS == 4 || CHANNELS == 8 || CHANNELS == 16,
              "SKYDOSE_CHANNELS is 1, 2, 4, 8 or 16");

}  // namespace skydose
