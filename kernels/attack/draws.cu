// Random numbers of the rows of a search, keyed as on the CPU (crates/engine/src/rng): ids are the two words of an
// image's index in its data set. Uniform numbers are the same bits; see ../noise.cu for normal ones.
#include "../philox.cuh"
#include "rows.cuh"

// Uniform numbers in [0, 1), multiples of 2^-24.
extern "C" __global__ void uniform_rows(float* y, const unsigned int* ids, int width, unsigned int draw,
                                        unsigned int key0, unsigned int key1) {
    const unsigned int* id = mine(ids, 2);
    y = mine(y, width);
    EACH(block, (width + 3) / 4) {
        Words words = philox(block, draw, id[0], id[1], key0, key1);
        for (int k = 0; k < 4 && 4 * block + k < width; k++)
            y[4 * block + k] = (float)(words.w[k] >> 8) * (1.0f / 16777216.0f);
    }
}

// Standard normal numbers.
extern "C" __global__ void normal_rows(float* y, const unsigned int* ids, int width, unsigned int draw,
                                       unsigned int key0, unsigned int key1) {
    const unsigned int* id = mine(ids, 2);
    y = mine(y, width);
    EACH(block, (width + 3) / 4) {
        double z[4];
        normal_of(philox(block, draw, id[0], id[1], key0, key1), z);
        for (int k = 0; k < 4 && 4 * block + k < width; k++) y[4 * block + k] = (float)z[k];
    }
}
