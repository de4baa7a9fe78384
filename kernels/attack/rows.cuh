// What the kernels of attacks share. A block works on one row, number blockIdx.x: an image of a batch, of
// `width` numbers. Its threads take the elements in turn and meet at barriers; nothing is read that
// another block writes. Outputs come first, then inputs, then the width of the first output. The
// closures beside the kernels' names in crates/methods/src/attack are their twins on the CPU.
#pragma once
#include "../common.cuh"

// Threads of a block, at most; a power of two.
#define MOST_THREADS 256

// Kept as functions: kernels call them often, and compile much faster so.
#ifdef __CUDACC__
#define NOT_INLINE __noinline__
#else
#define NOT_INLINE
#endif

#define EACH(i, count) for (int i = threadIdx.x; i < (count); i += blockDim.x)

static __device__ __forceinline__ Size row() { return blockIdx.x; }

// Begin of this block's row.
template <typename T>
static __device__ __forceinline__ T* mine(T* rows, int width) {
    return rows + row() * width;
}

// What `join` makes of every thread's value, for all threads.
template <typename Value, typename Join>
static __device__ Value block_join(Value value, Join join) {
    __shared__ Value part[MOST_THREADS];
    int thread = threadIdx.x;
    __syncthreads();
    part[thread] = value;
    for (int half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (thread < half) part[thread] = join(part[thread], part[thread + half]);
    }
    __syncthreads();
    return part[0];
}

static __device__ NOT_INLINE double block_sum(double value) {
    return block_join(value, [](double a, double b) { return a + b; });
}

static __device__ NOT_INLINE double block_max(double value) {
    return block_join(value, [](double a, double b) { return fmax(a, b); });
}

// Whether it is so for some thread.
static __device__ int block_any(int value) { return block_max(value ? 1.0 : 0.0) > 0.0; }

// A number and where it was found; `at` is -1 for none. No default values: it lies in shared memory.
struct Located {
    float value;
    int at;
};

// The largest value of a row of `count` numbers, of equal ones the first, or with `last` the last one.
// Places that `taken` lists (`skip` of them) do not count.
static __device__ NOT_INLINE Located block_largest(const float* z, int count, int last,
                                                   const int* taken, int skip) {
    Located best = {0.0f, -1};
    EACH(i, count) {
        int free = 1;
        for (int k = 0; k < skip; k++) free &= taken[k] != i;
        if (free && (best.at < 0 || z[i] > best.value || (last && z[i] == best.value)))
            best = Located{z[i], i};
    }
    return block_join(best, [=](Located a, Located b) {
        int preferred = last ? b.at > a.at : b.at < a.at;
        int better = a.at < 0 || b.value > a.value || (b.value == a.value && preferred);
        return b.at >= 0 && better ? b : a;
    });
}
