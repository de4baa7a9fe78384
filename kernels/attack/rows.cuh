// What the kernels of attacks share. A block works on one row, number blockIdx.x: an image of a batch, of
// `width` numbers. Its threads take the elements in turn and meet at barriers; nothing is read that
// another block writes. Outputs come first, then inputs, then the width of the first output. The
// closures beside the kernels' names in src/attack are their twins on the CPU.
#pragma once
#include "../common.cuh"

// Threads of a block, at most; a power of two.
#define MOST_THREADS 256

// Kept as functions: kernels call them often, and compile much faster so.
#ifdef __CUDACC__
#define ALONE __noinline__
#else
#define ALONE
#endif

#define EACH(i, count) for (int i = threadIdx.x; i < (count); i += blockDim.x)

static __device__ __forceinline__ Size row() { return blockIdx.x; }

// Begin of this block's row.
template <typename T>
static __device__ __forceinline__ T* mine(T* rows, int width) {
    return rows + row() * width;
}

// The sum of every thread's value, for all threads.
static __device__ ALONE double block_sum(double value) {
    __shared__ double part[MOST_THREADS];
    int thread = threadIdx.x;
    __syncthreads();
    part[thread] = value;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) part[thread] += part[thread + half];
    }
    __syncthreads();
    return part[0];
}

// The largest value.
static __device__ ALONE double block_max(double value) {
    __shared__ double part[MOST_THREADS];
    int thread = threadIdx.x;
    __syncthreads();
    part[thread] = value;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) part[thread] = fmax(part[thread], part[thread + half]);
    }
    __syncthreads();
    return part[0];
}

// Whether it is so for some thread.
static __device__ int block_any(int value) { return block_max(value ? 1.0 : 0.0) > 0.0; }

// A value and where it was found; `at` is -1 for none.
struct Place {
    float value;
    int at;
};

// The largest value of a row of `count` numbers, of equal ones the first, or with `last` the last one.
// Places that `taken` lists (`skip` of them) do not count.
static __device__ ALONE Place block_largest(const float* z, int count, int last, const int* taken, int skip) {
    __shared__ Place part[MOST_THREADS];
    int thread = threadIdx.x;
    Place best = {0.0f, -1};
    EACH(i, count) {
        int free = 1;
        for (int k = 0; k < skip; k++) free &= taken[k] != i;
        if (free && (best.at < 0 || z[i] > best.value || (last && z[i] == best.value)))
            best = Place{z[i], i};
    }
    __syncthreads();
    part[thread] = best;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) {
            Place a = part[thread], b = part[thread + half];
            int earlier = last ? b.at > a.at : b.at < a.at;
            if (b.at >= 0 && (a.at < 0 || b.value > a.value || (b.value == a.value && earlier)))
                part[thread] = b;
        }
    }
    __syncthreads();
    return part[0];
}
