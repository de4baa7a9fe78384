// A step of PGD: along the gradient, then back into the ball and the box (crates/methods/src/threat has the sources).
#include "step.cuh"

enum { OF_LINF = 0, OF_L2 = 1, OF_L1 = 2 };

// The closest point of the L1 ball to v: Newton's method on how much every change has to lose.
static __device__ void project_l1(float* v, const float* x0, int width, double eps) {
    EACH(i, width) v[i] = to_box(v[i]);
    auto size = [&](int i) { return fabs((double)v[i] - (double)x0[i]); };
    double total = 0.0;
    EACH(i, width) total += size(i);
    if (block_sum(total) <= eps) return;
    double threshold = 0.0;
    for (;;) {
        double above = 0.0, count = 0.0;
        EACH(i, width) if (size(i) > threshold) {
            above += size(i);
            count += 1.0;
        }
        above = block_sum(above);
        count = block_sum(count);
        double next = (above - eps) / count;
        if (!(next > threshold)) break;
        threshold = next;
    }
    __syncthreads();
    EACH(i, width) {
        double change = (double)v[i] - (double)x0[i];
        double kept = fabs(change) - threshold;
        v[i] = kept > 0.0 ? to_box((float)((double)x0[i] + copysign(kept, change))) : x0[i];
    }
}

extern "C" __global__ void pgd_step(float* next, const float* x, const float* g, const float* x0,
                                    int width, int norm, float alpha, float eps) {
    next = mine(next, width);
    x = mine(x, width);
    g = mine(g, width);
    x0 = mine(x0, width);
    if (norm == OF_LINF) {
        EACH(i, width) {
            float v = g[i] > 0.0f ? x[i] + alpha : g[i] < 0.0f ? x[i] - alpha : x[i];
            next[i] = to_box(clamp(v, x0[i] - eps, x0[i] + eps));
        }
        return;
    }
    if (norm == OF_L2) {
        double length = euclidean(width, [&](int i) { return (double)g[i]; });
        double step = length > 0.0 ? (double)alpha / length : 0.0;
        EACH(i, width) next[i] = x[i] + (float)(step * (double)g[i]);
        // A thread reads what it has written itself.
        double distance = euclidean(width, [&](int i) { return (double)next[i] - (double)x0[i]; });
        float shrink = (float)((double)eps / distance);
        EACH(i, width) {
            float v = next[i];
            next[i] = to_box(distance > (double)eps ? x0[i] + (v - x0[i]) * shrink : v);
        }
        return;
    }
    // The coordinates with the largest gradient, of those that the box does not stop, each by its share of the
    // step or as far as the box lets it, until the step is spent.
    auto bits = [&](int i) {
        int useful = (g[i] > 0.0f && x[i] < 1.0f) || (g[i] < 0.0f && x[i] > 0.0f);
        return useful ? size_bits(g[i]) : 0u;
    };
    int useful = count_of(width, [&](int i) { return bits(i) > 0; });
    int moved = (int)ceil((double)width * 0.01);
    if (moved > useful) moved = useful;
    if (moved < 1) moved = 1;
    double share = (double)alpha / (double)moved;
    // What is left of the step below a part of a share is rounding.
    double goal = (double)alpha - 1e-6 * share;
    auto most = [&](int i) {
        double room = g[i] > 0.0f ? (double)(1.0f - x[i]) : (double)x[i];
        return room < share ? room : share;
    };
    // How much the elements whose bits are at least `key` can spend, and of those with just these bits the ones
    // before `place`.
    auto spent = [&](unsigned int key, unsigned int same, int place) {
        double sum = 0.0;
        EACH(i, width) {
            unsigned int own = bits(i);
            if (own > 0 && (own >= key || (own == same && i < place))) sum += most(i);
        }
        return block_sum(sum);
    };
    unsigned int least = 0;
    for (unsigned int step = 0x40000000u; step > 0; step /= 2)
        if (spent(least | step, 0u, 0) >= goal) least |= step;
    // The first place at which the step is spent; without one, all of the elements move.
    int low = 0, high = width - 1;
    while (least > 0 && low < high) {
        int middle = low + (high - low) / 2;
        if (spent(least + 1, least, middle + 1) >= goal) high = middle;
        else low = middle + 1;
    }
    double rest = (double)alpha - spent(least + 1, least, low);
    EACH(i, width) {
        unsigned int own = bits(i);
        double by = own == 0u || own < least ? 0.0 : most(i);
        if (least > 0 && own == least) by = i < low ? by : i > low ? 0.0 : by < rest ? by : rest;
        next[i] = by > 0.0 ? x[i] + copysignf((float)by, g[i]) : x[i];
    }
    project_l1(next, x0, width, eps);
}
