// The attack of Carlini and Wagner: images of w, and a step of Adam (crates/methods/src/attack/cw.rs has the sources).
#include "step.cuh"

extern "C" __global__ void cw_image(float* x, const float* w, int width) {
    EACH(i, width) mine(x, width)[i] = 0.5f * (tanhf(mine(w, width)[i]) + 1.0f);
}

extern "C" __global__ void cw_confident(float* flags, const float* margins, int width,
                                        float confidence) {
    EACH(i, width) {
        float margin = mine(margins, width)[i];
        mine(flags, width)[i] = (float)(margin > 0.0f && margin >= confidence);
    }
}

// A step at the point x of w; `unbias` are what Adam's two means are divided by.
extern "C" __global__ void cw_step(float* w, float* first, float* second, float* succeeded,
                                   float* smallest, const float* x, const float* g, const float* x0,
                                   const float* margins, const float* constants, int width,
                                   float confidence, float learning_rate, float unbias_first,
                                   float unbias_second) {
    w = mine(w, width);
    first = mine(first, width);
    second = mine(second, width);
    x = mine(x, width);
    g = mine(g, width);
    x0 = mine(x0, width);
    float margin = margins[row()], c = constants[row()];
    double squares = 0.0;
    EACH(i, width) {
        float change = x[i] - x0[i];
        squares += (double)(change * change);
    }
    float missing = confidence - margin;
    float objective = (float)block_sum(squares) + c * (missing > 0.0f ? missing : 0.0f);
    if (threadIdx.x == 0) {
        if (objective < smallest[row()]) smallest[row()] = objective;
        if (margin > 0.0f && margin >= confidence) succeeded[row()] = 1.0f;
    }
    float weight = margin < confidence || margin <= 0.0f ? c : 0.0f;
    EACH(i, width) {
        float v = x[i];
        float slope = (2.0f * (v - x0[i]) - weight * g[i]) * 2.0f * v * (1.0f - v);
        float m = 0.9f * first[i] + (1.0f - 0.9f) * slope;
        float s = 0.999f * second[i] + (1.0f - 0.999f) * slope * slope;
        first[i] = m;
        second[i] = s;
        w[i] -= learning_rate * (m / unbias_first) / (sqrtf(s / unbias_second) + 1e-8f);
    }
}
