// Batches of fewer images.
#include "../common.cuh"

// Rows of `width` numbers, those that `which` names.
extern "C" __global__ void gather(const float* x, const int* which, float* y, Size total, int width) {
    Size i = thread();
    if (i < total) y[i] = x[(Size)which[i / width] * width + i % width];
}
