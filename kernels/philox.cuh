// Philox4x32-10 (Salmon et al., SC 2011, section 4) and what crates/engine/src/rng makes of its words.
#pragma once
#include "common.cuh"

struct Words {
    unsigned int w[4];
};

static __device__ Words philox(unsigned int c0, unsigned int c1, unsigned int c2, unsigned int c3,
                               unsigned int k0, unsigned int k1) {
    for (int round = 0; round < 10; round++) {
        unsigned long long p0 = 0xD2511F53ull * c0, p1 = 0xCD9E8D57ull * c2;
        c0 = (unsigned int)(p1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned int)p1;
        c2 = (unsigned int)(p0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned int)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    Words words = {{c0, c1, c2, c3}};
    return words;
}

// The centre of the word's interval in (0, 1).
static __device__ __forceinline__ double unit(unsigned int word) {
    return ((double)word + 0.5) * (1.0 / 4294967296.0);
}

// Four standard normal numbers (Box-Muller).
static __device__ void normal_of(Words words, double* z) {
    for (int pair = 0; pair < 4; pair += 2) {
        double radius = sqrt(-2.0 * log(unit(words.w[pair])));
        double angle = 6.283185307179586 * unit(words.w[pair + 1]);
        z[pair] = radius * cos(angle);
        z[pair + 1] = radius * sin(angle);
    }
}
