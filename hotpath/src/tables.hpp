// Open-addressing tables of the order core: names to rows, and the set of executions already applied.
// Both grow by doubling, outside the tick path only (at acceptance or at a fill), and never shrink.
#pragma once
#include <cstdint>
#include <cstring>
#include <vector>

namespace backstay {

// FNV-1a with a 64-bit finaliser: names are short and chosen by authenticated clients.
inline uint64_t hash_bytes(const char* data, size_t size, uint64_t seed) {
    uint64_t h = 1469598103934665603ull ^ (seed * 0x9E3779B97F4A7C15ull);
    for (size_t i = 0; i < size; ++i) {
        h ^= static_cast<unsigned char>(data[i]);
        h *= 1099511628211ull;
    }
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93ull;
    h ^= h >> 32;
    return h;
}

// Maps a 64-bit hash to row numbers; the caller compares the row's own name (the table stores no text).
class NameTable {
   public:
    explicit NameTable(size_t capacity) : mask_(round_up(capacity * 2) - 1), used_(0), slots_(mask_ + 1) {}

    void insert(uint64_t hash, uint32_t row) {
        if (2 * (used_ + 1) > slots_.size()) grow();
        place(hash, row);
        ++used_;
    }
    // Iterate over candidates: start with cursor = first(hash); -1 ends.
    int64_t first(uint64_t hash, size_t* cursor) const {
        *cursor = hash & mask_;
        return scan(hash, cursor);
    }
    int64_t next(uint64_t hash, size_t* cursor) const {
        *cursor = (*cursor + 1) & mask_;
        return scan(hash, cursor);
    }

   private:
    struct Slot {
        uint64_t hash = 0;
        uint32_t row_plus_one = 0;
    };
    static size_t round_up(size_t n) {
        size_t p = 64;
        while (p < n) p <<= 1;
        return p;
    }
    void place(uint64_t hash, uint32_t row) {
        size_t at = hash & mask_;
        while (slots_[at].row_plus_one) at = (at + 1) & mask_;
        slots_[at].hash = hash;
        slots_[at].row_plus_one = row + 1;
    }
    int64_t scan(uint64_t hash, size_t* cursor) const {
        while (slots_[*cursor].row_plus_one) {
            if (slots_[*cursor].hash == hash) return slots_[*cursor].row_plus_one - 1;
            *cursor = (*cursor + 1) & mask_;
        }
        return -1;
    }
    void grow() {
        std::vector<Slot> old;
        old.swap(slots_);
        mask_ = mask_ * 2 + 1;
        slots_.assign(mask_ + 1, Slot());
        for (const Slot& s : old)
            if (s.row_plus_one) place(s.hash, s.row_plus_one - 1);
    }
    size_t mask_;
    size_t used_;
    std::vector<Slot> slots_;
};

// 128-bit fingerprints of (order, exec_id), in arrival order for the dump. Two executions collide with probability 2^-128 a pair.
struct ExecKey {
    uint64_t a;
    uint64_t b;
};

// An execution as it was booked: a broker that breaks it names it by its id only. Broken ones have quantity 0 and stay known; one with
// price 0 as well was broken before it was reported, and is still to come.
struct Exec {
    ExecKey key;
    int64_t qty_e9;
    int64_t px_e9;

    bool is_early() const { return qty_e9 == 0 && px_e9 == 0; }
};

class ExecSet {
   public:
    ExecSet() : index_(1 << 12) {}

    static ExecKey key(uint32_t order, const char* exec_id, size_t size) {
        return ExecKey{hash_bytes(exec_id, size, 0x51ED270B0ull + order), hash_bytes(exec_id, size, 0xA5A5F00D1ull ^ (uint64_t(order) << 20))};
    }
    // Valid until the next insert; null when it was never seen.
    Exec* find(ExecKey k) {
        size_t cursor;
        for (int64_t i = index_.first(k.a, &cursor); i >= 0; i = index_.next(k.a, &cursor))
            if (execs_[i].key.b == k.b) return &execs_[i];
        return nullptr;
    }
    void insert(ExecKey k, int64_t qty_e9, int64_t px_e9) {
        index_.insert(k.a, static_cast<uint32_t>(execs_.size()));
        execs_.push_back(Exec{k, qty_e9, px_e9});
        early_ += execs_.back().is_early();
    }
    // A fill that is counted now, or comes at last after it was broken.
    void book(ExecKey k, int64_t qty_e9, int64_t px_e9) {
        Exec* known = early_ ? find(k) : nullptr;
        if (!known || !known->is_early()) return insert(k, qty_e9, px_e9);
        known->qty_e9 = qty_e9;
        known->px_e9 = px_e9;
        --early_;
    }
    size_t early_count() const { return early_; }
    size_t size() const { return execs_.size(); }
    const char* data() const { return reinterpret_cast<const char*>(execs_.data()); }
    void load(const char* data, size_t count) {
        for (size_t i = 0; i < count; ++i) {
            Exec e;
            std::memcpy(&e, data + i * sizeof(Exec), sizeof(Exec));
            insert(e.key, e.qty_e9, e.px_e9);
        }
    }

   private:
    NameTable index_;
    std::vector<Exec> execs_;
    size_t early_ = 0;  // broken before they were reported, and still to come
};

}  // namespace backstay
