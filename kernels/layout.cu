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
    int channel = i % c;
    Size pixel = i / c;
    int ox = pixel % ow;
    int oy = pixel / ow % oh;
    Size n = pixel / ow / oh;
    y[i] = x[((n * h + oy * step) * w + ox * step) * c + channel];
}

extern "C" __global__ void subsample_pullback(const float* g, float* gx, Size total, int h, int w,
                                              int c, int oh, int ow, int step, int add) {
    Size i = thread();
    if (i >= total) return;
    int channel = i % c;
    Size pixel = i / c;
    int x = pixel % w;
    int y = pixel / w % h;
    Size n = pixel / w / h;
    float v = 0.0f;
    if (x % step == 0 && y % step == 0) v = g[((n * oh + y / step) * ow + x / step) * c + channel];
    put(gx, i, v, add);
}

// Zeros around the image (top, left) and before the channels; h, w, c are the input's and oh, ow, oc
// the output's.
extern "C" __global__ void pad(const float* x, float* y, Size total, int h, int w, int c, int oh,
                               int ow, int oc, int top, int left, int before) {
    Size i = thread();
    if (i >= total) return;
    int channel = (int)(i % oc) - before;
    Size pixel = i / oc;
    int px = (int)(pixel % ow) - left;
    int py = (int)(pixel / ow % oh) - top;
    Size n = pixel / ow / oh;
    int inside = channel >= 0 && channel < c && px >= 0 && px < w && py >= 0 && py < h;
    y[i] = inside ? x[((n * h + py) * w + px) * c + channel] : 0.0f;
}

extern "C" __global__ void pad_pullback(const float* g, float* gx, Size total, int h, int w, int c,
                                        int oh, int ow, int oc, int top, int left, int before,
                                        int add) {
    Size i = thread();
    if (i >= total) return;
    int channel = i % c;
    Size pixel = i / c;
    int px = pixel % w;
    int py = pixel / w % h;
    Size n = pixel / w / h;
    put(gx, i, g[((n * oh + py + top) * ow + px + left) * oc + channel + before], add);
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
