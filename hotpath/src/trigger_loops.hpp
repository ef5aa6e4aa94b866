// Loops over the trigger index for benchmarks: what a compiled caller pays, without Python between the calls.
#pragma once
#include "hotpath/src/triggers.hpp"

namespace backstay {

// n checks of one price, with the loads really made each time: the bench of a compiled caller.
inline uint64_t check_loop(const Line* lines, uint32_t instruments, uint32_t instrument, int source, int64_t px,
                           uint64_t n) noexcept {
    uint64_t hits = 0;
    for (uint64_t i = 0; i < n; ++i) {
        asm volatile("" : "+r"(px), "+r"(instrument) : : "memory");
        hits += line_fires(lines, instruments, instrument, source, px);
    }
    return hits;
}

// n times: a pseudo-random one of the handles first, first + step, ... (`count` of them) leaves and comes back as it was.
// Returns the number of failures.
inline uint64_t churn_loop(Triggers* index, uint32_t first, uint32_t step, uint32_t count, uint64_t n) noexcept {
    uint64_t state = 88172645463325252ull, failures = 0;
    for (uint64_t i = 0; i < n; ++i) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        failures += index->rearm(first + (uint32_t)(state % count) * step) != 0;
    }
    return failures;
}

// n prices, each `step` from the one before it, move trailing stops; returns how many groups moved altogether.
inline uint64_t climb_loop(Triggers* index, uint32_t instrument, int source, int64_t px, int64_t step, uint64_t n) noexcept {
    uint64_t moved = 0;
    for (uint64_t i = 0; i < n; ++i, px += step) moved += (uint64_t)index->advance(instrument, source, px);
    return moved;
}

}  // namespace backstay
