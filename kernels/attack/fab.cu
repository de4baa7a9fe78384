// FAB: the way past the boundary of the linearised network and back (crates/methods/src/attack/fab has the sources).
#include "step.cuh"

enum { FAB_LINF = 0, FAB_L2 = 1, FAB_L1 = 2 };
enum { KEEP_FIRST = 0, KEEP_RUN = 1, KEEP_CLOSEST = 2 };

// Elements of smaller weight stay where they are; the largest 1 / |w| that is told apart.
#define SMALLEST 1e-8f
#define LARGEST_RECIPROCAL 1e12f

// How far x may go in the direction that takes slope * x down.
static __device__ __forceinline__ float room(float x, float slope) {
    return slope > 0.0f ? x : 1.0f - x;
}

static __device__ __forceinline__ float down(float by, float slope) { return slope > 0.0f ? -by : by; }

// The smallest move from x to the hyperplane inside the box, c = w . x - b away from it; where it does not
// meet the box, to the corner nearest to it. What it takes to say how far each element moves.
struct Move {
    int norm;
    float towards;
    // Linf and L2: the common amount. L1: elements of larger weight go all the way, the one at `last`
    // by `by`, of those whose reciprocal weight has the bits `key`.
    double lambda;
    unsigned int key;
    int last;
    float by;
};

static __device__ __forceinline__ unsigned int key_of(float w) {
    float reciprocal = 1.0f / fabsf(w);
    return __float_as_uint(reciprocal < LARGEST_RECIPROCAL ? reciprocal : LARGEST_RECIPROCAL);
}

static __device__ float moved(const Move& move, float x, float w, int i) {
    float slope = move.towards * w, most = room(x, slope);
    if (move.norm == FAB_LINF) {
        if (slope == 0.0f) return 0.0f;
        float amount = (float)move.lambda;
        return down(most < amount ? most : amount, slope);
    }
    if (!(fabsf(w) > SMALLEST)) return 0.0f;
    if (move.norm == FAB_L2) {
        float amount = (float)(move.lambda * (double)fabsf(w));
        return down(most < amount ? most : amount, slope);
    }
    unsigned int key = key_of(w);
    if (key < move.key || (key == move.key && i < move.last)) return down(most, slope);
    if (key == move.key && i == move.last) return down(most < move.by ? most : move.by, slope);
    return 0.0f;
}

// The lambda at which the sum of v min(lambda s, room) is `need`, by Newton's method from the left
// (crates/methods/src/attack/fab/projection/threshold.rs).
static __device__ double threshold(int norm, float towards, const float* x, const float* w, int width,
                                   double need) {
    auto weight = [&](int i) {
        double size = fabs((double)w[i]);
        return norm == FAB_L2 && !(size > (double)SMALLEST) ? 0.0 : size;
    };
    auto speed = [&](double v) { return norm == FAB_LINF ? 1.0 : v; };
    double reach = 0.0, slope = 0.0;
    EACH(i, width) {
        double v = weight(i);
        reach += v * (double)room(x[i], towards * w[i]);
        slope += v * speed(v);
    }
    reach = block_sum(reach);
    slope = block_sum(slope);
    if (need >= reach) return INFINITY;
    double lambda = need / slope;
    for (;;) {
        double stopped = 0.0;
        slope = 0.0;
        EACH(i, width) {
            double v = weight(i), s = speed(v), most = room(x[i], towards * w[i]);
            if (lambda * s >= most) stopped += v * most;
            else slope += v * s;
        }
        stopped = block_sum(stopped);
        slope = block_sum(slope);
        double next = (need - stopped) / slope;
        if (!(next > lambda && next <= 1.7976931348623157e308)) return lambda;
        lambda = next;
    }
}

static __device__ Move move_to(int norm, const float* x, const float* w, int width, double c) {
    Move move = {norm, c >= 0.0 ? 1.0f : -1.0f, 0.0, 0u, 0, 0.0f};
    double need = fabs(c);
    if (norm != FAB_L1) {
        move.lambda = threshold(norm, move.towards, x, w, width, need);
        return move;
    }
    // A fractional knapsack: elements in the order of their keys, then of their places, until the gain is
    // enough.
    auto gain = [&](int i) {
        return (double)fabsf(w[i]) * (double)room(x[i], move.towards * w[i]);
    };
    auto counts = [&](int i) { return fabsf(w[i]) > SMALLEST; };
    auto gained = [&](unsigned int key, int place) {
        double sum = 0.0;
        EACH(i, width) if (counts(i)) {
            unsigned int own = key_of(w[i]);
            if (own < key || (own == key && i < place)) sum += gain(i);
        }
        return block_sum(sum);
    };
    // The largest key before which the gain is not enough, then the same of places.
    unsigned int key = 0;
    for (unsigned int step = 0x40000000u; step > 0; step /= 2)
        if (gained(key | step, 0) < need) key |= step;
    int low = 0, high = width;
    while (low + 1 < high) {
        int middle = low + (high - low) / 2;
        if (gained(key, middle) < need) low = middle;
        else high = middle;
    }
    move.key = key;
    move.last = low;
    float size = fabsf(w[low]);
    move.by = (float)((need - gained(key, low)) / (double)size);
    // The element that the search ends on may be one that does not count; then all of the others go.
    if (!(counts(low) && key_of(w[low]) == key)) move.by = 0.0f;
    return move;
}

template <typename Value>
static __device__ double length_in(int norm, int width, Value v) {
    double local = 0.0;
    EACH(i, width) {
        double one = fabs((double)v(i));
        if (norm == FAB_LINF) local = fmax(local, one);
        else local += norm == FAB_L2 ? one * one : one;
    }
    if (norm == FAB_LINF) return block_max(local);
    double sum = block_sum(local);
    return norm == FAB_L2 ? sqrt(sum) : sum;
}

// Hyperplanes of small weights are written with larger ones (crates/methods/src/attack/fab/boundary.rs).
extern "C" __global__ void fab_enlarge(float* w, float* df, int width) {
    w = mine(w, width);
    double local = 0.0;
    EACH(i, width) local = fmax(local, fabs((double)w[i]));
    double largest = block_max(local);
    if (!(largest > 0.0 && (float)largest < 1e-6f)) return;
    EACH(i, width) w[i] = (float)((double)w[i] * (1.0 / largest));
    if (threadIdx.x == 0) df[row()] = (float)((double)df[row()] * (1.0 / largest));
}

// One step: past the boundary from x and from x0, and between the two.
extern "C" __global__ void fab_step(float* next, const float* x, const float* w, const float* df,
                                    const float* x0, int width, int norm, double alpha_max, float eta) {
    next = mine(next, width);
    x = mine(x, width);
    w = mine(w, width);
    x0 = mine(x0, width);
    double of_x = 0.0, of_x0 = 0.0;
    EACH(i, width) {
        of_x += (double)x[i] * (double)w[i];
        of_x0 += (double)x0[i] * (double)w[i];
    }
    double at_x = df[row()];
    double at_x0 = at_x + block_sum(of_x0) - block_sum(of_x);
    Move from_x = move_to(norm, x, w, width, at_x), from_x0 = move_to(norm, x0, w, width, at_x0);
    double a1 = length_in(norm, width, [&](int i) { return moved(from_x, x[i], w[i], i); });
    double a2 = length_in(norm, width, [&](int i) { return moved(from_x0, x0[i], w[i], i); });
    a1 = a1 > 1e-8 ? a1 : 1e-8;
    a2 = a2 > 1e-8 ? a2 : 1e-8;
    double share = a1 / (a1 + a2);
    float alpha = (float)(share < alpha_max ? share : alpha_max);
    EACH(i, width) {
        float there = x[i] + eta * moved(from_x, x[i], w[i], i);
        float back = x0[i] + eta * moved(from_x0, x0[i], w[i], i);
        next[i] = to_box(there * (1.0f - alpha) + back * alpha);
    }
}

// After an iteration: what is adversarial is remembered and stepped back from. `counts` says whether it
// may be proposed.
extern "C" __global__ void fab_judge(float* next, float* best, float* least, float* closest,
                                     float* counts, const float* x, const float* x0,
                                     const float* adversarial, int width, int norm, float beta,
                                     int keep, float eps) {
    if (adversarial[row()] == 0.0f) return;
    next = mine(next, width);
    best = mine(best, width);
    x = mine(x, width);
    x0 = mine(x0, width);
    float distance =
        (float)length_in(norm, width, [&](int i) { return (double)x[i] - (double)x0[i]; });
    int nearer = keep == KEEP_RUN && distance < least[row()];
    __syncthreads();
    if (threadIdx.x == 0) {
        if (distance < closest[row()]) closest[row()] = distance;
        if (nearer) least[row()] = distance;
        int finite = distance <= 3.402823466e38f;
        counts[row()] = (float)(finite && (keep == KEEP_CLOSEST || distance <= eps));
    }
    EACH(i, width) {
        if (nearer) best[i] = x[i];
        next[i] = x0[i] + (x[i] - x0[i]) * beta;
    }
}

// Distance of a boundary, by the length of its normal in `norm`.
extern "C" __global__ void fab_distance(float* distances, const float* w, const float* df, int,
                                        int width, int norm) {
    w = mine(w, width);
    double length = length_in(norm, width, [&](int i) { return w[i]; });
    if (threadIdx.x == 0) distances[row()] = (float)(fabs((double)df[row()]) / (1e-12 + length));
}

// 1 where a < b.
extern "C" __global__ void less(float* flags, const float* a, const float* b, int width) {
    EACH(i, width) mine(flags, width)[i] = (float)(mine(a, width)[i] < mine(b, width)[i]);
}
