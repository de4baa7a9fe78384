// Scale and shift per channel, ReLU, and their pullbacks. `affine`, `affine_pullback`, `scale` and `sum` do
// eight elements per thread.
#include "common.cuh"

// (x - mean) / std.
extern "C" __global__ void NAMED(normalise)(const Real* x, const float* mean, const float* std, Real* y,
                                            Size total, int channels) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    y[i] = (x[i] - mean[c]) / std[c];
}

// x * scale + shift, either of which may be absent, then max(., 0) with `relu`. The signs of a thread's
// eight elements make a byte of `bits` unless that is absent. y may be x.
extern "C" __global__ void NAMED(affine)(const Real* x, const float* scale, const float* shift, Real* y,
                                         unsigned char* bits, Size total, int channels, int relu) {
    Size first = 8 * thread();
    if (first >= total) return;
    float v[8];
    int count = read_eight(x, first, total, v);
    int c = first % channels;
    unsigned int positive = 0;
    for (int k = 0; k < 8; k++) {
        if (scale) v[k] *= scale[c];
        if (shift) v[k] += shift[c];
        // NaN stays NaN: a network that returns it is refused.
        if (relu && v[k] < 0.0f) v[k] = 0.0f;
        positive |= (unsigned int)(k < count && v[k] > 0.0f) << k;
        c = c + 1 == channels ? 0 : c + 1;
    }
    put_eight(y, first, count, v, 0);
    if (bits) bits[first / 8] = (unsigned char)positive;
}

// The bits of `affine` alone: which elements are above 0.
extern "C" __global__ void NAMED(positive)(const Real* y, unsigned char* bits, Size total) {
    Size first = 8 * thread();
    if (first >= total) return;
    float v[8];
    int count = read_eight(y, first, total, v);
    unsigned int positive = 0;
    for (int k = 0; k < 8; k++) positive |= (unsigned int)(k < count && v[k] > 0.0f) << k;
    bits[first / 8] = (unsigned char)positive;
}

// g * scale where the bit is set; `scale` and `bits` may be absent. gx may be g.
extern "C" __global__ void NAMED(affine_pullback)(const Real* g, const float* scale,
                                                  const unsigned char* bits, Real* gx, Size total,
                                                  int channels, int add) {
    Size first = 8 * thread();
    if (first >= total) return;
    float v[8];
    int count = read_eight(g, first, total, v);
    unsigned int positive = bits ? bits[first / 8] : 0xFF;
    int c = scale ? (int)(first % channels) : 0;
    for (int k = 0; k < 8; k++) {
        if (!((positive >> k) & 1)) v[k] = 0.0f;
        if (!scale) continue;
        v[k] *= scale[c];
        c = c + 1 == channels ? 0 : c + 1;
    }
    put_eight(gx, first, count, v, add);
}

// x * factor.
extern "C" __global__ void NAMED(scale)(const Real* x, float factor, Real* y, Size total, int add) {
    Size first = 8 * thread();
    if (first >= total) return;
    float v[8];
    int count = read_eight(x, first, total, v);
    for (int k = 0; k < 8; k++) v[k] *= factor;
    put_eight(y, first, count, v, add);
}

// a + b.
extern "C" __global__ void NAMED(sum)(const Real* a, const Real* b, Real* y, Size total) {
    Size first = 8 * thread();
    if (first >= total) return;
    float v[8], w[8];
    int count = read_eight(a, first, total, v);
    read_eight(b, first, total, w);
    for (int k = 0; k < 8; k++) v[k] += w[k];
    put_eight(y, first, count, v, 0);
}

// Values closer than `radius` to `mean` become `mean`.
extern "C" __global__ void NAMED(mean_sparse)(const Real* x, const float* mean, const float* radius,
                                              Real* y, Size total, int channels) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    float v = x[i];
    y[i] = fabsf(v - mean[c]) < radius[c] ? mean[c] : v;
}

extern "C" __global__ void NAMED(mean_sparse_pullback)(const Real* x, const Real* g, const float* mean,
                                                       const float* radius, Real* gx, Size total,
                                                       int channels, int add) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    put(gx, i, fabsf(x[i] - mean[c]) < radius[c] ? 0.0f : (float)g[i], add);
}

// x + constant, which has `length` numbers for every image.
extern "C" __global__ void NAMED(add_constant)(const Real* x, const float* constant, Real* y, Size total,
                                               int length) {
    Size i = thread();
    if (i < total) y[i] = x[i] + constant[i % length];
}
