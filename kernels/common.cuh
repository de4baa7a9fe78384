// What all kernels share. A kernel computes one output, or a few neighbouring ones, per thread, and no
// thread reads what another one writes: so an image's numbers do not depend on the launch, and the same
// sources run on a CPU, thread after thread (tests/emulator).
//
// Activations are [N, H, W, C] in f32. `add` says whether a result is added to what is there, which is
// how the cotangents of several readers of a value are summed.
#pragma once

typedef long long Size;

// Number of this thread; grids are one-dimensional.
static __device__ __forceinline__ Size thread() {
    return (Size)blockIdx.x * blockDim.x + threadIdx.x;
}

static __device__ __forceinline__ void put(float* to, Size i, float value, int add) {
    to[i] = add ? to[i] + value : value;
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
