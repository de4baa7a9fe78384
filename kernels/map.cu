// Functions of one number and their pullbacks at x. The numbers of the functions are those of `kind` in
// crates/engine/src/nn/operation: of the files of the first four, and of pointwise.rs.
#include "common.cuh"

enum {
    SILU = 0, GELU = 1, SIGMOID = 2, PSSILU = 3, ABS = 4, NEG = 5, EXP = 6, LOG = 7, SQRT = 8, RECIPROCAL = 9,
    TANH = 10, ERF = 11, SIGN = 12, FLOOR = 13, CEIL = 14, ROUND = 15, SIN = 16, COS = 17, SOFTPLUS = 18,
    SOFTSIGN = 19, MISH = 20, HARD_SWISH = 21, GELU_TANH = 22, CLIP = 23, LEAKY_RELU = 24, ELU = 25,
    CELU = 26, SELU = 27, HARD_SIGMOID = 28, POWER = 29, THRESHOLDED_RELU = 30, SWISH = 31
};

static __device__ __forceinline__ float sigmoid_of(float x) { return 1.0f / (1.0f + expf(-x)); }

static __device__ __forceinline__ float softplus_of(float x) {
    return (x > 0.0f ? x : 0.0f) + log1pf(expf(-fabsf(x)));
}

// NaN stays NaN.
static __device__ __forceinline__ float clipped(float x, float least, float most) {
    x = x < least ? least : x;
    return x > most ? most : x;
}

static __device__ __forceinline__ float sign_or_nan(float x) { return x > 0.0f ? 1.0f : x < 0.0f ? -1.0f : x; }

static __device__ __forceinline__ float power_of(float x, float p) {
    return p == 0.5f ? sqrtf(x) : p == 1.0f ? x : p == 2.0f ? x * x : p == 3.0f ? x * x * x : powf(x, p);
}

// The hyperbolic tangent inside of the approximation of GELU.
static __device__ __forceinline__ float gelu_tanh_of(float x) {
    return tanhf(0.79788456f * (x + 0.044715f * x * x * x));
}

static __device__ float value_of(int kind, float v, float alpha, float beta) {
    switch (kind) {
        case SILU: return v * sigmoid_of(v);
        case GELU: return v * 0.5f * erfcf(-v * 0.70710678f);
        case SIGMOID: return sigmoid_of(v);
        case PSSILU: return v * (sigmoid_of(alpha * v) - beta) / (1.0f - beta);
        case ABS: return fabsf(v);
        case NEG: return -v;
        case EXP: return expf(v);
        case LOG: return logf(v);
        case SQRT: return sqrtf(v);
        case RECIPROCAL: return 1.0f / v;
        case TANH: return tanhf(v);
        case ERF: return erff(v);
        case SIGN: return sign_or_nan(v);
        case FLOOR: return floorf(v);
        case CEIL: return ceilf(v);
        case ROUND: return rintf(v);
        case SIN: return sinf(v);
        case COS: return cosf(v);
        case SOFTPLUS: return softplus_of(v);
        case SOFTSIGN: return v / (1.0f + fabsf(v));
        case MISH: return v * tanhf(softplus_of(v));
        case HARD_SWISH: return v * clipped(v / 6.0f + 0.5f, 0.0f, 1.0f);
        case GELU_TANH: return 0.5f * v * (1.0f + gelu_tanh_of(v));
        case CLIP: return clipped(v, alpha, beta);
        case LEAKY_RELU: return v > 0.0f ? v : alpha * v;
        case ELU: return v > 0.0f ? v : alpha * expm1f(v);
        case CELU: return v > 0.0f ? v : alpha * expm1f(v / alpha);
        case SELU: return beta * (v > 0.0f ? v : alpha * expm1f(v));
        case HARD_SIGMOID: return clipped(alpha * v + beta, 0.0f, 1.0f);
        case POWER: return power_of(v, alpha);
        case THRESHOLDED_RELU: return v > alpha ? v : v * 0.0f;
        default: return v * sigmoid_of(alpha * v);
    }
}

static __device__ float slope_of(int kind, float v, float alpha, float beta) {
    switch (kind) {
        case SILU: {
            float s = sigmoid_of(v);
            return s * (1.0f + v * (1.0f - s));
        }
        case GELU: {
            float density = 0.39894228f * expf(-0.5f * v * v);
            return 0.5f * erfcf(-v * 0.70710678f) + v * density;
        }
        case SIGMOID: {
            float s = sigmoid_of(v);
            return s * (1.0f - s);
        }
        case PSSILU: {
            float s = sigmoid_of(alpha * v);
            return (s + alpha * v * s * (1.0f - s) - beta) / (1.0f - beta);
        }
        case ABS: return sign_or_nan(v);
        case NEG: return -1.0f;
        case EXP: return expf(v);
        case LOG: return 1.0f / v;
        // A vertical slope counts as 0, as on the CPU.
        case SQRT: return v == 0.0f ? 0.0f : 0.5f / sqrtf(v);
        case RECIPROCAL: return -1.0f / (v * v);
        case TANH: {
            float t = tanhf(v);
            return 1.0f - t * t;
        }
        case ERF: return 1.1283792f * expf(-v * v);
        case SIGN:
        case FLOOR:
        case CEIL:
        case ROUND: return 0.0f;
        case SIN: return cosf(v);
        case COS: return -sinf(v);
        case SOFTPLUS: return sigmoid_of(v);
        case SOFTSIGN: {
            float s = 1.0f / (1.0f + fabsf(v));
            return s * s;
        }
        case MISH: {
            float t = tanhf(softplus_of(v));
            return t + v * (1.0f - t * t) * sigmoid_of(v);
        }
        case HARD_SWISH: return v <= -3.0f ? 0.0f : v >= 3.0f ? 1.0f : v / 3.0f + 0.5f;
        case GELU_TANH: {
            float t = gelu_tanh_of(v), inner = 0.79788456f * (1.0f + 0.134145f * v * v);
            return 0.5f * (1.0f + t) + 0.5f * v * (1.0f - t * t) * inner;
        }
        case CLIP:
            // One of the bounds is infinite.
            if (alpha - alpha != 0.0f || beta - beta != 0.0f) return v >= alpha && v <= beta ? 1.0f : 0.0f;
            return v > alpha && v < beta ? 1.0f : 0.0f;
        case LEAKY_RELU: return v > 0.0f ? 1.0f : alpha;
        case ELU: return v > 0.0f ? 1.0f : alpha * expf(v);
        case CELU: return v > 0.0f ? 1.0f : expf(v / alpha);
        case SELU: return beta * (v > 0.0f ? 1.0f : alpha * expf(v));
        case HARD_SIGMOID: {
            float inner = alpha * v + beta;
            return inner > 0.0f && inner < 1.0f ? alpha : 0.0f;
        }
        case POWER:
            if (alpha == 0.0f || (v == 0.0f && alpha > 0.0f && alpha < 1.0f)) return 0.0f;
            return alpha * power_of(v, alpha - 1.0f);
        case THRESHOLDED_RELU: return v > alpha ? 1.0f : 0.0f;
        default: {
            float s = sigmoid_of(alpha * v);
            return s + alpha * v * s * (1.0f - s);
        }
    }
}

extern "C" __global__ void NAMED(map)(int kind, const Real* x, Real* y, Size total, float alpha,
                                      float beta) {
    Size i = thread();
    if (i < total) y[i] = value_of(kind, x[i], alpha, beta);
}

extern "C" __global__ void NAMED(map_pullback)(int kind, const Real* x, const Real* g, Real* gx,
                                               Size total, float alpha, float beta, int add) {
    Size i = thread();
    if (i < total) put(gx, i, g[i] * slope_of(kind, x[i], alpha, beta), add);
}
