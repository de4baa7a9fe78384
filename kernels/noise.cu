// Random numbers keyed as on the CPU (src/rng): Philox4x32-10 (Salmon et al., SC 2011, section 4).
// Uniform noise is the same bits; normal numbers go through this device's logarithm, sine
// and cosine in f64 and are the same but for the last bit of a few.
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

// A place of a batch: which image it shows, and the draw of its noise: (row, draw, image's low and high
// word, key).
enum { ROW = 0, DRAW = 1, LOW = 2, HIGH = 3, KEY0 = 4, KEY1 = 5, PLACE = 6 };

// images[row] + lambda (2 u - 1) with uniform u in (0, 1), not clamped: four elements of a place per
// thread.
extern "C" __global__ void uniform(const float* images, const unsigned int* places, float* y, Size n,
                                   int length, double lambda) {
    Size i = thread();
    int blocks = (length + 3) / 4;
    if (i >= n * blocks) return;
    const unsigned int* at = places + i / blocks * PLACE;
    int block = i % blocks;
    Words words = philox(block, at[DRAW], at[LOW], at[HIGH], at[KEY0], at[KEY1]);
    const float* image = images + (Size)at[ROW] * length;
    for (int k = 0; k < 4 && 4 * block + k < length; k++) {
        int element = 4 * block + k;
        float noise = (float)(lambda * (2.0 * unit(words.w[k]) - 1.0));
        y[i / blocks * length + element] = noise + image[element];
    }
}

// images[row] + sigma z with standard normal z (Box-Muller), not clamped.
extern "C" __global__ void gaussian(const float* images, const unsigned int* places, float* y, Size n,
                                    int length, double sigma) {
    Size i = thread();
    int blocks = (length + 3) / 4;
    if (i >= n * blocks) return;
    const unsigned int* at = places + i / blocks * PLACE;
    int block = i % blocks;
    Words words = philox(block, at[DRAW], at[LOW], at[HIGH], at[KEY0], at[KEY1]);
    double z[4];
    for (int pair = 0; pair < 4; pair += 2) {
        double radius = sqrt(-2.0 * log(unit(words.w[pair])));
        double angle = 6.283185307179586 * unit(words.w[pair + 1]);
        z[pair] = radius * cos(angle);
        z[pair + 1] = radius * sin(angle);
    }
    const float* image = images + (Size)at[ROW] * length;
    for (int k = 0; k < 4 && 4 * block + k < length; k++) {
        int element = 4 * block + k;
        y[i / blocks * length + element] = image[element] + (float)(sigma * (double)(float)z[k]);
    }
}
