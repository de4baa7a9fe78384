// CUDA's words for C++ on a CPU: a kernel is a function that is called once per thread, one thread after
// the other.
#pragma once
#include <cmath>
#include <cstddef>

#define __global__
#define __device__
#define __forceinline__ inline

struct Coordinates {
    unsigned int x = 0, y = 0, z = 0;
};

static thread_local Coordinates blockIdx, threadIdx, blockDim;
