// BLAKE2b-256, unkeyed (RFC 7693): the hash that chains a journal segment to the one before it.
#pragma once
#include <cstdint>
#include <cstring>

namespace backstay {

class Blake2b256 {
  public:
    Blake2b256() { reset(); }

    void reset() {
        for (int i = 0; i < 8; ++i) h_[i] = kIv[i];
        h_[0] ^= 0x01010000ull ^ 32ull;
        total_ = 0;
        fill_ = 0;
    }

    void update(const void* data, size_t size) {
        const unsigned char* p = static_cast<const unsigned char*>(data);
        while (size) {
            if (fill_ == 128) {  // the last block is compressed in digest(), so a full one waits for more input
                total_ += 128;
                compress(buffer_, false);
                fill_ = 0;
            }
            if (fill_ == 0 && size > 128) {
                total_ += 128;
                compress(p, false);
                p += 128;
                size -= 128;
                continue;
            }
            size_t take = 128 - fill_ < size ? 128 - fill_ : size;
            std::memcpy(buffer_ + fill_, p, take);
            fill_ += take;
            p += take;
            size -= take;
        }
    }

    void digest(unsigned char out[32]) {
        total_ += fill_;
        std::memset(buffer_ + fill_, 0, 128 - fill_);
        compress(buffer_, true);
        std::memcpy(out, h_, 32);
    }

  private:
    static constexpr uint64_t kIv[8] = {
        0x6a09e667f3bcc908ull, 0xbb67ae8584caa73bull, 0x3c6ef372fe94f82bull, 0xa54ff53a5f1d36f1ull,
        0x510e527fade682d1ull, 0x9b05688c2b3e6c1full, 0x1f83d9abfb41bd6bull, 0x5be0cd19137e2179ull};
    static constexpr unsigned char kSigma[12][16] = {
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
        {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
        {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
        {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
        {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
        {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3}};

    static uint64_t rotr(uint64_t x, int n) { return (x >> n) | (x << (64 - n)); }

    static void mix(uint64_t& a, uint64_t& b, uint64_t& c, uint64_t& d, uint64_t x, uint64_t y) {
        a += b + x;
        d = rotr(d ^ a, 32);
        c += d;
        b = rotr(b ^ c, 24);
        a += b + y;
        d = rotr(d ^ a, 16);
        c += d;
        b = rotr(b ^ c, 63);
    }

    void compress(const unsigned char* block, bool last) {
        uint64_t m[16], v[16];
        std::memcpy(m, block, 128);
        for (int i = 0; i < 8; ++i) {
            v[i] = h_[i];
            v[i + 8] = kIv[i];
        }
        v[12] ^= total_;
        if (last) v[14] = ~v[14];
        for (int r = 0; r < 12; ++r) {
            const unsigned char* s = kSigma[r];
            mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
            mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
            mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
            mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
            mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
            mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
            mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
            mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
        }
        for (int i = 0; i < 8; ++i) h_[i] ^= v[i] ^ v[i + 8];
    }

    uint64_t h_[8];
    uint64_t total_;  // bytes compressed so far; a segment is far below 2^64
    unsigned char buffer_[128];
    size_t fill_;
};

}  // namespace backstay
