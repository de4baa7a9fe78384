// Activations in bf16: what follows, inside of `namespace bf16`, are the layers' kernels with a `Real` of
// 16 bits and with names that end in _bf16.
//
// It is the upper half of a float: 8 bits of exponent, so nothing that is a float overflows or vanishes,
// and 7 bits behind the point. Rounding is to the nearest, ties to even: off by 2^-9 of the number at most.
#pragma once
#ifdef __CUDACC__
#include <cuda_bf16.h>
#endif

namespace bf16 {

// NaN stays NaN: only its topmost bits may be set, so it is not rounded.
static __device__ __forceinline__ unsigned short rounded(float value) {
#ifdef __CUDACC__
    return __bfloat16_as_ushort(__float2bfloat16_rn(value));
#else
    unsigned int bits = __float_as_uint(value);
    if (value != value) return (unsigned short)(bits >> 16 | 0x40);
    return (unsigned short)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
#endif
}

struct Real {
    unsigned short bits;

    Real() = default;
    __device__ __forceinline__ Real(float value) : bits(rounded(value)) {}
    __device__ __forceinline__ operator float() const { return __uint_as_float((unsigned int)bits << 16); }
};

}  // namespace bf16

#undef NAMED
#define NAMED(name) name##_bf16
