// What all kernels share. A kernel computes one output, or a few neighbouring ones, per thread, and no
// thread reads what another one writes: so an image's numbers do not depend on the launch, and the same
// sources run on a CPU, thread after thread (tests/emulator).
//
// Activations are [N, H, W, C]. `add` says whether a result is added to what is there, which is how the
// cotangents of several readers of a value are summed.
//
// The kernels of layers, those of this folder, are compiled twice: with activations in f32, and once more
// with activations in bf16 (bf16.cuh). An activation and the weights of a convolution are `Real`, which
// becomes a float when it is read and is rounded when it is written; vectors, numbers per channel and
// everything that is computed are floats or doubles.
#pragma once

typedef long long Size;

typedef float Real;

// The name of a layer's kernel.
#define NAMED(name) name

// Number of this thread; grids are one-dimensional.
static __device__ __forceinline__ Size thread() {
    return (Size)blockIdx.x * blockDim.x + threadIdx.x;
}

template <typename Number>
static __device__ __forceinline__ void put(Number* to, Size i, float value, int add) {
    to[i] = add ? to[i] + value : value;
}

// Eight neighbouring numbers, which a thread moves at once where memory is all that it waits for: one or
// two accesses of 16 bytes. Values begin at multiples of 128 bytes (crates/engine/src/cuda/layout.rs).
template <typename Number>
struct alignas(16) Eight {
    Number at[8];
};

// Reads numbers `first` to `first` + 7 of `total`, and says how many there are.
template <typename Number>
static __device__ __forceinline__ int read_eight(const Number* from, Size first, Size total, float* to) {
    int count = total - first < 8 ? (int)(total - first) : 8;
    if (count == 8) {
        Eight<Number> numbers = *reinterpret_cast<const Eight<Number>*>(from + first);
        for (int k = 0; k < 8; k++) to[k] = numbers.at[k];
    } else {
        for (int k = 0; k < 8; k++) to[k] = k < count ? (float)from[first + k] : 0.0f;
    }
    return count;
}

// Writes the `count` numbers of `from`, or adds them to what is there.
template <typename Number>
static __device__ __forceinline__ void put_eight(Number* to, Size first, int count, const float* from, int add) {
    if (count == 8) {
        Eight<Number>* there = reinterpret_cast<Eight<Number>*>(to + first);
        Eight<Number> numbers;
        if (add) numbers = *there;
        for (int k = 0; k < 8; k++) numbers.at[k] = add ? numbers.at[k] + from[k] : from[k];
        *there = numbers;
    } else {
        for (int k = 0; k < 8; k++)
            if (k < count) put(to, first + k, from[k], add);
    }
}

// Place of number i of images of h x w pixels and c channels.
struct Element {
    Size n;
    int y, x, channel;
};

// i / by for what is not negative. GPUs divide in software, numbers of 32 bits with far fewer instructions
// than those of 64.
static __device__ __forceinline__ Size quotient(Size i, int by) {
    return i >> 32 ? i / by : (Size)((unsigned int)i / (unsigned int)by);
}

static __device__ __forceinline__ Element element(Size i, int h, int w, int c) {
    Size pixel = quotient(i, c), row = quotient(pixel, w), n = quotient(row, h);
    Element e = {n, (int)(row - n * h), (int)(pixel - row * w), (int)(i - pixel * c)};
    return e;
}
