// Attention among the pixels of a group (Vaswani et al. 2017; in windows Liu et al. 2021) and among the
// channels of a head (El-Nouby et al. 2021), and their pullbacks. A pixel of `qkv` holds its queries, keys
// and values side by side, each in heads. Probabilities are computed again in the pullback.
//
// Neighbouring threads work for queries of the same head and group, so what they read of the other
// pixels is the same and is read once for all of them.
#include "common.cuh"

// Added to the score of two pixels of a window that do not lie together in the image.
static const float APART = -100.0f;

// One thread's place: image, group, head, and the pixel of the group.
struct Seat {
    Size n;
    int group, head, place;
};

static __device__ __forceinline__ Seat seat(Size i, int places, int heads, int groups) {
    Seat s;
    s.place = i % places;
    i /= places;
    s.head = i % heads;
    i /= heads;
    s.group = i % groups;
    s.n = i / groups;
    return s;
}

// What is the same for every thread of a call.
struct Form {
    const Real* qkv;
    const int* pixels;
    const int* regions;
    const float* bias;
    int count, length, queries, heads, depth;
};

template <int D>
static __device__ __forceinline__ void read(float* to, const Real* from, int depth) {
    for (int c = 0; c < D; c++) to[c] = c < depth ? (float)from[c] : 0.0f;
}

template <int D>
static __device__ __forceinline__ float dot(const float* a, const Real* b, int depth) {
    float v = 0.0f;
    for (int c = 0; c < D; c++)
        if (c < depth) v = fmaf(a[c], b[c], v);
    return v;
}

// Queries of the pixel at `place` of a group; keys and values lie `channels` and 2 `channels` behind.
static __device__ __forceinline__ Size start(const Form& f, const Seat& s, int place) {
    int channels = f.heads * f.depth;
    int pixel = f.pixels[s.group * f.length + place];
    return (s.n * f.count + pixel) * 3 * channels + s.head * f.depth;
}

// Where the output of the query at `place` is.
static __device__ __forceinline__ Size output(const Form& f, const Seat& s, int place) {
    int outputs = f.count / f.length * f.queries;
    int pixel = f.queries == f.length ? f.pixels[s.group * f.length + place] : place;
    return (s.n * outputs + pixel) * f.heads * f.depth + s.head * f.depth;
}

// What is added to the score of a query and a key.
static __device__ __forceinline__ float beside(const Form& f, const Seat& s, int query, int key) {
    float v = f.bias ? f.bias[((Size)s.head * f.length + query) * f.length + key] : 0.0f;
    const int* regions = f.regions + s.group * f.length;
    return regions[query] == regions[key] ? v : v + APART;
}

template <int D>
static __device__ void attend(const Form& f, Real* y, float* sums, Size i) {
    Seat s = seat(i, f.queries, f.heads, f.count / f.length);
    int channels = f.heads * f.depth;
    float scale = 1.0f / sqrtf((float)f.depth);
    float query[D], total[D];
    read<D>(query, f.qkv + start(f, s, s.place), f.depth);
    for (int c = 0; c < D; c++) total[c] = 0.0f;
    float most = -INFINITY, sum = 0.0f;
    for (int j = 0; j < f.length; j++) {
        const Real* key = f.qkv + start(f, s, j) + channels;
        const Real* value = key + channels;
        float score = dot<D>(query, key, f.depth) * scale + beside(f, s, s.place, j);
        float now = fmaxf(most, score);
        float before = expf(most - now), power = expf(score - now);
        sum = sum * before + power;
        for (int c = 0; c < D; c++)
            if (c < f.depth) total[c] = total[c] * before + power * value[c];
        most = now;
    }
    Real* out = y + output(f, s, s.place);
    for (int c = 0; c < D; c++)
        if (c < f.depth) out[c] = total[c] / sum;
    if (sums) sums[i] = most + logf(sum);
}

// The cotangent of the queries; `deltas` gets what the keys need of every query.
template <int D>
static __device__ void attend_back_queries(const Form& f, const Real* g, const float* sums, float* deltas,
                                           Real* gx, Size i, int add) {
    Seat s = seat(i, f.queries, f.heads, f.count / f.length);
    int channels = f.heads * f.depth;
    float scale = 1.0f / sqrtf((float)f.depth);
    float query[D], cotangent[D], total[D];
    read<D>(query, f.qkv + start(f, s, s.place), f.depth);
    read<D>(cotangent, g + output(f, s, s.place), f.depth);
    for (int c = 0; c < D; c++) total[c] = 0.0f;
    float delta = 0.0f;
    for (int pass = 0; pass < 2; pass++)
        for (int j = 0; j < f.length; j++) {
            const Real* key = f.qkv + start(f, s, j) + channels;
            float score = dot<D>(query, key, f.depth) * scale + beside(f, s, s.place, j);
            float p = expf(score - sums[i]);
            float of_p = dot<D>(cotangent, key + channels, f.depth);
            if (pass == 0) {
                delta = fmaf(p, of_p, delta);
                continue;
            }
            float of_score = p * (of_p - delta) * scale;
            for (int c = 0; c < D; c++)
                if (c < f.depth) total[c] = fmaf(of_score, key[c], total[c]);
        }
    deltas[i] = delta;
    Size to = start(f, s, s.place);
    for (int c = 0; c < D; c++)
        if (c < f.depth) put(gx, to + c, total[c], add);
}

// The cotangents of the keys and values, and of queries that do not ask.
template <int D>
static __device__ void attend_back_keys(const Form& f, const Real* g, const float* sums, const float* deltas,
                                        Real* gx, Size i, int add) {
    Seat s = seat(i, f.length, f.heads, f.count / f.length);
    int channels = f.heads * f.depth;
    float scale = 1.0f / sqrtf((float)f.depth);
    Size own = start(f, s, s.place);
    float key[D], value[D], of_key[D], of_value[D];
    read<D>(key, f.qkv + own + channels, f.depth);
    read<D>(value, f.qkv + own + 2 * channels, f.depth);
    for (int c = 0; c < D; c++) of_key[c] = of_value[c] = 0.0f;
    Size first = i / f.length * f.queries;
    for (int j = 0; j < f.queries; j++) {
        const Real* query = f.qkv + start(f, s, j);
        const Real* cotangent = g + output(f, s, j);
        float score = dot<D>(key, query, f.depth) * scale + beside(f, s, j, s.place);
        float p = expf(score - sums[first + j]);
        float of_score = p * (dot<D>(value, cotangent, f.depth) - deltas[first + j]) * scale;
        for (int c = 0; c < D; c++)
            if (c < f.depth) {
                of_key[c] = fmaf(of_score, query[c], of_key[c]);
                of_value[c] = fmaf(p, cotangent[c], of_value[c]);
            }
    }
    for (int c = 0; c < D; c++)
        if (c < f.depth) {
            put(gx, own + channels + c, of_key[c], add);
            put(gx, own + 2 * channels + c, of_value[c], add);
            if (s.place >= f.queries) put(gx, own + c, 0.0f, add);
        }
}

// A head's numbers stay in registers: kernels of their own for heads of up to 32, 64 and 128 channels.
#define ATTENTION(D)                                                                                     \
    extern "C" __global__ void NAMED(attention_##D)(const Real* qkv, const int* pixels, const int* regions,\
                                             const float* bias, Real* y, float* sums, Size total,        \
                                             int count, int length, int queries, int heads, int depth) { \
        Size i = thread();                                                                               \
        if (i >= total) return;                                                                          \
        Form f = {qkv, pixels, regions, bias, count, length, queries, heads, depth};                     \
        attend<D>(f, y, sums, i);                                                                        \
    }                                                                                                    \
    extern "C" __global__ void NAMED(attention_pullback_queries_##D)(                                    \
        const Real* qkv, const int* pixels, const int* regions, const float* bias, const Real* g,        \
        const float* sums, float* deltas, Real* gx, Size total, int count, int length, int queries,      \
        int heads, int depth, int add) {                                                                 \
        Size i = thread();                                                                               \
        if (i >= total) return;                                                                          \
        Form f = {qkv, pixels, regions, bias, count, length, queries, heads, depth};                     \
        attend_back_queries<D>(f, g, sums, deltas, gx, i, add);                                          \
    }                                                                                                    \
    extern "C" __global__ void NAMED(attention_pullback_keys_##D)(                                       \
        const Real* qkv, const int* pixels, const int* regions, const float* bias, const Real* g,        \
        const float* sums, const float* deltas, Real* gx, Size total, int count, int length,             \
        int queries, int heads, int depth, int add) {                                                    \
        Size i = thread();                                                                               \
        if (i >= total) return;                                                                          \
        Form f = {qkv, pixels, regions, bias, count, length, queries, heads, depth};                     \
        attend_back_keys<D>(f, g, sums, deltas, gx, i, add);                                             \
    }

ATTENTION(32)
ATTENTION(64)
ATTENTION(128)

// Shorter vectors are divided by this.
static const float SHORTEST_CHANNEL = 1e-12f;

// Length of a channel over the pixels; `from` is its number of the first pixel.
static __device__ float channel_length(const Real* from, int pixels, int step) {
    double squares = 0.0;
    for (int p = 0; p < pixels; p++) squares += (double)from[(Size)p * step] * from[(Size)p * step];
    return fmaxf((float)sqrt(squares), SHORTEST_CHANNEL);
}

// Scores of a query channel and all key channels of its head, and their softmax: a thread per image, head
// and query channel. `lengths` gets the length of the query and, behind those, of the key of its number.
extern "C" __global__ void NAMED(channel_scores)(const Real* qkv, const float* temperatures, float* scores,
                                                 float* probabilities, float* lengths, Size total, int pixels,
                                                 int heads, int depth) {
    Size i = thread();
    if (i >= total) return;
    int channels = heads * depth, step = 3 * channels;
    int row = i % depth, head = i / depth % heads;
    const Real* image = qkv + i / channels * pixels * step + head * depth;
    const Real* query = image + row;
    float own = channel_length(query, pixels, step);
    lengths[i] = own;
    lengths[total + i] = channel_length(query + channels, pixels, step);
    float* to = scores + i * depth;
    float most = -INFINITY, sum = 0.0f;
    for (int j = 0; j < depth; j++) {
        const Real* key = image + channels + j;
        float v = 0.0f;
        for (int p = 0; p < pixels; p++) v = fmaf(query[(Size)p * step], key[(Size)p * step], v);
        to[j] = temperatures[head] * (v / own / channel_length(key, pixels, step));
        most = fmaxf(most, to[j]);
    }
    for (int j = 0; j < depth; j++) sum += expf(to[j] - most);
    for (int j = 0; j < depth; j++) probabilities[i * depth + j] = expf(to[j] - most) / sum;
}

// y = P v: a thread per pixel and channel.
extern "C" __global__ void NAMED(channel_mix)(const Real* qkv, const float* probabilities, Real* y, Size total,
                                              int pixels, int heads, int depth) {
    Size i = thread();
    if (i >= total) return;
    int channels = heads * depth;
    int channel = i % channels, head = channel / depth;
    Size pixel = i / channels, n = pixel / pixels;
    const Real* value = qkv + pixel * 3 * channels + 2 * channels + head * depth;
    const float* p = probabilities + (n * channels + channel) * depth;
    float v = 0.0f;
    for (int j = 0; j < depth; j++) v = fmaf(p[j], value[j], v);
    y[i] = v;
}

// The cotangents of the scores: a thread per image, head and query channel.
extern "C" __global__ void NAMED(channel_scores_pullback)(const Real* qkv, const Real* g,
                                                          const float* probabilities, float* of_scores,
                                                          Size total, int pixels, int heads, int depth) {
    Size i = thread();
    if (i >= total) return;
    int channels = heads * depth, step = 3 * channels;
    int head = i / depth % heads;
    Size n = i / channels;
    const Real* value = qkv + n * pixels * step + 2 * channels + head * depth;
    const Real* cotangent = g + n * pixels * channels + i % channels;
    const float* p = probabilities + i * depth;
    float* to = of_scores + i * depth;
    float mean = 0.0f;
    for (int j = 0; j < depth; j++) {
        float v = 0.0f;
        for (int k = 0; k < pixels; k++) v = fmaf(cotangent[(Size)k * channels], value[(Size)k * step + j], v);
        to[j] = v;
        mean = fmaf(p[j], v, mean);
    }
    for (int j = 0; j < depth; j++) to[j] = p[j] * (to[j] - mean);
}

// The cotangents of queries, keys and values: a thread per pixel and channel of the output. `rows` is the
// number of query channels of the batch.
extern "C" __global__ void NAMED(channel_mix_pullback)(const Real* qkv, const Real* g, const float* temperatures,
                                                       const float* scores, const float* probabilities,
                                                       const float* of_scores, const float* lengths, Real* gx,
                                                       Size total, Size rows, int pixels, int heads, int depth,
                                                       int add) {
    Size i = thread();
    if (i >= total) return;
    int channels = heads * depth;
    int channel = i % channels, head = channel / depth, c = channel % depth;
    Size pixel = i / channels, n = pixel / pixels;
    Size from = pixel * 3 * channels + head * depth;
    Size first = n * channels + head * depth;  // row of the head's first channel
    const Real* query = qkv + from;
    const Real* key = query + channels;
    const Real* cotangent = g + pixel * channels + head * depth;
    float of_query = 0.0f, of_key = 0.0f, of_value = 0.0f, along_query = 0.0f, along_key = 0.0f;
    for (int j = 0; j < depth; j++) {
        Size mine = (first + c) * depth + j, theirs = (first + j) * depth + c;
        of_query = fmaf(of_scores[mine], key[j] / lengths[rows + first + j], of_query);
        of_key = fmaf(of_scores[theirs], query[j] / lengths[first + j], of_key);
        along_query = fmaf(of_scores[mine], scores[mine], along_query);
        along_key = fmaf(of_scores[theirs], scores[theirs], along_key);
        of_value = fmaf(probabilities[theirs], cotangent[j], of_value);
    }
    float a = lengths[first + c], b = lengths[rows + first + c], t = temperatures[head];
    // The length of a vector that is divided by the shortest length does not change with it.
    float turn_query = a > SHORTEST_CHANNEL ? query[c] / a * along_query : 0.0f;
    float turn_key = b > SHORTEST_CHANNEL ? key[c] / b * along_key : 0.0f;
    put(gx, from + c, (t * of_query - turn_query) / a, add);
    put(gx, from + channels + c, (t * of_key - turn_key) / b, add);
    put(gx, from + 2 * channels + c, of_value, add);
}
