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

// ln(sum(e^x)) of a row.
static __device__ double log_sum_exp(const Real* x, int length) {
    double most = x[0], total = 0.0;
    for (int i = 1; i < length; i++) most = fmax(most, (double)x[i]);
    // It is not finite.
    if (most - most != 0.0) return most;
    for (int i = 0; i < length; i++) total += exp(x[i] - most);
    return most + log(total);
}

extern "C" __global__ void NAMED(log_softmax)(const Real* x, Real* y, Size rows, int length) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    y += row * length;
    double total = log_sum_exp(x, length);
    for (int i = 0; i < length; i++) y[i] = (float)(x[i] - total);
}

extern "C" __global__ void NAMED(log_softmax_pullback)(const Real* x, const Real* g, Real* gx, Size rows,
                                                       int length, int add) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    g += row * length;
    gx += row * length;
    double total = log_sum_exp(x, length), sum = 0.0;
    for (int i = 0; i < length; i++) sum += g[i];
    for (int i = 0; i < length; i++) put(gx, i, (float)(g[i] - sum * exp(x[i] - total)), add);
}

// A row as one number. The numbers are those of crates/engine/src/nn/operation/reduce.rs.
enum {
    ROW_SUM = 0, ROW_MEAN = 1, ROW_MAXIMUM = 2, ROW_MINIMUM = 3, ROW_L1_NORM = 4, ROW_L2_NORM = 5,
    ROW_LOG_SUM_EXP = 6
};

static __device__ double reduced(int kind, const Real* x, int length) {
    if (kind == ROW_LOG_SUM_EXP) return log_sum_exp(x, length);
    double v = kind > ROW_LOG_SUM_EXP ? 1.0 : 0.0;
    if (kind == ROW_MAXIMUM || kind == ROW_MINIMUM) v = x[0];
    for (int i = 0; i < length; i++) {
        double at = x[i];
        switch (kind) {
            case ROW_SUM:
            case ROW_MEAN: v += at; break;
            case ROW_MAXIMUM: v = at > v || at != at ? at : v; break;
            case ROW_MINIMUM: v = at < v || at != at ? at : v; break;
            case ROW_L1_NORM: v += fabs(at); break;
            case ROW_L2_NORM: v += at * at; break;
            default: v *= at;
        }
    }
    return kind == ROW_MEAN ? v / length : kind == ROW_L2_NORM ? sqrt(v) : v;
}

extern "C" __global__ void NAMED(reduce)(int kind, const Real* x, Real* y, Size rows, int length) {
    Size row = thread();
    if (row < rows) y[row] = (float)reduced(kind, x + row * length, length);
}

extern "C" __global__ void NAMED(reduce_pullback)(int kind, const Real* x, const Real* g, Real* gx, Size rows,
                                                  int length, int add) {
    Size row = thread();
    if (row >= rows) return;
    x += row * length;
    gx += row * length;
    double of_row = g[row], value = reduced(kind, x, length), equal = 0.0;
    for (int i = 0; i < length; i++) equal += x[i] == value;
    for (int i = 0; i < length; i++) {
        double at = x[i], slope;
        switch (kind) {
            case ROW_SUM: slope = 1.0; break;
            case ROW_MEAN: slope = 1.0 / length; break;
            case ROW_MAXIMUM:
            case ROW_MINIMUM: slope = at == value ? 1.0 / equal : 0.0; break;
            case ROW_L1_NORM: slope = at > 0.0 ? 1.0 : at < 0.0 ? -1.0 : at; break;
            case ROW_L2_NORM: slope = value == 0.0 ? 0.0 : at / value; break;
            case ROW_LOG_SUM_EXP: slope = exp(at - value); break;
            default:
                slope = 1.0;
                for (int k = 0; k < length; k++) slope *= k == i ? 1.0 : (double)x[k];
        }
        put(gx, i, (float)(of_row * slope), add);
    }
}
