// Auto-PGD: starts, steps and what a run remembers (crates/methods/src/attack/apgd has the sources).
#include "step.cuh"

#define TINY 1e-12f

// Pulls v, which is x0 + y, into the L1 ball and the box.
template <typename Change>
static __device__ void pull_l1(float* v, const float* x0, int width, double eps, Change y) {
    float amount = shrinkage(x0, width, eps, y);
    EACH(i, width) v[i] = to_box(v[i] + correction(x0[i], y(i), amount));
}

// Pulls v into the L2 ball, then into the box.
static __device__ void pull_l2(float* v, const float* x0, int width, float eps) {
    float length = (float)euclidean(width, [&](int i) { return (double)(v[i] - x0[i]); });
    EACH(i, width)
        v[i] = to_box(x0[i] + (v[i] - x0[i]) / (length + TINY) * (eps < length ? eps : length));
}

extern "C" __global__ void apgd_start(float* x, const float* x0, const float* t, int width, int norm,
                                      float eps) {
    x = mine(x, width);
    x0 = mine(x0, width);
    t = mine(t, width);
    if (norm == 0) {
        float local = 0.0f;
        EACH(i, width) local = fmaxf(local, fabsf(2.0f * t[i] - 1.0f));
        float largest = (float)block_max(local);
        EACH(i, width) x[i] = to_box(x0[i] + eps * ((2.0f * t[i] - 1.0f) / (largest + TINY)));
    } else if (norm == 1) {
        float length = (float)euclidean(width, [&](int i) { return (double)t[i]; });
        EACH(i, width) x[i] = to_box(x0[i] + eps * (t[i] / (length + TINY)));
    } else {
        EACH(i, width) x[i] = x0[i] + t[i];
        pull_l1(x, x0, width, eps, [&](int i) { return t[i]; });
    }
}

// Pulls x into the L1 ball and the box.
extern "C" __global__ void apgd_pull_l1(float* y, const float* x0, const float* x, int width,
                                        float eps) {
    y = mine(y, width);
    x0 = mine(x0, width);
    x = mine(x, width);
    EACH(i, width) y[i] = x[i];
    pull_l1(y, x0, width, eps, [&](int i) { return x[i] - x0[i]; });
}

// A step from x, with the step before from x_old, and weight a for the new one. L1: along the `share` of
// the elements with the largest gradient.
extern "C" __global__ void apgd_step(float* next, const float* x, const float* x_old, const float* g,
                                     const float* x0, const float* steps, const float* shares,
                                     int width, int norm, float eps, float a) {
    next = mine(next, width);
    x = mine(x, width);
    x_old = mine(x_old, width);
    g = mine(g, width);
    x0 = mine(x0, width);
    float step = steps[row()];
    if (norm == 0) {
        EACH(i, width) {
            float low = x0[i] - eps, high = x0[i] + eps;
            float z = to_box(clamp(x[i] + step * sign(g[i]), low, high));
            next[i] = to_box(clamp(x[i] + (z - x[i]) * a + (x[i] - x_old[i]) * (1.0f - a), low, high));
        }
    } else if (norm == 1) {
        float length = (float)euclidean(width, [&](int i) { return (double)g[i]; });
        // A short gradient has a direction too.
        float by = length > 1e3f * TINY ? length + TINY : length > 1.4e-45f ? length : 1.4e-45f;
        EACH(i, width) next[i] = x[i] + step * (g[i] / by);
        pull_l2(next, x0, width, eps);
        EACH(i, width) next[i] = x[i] + (next[i] - x[i]) * a + (x[i] - x_old[i]) * (1.0f - a);
        pull_l2(next, x0, width, eps);
    } else {
        float rank = (1.0f - shares[row()]) * (float)width;
        rank = clamp(rank, 0.0f, (float)(width - 1));
        unsigned int threshold =
            bits_of_rank(width, width - (int)rank, [&](int i) { return size_bits(g[i]); });
        auto direction = [&](int i) { return size_bits(g[i]) >= threshold ? sign(g[i]) : 0.0f; };
        float moved = (float)count_of(width, [&](int i) { return direction(i) != 0.0f; });
        auto change = [&](int i) {
            return x[i] + step * direction(i) / (moved + 1e-10f) - x0[i];
        };
        EACH(i, width) next[i] = x0[i] + change(i);
        pull_l1(next, x0, width, eps, change);
    }
}

// What a run remembers after an evaluation: the loss, and the point of the largest one.
extern "C" __global__ void apgd_record(float* x_best, float* g_best, float* loss_best, float* losses,
                                       const float* x, const float* g, const float* loss, int width,
                                       int iterations, int iteration) {
    float reached = loss[row()];
    int better = reached > loss_best[row()];
    __syncthreads();
    if (threadIdx.x == 0) {
        mine(losses, iterations)[iteration] = reached;
        if (better) loss_best[row()] = reached;
    }
    if (!better) return;
    x_best = mine(x_best, width);
    g_best = mine(g_best, width);
    x = mine(x, width);
    g = mine(g, width);
    EACH(i, width) {
        x_best[i] = x[i];
        g_best[i] = g[i];
    }
}

// The rows of `yes` where `which` is not 0, of `no` elsewhere.
extern "C" __global__ void choose(float* y, const float* yes, const float* no, const float* which,
                                  int width) {
    const float* from = mine(which[row()] != 0.0f ? yes : no, width);
    y = mine(y, width);
    EACH(i, width) y[i] = from[i];
}

// Number of elements in which a row differs from the clean image.
extern "C" __global__ void changed_elements(float* counts, const float* x, const float* x0, int,
                                            int width) {
    x = mine(x, width);
    x0 = mine(x0, width);
    int changed = count_of(width, [&](int i) { return x[i] != x0[i]; });
    if (threadIdx.x == 0) counts[row()] = (float)changed;
}

// a + b, times factor.
extern "C" __global__ void add_rows(float* y, const float* a, const float* b, int width,
                                    float factor) {
    y = mine(y, width);
    a = mine(a, width);
    b = mine(b, width);
    EACH(i, width) y[i] = (a[i] + b[i]) * factor;
}
