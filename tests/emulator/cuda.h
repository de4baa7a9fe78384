// CUDA's words for C++ on a CPU: a kernel is a function that is called once per thread, one thread after
// the other. Threads that wait for each other are fibers (fibers.h).
#pragma once
#include <cmath>
#include <cstddef>
#include <cstring>

#define __global__
#define __device__
#define __forceinline__ inline
// A block has it for itself: blocks run one after the other.
#define __shared__ static thread_local

struct Coordinates {
    unsigned int x = 0, y = 0, z = 0;
};

static thread_local Coordinates blockIdx, threadIdx, blockDim, gridDim;

void __syncthreads();

static inline unsigned int atomicAdd(unsigned int* to, unsigned int value) {
    unsigned int before = *to;
    *to += value;
    return before;
}
static inline unsigned int __float_as_uint(float value) {
    unsigned int bits;
    std::memcpy(&bits, &value, sizeof bits);
    return bits;
}
static inline float __uint_as_float(unsigned int bits) {
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}
