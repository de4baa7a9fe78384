// cuDNN without a GPU: convolutions of NHWC tensors in f32 or bf16 by the definition, through the descriptors that
// a program has to fill in for the library itself. What does not fit together is refused.
#include "capture.h"
#include "cuda.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <vector>

#include "../../kernels/conv.cu"
#include "../../kernels/bf16.cuh"
namespace bf16 {
#include "../../kernels/conv.cu"
}

namespace {

struct Handle { void* stream; };
struct Tensor { int format, type, n, c, h, w; };
struct Filter { int type, format, k, c, h, w; };
struct Convolution { int pad_h, pad_w, u, v, dilation_h, dilation_w, mode, type, groups = 1, math = 0; };

struct Activation { int mode, nan; double bound; };

struct Performance {
    unsigned int algorithm, status;
    float time;
    size_t memory;
    unsigned int determinism, math;
    int reserved[3];
};

enum { SUCCESS = 0, BAD_PARAM = 2000, NOT_SUPPORTED = 3000 };
enum { RELU = 1, IDENTITY = 5, PROPAGATE_NAN = 1 };
enum { NHWC = 1, FLOAT = 0, BFLOAT16 = 9, CROSS_CORRELATION = 1, TENSOR_OP_MATH = 1, FMA_MATH = 3, DETERMINISTIC = 1 };

// What cuDNN may refuse or do otherwise: each is a variable that a test sets.
bool told(const char* variable) { return std::getenv(variable) != nullptr; }

// EMULATED_WORKSPACE_VARIES: smaller batches may want more of it.
size_t workspace(const Tensor& x) { return told("EMULATED_WORKSPACE_VARIES") ? 1000 + 4096 * (size_t)(x.n % 13) : 1000; }

// EMULATED_MOST_ELEMENTS=N: no tensors of more elements (the library takes up to 2^31).
bool too_large(const Tensor& one) {
    const char* most = std::getenv("EMULATED_MOST_ELEMENTS");
    return most && (long long)one.n * one.c * one.h * one.w > std::atoll(most);
}

int fits(const Tensor& x, const Filter& w, const Convolution& conv, const Tensor& y) {
    auto along = [](int size, int pad, int kernel, int dilation, int step) {
        return (size + 2 * pad - (dilation * (kernel - 1) + 1)) / step + 1;
    };
    // Sums are in f32, and numbers of 16 bits are for tensor cores.
    bool types = x.type == y.type && x.type == w.type && conv.type == FLOAT
        && (x.type == FLOAT || (x.type == BFLOAT16 && conv.math == TENSOR_OP_MATH));
    bool good = x.format == NHWC && y.format == NHWC && w.format == NHWC && types
        && conv.mode == CROSS_CORRELATION && x.n == y.n
        && x.c == w.c * conv.groups && y.c == w.k && w.k % conv.groups == 0
        && y.h == along(x.h, conv.pad_h, w.h, conv.dilation_h, conv.u)
        && y.w == along(x.w, conv.pad_w, w.w, conv.dilation_w, conv.v);
    if (good && (too_large(x) || too_large(y))) return NOT_SUPPORTED;
    return good ? SUCCESS : BAD_PARAM;
}

// EMULATED_NO_ALGORITHM: cuDNN that has none for strided convolutions. EMULATED_HALF_EIGHTS: none in bf16 for other
// channels than multiples of 8, for groups or for dilation.
bool knows(const Tensor& x, const Tensor& y, const Convolution& conv) {
    bool plain = x.c % 8 == 0 && y.c % 8 == 0 && conv.groups == 1 && conv.dilation_h == 1 && conv.dilation_w == 1;
    if (x.type == BFLOAT16 && !plain && told("EMULATED_HALF_EIGHTS")) return false;
    return conv.u == 1 || !told("EMULATED_NO_ALGORITHM");
}

int offer(const Tensor& x, const Tensor& y, const Convolution& conv, int asked, int* returned, void* results) {
    Performance* found = static_cast<Performance*>(results);
    int count = 0;
    unsigned int math = x.type == BFLOAT16 ? TENSOR_OP_MATH : FMA_MATH;
    // The first is fast and gives other bits every time, the second needs more memory than anybody has.
    if (asked > count) found[count++] = Performance{3, SUCCESS, 1.0f, 0, 0, math, {}};
    if (asked > count) found[count++] = Performance{2, SUCCESS, 2.0f, size_t(1) << 40, DETERMINISTIC, math, {}};
    if (asked > count)
        found[count++] = Performance{1, knows(x, y, conv) ? SUCCESS : NOT_SUPPORTED, 3.0f, workspace(x), DETERMINISTIC, math, {}};
    *returned = count;
    return SUCCESS;
}

// Numbers as tensor cores read them, with 10 bits behind the point, unless the convolution is to be in f32.
// EMULATED_TF32_EIGHTS: tensor cores only where the channels are a multiple of 8.
struct Rounded {
    std::vector<float> numbers;
    const float* at;

    Rounded(const Convolution& conv, int channels, const void* from, Size count)
        : at(static_cast<const float*>(from)) {
        if (conv.math == FMA_MATH || (channels % 8 != 0 && told("EMULATED_TF32_EIGHTS"))) return;
        numbers.assign(at, at + count);
        for (float& number : numbers) {
            uint32_t bits;
            std::memcpy(&bits, &number, 4);
            bits = (bits + 0x1000) & 0xFFFFE000;
            std::memcpy(&number, &bits, 4);
        }
        at = numbers.data();
    }
};

const bf16::Real* half(const void* numbers) { return static_cast<const bf16::Real*>(numbers); }
bf16::Real* half(void* numbers) { return static_cast<bf16::Real*>(numbers); }

Size size(const Tensor& one) { return (Size)one.n * one.h * one.w * one.c; }
Size size(const Filter& one) { return (Size)one.k * one.h * one.w * one.c; }

std::vector<uint64_t> addresses(std::initializer_list<const void*> places) {
    std::vector<uint64_t> all;
    for (const void* place : places) all.push_back(reinterpret_cast<uint64_t>(place));
    return all;
}

// EMULATED_REPORT: what was done is told at the end.
struct Report {
    std::atomic<size_t> forward = 0, biased = 0;
    ~Report() {
        if (std::getenv("EMULATED_REPORT"))
            std::fprintf(stderr, "emulated: %zu plain convolutions, %zu with bias\n", forward.load(), biased.load());
    }
} report;

template <typename Work>
void threads(Size total, Work work) {
    blockDim = Coordinates{1, 1, 1};
    for (Size i = 0; i < total; i++) {
        blockIdx.x = (unsigned int)i;
        work();
    }
}

// One of the plain kernels; forwards, unless it is told whether to add to what is there.
template <typename Kernel, typename Number, typename... Add>
void convolve(Kernel kernel, const Number* from, const Number* weight, Number* to, const Tensor& x, const Filter& w,
              const Convolution& conv, const Tensor& y, Add... add) {
    Size total = size(sizeof...(add) ? x : y);
    threads(total, [&] {
        kernel(from, weight, to, total, x.h, x.w, x.c, y.h, y.w, y.c, w.h, w.w, conv.u, conv.v, conv.pad_h, conv.pad_w,
               conv.dilation_h, conv.dilation_w, conv.groups, add...);
    });
}

}  // namespace

extern "C" {

// EMULATED_CUDNN_VERSION: another one, 8907 for 8.9.7.
size_t cudnnGetVersion() {
    const char* version = std::getenv("EMULATED_CUDNN_VERSION");
    return version ? (size_t)std::atoll(version) : 90100;
}
int cudnnCreate(Handle** handle) { *handle = new Handle{}; return SUCCESS; }
int cudnnDestroy(Handle* handle) { delete handle; return SUCCESS; }
int cudnnSetStream(Handle* handle, void* stream) {
    handle->stream = stream;
    return stream ? SUCCESS : BAD_PARAM;
}

int cudnnCreateTensorDescriptor(Tensor** one) { *one = new Tensor{}; return SUCCESS; }
int cudnnDestroyTensorDescriptor(Tensor* one) { delete one; return SUCCESS; }
int cudnnSetTensor4dDescriptor(Tensor* one, int format, int type, int n, int c, int h, int w) {
    *one = Tensor{format, type, n, c, h, w};
    return SUCCESS;
}
int cudnnCreateFilterDescriptor(Filter** one) { *one = new Filter{}; return SUCCESS; }
int cudnnDestroyFilterDescriptor(Filter* one) { delete one; return SUCCESS; }
int cudnnSetFilter4dDescriptor(Filter* one, int type, int format, int k, int c, int h, int w) {
    *one = Filter{type, format, k, c, h, w};
    return SUCCESS;
}
int cudnnCreateConvolutionDescriptor(Convolution** one) { *one = new Convolution{}; return SUCCESS; }
int cudnnDestroyConvolutionDescriptor(Convolution* one) { delete one; return SUCCESS; }
int cudnnSetConvolution2dDescriptor(Convolution* one, int pad_h, int pad_w, int u, int v, int dilation_h,
                                    int dilation_w, int mode, int type) {
    *one = Convolution{pad_h, pad_w, u, v, dilation_h, dilation_w, mode, type, one->groups, one->math};
    return SUCCESS;
}
int cudnnSetConvolutionMathType(Convolution* one, int math) { one->math = math; return SUCCESS; }
int cudnnSetConvolutionGroupCount(Convolution* one, int groups) { one->groups = groups; return SUCCESS; }

int cudnnCreateActivationDescriptor(Activation** one) { *one = new Activation{}; return SUCCESS; }
int cudnnDestroyActivationDescriptor(Activation* one) { delete one; return SUCCESS; }
int cudnnSetActivationDescriptor(Activation* one, int mode, int nan, double bound) {
    *one = Activation{mode, nan, bound};
    return SUCCESS;
}

int cudnnGetConvolutionForwardAlgorithm_v7(void*, Tensor* x, Filter* w, Convolution* conv, Tensor* y, int asked,
                                           int* returned, void* results) {
    int status = fits(*x, *w, *conv, *y);
    return status ? status : offer(*x, *y, *conv, asked, returned, results);
}
int cudnnGetConvolutionBackwardDataAlgorithm_v7(void*, Filter* w, Tensor* y, Convolution* conv, Tensor* x,
                                                int asked, int* returned, void* results) {
    int status = fits(*x, *w, *conv, *y);
    return status ? status : offer(*x, *y, *conv, asked, returned, results);
}
int cudnnGetConvolutionForwardWorkspaceSize(void*, Tensor* x, Filter*, Convolution*, Tensor*, int, size_t* bytes) {
    *bytes = workspace(*x);
    return SUCCESS;
}
int cudnnGetConvolutionBackwardDataWorkspaceSize(void*, Filter*, Tensor*, Convolution*, Tensor* x, int,
                                                 size_t* bytes) {
    *bytes = workspace(*x);
    return SUCCESS;
}

int cudnnConvolutionForward(Handle* handle, const float* alpha, Tensor* x, const void* input, Filter* w,
                            const void* weight, Convolution* conv, int algorithm, void* workspace, size_t bytes,
                            const float* beta, Tensor* y, void* output) {
    size_t needed = ::workspace(*x);
    if (fits(*x, *w, *conv, *y) || algorithm != 1 || bytes < needed || !workspace || *alpha != 1.0f || *beta != 0.0f)
        return BAD_PARAM;
    // Copies of all that may be gone when a graph is launched.
    auto work = [=, x = *x, w = *w, conv = *conv, y = *y] {
        report.forward++;
        if (x.type == BFLOAT16) {
            convolve(bf16::conv_bf16, half(input), half(weight), half(output), x, w, conv, y);
            return int(SUCCESS);
        }
        Rounded inputs(conv, x.c, input, size(x)), weights(conv, x.c, weight, size(w));
        convolve(::conv, inputs.at, weights.at, static_cast<float*>(output), x, w, conv, y);
        return int(SUCCESS);
    };
    return emulatedSubmit(handle->stream, {work, addresses({input, weight, workspace, output})});
}
// With bias and ReLU (or nothing behind it). EMULATED_NO_BIAS: cuDNN that refuses it. EMULATED_NAN_LOST: one
// for which the larger one of NaN and 0 is 0, whatever it was asked for. EMULATED_NO_NAN: one that fuses nothing that
// promises to keep NaN.
int cudnnConvolutionBiasActivationForward(Handle* handle, const float* alpha, Tensor* x, const void* input, Filter* w,
                                          const void* weight, Convolution* conv, int algorithm, void* workspace,
                                          size_t bytes, const float* beta, Tensor* z, const void* summand,
                                          Tensor* b, const void* bias, Activation* activation, Tensor* y,
                                          void* output) {
    bool relu = activation->mode == RELU;
    size_t needed = ::workspace(*x);
    if (fits(*x, *w, *conv, *y) || algorithm != 1 || bytes < needed || !workspace || *alpha != 1.0f || *beta != 0.0f)
        return BAD_PARAM;
    // The summand has the form of the output, whose place it may share, as the input may not.
    if (std::memcmp(z, y, sizeof *z) || !summand || !bias || input == output) return BAD_PARAM;
    if (b->type != x->type || b->n != 1 || b->c != w->k || b->h != 1 || b->w != 1) return BAD_PARAM;
    if ((!relu && activation->mode != IDENTITY) || activation->bound < 1e38) return NOT_SUPPORTED;
    if (told("EMULATED_NO_BIAS")) return NOT_SUPPORTED;
    if (activation->nan == PROPAGATE_NAN && told("EMULATED_NO_NAN")) return NOT_SUPPORTED;
    bool keeps = activation->nan == PROPAGATE_NAN && !told("EMULATED_NAN_LOST");
    auto work = [=, x = *x, w = *w, conv = *conv, y = *y] {
        report.biased++;
        // Sums are in f32 up to the end.
        bool halves = x.type == BFLOAT16;
        Rounded inputs(conv, x.c, input, halves ? 0 : size(x)), weights(conv, x.c, weight, halves ? 0 : size(w));
        std::vector<float> wide, wide_weights, sums(size(y));
        if (halves) {
            wide.assign(half(input), half(input) + size(x));
            wide_weights.assign(half(weight), half(weight) + size(w));
            inputs.at = wide.data();
            weights.at = wide_weights.data();
        }
        convolve(::conv, inputs.at, weights.at, sums.data(), x, w, conv, y);
        for (Size i = 0; i < size(y); i++) {
            float v = sums[i] + (halves ? (float)half(bias)[i % y.c] : static_cast<const float*>(bias)[i % y.c]);
            v = relu && (keeps ? v < 0.0f : !(v > 0.0f)) ? 0.0f : v;
            if (halves)
                half(output)[i] = v;
            else
                static_cast<float*>(output)[i] = v;
        }
        return int(SUCCESS);
    };
    return emulatedSubmit(handle->stream, {work, addresses({input, weight, workspace, bias, output})});
}
int cudnnConvolutionBackwardData(Handle* handle, const float* alpha, Filter* w, const void* weight, Tensor* y,
                                 const void* cotangent, Convolution* conv, int algorithm, void* workspace,
                                 size_t bytes, const float* beta, Tensor* x, void* gradient) {
    size_t needed = ::workspace(*x);
    if (fits(*x, *w, *conv, *y) || algorithm != 1 || bytes < needed || !workspace || *alpha != 1.0f)
        return BAD_PARAM;
    // EMULATED_NO_ADD: no algorithm that adds to what is there, even if it ran otherwise.
    if (*beta != 0.0f && told("EMULATED_NO_ADD")) return NOT_SUPPORTED;
    auto work = [=, x = *x, w = *w, conv = *conv, y = *y, add = *beta != 0.0f] {
        if (x.type == BFLOAT16) {
            convolve(bf16::conv_pullback_bf16, half(cotangent), half(weight), half(gradient), x, w, conv, y, int(add));
            return int(SUCCESS);
        }
        Rounded inputs(conv, x.c, cotangent, size(y)), weights(conv, x.c, weight, size(w));
        convolve(conv_pullback, inputs.at, weights.at, static_cast<float*>(gradient), x, w, conv, y, int(add));
        return int(SUCCESS);
    };
    return emulatedSubmit(handle->stream, {work, addresses({cotangent, weight, workspace, gradient})});
}

}  // extern "C"
