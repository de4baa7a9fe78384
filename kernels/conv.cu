// Convolutions by the definition, a thread per element of the result: for machines without cuDNN, and to
// test it. h, w, c are the input's sides and channels, oh, ow, oc the output's; the weight is
// [oc, kh, kw, c / groups]. Sums are one chain of fused multiply-adds.
#include "common.cuh"

extern "C" __global__ void NAMED(conv)(const Real* x, const Real* weight, Real* y, Size total, int h,
                                       int w, int c, int oh, int ow, int oc, int kh, int kw, int stride_y,
                                       int stride_x, int top, int left, int dilation_y, int dilation_x,
                                       int groups) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, oh, ow, oc);
    int depth = c / groups;
    int first = e.channel / (oc / groups) * depth;
    float v = 0.0f;
    for (int r = 0; r < kh; r++) {
        int py = e.y * stride_y - top + r * dilation_y;
        if (py < 0 || py >= h) continue;
        for (int s = 0; s < kw; s++) {
            int px = e.x * stride_x - left + s * dilation_x;
            if (px < 0 || px >= w) continue;
            const Real* from = x + ((e.n * h + py) * w + px) * c + first;
            const Real* by = weight + (((Size)e.channel * kh + r) * kw + s) * depth;
            for (int k = 0; k < depth; k++) v = fmaf(from[k], by[k], v);
        }
    }
    y[i] = v;
}

extern "C" __global__ void NAMED(conv_pullback)(const Real* g, const Real* weight, Real* gx, Size total,
                                                int h, int w, int c, int oh, int ow, int oc, int kh, int kw,
                                                int stride_y, int stride_x, int top, int left,
                                                int dilation_y, int dilation_x, int groups, int add) {
    Size i = thread();
    if (i >= total) return;
    Element e = element(i, h, w, c);
    int depth = c / groups, width = oc / groups;
    int group = e.channel / depth;
    float v = 0.0f;
    for (int r = 0; r < kh; r++) {
        int y = e.y + top - r * dilation_y;
        if (y < 0 || y % stride_y || y / stride_y >= oh) continue;
        for (int s = 0; s < kw; s++) {
            int x = e.x + left - s * dilation_x;
            if (x < 0 || x % stride_x || x / stride_x >= ow) continue;
            const Real* from = g + ((e.n * oh + y / stride_y) * ow + x / stride_x) * oc;
            for (int o = group * width; o < (group + 1) * width; o++)
                v = fmaf(from[o], weight[(((Size)o * kh + r) * kw + s) * depth + e.channel % depth], v);
        }
    }
    put(gx, i, v, add);
}
