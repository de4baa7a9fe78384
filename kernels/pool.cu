// Means and maxima over windows without padding, and their pullbacks. h, w are the input's sides and
// oh, ow the output's. Pullbacks gather: a thread per input element looks at the windows it is in.
#include "common.cuh"

extern "C" __global__ void NAMED(avg_pool)(const Real* x, Real* y, Size total, int h, int w, int c,
                                           int oh, int ow, int size, int stride) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, oh, ow, c);
    float v = 0.0f;
    for (int r = 0; r < size; r++)
        for (int s = 0; s < size; s++)
            v += x[((e.n * h + e.y * stride + r) * w + e.x * stride + s) * c + e.channel];
    y[i] = v / (float)(size * size);
}

extern "C" __global__ void NAMED(avg_pool_pullback)(const Real* g, Real* gx, Size total, int h, int w,
                                                    int c, int oh, int ow, int size, int stride, int add) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, h, w, c);
    float v = 0.0f;
    for (int r = e.y % stride; r < size && r <= e.y; r += stride)
        for (int s = e.x % stride; s < size && s <= e.x; s += stride) {
            int oy = (e.y - r) / stride, ox = (e.x - s) / stride;
            if (oy < oh && ox < ow) v += g[((e.n * oh + oy) * ow + ox) * c + e.channel];
        }
    put(gx, i, v / (float)(size * size), add);
}

// The first of equal elements is the maximum; `origins`, unless absent, gets its number in the window.
extern "C" __global__ void NAMED(max_pool)(const Real* x, Real* y, unsigned char* origins, Size total,
                                           int h, int w, int c, int oh, int ow, int size, int stride) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, oh, ow, c);
    float most = x[((e.n * h + e.y * stride) * w + e.x * stride) * c + e.channel];
    int origin = 0;
    for (int k = 1; k < size * size; k++) {
        float v = x[((e.n * h + e.y * stride + k / size) * w + e.x * stride + k % size) * c + e.channel];
        if (v > most) {
            most = v;
            origin = k;
        }
    }
    y[i] = most;
    if (origins) origins[i] = (unsigned char)origin;
}

extern "C" __global__ void NAMED(max_pool_pullback)(const Real* g, const unsigned char* origins, Real* gx,
                                                    Size total, int h, int w, int c, int oh, int ow,
                                                    int size, int stride, int add) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, h, w, c);
    float v = 0.0f;
    for (int r = e.y % stride; r < size && r <= e.y; r += stride)
        for (int s = e.x % stride; s < size && s <= e.x; s += stride) {
            int oy = (e.y - r) / stride, ox = (e.x - s) / stride;
            if (oy >= oh || ox >= ow) continue;
            Size o = ((e.n * oh + oy) * ow + ox) * c + e.channel;
            if (origins[o] == r * size + s) v += g[o];
        }
    put(gx, i, v, add);
}

// Mean of each channel over the image, a vector in f32: a thread per channel, in the order of the pixels.
extern "C" __global__ void NAMED(global_avg_pool)(const Real* x, float* y, Size total, int channels,
                                                  int pixels) {
    Size i = thread();
    if (i >= total) return;
    const Real* first = x + i / channels * pixels * channels + i % channels;
    float v = 0.0f;
    for (int p = 0; p < pixels; p++) v += first[(Size)p * channels];
    y[i] = v / (float)pixels;
}

extern "C" __global__ void NAMED(global_avg_pool_pullback)(const float* g, Real* gx, Size total,
                                                           int channels, int pixels, int add) {
    Size i = thread();
    if (i >= total) return;
    put(gx, i, g[i / channels / pixels * channels + i % channels] / (float)pixels, add);
}
