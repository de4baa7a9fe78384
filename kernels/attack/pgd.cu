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
        float step = (float)((double)alpha / (length + 1e-12));
        EACH(i, width) next[i] = x[i] + step * g[i];
        // A thread reads what it has written itself.
        double distance = euclidean(width, [&](int i) { return (double)next[i] - (double)x0[i]; });
        float shrink = (float)((double)eps / distance);
        EACH(i, width) {
            float v = next[i];
            next[i] = to_box(distance > (double)eps ? x0[i] + (v - x0[i]) * shrink : v);
        }
        return;
    }
    // The coordinates with the largest gradient, of those that the box does not stop.
    auto bits = [&](int i) {
        int useful = (g[i] > 0.0f && x[i] < 1.0f) || (g[i] < 0.0f && x[i] > 0.0f);
        return useful ? size_bits(g[i]) : 0u;
    };
    int useful = count_of(width, [&](int i) { return bits(i) > 0; });
    int moved = (int)ceil((double)width * 0.01);
    if (moved > useful) moved = useful;
    if (moved < 1) moved = 1;
    unsigned int least = useful > 0 ? bits_of_rank(width, moved, bits) : 0xffffffffu;
    int above = count_of(width, [&](int i) { return bits(i) > least; });
    int last = place_of_rank(width, moved - above, [&](int i) { return bits(i) == least; });
    float step = alpha / (float)moved;
    EACH(i, width) {
        int moves = bits(i) > least || (bits(i) == least && i <= last);
        next[i] = moves ? x[i] + copysignf(step, g[i]) : x[i];
    }
    project_l1(next, x0, width, eps);
}
