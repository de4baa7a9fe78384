// Square: the starts and changes of its random search (crates/methods/src/attack/square has the sources).
#include "step.cuh"

enum { SQUARE_LINF = 0, SQUARE_L2 = 1, SQUARE_L1 = 2 };

#define SQUARE_TINY 1e-12f

// 1 or -1 by a number in [0, 1), and 0 for its exact middle.
static __device__ __forceinline__ float sign_of(float uniform) { return sign(2.0f * uniform - 1.0f); }

extern "C" __global__ void square_signs(float* signs, const float* uniform, int width) {
    EACH(i, width) mine(signs, width)[i] = sign_of(mine(uniform, width)[i]);
}

// A sign for each channel and column.
extern "C" __global__ void square_stripes(float* x, const float* x0, const float* signs, int width,
                                          int pixels, int columns, float eps) {
    signs += row() * (width / pixels * columns);
    x = mine(x, width);
    x0 = mine(x0, width);
    EACH(i, width) x[i] = to_box(x0[i] + eps * signs[i / pixels * columns + i % columns]);
}

// Where a window of `side` begins along an axis of `length`; without `all` never at the last place.
static __device__ __forceinline__ int place_of(float uniform, int side, int length, int all) {
    int at = (int)(uniform * (float)(length - side + (all ? 1 : 0)));
    return at < length - side ? at : length - side;
}

// `numbers` are top, left and a sign for each channel.
extern "C" __global__ void square_linf(float* x, const float* best, const float* x0,
                                       const float* numbers, int width, int channels, int h, int w,
                                       int side, int all, float eps) {
    numbers = mine(numbers, 2 + channels);
    int top = place_of(numbers[0], side, h, all), left = place_of(numbers[1], side, w, all);
    x = mine(x, width);
    best = mine(best, width);
    x0 = mine(x0, width);
    EACH(i, width) {
        int y = i / w % h - top, at = i % w - left;
        float v = best[i];
        if (y >= 0 && y < side && at >= 0 && at < side) {
            v += 2.0f * eps * sign_of(numbers[2 + i / w / h]);
            v = to_box(clamp(v, x0[i] - eps, x0[i] + eps));
        }
        x[i] = v;
    }
}

static __device__ float length_from(int norm, double sum) {
    return (float)(norm == SQUARE_L1 ? sum : sqrt(sum));
}

static __device__ __forceinline__ double term(int norm, float v) {
    return norm == SQUARE_L1 ? fabs((double)v) : (double)v * (double)v;
}

// The perturbation of two windows gathered in the first, with what is left of eps. `numbers` are top and
// left of both and which way the bump is turned; `shape` is the bump, one for all rows.
extern "C" __global__ void square_gather(float* x, const float* best, const float* x0,
                                         const float* numbers, const float* signs, const float* shape,
                                         int width, int channels, int h, int w, int side, int all,
                                         int norm, float eps) {
    numbers = mine(numbers, 5);
    signs = mine(signs, channels);
    x = mine(x, width);
    best = mine(best, width);
    x0 = mine(x0, width);
    int to_top = place_of(numbers[0], side, h, all), to_left = place_of(numbers[1], side, w, all);
    int from_top = place_of(numbers[2], side, h, all), from_left = place_of(numbers[3], side, w, all);
    int turned = numbers[4] > 0.5f;
    auto within = [&](int i, int top, int left) {
        int y = i / w % h - top, at = i % w - left;
        return y >= 0 && y < side && at >= 0 && at < side;
    };
    double used = 0.0;
    EACH(i, width) {
        x[i] = best[i] - x0[i];
        used += term(norm, x[i]);
    }
    float length = length_from(norm, block_sum(used));
    float left = norm == SQUARE_L1 ? eps - length : eps * eps - length * length;
    left = (left > 0.0f ? left : 0.0f) / (float)channels;
    int pixels = h * w;
    for (int c = 0; c < channels; c++) {
        float* delta = x + c * pixels;
        double old_sum = 0.0, both_sum = 0.0, new_sum = 0.0;
        // Every thread keeps to its own elements of the image throughout.
        EACH(i, width) {
            if (i / pixels != c) continue;
            int to = within(i, to_top, to_left);
            double one = term(norm, x[i]);
            if (to) old_sum += one;
            if (to || within(i, from_top, from_left)) both_sum += one;
        }
        float old = length_from(norm, block_sum(old_sum));
        float budget = length_from(norm, block_sum(both_sum));
        EACH(i, width) {
            if (i / pixels != c) continue;
            float* v = delta + i % pixels;
            if (within(i, to_top, to_left)) {
                int y = i / w % h - to_top, at = i % w - to_left;
                float bump = signs[c] * shape[turned ? at * side + y : y * side + at];
                *v = bump + *v / (SQUARE_TINY + old);
                new_sum += term(norm, *v);
            } else if (within(i, from_top, from_left)) {
                *v = 0.0f;
            }
        }
        float now = length_from(norm, block_sum(new_sum));
        float scale = norm == SQUARE_L1 ? (left + budget) * (float)channels
                                        : sqrtf(left + budget * budget);
        EACH(i, width)
            if (i / pixels == c && within(i, to_top, to_left))
                delta[i % pixels] = delta[i % pixels] / (SQUARE_TINY + now) * scale;
    }
    // Into the ball: on its surface, except where the box stops it.
    if (norm == SQUARE_L1) {
        double inside = (double)(float)((double)eps * (1.0 - 1e-6));
        float amount = shrinkage(x0, width, inside, [&](int i) { return x[i]; });
        EACH(i, width) x[i] = to_box(x0[i] + (x[i] + correction(x0[i], x[i], amount)));
        return;
    }
    double sum = 0.0;
    EACH(i, width) sum += term(norm, x[i]);
    float whole = length_from(norm, block_sum(sum)) + SQUARE_TINY;
    EACH(i, width) x[i] = to_box(x0[i] + x[i] / whole * eps);
}

// The larger of two losses; a NaN loses.
extern "C" __global__ void larger(float* y, const float* a, const float* b, int) {
    if (threadIdx.x == 0) y[row()] = fmaxf(a[row()], b[row()]);
}

// What has the larger loss is kept: a row and its loss.
extern "C" __global__ void keep_larger(float* best, float* losses, const float* candidate,
                                       const float* reached, int width) {
    int better = reached[row()] > losses[row()];
    __syncthreads();
    if (!better) return;
    if (threadIdx.x == 0) losses[row()] = reached[row()];
    EACH(i, width) mine(best, width)[i] = mine(candidate, width)[i];
}
