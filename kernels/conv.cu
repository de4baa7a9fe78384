// Convolutions by the definition, a thread per element of the result: for machines without cuDNN, and to
// test it. h, w, c are the input's sides and channels, oh, ow, oc the output's; the weight is
// [oc, kh, kw, c / groups]. Sums are one chain of fused multiply-adds.
#include "common.cuh"

extern "C" __global__ void conv(const float* x, const float* weight, float* y, Size total, int h,
                                int w, int c, int oh, int ow, int oc, int kh, int kw, int stride_y,
                                int stride_x, int top, int left, int dilation_y, int dilation_x,
                                int groups) {
    Size i = thread();
    if (i >= total) return;
    int o = i % oc;
    Size pixel = i / oc;
    int ox = pixel % ow;
    int oy = pixel / ow % oh;
    Size n = pixel / ow / oh;
    int depth = c / groups;
    int first = o / (oc / groups) * depth;
    float v = 0.0f;
    for (int r = 0; r < kh; r++) {
        int py = oy * stride_y - top + r * dilation_y;
        if (py < 0 || py >= h) continue;
        for (int s = 0; s < kw; s++) {
            int px = ox * stride_x - left + s * dilation_x;
            if (px < 0 || px >= w) continue;
            const float* from = x + ((n * h + py) * w + px) * c + first;
            const float* by = weight + (((Size)o * kh + r) * kw + s) * depth;
            for (int k = 0; k < depth; k++) v = fmaf(from[k], by[k], v);
        }
    }
    y[i] = v;
}

extern "C" __global__ void conv_pullback(const float* g, const float* weight, float* gx, Size total,
                                         int h, int w, int c, int oh, int ow, int oc, int kh, int kw,
                                         int stride_y, int stride_x, int top, int left,
                                         int dilation_y, int dilation_x, int groups, int add) {
    Size i = thread();
    if (i >= total) return;
    int channel = i % c;
    Size pixel = i / c;
    int px = pixel % w;
    int py = pixel / w % h;
    Size n = pixel / w / h;
    int depth = c / groups, width = oc / groups;
    int group = channel / depth;
    float v = 0.0f;
    for (int r = 0; r < kh; r++) {
        int y = py + top - r * dilation_y;
        if (y < 0 || y % stride_y || y / stride_y >= oh) continue;
        for (int s = 0; s < kw; s++) {
            int x = px + left - s * dilation_x;
            if (x < 0 || x % stride_x || x / stride_x >= ow) continue;
            const float* from = g + ((n * oh + y / stride_y) * ow + x / stride_x) * oc;
            for (int o = group * width; o < (group + 1) * width; o++)
                v = fmaf(from[o], weight[(((Size)o * kh + r) * kw + s) * depth + channel % depth], v);
        }
    }
    put(gx, i, v, add);
}
