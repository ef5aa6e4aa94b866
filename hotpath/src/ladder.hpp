// An ordered map from an integer price key to one 32-bit value: a path-compressed radix tree of 8-way bitmap nodes.
//
// A node exists only where keys part ways and a single level needs none, so a ladder of n levels has at most n - 1 nodes,
// the tree depends on the set of keys alone, and a new level takes at most one node. Random or evenly spread, dense or sparse,
// that is 7 to 28 bytes a level (16-way: up to 43, for a fifth less time). Keys are not stored with the values: the caller's `key_of(value)` knows them.
#pragma once
#include "hotpath/src/pool.hpp"

namespace backstay {

struct Node {
    uint64_t key;        // any key below: for the digits above `height`, which all below share
    uint8_t bits;        // which slots are in use
    uint8_t leaf_bits;   // which of them hold a value, not a node
    uint16_t height;     // of the digit that parts the keys; 0 is the last
    uint32_t slot[8];
};
static_assert(sizeof(Node) == 48, "memory per level is counted on");
typedef Pool<Node> Nodes;

struct Ladder {
    uint32_t root;       // with one level its value, with more a node
    uint32_t count;      // levels

    // The value of a level that is there.
    uint32_t* find(Nodes& nodes, uint64_t k) noexcept {
        bool is_leaf = count == 1;
        uint32_t* ref = &root;
        while (!is_leaf) {
            Node& node = nodes[*ref];
            const uint32_t d = digit(k, node.height);
            is_leaf = node.leaf_bits >> d & 1;
            ref = &node.slot[d];
        }
        return ref;
    }

    // The value of a level, opened with NONE where there was none. Needs room for one node.
    template <class KeyOf>
    uint32_t* open(Nodes& nodes, uint64_t k, KeyOf key_of) noexcept {
        if (count == 0) {
            count = 1, root = NONE;
            return &root;
        }
        bool is_leaf = count == 1;
        uint32_t* ref = &root;
        uint8_t* leaf_bits = nullptr;  // of the node that holds *ref
        uint32_t d = 0;
        for (;;) {
            const uint64_t other = is_leaf ? key_of(*ref) : nodes[*ref].key;
            if (is_leaf && other == k) return ref;
            if (is_leaf || above(k, nodes[*ref].height) != above(other, nodes[*ref].height)) {
                ++count;
                if (leaf_bits) *leaf_bits &= (uint8_t)~(1u << d);
                return part(nodes, ref, is_leaf, k, other);
            }
            Node& node = nodes[*ref];
            d = digit(k, node.height);
            if (!(node.bits >> d & 1)) {
                ++count;
                node.bits |= (uint8_t)(1u << d), node.leaf_bits |= (uint8_t)(1u << d);
                node.slot[d] = NONE;
                return &node.slot[d];
            }
            leaf_bits = &node.leaf_bits;
            is_leaf = node.leaf_bits >> d & 1;
            ref = &node.slot[d];
        }
    }

    // Remove a level that is there.
    void close(Nodes& nodes, uint64_t k) noexcept {
        if (--count == 0) return;
        uint32_t *ref = &root, d_above = 0;
        Node* above_node = nullptr;
        for (;;) {
            Node& node = nodes[*ref];
            const uint32_t d = digit(k, node.height);
            if (node.leaf_bits >> d & 1) {
                node.bits &= (uint8_t)~(1u << d), node.leaf_bits &= (uint8_t)~(1u << d);
                if (node.bits & (node.bits - 1)) return;
                const uint32_t rest = (uint32_t)__builtin_ctz(node.bits), lone = *ref;  // nothing parts here any more
                if (above_node && node.leaf_bits) above_node->leaf_bits |= (uint8_t)(1u << d_above);
                *ref = node.slot[rest];
                nodes.give(lone);
                return;
            }
            above_node = &node, d_above = d;
            ref = &node.slot[d];
        }
    }

    // Value of the level with the lowest or the highest key; there must be one.
    template <bool IS_LAST>
    uint32_t edge(Nodes& nodes) noexcept {
        bool is_leaf = count == 1;
        uint32_t at = root;
        while (!is_leaf) {
            const Node& node = nodes[at];
            const uint32_t d = IS_LAST ? 31 - (uint32_t)__builtin_clz(node.bits) : (uint32_t)__builtin_ctz(node.bits);
            is_leaf = node.leaf_bits >> d & 1;
            at = node.slot[d];
        }
        return at;
    }

private:
    static uint64_t above(uint64_t k, uint32_t height) noexcept { return height >= 21 ? 0 : k >> (3 * (height + 1)); }
    static uint32_t digit(uint64_t k, uint32_t height) noexcept { return (uint32_t)(k >> (3 * height)) & 7; }

    // Put a node between *ref and what holds it, where `k` and the keys of *ref part; returns the slot of `k`.
    static uint32_t* part(Nodes& nodes, uint32_t* ref, bool is_leaf, uint64_t k, uint64_t other) noexcept {
        const uint32_t i = nodes.take();
        Node& node = nodes[i];
        node.key = k;
        node.height = (uint16_t)((63 - __builtin_clzll(k ^ other)) / 3);
        const uint32_t mine = digit(k, node.height), its = digit(other, node.height);
        node.bits = (uint8_t)(1u << mine | 1u << its);
        node.leaf_bits = (uint8_t)(1u << mine | (is_leaf ? 1u << its : 0));
        node.slot[its] = *ref, node.slot[mine] = NONE;
        *ref = i;
        return &node.slot[mine];
    }
};

}  // namespace backstay
