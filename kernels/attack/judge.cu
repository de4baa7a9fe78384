// Judges candidates: the device's form of crates/methods/src/attack/search/judge/host.rs and crates/methods/src/threat.
#include "criterion.cuh"

// 1 where a row's logits are a success, else 0. `targets` may be absent.
extern "C" __global__ void succeeded(float* flags, const float* logits, const float* labels,
                                     const float* targets, int, int classes) {
    int yes = meets(mine(logits, classes), classes, labels, targets, row());
    if (threadIdx.x == 0) flags[row()] = (float)yes;
}

// Threat models, as crates/methods/src/attack/search/judge/device.rs numbers them.
enum { LINF = 0, L2 = 1, L1 = 2, L0 = 3, L0_PIXELS = 4, PATCH = 5 };

// Whether a value is another one than the clean one, by whatever little.
static __device__ int differs(float x, float x0) { return __float_as_uint(x) != __float_as_uint(x0); }

// Distance of an image from the clean one in the threat's own measure; NaN counts as infinitely far.
static __device__ double distance_of(int threat, const float* x, const float* x0, int width) {
    double local = 0.0;
    EACH(i, width) {
        double change = fabs((double)x[i] - (double)x0[i]);
        if (threat == L0) local += differs(x[i], x0[i]);
        else if (threat == LINF) local = fmax(local, change);
        else if (threat == L2) local += change * change;
        else local += change;
    }
    if (threat == LINF) return block_max(local);
    double sum = block_sum(local);
    return threat == L2 ? sqrt(sum) : sum;
}

// Number of changed pixels, and whether one patch of `height` x `width` covers them.
static __device__ double changed_pixels(const float* x, const float* x0, int channels, int h, int w,
                                        int height, int width, int* covered) {
    double count = 0.0, top = h, bottom = -1.0, left = w, right = -1.0;
    int pixels = h * w;
    EACH(pixel, pixels) {
        int changed = 0;
        for (int c = 0; c < channels; c++)
            changed |= differs(x[c * pixels + pixel], x0[c * pixels + pixel]);
        if (!changed) continue;
        double y = pixel / w, at = pixel % w;
        count += 1.0;
        top = fmin(top, y);
        bottom = fmax(bottom, y);
        left = fmin(left, at);
        right = fmax(right, at);
    }
    count = block_sum(count);
    double tall = block_max(bottom) + block_max(-top), wide = block_max(right) + block_max(-left);
    *covered = count == 0.0 || (tall < height && wide < width);
    return count;
}

// Judges a candidate by its logits. One that succeeds inside the threat model becomes the best of its
// image if it is the first (`minimal`: the closest); `broken_at` then has `number`, and -2 after NaN. The other outputs and
// `places` say where: all of them have a row for each image of the search, candidate i belongs to active
// row of[i] (i without `of`), which is image places[that]. Where `which` is 0 nothing is proposed.
extern "C" __global__ void judge(float* best, float* distances, float* broken_at, const float* x,
                                 const float* logits, const float* clean,
                                 const float* labels, const float* targets, const float* places,
                                 const float* of, const float* which, int width, int classes,
                                 int channels, int h, int w, int threat, double most, int patch_h,
                                 int patch_w, int minimal, float number) {
    if (which && which[row()] == 0.0f) return;
    Size active = of ? (Size)of[row()] : row();
    Size place = (Size)places[active];
    const float* z = mine(logits, classes);
    int bad = 0;
    EACH(i, classes) bad |= !(z[i] == z[i]);
    if (block_any(bad)) {
        if (threadIdx.x == 0 && (minimal || broken_at[place] < 0.0f)) broken_at[place] = -2.0f;
        return;
    }
    if (!meets(z, classes, labels, targets, active)) return;
    x = mine(x, width);
    const float* x0 = clean + active * width;
    int outside = 0;
    EACH(i, width) outside |= !(x[i] >= 0.0f && x[i] <= 1.0f);
    if (block_any(outside)) return;
    double distance;
    if (threat == PATCH) {
        int covered;
        distance = changed_pixels(x, x0, channels, h, w, patch_h, patch_w, &covered);
        if (!covered) return;
    } else {
        int anywhere;
        distance = threat == L0_PIXELS ? changed_pixels(x, x0, channels, h, w, h, w, &anywhere)
                                       : distance_of(threat, x, x0, width);
        if (!(distance <= most)) return;
    }
    double* closest = (double*)distances + place;
    int better = minimal ? distance < *closest : broken_at[place] < 0.0f;
    __syncthreads();
    if (!better) return;
    EACH(i, width) best[place * width + i] = x[i];
    if (threadIdx.x == 0) {
        *closest = distance;
        broken_at[place] = number;
    }
}
