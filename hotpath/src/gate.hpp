// Tables and checked arithmetic of the pre-trade gate. Growth may allocate; running out of memory there ends the process.
#pragma once
#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <vector>

#include "hotpath/src/fixed.hpp"

namespace backstay {

// Open addressing, never more than half full; rows live as long as the gate, but a refused batch takes back its own.
class KeyIndex {
  public:
    explicit KeyIndex(size_t room) { clear(room); }

    int64_t find(uint64_t key) const noexcept {
        for (size_t at = first(key);; at = (at + 1) & mask_) {
            if (slots_[at].stored == 0) return -1;
            if (slots_[at].key == key) return (int64_t)slots_[at].stored - 1;
        }
    }

    void prefetch(uint64_t key) const noexcept { __builtin_prefetch(&slots_[first(key)]); }

    void put(uint64_t key, uint32_t row) {
        if (2 * ++used_ > mask_) grow();
        place(Slot{key, row + 1, 0});
    }

    // Closes the gap that the key leaves: a later slot moves back unless its own first slot lies behind the gap.
    void erase(uint64_t key) noexcept {
        size_t gap = first(key);
        while (slots_[gap].stored == 0 || slots_[gap].key != key) gap = (gap + 1) & mask_;
        for (size_t at = (gap + 1) & mask_; slots_[at].stored != 0; at = (at + 1) & mask_) {
            if (((at - first(slots_[at].key)) & mask_) < ((at - gap) & mask_)) continue;
            slots_[gap] = slots_[at];
            gap = at;
        }
        slots_[gap].stored = 0;
        --used_;
    }

    void clear(size_t room) {
        size_t size = 1024;
        while (size < 2 * room) size *= 2;
        slots_.assign(size, Slot{0, 0, 0});
        mask_ = size - 1;
        used_ = 0;
    }

  private:
    struct Slot {  // 16 bytes: a probe touches one cache line
        uint64_t key;
        uint32_t stored, pad;  // row + 1, so that 0 is an empty slot
    };
    std::vector<Slot> slots_;  // fewer than 2^31
    size_t mask_ = 0, used_ = 0;

    // Two rounds: both halves of a key must reach the low bits, or accounts that share an instrument pile up.
    size_t first(uint64_t key) const noexcept {
        uint64_t hash = key * 0x9E3779B97F4A7C15ULL;
        hash = (hash ^ hash >> 32) * 0x9E3779B97F4A7C15ULL;
        return (size_t)(hash >> 32) & mask_;
    }

    void place(Slot slot) {
        size_t at = first(slot.key);
        while (slots_[at].stored != 0) at = (at + 1) & mask_;
        slots_[at] = slot;
    }

    void grow() {
        std::vector<Slot> old(2 * slots_.size(), Slot{0, 0, 0});
        old.swap(slots_);
        mask_ = slots_.size() - 1;
        for (const Slot& slot : old)
            if (slot.stored != 0) place(slot);
    }
};

// Rows of account x instrument in creation order, at addresses that never move.
template <class Row>
class PairStore {
  public:
    explicit PairStore(size_t room) : room_(room), index_(room) {}

    Row* find(uint32_t account, uint32_t instrument) const noexcept {
        const int64_t row = index_.find(key(account, instrument));
        return row < 0 ? nullptr : at((size_t)row);
    }

    Row* make(uint32_t account, uint32_t instrument) {
        if (count_ % CHUNK == 0 && count_ / CHUNK == chunks_.size()) chunks_.emplace_back(new Row[CHUNK]());
        index_.put(key(account, instrument), (uint32_t)count_);
        Row* row = at(count_++);
        *row = Row();
        row->account = account;
        row->instrument = instrument;
        return row;
    }

    // Takes back the newest row.
    void drop_last() noexcept {
        const Row* row = at(--count_);
        index_.erase(key(row->account, row->instrument));
    }

    Row* at(size_t position) const noexcept { return &chunks_[position / CHUNK][position % CHUNK]; }
    size_t size() const noexcept { return count_; }

    void clear() {
        index_.clear(room_);
        count_ = 0;
    }

  private:
    static constexpr size_t CHUNK = 1024;
    size_t room_, count_ = 0;
    KeyIndex index_;
    std::vector<std::unique_ptr<Row[]>> chunks_;

    static uint64_t key(uint32_t account, uint32_t instrument) noexcept { return (uint64_t)account << 32 | instrument; }
};

struct RestingEntry {
    uint32_t group, instrument;
    int64_t side, px_e9, count;
};

// How many of our own limit orders rest at each price, by (self-trade group, instrument, side).
class RestingBook {
  public:
    RestingBook() : index_(0) {}

    // Best price of that side (highest buy, lowest sell), 0 when nothing rests.
    int64_t best(uint32_t group, uint32_t instrument, int side) const noexcept {
        const int64_t row = index_.find(key(group, instrument, side));
        return row < 0 ? 0 : best_px_e9_[(size_t)row];
    }

    // Ask for the slot early: the decision needs it last.
    void prefetch(uint32_t group, uint32_t instrument, int side) const noexcept {
        index_.prefetch(key(group, instrument, side));
    }

    void add(uint32_t group, uint32_t instrument, int side, int64_t px_e9, int64_t count) {
        int64_t row = index_.find(key(group, instrument, side));
        if (row < 0) {
            row = (int64_t)ladders_.size();
            index_.put(key(group, instrument, side), (uint32_t)row);
            ladders_.push_back(Ladder{group, instrument, side, {}});
            best_px_e9_.push_back(0);
        }
        ladders_[(size_t)row].counts[px_e9] += count;
        refresh((size_t)row);
    }

    bool has(uint32_t group, uint32_t instrument, int side, int64_t px_e9) const noexcept {
        const int64_t row = index_.find(key(group, instrument, side));
        return row >= 0 && ladders_[(size_t)row].counts.count(px_e9) != 0;
    }

    void remove(uint32_t group, uint32_t instrument, int side, int64_t px_e9) noexcept {  // only after has()
        const size_t row = (size_t)index_.find(key(group, instrument, side));
        std::map<int64_t, int64_t>& counts = ladders_[row].counts;
        auto level = counts.find(px_e9);
        if (--level->second == 0) counts.erase(level);
        refresh(row);
    }

    // Sorted, so that two books with the same content have the same bytes whatever their history.
    std::vector<RestingEntry> entries() const {
        std::vector<const Ladder*> order;
        for (const Ladder& ladder : ladders_) order.push_back(&ladder);
        std::sort(order.begin(), order.end(), [](const Ladder* a, const Ladder* b) {
            if (a->group != b->group) return a->group < b->group;
            if (a->instrument != b->instrument) return a->instrument < b->instrument;
            return a->side < b->side;
        });
        std::vector<RestingEntry> out;
        for (const Ladder* ladder : order)
            for (const auto& level : ladder->counts)
                out.push_back(RestingEntry{ladder->group, ladder->instrument, ladder->side, level.first, level.second});
        return out;
    }

    void clear() {
        index_.clear(0);
        ladders_.clear();
        best_px_e9_.clear();
    }

  private:
    struct Ladder {
        uint32_t group, instrument;
        int side;
        std::map<int64_t, int64_t> counts;
    };

    KeyIndex index_;
    std::deque<Ladder> ladders_;
    std::vector<int64_t> best_px_e9_;  // by ladder, apart: a decision reads nothing else of it

    void refresh(size_t row) noexcept {
        const Ladder& ladder = ladders_[row];
        const auto& counts = ladder.counts;
        best_px_e9_[row] = counts.empty() ? 0 : ladder.side == 1 ? counts.rbegin()->first : counts.begin()->first;
    }

    static uint64_t key(uint32_t group, uint32_t instrument, int side) noexcept {
        return (uint64_t)group << 32 | (uint64_t)instrument << 1 | (side == 1);  // instrument < 2^31
    }
};

// The lines of a row that a decision reads, asked for together instead of one after the other.
template <class Row>
inline void prefetch_row(const Row* row) noexcept {
    for (size_t at = 0; at < sizeof(Row); at += 64) __builtin_prefetch((const char*)row + at);
}

// --- arithmetic; every function that returns int answers 0 ok, 1 overflow ---------------------------------------------

inline int64_t saturate(i128 value) noexcept {
    return value > INT64_MAX ? INT64_MAX : value < -(i128)INT64_MAX ? -INT64_MAX : (int64_t)value;
}

inline int add_i64(int64_t a, int64_t b, int64_t* out) noexcept { return narrow((i128)a + b, out); }

inline int64_t subtract_saturated(int64_t a, int64_t b) noexcept { return saturate((i128)a - b); }

// Largest absolute position if any part of the open orders fills: one of the two ends.
inline int worst_case(int64_t pos, int64_t buys, int64_t sells, int64_t* out) noexcept {
    const i128 high = (i128)pos + buys, low = (i128)pos - sells;
    return narrow(std::max(high < 0 ? -high : high, low < 0 ? -low : low), out);
}

// Largest order of that side which keeps the worst case at `worst`, beside `open` of the same side; never negative.
inline int64_t room_qty(int64_t worst, int64_t signed_pos, int64_t open) noexcept {
    return saturate(std::max((i128)worst - signed_pos - open, (i128)0));
}

// Largest quantity whose rounded-up notional stays within the money.
inline int64_t affordable_qty(int64_t money_e4, int64_t px_e9) noexcept {
    return money_e4 <= 0 || px_e9 <= 0 ? 0 : saturate((i128)money_e4 * E18_TO_E4 / px_e9);
}

// What one side can become, in money: nothing while the position and all of that side stay on the other side of zero.
inline int side_value_e4(int64_t signed_pos, int64_t open, int64_t px_e9, int64_t* out) noexcept {
    int64_t qty = 0;
    return narrow(std::max((i128)signed_pos + open, (i128)0), &qty) | notional_e4(px_e9, qty, out);
}

// gross - old + fresh
inline int regross(int64_t gross, int64_t old_expo, int64_t expo, int64_t* out) noexcept {
    return narrow((i128)gross - old_expo + expo, out);
}

// Average-cost price of held + added, rounded against the account: up for a long position, down for a short one.
inline int average_px(int64_t avg, int64_t held, int64_t px, int64_t added, bool is_long, int64_t* out) noexcept {
    const i128 quantity = (i128)held + added, cost = (i128)avg * held + (i128)px * added;
    if (quantity > INT64_MAX) return 1;
    return narrow(is_long ? (cost + quantity - 1) / quantity : cost / quantity, out);
}

inline int64_t floor_to(int64_t value, int64_t step) noexcept { return step > 0 ? value - value % step : value; }

inline int64_t ceil_to(int64_t value, int64_t step) noexcept {  // value >= 0
    const int64_t rest = step > 0 ? value % step : 0;
    return rest == 0 ? value : saturate((i128)value + (step - rest));
}

}  // namespace backstay
