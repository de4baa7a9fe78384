// Random numbers keyed as on the CPU (crates/engine/src/rng): Philox4x32-10 (Salmon et al., SC 2011, section 4).
// Uniform noise is the same bits; normal numbers go through this device's logarithm, sine
// and cosine in f64 and are the same but for the last bit of a few.
#include "../philox.cuh"

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
    normal_of(words, z);
    const float* image = images + (Size)at[ROW] * length;
    for (int k = 0; k < 4 && 4 * block + k < length; k++) {
        int element = 4 * block + k;
        y[i / blocks * length + element] = image[element] + (float)(sigma * (double)(float)z[k]);
    }
}
