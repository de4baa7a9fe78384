// Functions of a row of numbers and their pullbacks, a thread per row, sums in f64.
#include "common.cuh"

// (x - mean) / sqrt(variance + eps) * weight + bias, rows of `length`.
extern "C" __global__ void NAMED(layer_norm)(const Real* x, const float* weight, const float* bias,
                                             Real* y, Size rows, int length, double eps) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    y += row * length;
    double mean = 0.0, variance = 0.0;
    for (int i = 0; i < length; i++) mean += x[i];
    mean /= length;
    for (int i = 0; i < length; i++) variance += (x[i] - mean) * (x[i] - mean);
    double inverse = 1.0 / sqrt(variance / length + eps);
    for (int i = 0; i < length; i++)
        y[i] = (float)((x[i] - mean) * inverse * weight[i] + bias[i]);
}

extern "C" __global__ void NAMED(layer_norm_pullback)(const Real* x, const Real* g, const float* weight,
                                                      Real* gx, Size rows, int length, double eps,
                                                      int add) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    g += row * length;
    gx += row * length;
    double mean = 0.0, variance = 0.0, of_mean = 0.0, of_std = 0.0;
    for (int i = 0; i < length; i++) mean += x[i];
    mean /= length;
    for (int i = 0; i < length; i++) variance += (x[i] - mean) * (x[i] - mean);
    double inverse = 1.0 / sqrt(variance / length + eps);
    for (int i = 0; i < length; i++) {
        double scaled = (double)g[i] * weight[i];
        of_mean += scaled;
        of_std += scaled * (x[i] - mean) * inverse;
    }
    of_mean /= length;
    of_std /= length;
    for (int i = 0; i < length; i++) {
        double scaled = (double)g[i] * weight[i], normal = (x[i] - mean) * inverse;
        put(gx, i, (float)(inverse * (scaled - of_mean - normal * of_std)), add);
    }
}

// Mean of a row and its standard deviation (of a sample), which is at least 1 / sqrt(length); whether
// it is that bound.
static __device__ int moments(const Real* x, int length, double* mean, double* deviation) {
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < length; i++) sum += x[i];
    *mean = sum / length;
    for (int i = 0; i < length; i++) squares += (x[i] - *mean) * (x[i] - *mean);
    *deviation = sqrt(squares / (length - 1.0));
    double least = 1.0 / sqrt((double)length);
    if (*deviation > least) return 0;
    *deviation = least;
    return 1;
}

extern "C" __global__ void NAMED(standardise)(const Real* x, Real* y, Size rows, int length) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    y += row * length;
    double mean, deviation;
    moments(x, length, &mean, &deviation);
    for (int i = 0; i < length; i++) y[i] = (float)((x[i] - mean) / deviation);
}

extern "C" __global__ void NAMED(standardise_pullback)(const Real* x, const Real* g, Real* gx, Size rows,
                                                       int length, int add) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    g += row * length;
    gx += row * length;
    double mean, deviation, mean_g = 0.0, along = 0.0;
    int bounded = moments(x, length, &mean, &deviation);
    for (int i = 0; i < length; i++) {
        mean_g += g[i];
        along += g[i] * (x[i] - mean);
    }
    mean_g /= length;
    double slope = bounded ? 0.0 : along / ((length - 1.0) * deviation * deviation * deviation);
    for (int i = 0; i < length; i++)
        put(gx, i, (float)((g[i] - mean_g) / deviation - (x[i] - mean) * slope), add);
}

// Shorter vectors are divided by this, as in published frameworks.
static const double SHORTEST = 1e-12;

extern "C" __global__ void NAMED(unit_length)(const Real* x, Real* y, Size rows, int length) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    y += row * length;
    double squares = 0.0;
    for (int i = 0; i < length; i++) squares += (double)x[i] * x[i];
    double divisor = fmax(sqrt(squares), SHORTEST);
    for (int i = 0; i < length; i++) y[i] = (float)(x[i] / divisor);
}

extern "C" __global__ void NAMED(unit_length_pullback)(const Real* x, const Real* g, Real* gx, Size rows,
                                                       int length, int add) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    g += row * length;
    gx += row * length;
    double squares = 0.0, along = 0.0;
    for (int i = 0; i < length; i++) {
        squares += (double)x[i] * x[i];
        along += (double)g[i] * x[i];
    }
    double norm = sqrt(squares);
    double slope = norm > SHORTEST ? along / (norm * norm * norm) : 0.0;
    for (int i = 0; i < length; i++)
        put(gx, i, (float)(g[i] / fmax(norm, SHORTEST) - x[i] * slope), add);
}

extern "C" __global__ void NAMED(softmax)(const Real* x, Real* y, Size rows, int length) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    y += row * length;
    double most = x[0], total = 0.0;
    for (int i = 1; i < length; i++) most = fmax(most, (double)x[i]);
    for (int i = 0; i < length; i++) total += exp(x[i] - most);
    for (int i = 0; i < length; i++) y[i] = (float)(exp(x[i] - most) / total);
}

extern "C" __global__ void NAMED(softmax_pullback)(const Real* x, const Real* g, Real* gx, Size rows,
                                                   int length, int add) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    g += row * length;
    gx += row * length;
    double most = x[0], total = 0.0, mean = 0.0;
    for (int i = 1; i < length; i++) most = fmax(most, (double)x[i]);
    for (int i = 0; i < length; i++) {
        double power = exp(x[i] - most);
        total += power;
        mean += g[i] * power;
    }
    mean /= total;
    for (int i = 0; i < length; i++)
        put(gx, i, (float)(exp(x[i] - most) / total * (g[i] - mean)), add);
}
