// The trigger index: plain stops on price ladders, trailing stops in groups that share an offset.
//
// A trailing stop needs no extreme once it is armed: its stop is round(extreme -+ offset), which never loosens, so a price
// p moves exactly the stops of a group that are looser than round(p -+ offset), and moves them all to there. A group is
// therefore a ladder of stop prices whose loosest levels are merged into one as the market runs. Levels ("buckets") merge
// in O(1): lists are joined and a union-find forest answers which bucket a member is in by now.
//
// Time order at one price is the order of arrival there. Members carry a stamp, and the stamp that counts is the largest
// from the head of the list down to the member, so that a whole list is stamped anew by stamping its head.
#pragma once
#include <cstdlib>
#include <new>

#include "hotpath/src/fixed.hpp"
#include "hotpath/src/ladder.hpp"

namespace backstay {

constexpr int SOURCES = 5, DOWN = 0, UP = 1;
constexpr uint32_t GROUPS_PER_LINE = 4096;   // distinct offsets that has_trail_room finds room for: each costs at a new high
constexpr uint32_t IS_TRAIL = 0x80000000u;
constexpr i128 BPS_ONE = (i128)10000 * BACKSTAY_E9;

// One instrument x source x direction. Both directions of a source share a cache line.
struct Line {
    int64_t best_px;   // nearest trigger; INT64_MIN (down) or INT64_MAX (up) when there is none
    int64_t move_px;   // a price from here on (down: at or above, up: at or below) moves a trailing stop
    struct LineState* state;
    uint64_t pad;
};

struct LineState {
    Ladder plain;
    int64_t plain_best, trail_best;
    uint32_t* groups;   // sorted by (is_bps, offset, tick)
    uint32_t group_count, group_room;
};

struct Slot {           // one for each handle; owner 0 = not armed
    uint64_t key;       // plain: trigger price / unit; trailing: bucket
    uint64_t stamp;
    uint32_t next, prev;
    uint32_t owner;     // plain: line + 1; trailing: IS_TRAIL | group
    uint32_t pad;
};

struct Bucket {         // trailing members with one stop price; a node of the union-find forest
    uint64_t key;
    uint32_t head;
    uint32_t parent;
    uint32_t refs;      // members and buckets that point here
    uint32_t rank;
};

struct Group {
    Ladder stops;       // key: stop price / tick -> bucket
    int64_t offset, tick;
    uint64_t top;       // key beyond all prices: an up trail that has not started, or is out of range
    int64_t best_px, move_px;
    uint32_t line, is_bps;
};

class Triggers {
    Line* lines;
    Slot* slots;
    int64_t* units;     // price unit of an instrument's ladders
    uint32_t instruments, handles;
    uint64_t clock = 0, state_bytes = 0;
    uint32_t group_count = 0;
    Nodes nodes;
    Pool<Bucket> buckets;
    Pool<Group> groups;

public:
    uint64_t armed = 0;

    // Returns null when memory is short. `lines` belongs to the caller, who has zeroed it, and outlives the index.
    static Triggers* create(Line* lines, uint32_t instruments, uint32_t handles) noexcept {
        Triggers* t = new (std::nothrow) Triggers();
        if (!t) return nullptr;
        t->lines = lines, t->instruments = instruments, t->handles = handles;
        t->slots = (Slot*)zeroed_pages((size_t)handles * sizeof(Slot));
        t->units = (int64_t*)std::calloc(instruments, sizeof(int64_t));
        const bool is_sound = t->slots && t->units && t->nodes.init((uint64_t)handles * 2 + 2) &&
                              t->buckets.init((uint64_t)handles * 2) && t->groups.init(handles);
        if (!is_sound) {
            delete t;
            return nullptr;
        }
        for (uint32_t i = 0; i < instruments; ++i) t->units[i] = 1;
        for (uint32_t i = 0; i < instruments * SOURCES * 2; ++i) {
            lines[i].best_px = none(i & 1);
            lines[i].move_px = never(i & 1);
        }
        return t;
    }
    ~Triggers() {
        for (uint32_t i = 0; lines && i < instruments * SOURCES * 2; ++i) {
            if (!lines[i].state) continue;
            std::free(lines[i].state->groups);
            std::free(lines[i].state);
        }
        if (slots) munmap(slots, (size_t)handles * sizeof(Slot));
        std::free(units);
    }

    // -1 when the instrument is unknown, the tick no price, or plain stops rest on it by another tick.
    int set_tick(uint32_t instrument, int64_t tick) noexcept {
        if (instrument >= instruments || !is_price(tick)) return -1;
        if (tick == units[instrument]) return 0;
        for (int i = 0; i < SOURCES * 2; ++i) {
            const LineState* state = lines[(size_t)instrument * SOURCES * 2 + i].state;
            if (state && state->plain.count) return -1;
        }
        units[instrument] = tick;
        return 0;
    }

    int arm(uint32_t h, uint32_t instrument, int source, int direction, int64_t px) noexcept {
        if (!is_place(h, instrument, source, direction) || !is_price(px) || px % units[instrument]) return -1;
        const uint32_t line = line_of(instrument, source, direction);
        LineState* state = state_of(line);
        if (!state || !nodes.has_room((uint64_t)group_count + 1)) return -1;
        const uint64_t key = (uint64_t)(px / units[instrument]);
        uint32_t* head = state->plain.open(nodes, key, [this](uint32_t other) { return slots[other].key; });
        append(head, h);
        slots[h].key = key, slots[h].owner = line + 1;
        state->plain_best = nearer(direction, state->plain_best, px);
        lines[line].best_px = nearer(direction, lines[line].best_px, px);
        ++armed;
        return 0;
    }

    int arm_trail(uint32_t h, uint32_t instrument, int source, int direction, int64_t offset, int is_bps, int64_t tick,
                  int64_t extreme) noexcept {
        if (!is_place(h, instrument, source, direction) || !is_price(offset) || !is_price(tick)) return -1;
        if ((is_bps && offset >= BPS_ONE) || (extreme != 0 && !is_price(extreme))) return -1;
        const uint32_t line = line_of(instrument, source, direction);
        LineState* state = state_of(line);
        if (!state || !buckets.has_room(1)) return -1;
        // A node for this level now, and one for the moving level of each group later: a tick allocates nothing.
        if (!nodes.has_room((uint64_t)group_count + 2)) return -1;
        const uint32_t g = group_of(state, line, offset, is_bps != 0, tick);
        if (g == NONE) return -1;
        Group& group = groups[g];
        const uint64_t key = extreme ? stop_key(group, direction, extreme) : loosest_key(group);
        uint32_t* level = open_stop(group, key);
        if (*level == NONE) {
            *level = buckets.take();
            buckets[*level] = Bucket{key, NONE, NONE, 0, 0};
        }
        append(&buckets[*level].head, h);
        ++buckets[*level].refs;
        slots[h].key = *level, slots[h].owner = IS_TRAIL | g;
        measure(group);
        state->trail_best = nearer(direction, state->trail_best, group.best_px);
        lines[line].best_px = nearer(direction, lines[line].best_px, group.best_px);
        lines[line].move_px = direction == DOWN ? least(lines[line].move_px, group.move_px)
                                                : most(lines[line].move_px, group.move_px);
        ++armed;
        return 0;
    }

    int disarm(uint32_t h) noexcept {
        if (!is_armed(h)) return -1;
        const uint32_t owner = slots[h].owner;
        if (owner & IS_TRAIL) disarm_trail(h, owner & ~IS_TRAIL);
        else disarm_plain(h, owner - 1);
        slots[h].owner = 0;
        --armed;
        return 0;
    }

    // Out, and in again where it was, behind what rests there by now.
    int rearm(uint32_t h) noexcept {
        if (!is_armed(h)) return -1;
        const uint32_t owner = slots[h].owner;
        if (owner & IS_TRAIL) {
            const Group group = groups[owner & ~IS_TRAIL];
            const int64_t extreme = extreme_px(h);
            disarm(h);
            return arm_trail(h, group.line / (SOURCES * 2), (int)(group.line / 2 % SOURCES), (int)(group.line & 1), group.offset,
                             (int)group.is_bps, group.tick, extreme);
        }
        const uint32_t line = owner - 1;
        const int64_t px = plain_px(h);
        disarm(h);
        return arm(h, line / (SOURCES * 2), (int)(line / 2 % SOURCES), (int)(line & 1), px);
    }

    bool is_armed(uint32_t h) const noexcept { return h < handles && slots[h].owner != 0; }

    int advance(uint32_t instrument, int source, int64_t px) noexcept {
        if (!is_source(instrument, source) || !is_price(px)) return 0;
        int moved = 0;
        for (int direction = DOWN; direction <= UP; ++direction) {
            const uint32_t at = line_of(instrument, source, direction);
            Line& line = lines[at];
            if (!is_moved(direction, line.move_px, px)) continue;
            moved += scan_groups(at, [&](Group& group) {
                if (!is_moved(direction, group.move_px, px)) return false;
                tighten(group, direction, stop_key(group, direction, px));
                return true;
            });
        }
        return moved;
    }

    int pop(uint32_t instrument, int source, int64_t px, uint32_t* out, int cap) noexcept {
        if (!is_source(instrument, source) || !is_price(px)) return 0;
        int n = 0;
        for (int direction = DOWN; direction <= UP; ++direction) {
            const uint32_t line = line_of(instrument, source, direction);
            while (n < cap && is_fired(direction, lines[line].best_px, px)) {
                bool is_alone = false;
                uint32_t h = nearest(line, &is_alone);
                for (bool is_more = true; is_more && n < cap;) {
                    const uint32_t next = slots[h].next;
                    is_more = is_alone && next != h;
                    const int64_t stop = trigger_px(h);
                    out[n++] = h;
                    disarm(h);
                    slots[h].key = (uint64_t)stop;
                    h = next;
                }
            }
        }
        return n;
    }

    // Where a handle that `pop` took out last stood.
    int64_t popped_px(uint32_t h) const noexcept { return h < handles && slots[h].owner == 0 ? (int64_t)slots[h].key : 0; }

    // The stop that an extreme gives a trail; 0 when that is no price that can fire.
    static int64_t trail_px(int direction, int64_t offset, int is_bps, int64_t tick, int64_t extreme) noexcept {
        if (!is_price(offset) || !is_price(tick) || !is_price(extreme) || (is_bps && offset >= BPS_ONE)) return 0;
        const Group group{Ladder{}, offset, tick, (uint64_t)(INT64_MAX / tick) + 1, 0, 0, (uint32_t)direction, is_bps != 0};
        const int64_t px = px_of(group, stop_key(group, direction, extreme));
        return px == INT64_MAX ? 0 : px;
    }

    // Whether one more trail of this distance should come to its line. What was let in and waits for its parent or its
    // activation is armed regardless: its acceptance stands.
    bool has_trail_room(uint32_t instrument, int source, int direction, int64_t offset, int is_bps, int64_t tick) noexcept {
        if (!is_source(instrument, source)) return false;
        const LineState* state = lines[line_of(instrument, source, direction)].state;
        if (!state || state->group_count < GROUPS_PER_LINE) return true;
        const uint32_t at = place_of(state, offset, is_bps != 0, tick);
        if (at == state->group_count) return false;
        const Group& there = groups[state->groups[at]];
        return there.offset == offset && there.is_bps == (uint32_t)(is_bps != 0) && there.tick == tick;
    }

    int64_t trigger_px(uint32_t h) noexcept {
        if (!is_armed(h)) return 0;
        if (!(slots[h].owner & IS_TRAIL)) return plain_px(h);
        const Group& group = groups[slots[h].owner & ~IS_TRAIL];
        const int64_t px = px_of(group, buckets[bucket_of(h)].key);
        return px == INT64_MAX ? 0 : px;
    }

    // The extreme that puts a trailing stop exactly where it is; 0 when it has not started (or is not trailing).
    int64_t extreme_px(uint32_t h) noexcept {
        if (!is_armed(h) || !(slots[h].owner & IS_TRAIL)) return 0;
        const Group& group = groups[slots[h].owner & ~IS_TRAIL];
        const uint64_t key = buckets[bucket_of(h)].key;
        if (key == loosest_key(group)) return 0;
        return extreme_for(group, (i128)key * group.tick);
    }

    uint64_t bytes() const noexcept {
        return (uint64_t)handles * sizeof(Slot) + (uint64_t)instruments * (SOURCES * 2 * sizeof(Line) + sizeof(int64_t)) +
               state_bytes + nodes.bytes() + buckets.bytes() + groups.bytes();
    }

    static bool is_fired(int direction, int64_t best, int64_t px) noexcept {
        return direction == DOWN ? px <= best : px >= best;
    }
    static bool is_moved(int direction, int64_t move, int64_t px) noexcept {
        return direction == DOWN ? px >= move : px <= move;
    }

private:
    Triggers() = default;

    static int64_t none(int direction) noexcept { return direction == DOWN ? INT64_MIN : INT64_MAX; }
    static int64_t never(int direction) noexcept { return direction == DOWN ? INT64_MAX : INT64_MIN; }
    static int64_t least(int64_t a, int64_t b) noexcept { return a < b ? a : b; }
    static int64_t most(int64_t a, int64_t b) noexcept { return a > b ? a : b; }
    static int64_t nearer(int direction, int64_t a, int64_t b) noexcept {
        return direction == DOWN ? most(a, b) : least(a, b);
    }
    static bool is_price(int64_t px) noexcept { return 0 < px && px <= BACKSTAY_MAX_E9; }
    bool is_source(uint32_t instrument, int source) const noexcept {
        return instrument < instruments && 0 <= source && source < SOURCES;
    }
    bool is_place(uint32_t h, uint32_t instrument, int source, int direction) const noexcept {
        return h < handles && slots[h].owner == 0 && is_source(instrument, source) && (direction == DOWN || direction == UP);
    }
    static uint32_t line_of(uint32_t instrument, int source, int direction) noexcept {
        return (instrument * SOURCES + (uint32_t)source) * 2 + (uint32_t)direction;
    }
    int64_t plain_px(uint32_t h) const noexcept {
        return (int64_t)slots[h].key * units[(slots[h].owner - 1) / (SOURCES * 2)];
    }

    LineState* state_of(uint32_t line) noexcept {
        LineState*& state = lines[line].state;
        if (state) return state;
        state = (LineState*)std::calloc(1, sizeof(LineState));
        if (!state) return nullptr;
        state->plain_best = state->trail_best = none((int)(line & 1));
        state_bytes += sizeof(LineState);
        return state;
    }

    // --- lists: circular, so the tail is the head's prev ------------------------------------------------------------

    void append(uint32_t* head, uint32_t h) noexcept {
        slots[h].next = slots[h].prev = h;
        slots[h].stamp = ++clock;
        *head = *head == NONE ? h : join(*head, h);
    }
    uint32_t join(uint32_t a, uint32_t b) noexcept {
        const uint32_t a_tail = slots[a].prev, b_tail = slots[b].prev;
        slots[a_tail].next = b, slots[b].prev = a_tail;
        slots[b_tail].next = a, slots[a].prev = b_tail;
        return a;
    }
    void unlink(uint32_t* head, uint32_t h) noexcept {
        const uint32_t next = slots[h].next;
        if (next == h) {
            *head = NONE;
            return;
        }
        slots[slots[h].prev].next = next;
        slots[next].prev = slots[h].prev;
        const bool is_tail = next == *head;
        if (!is_tail && slots[next].stamp < slots[h].stamp) slots[next].stamp = slots[h].stamp;
        if (*head == h) *head = next;
    }

    // --- plain stops ---------------------------------------------------------------------------------------------------

    void disarm_plain(uint32_t h, uint32_t line) noexcept {
        LineState* state = lines[line].state;
        const uint64_t key = slots[h].key;
        const int64_t px = plain_px(h);
        uint32_t* head = state->plain.find(nodes, key);
        unlink(head, h);
        if (*head != NONE) return;
        state->plain.close(nodes, key);
        if (px != state->plain_best) return;
        const int direction = (int)(line & 1);
        if (state->plain.count == 0) state->plain_best = none(direction);
        else state->plain_best = plain_px(near(state->plain, direction));
        lines[line].best_px = nearer(direction, state->plain_best, state->trail_best);
    }
    uint32_t near(Ladder& ladder, int direction) noexcept {
        return direction == DOWN ? ladder.edge<true>(nodes) : ladder.edge<false>(nodes);
    }
    uint32_t far(Ladder& ladder, int direction) noexcept {
        return direction == DOWN ? ladder.edge<false>(nodes) : ladder.edge<true>(nodes);
    }

    // --- trailing groups -----------------------------------------------------------------------------------------------

    static uint64_t loosest_key(const Group& group) noexcept { return (group.line & 1) == DOWN ? 0 : group.top; }
    static int64_t px_of(const Group& group, uint64_t key) noexcept {
        return key == group.top ? INT64_MAX : (int64_t)key * group.tick;
    }
    uint32_t* open_stop(Group& group, uint64_t key) noexcept {
        return group.stops.open(nodes, key, [this](uint32_t other) { return buckets[other].key; });
    }
    // Stop of an extreme, in ticks, rounded away from the market. Amounts, the common case, need no 128-bit division.
    static uint64_t stop_key(const Group& group, int direction, int64_t px) noexcept {
        if (!group.is_bps) {
            if (direction == DOWN) return px <= group.offset ? 0 : (uint64_t)((px - group.offset) / group.tick);
            const uint64_t stop = (uint64_t)px + (uint64_t)group.offset, tick = (uint64_t)group.tick;
            const uint64_t key = stop / tick + (stop % tick != 0);
            return key < group.top ? key : group.top;
        }
        const i128 unit = BPS_ONE * group.tick;
        if (direction == DOWN) return (uint64_t)((i128)px * (BPS_ONE - group.offset) / unit);
        const i128 key = ((i128)px * (BPS_ONE + group.offset) + unit - 1) / unit;
        return key < (i128)group.top ? (uint64_t)key : group.top;
    }
    // The least favourable extreme whose stop is at `stop` (a multiple of the tick) or tighter.
    static int64_t extreme_for(const Group& group, i128 stop) noexcept {
        i128 px;
        if ((group.line & 1) == DOWN) {
            const i128 rest = BPS_ONE - group.offset;
            px = group.is_bps ? (stop * BPS_ONE + rest - 1) / rest : stop + group.offset;
        } else {
            px = group.is_bps ? stop * BPS_ONE / (BPS_ONE + group.offset) : stop - group.offset;
        }
        return px > INT64_MAX ? INT64_MAX : px < 0 ? 0 : (int64_t)px;
    }

    static bool is_before(const Group& a, int64_t offset, uint32_t is_bps, int64_t tick) noexcept {
        if (a.is_bps != is_bps) return a.is_bps < is_bps;
        return a.offset != offset ? a.offset < offset : a.tick < tick;
    }
    uint32_t place_of(const LineState* state, int64_t offset, uint32_t is_bps, int64_t tick) noexcept {
        uint32_t low = 0, high = state->group_count;
        while (low < high) {
            const uint32_t middle = (low + high) / 2;
            if (is_before(groups[state->groups[middle]], offset, is_bps, tick)) low = middle + 1;
            else high = middle;
        }
        return low;
    }
    // The group of an offset, made where there was none; NONE without memory. There is room: a group has at least one of the handles.
    uint32_t group_of(LineState* state, uint32_t line, int64_t offset, uint32_t is_bps, int64_t tick) noexcept {
        const uint32_t at = place_of(state, offset, is_bps, tick);
        if (at < state->group_count) {
            const Group& there = groups[state->groups[at]];
            if (there.offset == offset && there.is_bps == is_bps && there.tick == tick) return state->groups[at];
        }
        if (state->group_count == state->group_room) {
            const uint32_t room = state->group_room ? state->group_room * 2 : 8;
            uint32_t* larger = (uint32_t*)std::realloc(state->groups, room * sizeof(uint32_t));
            if (!larger) return NONE;
            state_bytes += (room - state->group_room) * sizeof(uint32_t);
            state->groups = larger, state->group_room = room;
        }
        const uint32_t g = groups.take();
        groups[g] = Group{Ladder{}, offset, tick, (uint64_t)(INT64_MAX / tick) + 1, 0, 0, line, is_bps};
        uint32_t* spot = state->groups + at;
        std::memmove(spot + 1, spot, (state->group_count - at) * sizeof(uint32_t));
        *spot = g;
        ++state->group_count, ++group_count;
        return g;
    }
    void drop_group(LineState* state, uint32_t g) noexcept {
        const Group& group = groups[g];
        uint32_t* spot = state->groups + place_of(state, group.offset, group.is_bps, group.tick);
        --state->group_count, --group_count;
        std::memmove(spot, spot + 1, (size_t)(state->groups + state->group_count - spot) * sizeof(uint32_t));
        groups.give(g);
    }

    void measure(Group& group) noexcept {
        const int direction = (int)(group.line & 1);
        measure(group, direction, buckets[near(group.stops, direction)].key, buckets[far(group.stops, direction)].key);
    }
    void measure(Group& group, int direction, uint64_t tightest, uint64_t loosest) noexcept {
        group.best_px = tightest == 0 ? INT64_MIN : px_of(group, tightest);
        const i128 next = ((i128)loosest + (direction == DOWN ? 1 : -1)) * group.tick;
        group.move_px = extreme_for(group, next);
    }
    // Visit each group of a line, then take up what the line caches about them. Returns how many visits said true.
    template <class Visit>
    int scan_groups(uint32_t at, Visit visit) noexcept {
        Line& line = lines[at];
        const int direction = (int)(at & 1);
        int64_t best = none(direction), move = never(direction);
        int count = 0;
        for (uint32_t i = 0; i < line.state->group_count; ++i) {
            Group& group = groups[line.state->groups[i]];
            count += visit(group);
            best = nearer(direction, best, group.best_px);
            move = direction == DOWN ? least(move, group.move_px) : most(move, group.move_px);
        }
        line.state->trail_best = best;
        line.best_px = nearer(direction, best, line.state->plain_best);
        line.move_px = move;
        return count;
    }

    // Move every level that is looser than `key` there, in the order in which they would have fired.
    void tighten(Group& group, int direction, uint64_t key) noexcept {
        Ladder& stops = group.stops;
        if (stops.count == 1) {  // the common case: all ride on one level
            buckets[stops.root].key = key;
            slots[buckets[stops.root].head].stamp = ++clock;
            measure(group, direction, key, key);
            return;
        }
        uint32_t list = NONE, bucket = NONE;
        while (stops.count) {
            const uint32_t b = far(stops, direction);
            if (direction == DOWN ? buckets[b].key >= key : buckets[b].key <= key) break;
            list = list == NONE ? buckets[b].head : join(buckets[b].head, list);
            bucket = bucket == NONE ? b : unite(bucket, b);
            stops.close(nodes, buckets[b].key);
        }
        slots[list].stamp = ++clock;
        uint32_t* level = open_stop(group, key);
        if (*level != NONE) {
            list = join(buckets[*level].head, list);
            bucket = unite(*level, bucket);
        }
        *level = bucket;
        buckets[bucket].key = key;
        buckets[bucket].head = list;
        measure(group);
    }

    void disarm_trail(uint32_t h, uint32_t g) noexcept {
        Group& group = groups[g];
        const uint32_t line = group.line, b = bucket_of(h);
        unlink(&buckets[b].head, h);
        const bool is_last = buckets[b].head == NONE;
        if (is_last) group.stops.close(nodes, buckets[b].key);
        release(b);
        if (!is_last) return;
        const int64_t best = group.best_px, move = group.move_px;
        const bool is_gone = group.stops.count == 0;
        if (!is_gone) measure(group);
        // Prices only get further from the market when something leaves: what was not the nearest changes nothing.
        const bool is_stale = (best == lines[line].state->trail_best && (is_gone || group.best_px != best)) ||
                              (move == lines[line].move_px && (is_gone || group.move_px != move));
        if (is_gone) drop_group(lines[line].state, g);
        if (is_stale) scan_groups(line, [](Group&) { return false; });
    }

    // --- union-find by rank, with reference counts so that a bucket lives as long as something points at it ------------

    uint32_t unite(uint32_t a, uint32_t b) noexcept {
        if (buckets[a].rank < buckets[b].rank) {
            const uint32_t other = a;
            a = b, b = other;
        }
        buckets[a].rank += buckets[a].rank == buckets[b].rank;
        buckets[b].parent = a;
        ++buckets[a].refs;
        return a;
    }
    uint32_t bucket_of(uint32_t h) noexcept {
        const uint32_t own = (uint32_t)slots[h].key;
        uint32_t root = own;
        while (buckets[root].parent != NONE) root = buckets[root].parent;
        if (root != own) {
            slots[h].key = root;
            ++buckets[root].refs;
            release(own);
        }
        return root;
    }
    void release(uint32_t b) noexcept {
        while (b != NONE && --buckets[b].refs == 0) {
            const uint32_t parent = buckets[b].parent;
            buckets.give(b);
            b = parent;
        }
    }

    // First in line to fire. `is_alone`: nothing else rests at that price, so its whole list may follow it.
    uint32_t nearest(uint32_t at, bool* is_alone) noexcept {
        LineState* state = lines[at].state;
        const int64_t best = lines[at].best_px;
        uint32_t found = NONE, rivals = 0;
        if (state->plain_best == best) {
            found = *state->plain.find(nodes, (uint64_t)(best / units[at / (SOURCES * 2)]));
            ++rivals;
        }
        for (uint32_t i = 0; state->trail_best == best && i < state->group_count; ++i) {
            Group& group = groups[state->groups[i]];
            if (group.best_px != best) continue;
            const uint32_t head = buckets[*group.stops.find(nodes, (uint64_t)(best / group.tick))].head;
            if (found == NONE || slots[head].stamp < slots[found].stamp) found = head;
            ++rivals;
        }
        *is_alone = rivals == 1;
        return found;
    }
};

// Whether a price on this source fires a stop or moves a trailing one: one cache line, no branch but the bounds.
inline bool line_fires(const Line* lines, uint32_t instruments, uint32_t instrument, int source, int64_t px) noexcept {
    if (instrument >= instruments || (unsigned)source >= (unsigned)SOURCES) return false;
    if ((uint64_t)px - 1 >= (uint64_t)BACKSTAY_MAX_E9) return false;
    const Line* pair = lines + ((size_t)instrument * SOURCES + (unsigned)source) * 2;
    return (px <= pair[DOWN].best_px) | (px >= pair[UP].best_px) | (px >= pair[DOWN].move_px) | (px <= pair[UP].move_px);
}

}  // namespace backstay
