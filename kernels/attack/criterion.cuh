// What counts as a success: the device's form of crates/methods/src/attack/criterion.rs.
#pragma once
#include "rows.cuh"

// Whether the class of the logits z, the first of the largest, is what the attacker wants of image `of`: its
// target, or without `targets` another one than its label.
static __device__ int meets(const float* z, int classes, const float* labels, const float* targets,
                            Size of) {
    int found = block_largest(z, classes, 0, 0, 0).at;
    return targets ? found == (int)targets[of] : found != (int)labels[of];
}
