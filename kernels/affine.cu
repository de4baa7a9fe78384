// Scale and shift per channel, ReLU, and their pullbacks.
#include "common.cuh"

// (x - mean) / std.
extern "C" __global__ void normalise(const float* x, const float* mean, const float* std, float* y,
                                     Size total, int channels) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    y[i] = (x[i] - mean[c]) / std[c];
}

// x * scale + shift, either of which may be absent, then max(., 0) with `relu`. Eight elements per
// thread, whose signs make a byte of `bits` unless that is absent. y may be x.
extern "C" __global__ void affine(const float* x, const float* scale, const float* shift, float* y,
                                  unsigned char* bits, Size total, int channels, int relu) {
    Size first = 8 * thread();
    if (first >= total) return;
    int count = total - first < 8 ? (int)(total - first) : 8;
    int c = first % channels;
    unsigned int positive = 0;
    for (int k = 0; k < count; k++) {
        float v = x[first + k];
        if (scale) v *= scale[c];
        if (shift) v += shift[c];
        // NaN stays NaN: a network that returns it is refused.
        if (relu && v < 0.0f) v = 0.0f;
        positive |= (unsigned int)(v > 0.0f) << k;
        y[first + k] = v;
        c = c + 1 == channels ? 0 : c + 1;
    }
    if (bits) bits[first / 8] = (unsigned char)positive;
}

// The bits of `affine` alone: which elements are above 0.
extern "C" __global__ void positive(const float* y, unsigned char* bits, Size total) {
    Size first = 8 * thread();
    if (first >= total) return;
    int count = total - first < 8 ? (int)(total - first) : 8;
    unsigned int positive = 0;
    for (int k = 0; k < count; k++) positive |= (unsigned int)(y[first + k] > 0.0f) << k;
    bits[first / 8] = (unsigned char)positive;
}

// g * scale where the bit is set; `scale` and `bits` may be absent. gx may be g.
extern "C" __global__ void affine_pullback(const float* g, const float* scale,
                                           const unsigned char* bits, float* gx, Size total,
                                           int channels, int add) {
    Size i = thread();
    if (i >= total) return;
    float v = g[i];
    if (bits && !((bits[i / 8] >> (i % 8)) & 1)) v = 0.0f;
    if (scale) v *= scale[i % channels];
    put(gx, i, v, add);
}

// x * factor.
extern "C" __global__ void scale(const float* x, float factor, float* y, Size total, int add) {
    Size i = thread();
    if (i < total) put(y, i, x[i] * factor, add);
}

// a + b.
extern "C" __global__ void sum(const float* a, const float* b, float* y, Size total) {
    Size i = thread();
    if (i < total) y[i] = a[i] + b[i];
}

// Values closer than `radius` to `mean` become `mean`.
extern "C" __global__ void mean_sparse(const float* x, const float* mean, const float* radius,
                                       float* y, Size total, int channels) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    y[i] = fabsf(x[i] - mean[c]) < radius[c] ? mean[c] : x[i];
}

extern "C" __global__ void mean_sparse_pullback(const float* x, const float* g, const float* mean,
                                                const float* radius, float* gx, Size total,
                                                int channels, int add) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    put(gx, i, fabsf(x[i] - mean[c]) < radius[c] ? 0.0f : g[i], add);
}

// x + constant, which has `length` numbers for every image.
extern "C" __global__ void add_constant(const float* x, const float* constant, float* y, Size total,
                                        int length) {
    Size i = thread();
    if (i < total) y[i] = x[i] + constant[i % length];
}
