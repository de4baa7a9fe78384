// Pieces of steps and projections that several attacks share, on one row.
#pragma once
#include "rows.cuh"

// As in Rust: NaN stays NaN.
static __device__ __forceinline__ float clamp(float v, float low, float high) {
    return v < low ? low : v > high ? high : v;
}

static __device__ __forceinline__ float to_box(float v) { return clamp(v, 0.0f, 1.0f); }

// -1, 0 or 1; 0 for NaN.
static __device__ __forceinline__ float sign(float v) { return (float)(v > 0.0f) - (float)(v < 0.0f); }

static __device__ __forceinline__ unsigned int size_bits(float v) {
    return __float_as_uint(v) & 0x7fffffffu;
}

// Number of elements for which `holds(i)`.
template <typename Holds>
static __device__ int count_of(int width, Holds holds) {
    double count = 0.0;
    EACH(i, width) count += holds(i);
    return (int)block_sum(count);
}

// Length of the row of numbers `v(i)`.
template <typename Value>
static __device__ double euclidean(int width, Value v) {
    double squares = 0.0;
    EACH(i, width) {
        double one = v(i);
        squares += one * one;
    }
    return sqrt(block_sum(squares));
}

// The largest bits that `wanted` or more of the elements reach (0 for NaN and elements that do not
// count): bits of floats above 0 sort as the floats.
template <typename Bits>
static __device__ unsigned int bits_of_rank(int width, int wanted, Bits bits) {
    unsigned int found = 0;
    for (unsigned int step = 0x40000000u; step > 0; step /= 2) {
        unsigned int next = found | step;
        if (count_of(width, [&](int i) { return bits(i) >= next; }) >= wanted) found = next;
    }
    return found;
}

// The smallest place up to which `wanted` elements hold.
template <typename Holds>
static __device__ int place_of_rank(int width, int wanted, Holds holds) {
    int low = 0, high = width - 1;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (count_of(width, [&](int i) { return i <= middle && holds(i); }) >= wanted) high = middle;
        else low = middle + 1;
    }
    return low;
}

// How far x0 + y is outside the box.
static __device__ __forceinline__ float overshoot(float x0, float y) {
    float out = 1.0f - x0 - y, under = x0 + y;
    float least = out < under ? out : under;
    return -(least < 0.0f ? least : 0.0f);
}

// The smallest amount >= 0 that, taken off every change y(i) (or what is outside the box, if that is
// more), brings their sum to `eps`: see crates/methods/src/threat/l1_box.rs. The sum is linear between two neighbouring
// floats, as all its corners are floats.
template <typename Change>
static __device__ float shrinkage(const float* x0, int width, double eps, Change y) {
    auto kept = [&](float amount) {
        double sum = 0.0;
        EACH(i, width) {
            float change = y(i), out = overshoot(x0[i], change);
            double left = (double)fabsf(change) - (double)(out > amount ? out : amount);
            if (left > 0.0) sum += left;
        }
        return block_sum(sum);
    };
    if (kept(0.0f) <= eps) return 0.0f;
    unsigned int low = 0;
    for (unsigned int step = 0x40000000u; step > 0; step /= 2)
        if (kept(__uint_as_float(low | step)) > eps) low |= step;
    float amount = __uint_as_float(low);
    int shrinking = count_of(width, [&](int i) {
        float change = y(i);
        return overshoot(x0[i], change) <= amount && fabsf(change) > amount;
    });
    double left = kept(amount);
    return shrinking > 0 ? (float)((double)amount + (left - eps) / shrinking) : amount;
}

// What has to be added to x0 + y to get into the ball and the box.
static __device__ __forceinline__ float correction(float x0, float y, float amount) {
    float out = overshoot(x0, y), size = out > amount ? out : amount;
    if (size > fabsf(y)) size = fabsf(y);
    return y > 0.0f ? -size : size;
}
