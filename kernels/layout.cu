// Kernels that only move values.
#include "common.cuh"

// [N, C, P] to [N, P, C], P the pixels of an image.
extern "C" __global__ void to_nhwc(const float* x, float* y, Size total, int channels, int pixels,
                                   int add) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    Size pixel = i / channels;
    Size n = pixel / pixels;
    put(y, i, x[(n * channels + c) * pixels + pixel % pixels], add);
}

// [N, P, C] to [N, C, P].
extern "C" __global__ void to_nchw(const float* x, float* y, Size total, int channels, int pixels,
                                   int add) {
    Size i = thread();
    if (i >= total) return;
    int p = i % pixels;
    Size plane = i / pixels;
    Size n = plane / channels;
    put(y, i, x[(n * pixels + p) * channels + plane % channels], add);
}

// x[:, ::step, ::step, :]; h, w are the input's and oh, ow the output's.
extern "C" __global__ void subsample(const float* x, float* y, Size total, int h, int w, int c,
                                     int oh, int ow, int step) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, oh, ow, c);
    y[i] = x[((e.n * h + e.y * step) * w + e.x * step) * c + e.channel];
}

extern "C" __global__ void subsample_pullback(const float* g, float* gx, Size total, int h, int w,
                                              int c, int oh, int ow, int step, int add) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, h, w, c);
    float v = 0.0f;
    if (e.x % step == 0 && e.y % step == 0)
        v = g[((e.n * oh + e.y / step) * ow + e.x / step) * c + e.channel];
    put(gx, i, v, add);
}

// Zeros around the image (top, left) and before the channels; h, w, c are the input's and oh, ow, oc
// the output's.
extern "C" __global__ void pad(const float* x, float* y, Size total, int h, int w, int c, int oh,
                               int ow, int oc, int top, int left, int before) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, oh, ow, oc);
    int channel = e.channel - before, px = e.x - left, py = e.y - top;
    int inside = channel >= 0 && channel < c && px >= 0 && px < w && py >= 0 && py < h;
    y[i] = inside ? x[((e.n * h + py) * w + px) * c + channel] : 0.0f;
}

extern "C" __global__ void pad_pullback(const float* g, float* gx, Size total, int h, int w, int c,
                                        int oh, int ow, int oc, int top, int left, int before,
                                        int add) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, h, w, c);
    put(gx, i, g[((e.n * oh + e.y + top) * ow + e.x + left) * oc + e.channel + before], add);
}

// An image times a number per channel.
extern "C" __global__ void gate(const float* x, const float* gates, float* y, Size total,
                                int channels, int pixels) {
    Size i = thread();
    if (i < total) y[i] = x[i] * gates[i / channels / pixels * channels + i % channels];
}

// The cotangent of the image.
extern "C" __global__ void gate_pullback(const float* gates, const float* g, float* gx, Size total,
                                         int channels, int pixels, int add) {
    Size i = thread();
    if (i < total) put(gx, i, g[i] * gates[i / channels / pixels * channels + i % channels], add);
}

// The cotangent of the numbers: a thread for each.
extern "C" __global__ void gate_pullback_gates(const float* x, const float* g, float* gx, Size total,
                                               int channels, int pixels, int add) {
    Size i = thread();
    if (i >= total) return;
    Size first = i / channels * pixels * channels + i % channels;
    float v = 0.0f;
    for (int p = 0; p < pixels; p++) v += g[first + (Size)p * channels] * x[first + (Size)p * channels];
    put(gx, i, v, add);
}

// Rows of `la` and `lb` numbers side by side. A constant row `a` is read again and again.
extern "C" __global__ void join(const float* a, const float* b, float* y, Size total, int la, int lb,
                                int constant) {
    Size i = thread();
    if (i >= total) return;
    Size row = i / (la + lb);
    int at = i % (la + lb);
    y[i] = at < la ? a[constant ? at : row * la + at] : b[row * lb + at - la];
}

// `length` numbers of every row of `from` numbers, from the one at `first`.
extern "C" __global__ void part(const float* x, float* y, Size total, int from, int first, int length,
                                int add) {
    Size i = thread();
    if (i < total) put(y, i, x[i / length * from + first + i % length], add);
}

// The cotangent of rows of which `length` numbers were taken.
extern "C" __global__ void part_pullback(const float* g, float* gx, Size total, int from, int first,
                                         int length, int add) {
    Size i = thread();
    if (i >= total) return;
    int at = (int)(i % from) - first;
    put(gx, i, at >= 0 && at < length ? g[i / from * length + at] : 0.0f, add);
}

// Squares of four pixels as one, their channels side by side: top left, bottom left, top right, bottom
// right. h, w, c are the larger image's; the pullback goes the other way.
static __device__ __forceinline__ Size merged(Size i, int h, int w, int c) {
    Element e = element(i, h, w, c);
    int corner = e.x % 2 * 2 + e.y % 2;
    return ((e.n * (h / 2) + e.y / 2) * (w / 2) + e.x / 2) * 4 * c + corner * c + e.channel;
}

extern "C" __global__ void patch_merge(const float* x, float* y, Size total, int h, int w, int c) {
    Size i = thread();
    if (i < total) y[merged(i, h, w, c)] = x[i];
}

extern "C" __global__ void patch_merge_pullback(const float* g, float* gx, Size total, int h, int w,
                                                int c, int add) {
    Size i = thread();
    if (i < total) put(gx, i, g[merged(i, h, w, c)], add);
}

// Rows of `width` numbers, those that `which` names.
extern "C" __global__ void gather(const float* x, const int* which, float* y, Size total, int width) {
    Size i = thread();
    if (i < total) y[i] = x[(Size)which[i / width] * width + i % width];
}
