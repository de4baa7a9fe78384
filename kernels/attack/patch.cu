// Patches: pasted at a window, stepped inside one, and the random search (crates/methods/src/attack/patch has the
// sources). A window is two numbers: top and left.
#include "../philox.cuh"
#include "step.cuh"

// The clean image with the content [channels, ph, pw] at the window; with `shared` one for all rows.
extern "C" __global__ void paste(float* x, const float* clean, const float* windows,
                                 const float* content, int width, int, int h, int w, int ph, int pw,
                                 int shared) {
    int top = (int)mine(windows, 2)[0], left = (int)mine(windows, 2)[1];
    int area = width / (h * w) * ph * pw;
    if (!shared) content = mine(content, area);
    x = mine(x, width);
    clean = mine(clean, width);
    EACH(i, width) {
        int y = i / w % h - top, at = i % w - left;
        int inside = y >= 0 && y < ph && at >= 0 && at < pw;
        x[i] = inside ? content[(i / w / h * ph + y) * pw + at] : clean[i];
    }
}

// A signed step of every pixel of the window.
extern "C" __global__ void patch_step(float* next, const float* x, const float* g,
                                      const float* windows, int width, int h, int w, int ph, int pw,
                                      float alpha) {
    int top = (int)mine(windows, 2)[0], left = (int)mine(windows, 2)[1];
    next = mine(next, width);
    x = mine(x, width);
    g = mine(g, width);
    EACH(i, width) {
        int y = i / w % h - top, at = i % w - left;
        int inside = y >= 0 && y < ph && at >= 0 && at < pw;
        next[i] = inside ? to_box(x[i] + alpha * sign(g[i])) : x[i];
    }
}

// Element `element` of a draw as a number below n.
struct Chance {
    unsigned int draw, low, high, key0, key1;

    __device__ int below(unsigned int element, int n) const {
        Words words = philox(element / 4, draw, low, high, key0, key1);
        return (int)(((unsigned long long)words.w[element % 4] * (unsigned long long)n) >> 32);
    }
};

static __device__ float shifted(const Chance& chance, float at, int most, int reach,
                                unsigned int element) {
    int moved = (int)at + chance.below(element, 2 * reach + 1) - reach;
    return (float)(moved < 0 ? 0 : moved > most ? most : moved);
}

// Draws of a colour before a square that they do not change stays as it is; REDRAWS of random_search.rs.
#define REDRAWS 16

// A query of the random search: the window is moved, or a square of the content repainted.
extern "C" __global__ void patch_rs(float* content, float* windows, const unsigned int* ids, int width,
                                    unsigned int draw, unsigned int key0, unsigned int key1,
                                    int channels, int h, int w, int ph, int pw, int moves,
                                    int reach_y, int reach_x, int side, int single) {
    const unsigned int* id = mine(ids, 2);
    Chance chance = {draw, id[0], id[1], key0, key1};
    float* window = mine(windows, 2);
    if (moves) {
        if (threadIdx.x != 0) return;
        window[0] = shifted(chance, window[0], h - ph, reach_y, 0);
        window[1] = shifted(chance, window[1], w - pw, reach_x, 1);
        return;
    }
    int top = chance.below(0, ph - side + 1), left = chance.below(1, pw - side + 1);
    int only = single ? chance.below(2, channels) : -1;
    content = mine(content, width);
    for (int attempt = 0; attempt < REDRAWS; attempt++) {
        int changes = 0;
        EACH(i, width) {
            int c = i / pw / ph, y = i / pw % ph - top, at = i % pw - left;
            if (y < 0 || y >= side || at < 0 || at >= side || (single && c != only)) continue;
            float v = content[i];
            if (single) v = 1.0f - v;
            else if (chance.below(4 + attempt * channels + c, 2) == 1)
                v = v + 1.0f < 1.0f ? v + 1.0f : 1.0f;
            else v = v - 1.0f > 0.0f ? v - 1.0f : 0.0f;
            changes |= v != content[i];
            content[i] = v;
        }
        if (block_any(changes)) return;
    }
}

// What has the larger loss is kept: content, window and loss.
extern "C" __global__ void patch_rs_keep(float* content, float* windows, float* losses,
                                         const float* new_content, const float* new_windows,
                                         const float* reached, int width) {
    int better = reached[row()] > losses[row()];
    __syncthreads();
    if (!better) return;
    EACH(i, width) mine(content, width)[i] = mine(new_content, width)[i];
    EACH(i, 2) mine(windows, 2)[i] = mine(new_windows, 2)[i];
    if (threadIdx.x == 0) losses[row()] = reached[row()];
}
