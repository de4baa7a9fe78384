// Smooth functions of one number and their pullbacks at x. The numbers of the functions are those of
// `kind` in src/cuda/form.rs.
#include "common.cuh"

enum { SILU = 0, GELU = 1, SIGMOID = 2, PSSILU = 3 };

static __device__ __forceinline__ float sigmoid_of(float x) { return 1.0f / (1.0f + expf(-x)); }

extern "C" __global__ void NAMED(map)(int kind, const Real* x, Real* y, Size total, float alpha,
                                      float beta) {
    Size i = thread();
    if (i >= total) return;
    float v = x[i];
    switch (kind) {
        case SILU: v = v * sigmoid_of(v); break;
        case GELU: v = v * 0.5f * erfcf(-v * 0.70710678f); break;
        case SIGMOID: v = sigmoid_of(v); break;
        default: v = v * (sigmoid_of(alpha * v) - beta) / (1.0f - beta);
    }
    y[i] = v;
}

extern "C" __global__ void NAMED(map_pullback)(int kind, const Real* x, const Real* g, Real* gx,
                                               Size total, float alpha, float beta, int add) {
    Size i = thread();
    if (i >= total) return;
    float v = x[i], slope;
    if (kind == SILU) {
        float s = sigmoid_of(v);
        slope = s * (1.0f + v * (1.0f - s));
    } else if (kind == GELU) {
        float density = 0.39894228f * expf(-0.5f * v * v);
        slope = 0.5f * erfcf(-v * 0.70710678f) + v * density;
    } else if (kind == SIGMOID) {
        float s = sigmoid_of(v);
        slope = s * (1.0f - s);
    } else {
        float s = sigmoid_of(alpha * v);
        slope = (s + alpha * v * s * (1.0f - s) - beta) / (1.0f - beta);
    }
    put(gx, i, g[i] * slope, add);
}
