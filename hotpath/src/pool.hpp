// Memory that is bounded and reserved at the start, becomes real when first touched, and never moves.
#pragma once
#include <sys/mman.h>

#include <cstdint>
#include <cstring>

namespace backstay {

constexpr uint32_t NONE = UINT32_MAX;

// Zeroed. Large pages where the system has them: items are met at random, and small pages would add a walk of the page
// table to each meeting (measured: a third of the time to arm or cancel among 1,000,000).
inline void* zeroed_pages(size_t bytes) noexcept {
    void* pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (pages == MAP_FAILED) return nullptr;
#ifdef MADV_HUGEPAGE
    if (bytes >= (8u << 20)) madvise(pages, bytes, MADV_HUGEPAGE);
#endif
    return pages;
}

// Up to `limit` items, found by number; a returned one is reused first. `take` needs room that `has_room` has confirmed.
template <class T>
class Pool {
    T* items = nullptr;
    uint64_t limit = 0;
    uint32_t fresh = 0;       // items never used yet start here
    uint32_t free_head = NONE, free_count = 0;

public:
    bool init(uint64_t count) noexcept {
        limit = count;
        items = (T*)zeroed_pages(limit * sizeof(T));
        return items != nullptr;
    }
    ~Pool() {
        if (items) munmap((void*)items, limit * sizeof(T));
    }
    T& operator[](uint32_t i) noexcept { return items[i]; }
    bool has_room(uint64_t count) const noexcept { return free_count + limit - fresh >= count; }
    uint32_t take() noexcept {
        if (free_head == NONE) return fresh++;
        const uint32_t i = free_head;
        std::memcpy(&free_head, &items[i], sizeof free_head);
        --free_count;
        return i;
    }
    void give(uint32_t i) noexcept {
        std::memcpy((void*)&items[i], &free_head, sizeof free_head);
        free_head = i;
        ++free_count;
    }
    uint64_t bytes() const noexcept { return (uint64_t)fresh * sizeof(T); }   // touched so far
};

}  // namespace backstay
