// Means and maxima over windows without padding, and their pullbacks. h, w are the input's sides and
// oh, ow the output's. Pullbacks gather: a thread per input element looks at the windows it is in.
#include "common.cuh"

extern "C" __global__ void avg_pool(const float* x, float* y, Size total, int h, int w, int c,
                                    int oh, int ow, int size, int stride) {
    Size i = thread();
    if (i >= total) return;
    int channel = i % c;
    Size pixel = i / c;
    int ox = pixel % ow;
    int oy = pixel / ow % oh;
    Size n = pixel / ow / oh;
    float v = 0.0f;
    for (int r = 0; r < size; r++)
        for (int s = 0; s < size; s++)
            v += x[((n * h + oy * stride + r) * w + ox * stride + s) * c + channel];
    y[i] = v / (float)(size * size);
}

extern "C" __global__ void avg_pool_pullback(const float* g, float* gx, Size total, int h, int w,
                                             int c, int oh, int ow, int size, int stride, int add) {
    Size i = thread();
    if (i >= total) return;
    int channel = i % c;
    Size pixel = i / c;
    int px = pixel % w;
    int py = pixel / w % h;
    Size n = pixel / w / h;
    float v = 0.0f;
    for (int r = py % stride; r < size && r <= py; r += stride)
        for (int s = px % stride; s < size && s <= px; s += stride) {
            int oy = (py - r) / stride, ox = (px - s) / stride;
            if (oy < oh && ox < ow) v += g[((n * oh + oy) * ow + ox) * c + channel];
        }
    put(gx, i, v / (float)(size * size), add);
}

// The first of equal elements is the maximum; `origins`, unless absent, gets its number in the window.
extern "C" __global__ void max_pool(const float* x, float* y, unsigned char* origins, Size total,
                                    int h, int w, int c, int oh, int ow, int size, int stride) {
    Size i = thread();
    if (i >= total) return;
    int channel = i % c;
    Size pixel = i / c;
    int ox = pixel % ow;
    int oy = pixel / ow % oh;
    Size n = pixel / ow / oh;
    float most = x[((n * h + oy * stride) * w + ox * stride) * c + channel];
    int origin = 0;
    for (int k = 1; k < size * size; k++) {
        float v = x[((n * h + oy * stride + k / size) * w + ox * stride + k % size) * c + channel];
        if (v > most) {
            most = v;
            origin = k;
        }
    }
    y[i] = most;
    if (origins) origins[i] = (unsigned char)origin;
}

extern "C" __global__ void max_pool_pullback(const float* g, const unsigned char* origins, float* gx,
                                             Size total, int h, int w, int c, int oh, int ow,
                                             int size, int stride, int add) {
    Size i = thread();
    if (i >= total) return;
    int channel = i % c;
    Size pixel = i / c;
    int px = pixel % w;
    int py = pixel / w % h;
    Size n = pixel / w / h;
    float v = 0.0f;
    for (int r = py % stride; r < size && r <= py; r += stride)
        for (int s = px % stride; s < size && s <= px; s += stride) {
            int oy = (py - r) / stride, ox = (px - s) / stride;
            if (oy >= oh || ox >= ow) continue;
            Size o = ((n * oh + oy) * ow + ox) * c + channel;
            if (origins[o] == r * size + s) v += g[o];
        }
    put(gx, i, v, add);
}

// Mean of each channel over the image: a thread per channel, in the order of the pixels.
extern "C" __global__ void global_avg_pool(const float* x, float* y, Size total, int channels,
                                           int pixels) {
    Size i = thread();
    if (i >= total) return;
    const float* first = x + i / channels * pixels * channels + i % channels;
    float v = 0.0f;
    for (int p = 0; p < pixels; p++) v += first[(Size)p * channels];
    y[i] = v / (float)pixels;
}

extern "C" __global__ void global_avg_pool_pullback(const float* g, float* gx, Size total,
                                                    int channels, int pixels, int add) {
    Size i = thread();
    if (i >= total) return;
    put(gx, i, g[i / channels / pixels * channels + i % channels] / (float)pixels, add);
}
