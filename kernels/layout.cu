// Kernels that only move values.
#include "common.cuh"

// [N, C, P] in f32 to [N, P, C], P the pixels of an image.
extern "C" __global__ void NAMED(to_nhwc)(const float* x, Real* y, Size total, int channels, int pixels,
                                          int add) {
    Size i = thread();
    if (i >= total) return;
    int c = i % channels;
    Size pixel = i / channels;
    Size n = pixel / pixels;
    put(y, i, x[(n * channels + c) * pixels + pixel % pixels], add);
}

// [N, P, C] to [N, C, P] in f32.
extern "C" __global__ void NAMED(to_nchw)(const Real* x, float* y, Size total, int channels, int pixels,
                                          int add) {
    Size i = thread();
    if (i >= total) return;
    int p = i % pixels;
    Size plane = i / pixels;
    Size n = plane / channels;
    put(y, i, x[(n * pixels + p) * channels + plane % channels], add);
}

// x[:, ::step, ::step, :]; h, w are the input's and oh, ow the output's.
extern "C" __global__ void NAMED(subsample)(const Real* x, Real* y, Size total, int h, int w, int c,
                                            int oh, int ow, int step) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, oh, ow, c);
    y[i] = x[((e.n * h + e.y * step) * w + e.x * step) * c + e.channel];
}

extern "C" __global__ void NAMED(subsample_pullback)(const Real* g, Real* gx, Size total, int h, int w,
                                                     int c, int oh, int ow, int step, int add) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, h, w, c);
    float v = 0.0f;
    if (e.x % step == 0 && e.y % step == 0)
        v = g[((e.n * oh + e.y / step) * ow + e.x / step) * c + e.channel];
    put(gx, i, v, add);
}

// Zeros around the image (top, left) and before the channels; h, w, c are the input's and oh, ow, oc
// the output's.
extern "C" __global__ void NAMED(pad)(const Real* x, Real* y, Size total, int h, int w, int c, int oh,
                                      int ow, int oc, int top, int left, int before) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, oh, ow, oc);
    int channel = e.channel - before, px = e.x - left, py = e.y - top;
    int inside = channel >= 0 && channel < c && px >= 0 && px < w && py >= 0 && py < h;
    y[i] = inside ? (float)x[((e.n * h + py) * w + px) * c + channel] : 0.0f;
}

extern "C" __global__ void NAMED(pad_pullback)(const Real* g, Real* gx, Size total, int h, int w, int c,
                                               int oh, int ow, int oc, int top, int left, int before,
                                               int add) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, h, w, c);
    put(gx, i, g[((e.n * oh + e.y + top) * ow + e.x + left) * oc + e.channel + before], add);
}

// An image times a number per channel, in f32.
extern "C" __global__ void NAMED(gate)(const Real* x, const float* gates, Real* y, Size total,
                                       int channels, int pixels) {
    Size i = thread();
    if (i < total) y[i] = x[i] * gates[i / channels / pixels * channels + i % channels];
}

// The cotangent of the image.
extern "C" __global__ void NAMED(gate_pullback)(const float* gates, const Real* g, Real* gx, Size total,
                                                int channels, int pixels, int add) {
    Size i = thread();
    if (i < total) put(gx, i, g[i] * gates[i / channels / pixels * channels + i % channels], add);
}

// The cotangent of the numbers: a thread for each.
extern "C" __global__ void NAMED(gate_pullback_gates)(const Real* x, const Real* g, float* gx, Size total,
                                                      int channels, int pixels, int add) {
    Size i = thread();
    if (i >= total) return;
    Size first = i / channels * pixels * channels + i % channels;
    float v = 0.0f;
    for (int p = 0; p < pixels; p++) v += g[first + (Size)p * channels] * x[first + (Size)p * channels];
    put(gx, i, v, add);
}

// Rows of `length` numbers into rows of `whole` numbers, from the one at `first` on.
extern "C" __global__ void NAMED(place)(const Real* x, Real* y, Size total, int whole, int first, int length) {
    Size i = thread();
    if (i < total) y[i / length * whole + first + i % length] = x[i];
}

// `length` constant numbers before every row of `lx` numbers.
extern "C" __global__ void NAMED(before)(const float* constant, const Real* x, Real* y, Size total, int length,
                                         int lx) {
    Size i = thread();
    if (i >= total) return;
    int at = i % (length + lx);
    y[i] = at < length ? constant[at] : (float)x[i / (length + lx) * lx + at - length];
}

// `length` numbers of every row of `from` numbers, from the one at `first`.
extern "C" __global__ void NAMED(part)(const Real* x, Real* y, Size total, int from, int first, int length,
                                       int add) {
    Size i = thread();
    if (i < total) put(y, i, x[i / length * from + first + i % length], add);
}

// The cotangent of rows of which `length` numbers were taken.
extern "C" __global__ void NAMED(part_pullback)(const Real* g, Real* gx, Size total, int from, int first,
                                                int length, int add) {
    Size i = thread();
    if (i >= total) return;
    int at = (int)(i % from) - first;
    put(gx, i, at >= 0 && at < length ? (float)g[i / from * length + at] : 0.0f, add);
}

// Squares of four pixels as one, their channels side by side: top left, bottom left, top right, bottom
// right. h, w, c are the larger image's; the pullback goes the other way.
static __device__ __forceinline__ Size merged(Size i, int h, int w, int c) {
    Element e = element(i, h, w, c);
    int corner = e.x % 2 * 2 + e.y % 2;
    return ((e.n * (h / 2) + e.y / 2) * (w / 2) + e.x / 2) * 4 * c + corner * c + e.channel;
}

extern "C" __global__ void NAMED(patch_merge)(const Real* x, Real* y, Size total, int h, int w, int c) {
    Size i = thread();
    if (i < total) y[merged(i, h, w, c)] = x[i];
}

extern "C" __global__ void NAMED(patch_merge_pullback)(const Real* g, Real* gx, Size total, int h, int w,
                                                       int c, int add) {
    Size i = thread();
    if (i < total) put(gx, i, g[merged(i, h, w, c)], add);
}

// Number index[i] of an image of `from` numbers as number i of one of `to`, `fill` where that is negative;
// without an index, all of them as they are.
template <typename From, typename To>
static __device__ __forceinline__ void gathered(const From* x, const int* index, To* y, Size total, int from,
                                                int to, float fill) {
    Size i = thread();
    if (i >= total) return;
    int place = (int)(i % to), at = index ? index[place] : place;
    y[i] = at < 0 ? fill : (float)x[i / to * from + at];
}

// The pullback. starts[k] to starts[k + 1] are where `places` names the elements of the output that read
// number k, in ascending order.
template <typename From, typename To>
static __device__ __forceinline__ void spread(const From* g, const int* starts, const int* places, To* gx,
                                              Size total, int from, int to, int add) {
    Size i = thread();
    if (i >= total) return;
    float v = 0.0f;
    if (starts) {
        int at = (int)(i % from);
        const From* of_image = g + i / from * to;
        for (int k = starts[at]; k < starts[at + 1]; k++) v += of_image[places[k]];
    } else {
        v = g[i];
    }
    put(gx, i, v, add);
}

extern "C" __global__ void NAMED(pick)(const Real* x, const int* index, Real* y, Size total, int from,
                                         int to, float fill) {
    gathered(x, index, y, total, from, to, fill);
}

extern "C" __global__ void NAMED(pick_pullback)(const Real* g, const int* starts, const int* places,
                                                  Real* gx, Size total, int from, int to, int add) {
    spread(g, starts, places, gx, total, from, to, add);
}

// From an image to a vector.
extern "C" __global__ void NAMED(pick_vector)(const Real* x, const int* index, float* y, Size total,
                                                int from, int to, float fill) {
    gathered(x, index, y, total, from, to, fill);
}

extern "C" __global__ void NAMED(pick_vector_pullback)(const float* g, const int* starts,
                                                         const int* places, Real* gx, Size total, int from,
                                                         int to, int add) {
    spread(g, starts, places, gx, total, from, to, add);
}

// From a vector to an image.
extern "C" __global__ void NAMED(pick_image)(const float* x, const int* index, Real* y, Size total,
                                               int from, int to, float fill) {
    gathered(x, index, y, total, from, to, fill);
}

extern "C" __global__ void NAMED(pick_image_pullback)(const Real* g, const int* starts, const int* places,
                                                        float* gx, Size total, int from, int to, int add) {
    spread(g, starts, places, gx, total, from, to, add);
}
