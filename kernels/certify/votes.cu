// What smoothing reads of logits, which are in f32.
#include "../common.cuh"

// Class of the largest logit of each row, the first of equal ones; -1 if one is NaN.
extern "C" __global__ void largest(const float* logits, int* classes, Size rows, int length) {
    Size row = thread();
    if (row >= rows) return;
    logits += row * length;
    int best = 0, valid = 1;
    for (int i = 0; i < length; i++) {
        valid &= logits[i] == logits[i];
        if (logits[i] > logits[best]) best = i;
    }
    classes[row] = valid ? best : -1;
}
