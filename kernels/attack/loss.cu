// What attacks climb: losses of logits with their gradients (crates/engine/src/loss.rs has the formulas and sources).
#include "rows.cuh"

// Numbers of the losses, as crates/engine/src/loss.rs has them.
enum { CROSS_ENTROPY = 0, MARGIN = 1, DLR = 2 };

// Below it the loss is a straight line of the logarithm of the cross-entropy.
#define LEAST 1e-20f

static __device__ float cross_entropy(const float* z, int classes, int of, float sign, float* g) {
    float most = block_largest(z, classes, 0, 0, 0).value;
    double rest = 0.0;
    EACH(i, classes) if (i != of) rest += expf(z[i] - most);
    rest = block_sum(rest);
    float log_sum = logf((float)(rest + (double)expf(z[of] - most)));
    double others = 0.0;
    EACH(i, classes) if (i != of) others += expf(z[i] - most - log_sum);
    others = block_sum(others);
    if (others < (double)LEAST && classes > 1) {
        float next = block_largest(z, classes, 0, &of, 1).value;
        // Of classes that cannot be, none is nearer than another.
        if (next == -INFINITY) {
            if (g) EACH(i, classes) g[i] = 0.0f;
            return sign * next;
        }
        double sum = 0.0;
        EACH(i, classes) if (i != of) sum += expf(z[i] - next);
        float whole = (float)block_sum(sum);
        if (g) EACH(i, classes) g[i] = i == of ? -sign * LEAST : sign * LEAST * (expf(z[i] - next) / whole);
        return sign * LEAST * (1.0f - logf(LEAST) + (next - z[of] + logf(whole)));
    }
    if (g) EACH(i, classes) g[i] = i == of ? -sign * (float)others : sign * expf(z[i] - most - log_sum);
    if (z[of] == most) return sign * log1pf((float)rest);
    return -sign * (z[of] - most - log_sum);
}

static __device__ float margin(const float* z, int classes, int of, float sign, float* g) {
    int other = block_largest(z, classes, 0, &of, 1).at;
    if (g) EACH(i, classes) g[i] = i == other ? sign : i == of ? -sign : 0.0f;
    return sign * (z[other] - z[of]);
}

// Places of the four largest logits, of equal ones the later first.
static __device__ void order(const float* z, int classes, int* places) {
    for (int k = 0; k < 4; k++)
        places[k] = k < classes ? block_largest(z, classes, 1, places, k).at : places[k - 1];
}

static __device__ float dlr(const float* z, int classes, int label, float* g) {
    if (classes < 3) return margin(z, classes, label, 1.0f, g);
    int best[4];
    order(z, classes, best);
    int other = best[0] == label ? best[1] : best[0];
    float numerator = z[label] - z[other];
    float scale = z[best[0]] - z[best[2]] + 1e-12f;
    if (g) EACH(i, classes) {
        float v = 0.0f;
        if (i == label) v -= 1.0f / scale;
        if (i == other) v += 1.0f / scale;
        if (i == best[0]) v += numerator / (scale * scale);
        if (i == best[2]) v -= numerator / (scale * scale);
        g[i] = v;
    }
    return -numerator / scale;
}

static __device__ float dlr_targeted(const float* z, int classes, int label, int target, float* g) {
    float numerator = z[label] - z[target];
    if (classes < 3) {
        if (g) EACH(i, classes) g[i] = i == label ? -1.0f : i == target ? 1.0f : 0.0f;
        return -numerator;
    }
    // With three classes the third stands in for the fourth.
    int best[4];
    order(z, classes, best);
    float scale = z[best[0]] - 0.5f * (z[best[2]] + z[best[3]]) + 1e-12f;
    float slope = numerator / (scale * scale);
    if (g) EACH(i, classes) {
        float v = 0.0f;
        if (i == label) v -= 1.0f / scale;
        if (i == target) v += 1.0f / scale;
        if (i == best[0]) v += slope;
        if (i == best[2]) v -= 0.5f * slope;
        if (i == best[3]) v -= 0.5f * slope;
        g[i] = v;
    }
    return -numerator / scale;
}

// Losses, and the cotangent of the logits unless that is absent. `targets` makes them targeted.
extern "C" __global__ void loss(float* losses, float* cotangent, const float* logits,
                                const float* labels, const float* targets, int, int classes,
                                int kind) {
    const float* z = mine(logits, classes);
    float* g = cotangent ? mine(cotangent, classes) : 0;
    int label = (int)labels[row()], target = targets ? (int)targets[row()] : -1;
    float value;
    if (kind == CROSS_ENTROPY)
        value = targets ? cross_entropy(z, classes, target, -1.0f, g)
                        : cross_entropy(z, classes, label, 1.0f, g);
    else if (kind == MARGIN)
        value = targets ? margin(z, classes, target, -1.0f, g) : margin(z, classes, label, 1.0f, g);
    else
        value = targets ? dlr_targeted(z, classes, label, target, g) : dlr(z, classes, label, g);
    if (threadIdx.x == 0) losses[row()] = value;
}

// The cotangent of the logit of `others` minus that of the label, and this difference.
extern "C" __global__ void difference(float* cotangent, float* differences, const float* logits,
                                      const float* others, const float* labels, int classes) {
    int other = (int)others[row()], label = (int)labels[row()];
    float* g = mine(cotangent, classes);
    EACH(i, classes) g[i] = (float)(i == other) - (float)(i == label);
    const float* z = mine(logits, classes);
    if (threadIdx.x == 0) differences[row()] = z[other] - z[label];
}

// softmax(z) - softmax(clean), the gradient of their divergence.
extern "C" __global__ void divergence_slope(float* slope, const float* logits, const float* clean,
                                            int classes) {
    const float* z = mine(logits, classes);
    const float* p = mine(clean, classes);
    float most = block_largest(z, classes, 0, 0, 0).value;
    float most_clean = block_largest(p, classes, 0, 0, 0).value;
    double total = 0.0, total_clean = 0.0;
    EACH(i, classes) {
        total += expf(z[i] - most);
        total_clean += expf(p[i] - most_clean);
    }
    total = block_sum(total);
    total_clean = block_sum(total_clean);
    EACH(i, classes)
        mine(slope, classes)[i] =
            (float)(expf(z[i] - most) / total - expf(p[i] - most_clean) / total_clean);
}
