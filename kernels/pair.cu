// Functions of two numbers at the same place, and products of matrices. The numbers of the functions are those
// of crates/engine/src/nn/operation/pairwise.rs.
#include "common.cuh"

enum { OF_PRODUCT = 0, OF_QUOTIENT = 1, OF_LARGER = 2, OF_SMALLER = 3, OF_POWER = 4, OF_MASKED = 6 };

extern "C" __global__ void NAMED(pair)(int kind, const Real* first, const Real* second, Real* y, Size total) {
    Size i = thread();
    if (i >= total) return;
    float a = first[i], b = second[i], v;
    switch (kind) {
        case OF_PRODUCT: v = a * b; break;
        case OF_QUOTIENT: v = a / b; break;
        case OF_LARGER: v = a > b || a != a ? a : b; break;
        case OF_SMALLER: v = a < b || a != a ? a : b; break;
        case OF_POWER: v = powf(a, b); break;
        case OF_MASKED: v = b != 0.0f ? a : 0.0f; break;
        default: v = a - b;
    }
    y[i] = v;
}

// What part of the larger number's cotangent is a's.
static __device__ __forceinline__ float share(float a, float b) { return a > b ? 1.0f : a == b ? 0.5f : 0.0f; }

// The cotangent of the first or the second number.
extern "C" __global__ void NAMED(pair_pullback)(int kind, int of_second, const Real* first,
                                                const Real* second, const Real* g, Real* gx, Size total,
                                                int add) {
    Size i = thread();
    if (i >= total) return;
    float a = first[i], b = second[i], slope;
    switch (kind) {
        case OF_PRODUCT: slope = of_second ? a : b; break;
        case OF_QUOTIENT: slope = of_second ? -a / (b * b) : 1.0f / b; break;
        case OF_LARGER: slope = of_second ? share(b, a) : share(a, b); break;
        case OF_SMALLER: slope = of_second ? share(a, b) : share(b, a); break;
        case OF_POWER:
            if (of_second)
                slope = a == 0.0f && b >= 0.0f ? 0.0f : powf(a, b) * logf(a);
            else
                slope = b == 0.0f ? 0.0f : b * powf(a, b - 1.0f);
            break;
        case OF_MASKED: slope = !of_second && b != 0.0f ? 1.0f : 0.0f; break;
        default: slope = of_second ? -1.0f : 1.0f;
    }
    put(gx, i, g[i] * slope, add);
}

// Matrices [rows, depth] times matrices [depth, columns], one behind the other; how far apart the rows and the
// columns of a factor are says whether it is transposed.
extern "C" __global__ void NAMED(matrices)(const Real* a, const Real* b, Real* y, Size total, int rows,
                                           int depth, int columns, int a_row, int a_column, int b_row,
                                           int b_column, int add) {
    Size i = thread();
    if (i >= total) return;
    Size row = i / columns, which = row / rows;
    a += which * rows * depth + row % rows * a_row;
    b += which * depth * columns + i % columns * b_column;
    float v = 0.0f;
    for (int k = 0; k < depth; k++) v += a[(Size)k * a_column] * b[(Size)k * b_row];
    put(y, i, v, add);
}
