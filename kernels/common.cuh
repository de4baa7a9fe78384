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

static __device__ __forceinline__ Element element(Size i, int h, int w, int c) {
    Size pixel = i / c;
    Element e = {pixel / w / h, (int)(pixel / w % h), (int)(pixel % w), (int)(i % c)};
    return e;
}
