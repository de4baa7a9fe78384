// A CUDA driver without a GPU: memory is the computer's own, and a kernel is called once per thread. With
// it the whole CUDA path runs on a CPU, every argument of every kernel included, on machines that have no
// GPU. It knows what epsball asks of a driver and no more.
//
// It is stricter than a GPU: memory is full of NaN when it is handed out, and its ends are looked at when
// it is given back.
#include "capture.h"
#include "cuda.h"
#include "fibers.h"

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <map>
#include <mutex>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../../kernels/attack/apgd.cu"
#include "../../kernels/attack/cw.cu"
#include "../../kernels/attack/draws.cu"
#include "../../kernels/attack/fab.cu"
#include "../../kernels/attack/gather.cu"
#include "../../kernels/attack/judge.cu"
#include "../../kernels/attack/loss.cu"
#include "../../kernels/attack/patch.cu"
#include "../../kernels/attack/pgd.cu"
#include "../../kernels/attack/square.cu"
#include "../../kernels/certify/noise.cu"
#include "../../kernels/certify/votes.cu"
#include "layers.h"
#include "../../kernels/bf16.cuh"
namespace bf16 {
#include "layers.h"
}

namespace {

typedef void (*Kernel)(void** arguments);

// Calls `function` with the arguments that `cuLaunchKernel` gets as addresses.
template <typename... Types>
void call(void (*function)(Types...), void** arguments) {
    [&]<size_t... I>(std::index_sequence<I...>) {
        function(*static_cast<Types*>(arguments[I])...);
    }(std::index_sequence_for<Types...>());
}

// What a kernel is given, copied: graphs are launched when the caller's variables are long gone.
struct Arguments {
    std::vector<std::vector<unsigned char>> copies;
    std::vector<uint64_t> addresses;
};

template <typename... Types>
Arguments copied(void (*)(Types...), void** arguments) {
    Arguments all;
    auto add = [&]<typename Type>(Type* argument) {
        const unsigned char* bytes = reinterpret_cast<const unsigned char*>(argument);
        all.copies.emplace_back(bytes, bytes + sizeof(Type));
        if constexpr (std::is_pointer_v<Type>) all.addresses.push_back(reinterpret_cast<uint64_t>(*argument));
    };
    [&]<size_t... I>(std::index_sequence<I...>) {
        (add(static_cast<Types*>(arguments[I])), ...);
    }(std::index_sequence_for<Types...>());
    return all;
}

// A kernel whose threads do not wait for each other, one whose blocks work on a row together, and a
// layer's, of which there is one for each type of activations.
#define ENTRY(key, name, together)                                                                        \
    {                                                                                                     \
        key, {                                                                                            \
            [](void** arguments) { call(name, arguments); }, [](void** from) { return copied(name, from); }, \
                together                                                                                  \
        }                                                                                                 \
    }
#define KERNEL(name) ENTRY(#name, name, false)
#define ROWS(name) ENTRY(#name, name, true)
#define LAYER(name) KERNEL(name), ENTRY(#name "_bf16", bf16::name##_bf16, false)

struct Entry {
    Kernel kernel;
    Arguments (*copied)(void** arguments);
    bool together;
};

const std::map<std::string, Entry> kernels = {
    LAYER(add_constant),
    LAYER(affine),
    LAYER(affine_pullback),
    LAYER(attention_128),
    LAYER(attention_32),
    LAYER(attention_64),
    LAYER(attention_pullback_keys_128),
    LAYER(attention_pullback_keys_32),
    LAYER(attention_pullback_keys_64),
    LAYER(attention_pullback_queries_128),
    LAYER(attention_pullback_queries_32),
    LAYER(attention_pullback_queries_64),
    LAYER(avg_pool),
    LAYER(avg_pool_pullback),
    LAYER(before),
    LAYER(channel_mix),
    LAYER(channel_mix_pullback),
    LAYER(channel_scores),
    LAYER(channel_scores_pullback),
    LAYER(conv),
    LAYER(conv_pullback),
    LAYER(gate),
    LAYER(gate_pullback),
    LAYER(gate_pullback_gates),
    KERNEL(gaussian),
    KERNEL(gather),
    LAYER(global_avg_pool),
    LAYER(global_avg_pool_pullback),
    KERNEL(largest),
    LAYER(layer_norm),
    LAYER(layer_norm_pullback),
    LAYER(log_softmax),
    LAYER(log_softmax_pullback),
    LAYER(map),
    LAYER(map_pullback),
    LAYER(matrices),
    LAYER(max_pool),
    LAYER(max_pool_pullback),
    LAYER(mean_sparse),
    LAYER(mean_sparse_pullback),
    LAYER(normalise),
    LAYER(pad),
    LAYER(pad_pullback),
    LAYER(pair),
    LAYER(pair_pullback),
    LAYER(part),
    LAYER(part_pullback),
    LAYER(patch_merge),
    LAYER(patch_merge_pullback),
    LAYER(pick),
    LAYER(pick_image),
    LAYER(pick_image_pullback),
    LAYER(pick_pullback),
    LAYER(pick_vector),
    LAYER(pick_vector_pullback),
    LAYER(place),
    LAYER(positive),
    LAYER(reduce),
    LAYER(reduce_pullback),
    LAYER(scale),
    LAYER(softmax),
    LAYER(softmax_pullback),
    LAYER(standardise),
    LAYER(standardise_pullback),
    LAYER(subsample),
    LAYER(subsample_pullback),
    LAYER(sum),
    LAYER(to_nchw),
    LAYER(to_nhwc),
    KERNEL(uniform),
    LAYER(unit_length),
    LAYER(unit_length_pullback),
    ROWS(add_rows),
    ROWS(apgd_pull_l1),
    ROWS(apgd_record),
    ROWS(apgd_start),
    ROWS(apgd_step),
    ROWS(changed_elements),
    ROWS(choose),
    ROWS(cw_confident),
    ROWS(cw_image),
    ROWS(cw_step),
    ROWS(difference),
    ROWS(divergence_slope),
    ROWS(fab_distance),
    ROWS(fab_enlarge),
    ROWS(fab_judge),
    ROWS(fab_step),
    ROWS(judge),
    ROWS(keep_larger),
    ROWS(larger),
    ROWS(less),
    ROWS(loss),
    ROWS(normal_rows),
    ROWS(paste),
    ROWS(patch_rs),
    ROWS(patch_rs_keep),
    ROWS(patch_step),
    ROWS(pgd_step),
    ROWS(square_gather),
    ROWS(square_linf),
    ROWS(square_signs),
    ROWS(square_stripes),
    ROWS(succeeded),
    ROWS(uniform_rows),
};

// Threads of a block that work together: a power of two, as on a GPU.
const unsigned int TOGETHER = 8;

// Bytes in front of and behind every block of memory.
const size_t GUARD = 256;
const unsigned char FILL = 0xFF;  // floats of these bytes are NaN

std::mutex lock;
std::map<uint64_t, size_t> blocks;
std::map<const void*, size_t> locked;  // page-locked memory of the computer
size_t used = 0;

// Memory of the emulated GPU; EMULATED_MEMORY sets it, in bytes.
size_t capacity() {
    const char* text = std::getenv("EMULATED_MEMORY");
    return text ? std::strtoull(text, nullptr, 10) : size_t(2) << 30;
}

int devices() {
    const char* text = std::getenv("EMULATED_GPUS");
    return text ? std::atoi(text) : 1;
}

enum { SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, NOT_FOUND = 500 };

// The stream that this thread captures.
thread_local capture::Stream* captured = nullptr;

// The answer to a call that is not allowed during a capture, which it breaks off.
int forbidden() {
    if (!captured) return SUCCESS;
    captured->broken = true;
    return capture::UNSUPPORTED;
}

// EMULATED_REPORT: what was done is told at the end.
struct Report {
    std::atomic<size_t> captures = 0, launches = 0, locked = 0, pageable = 0, allocations = 0;
    ~Report() {
        if (!std::getenv("EMULATED_REPORT")) return;
        std::fprintf(stderr, "emulated: %zu graphs captured, %zu launched\n", captures.load(), launches.load());
        std::fprintf(stderr, "emulated: %zu copies of page-locked memory, %zu of other; %zu allocations\n",
                     locked.load(), pageable.load(), allocations.load());
    }
} report;

void count_copy(const void* host) {
    std::lock_guard<std::mutex> guard(lock);
    auto after = locked.upper_bound(host);
    bool inside = after != locked.begin()
        && host < static_cast<const char*>(std::prev(after)->first) + std::prev(after)->second;
    (inside ? report.locked : report.pageable)++;
}

bool there(const capture::Work& work) {
    std::lock_guard<std::mutex> guard(lock);
    for (uint64_t address : work.addresses) {
        auto after = blocks.upper_bound(address);
        if (address && (after == blocks.begin() || address >= std::prev(after)->first + std::prev(after)->second))
            return false;
    }
    return true;
}

}  // namespace

extern "C" {

int cuInit(unsigned int) { return SUCCESS; }
int cuDriverGetVersion(int* version) { *version = 13000; return SUCCESS; }
int cuDeviceGetCount(int* count) { *count = devices(); return SUCCESS; }
int cuDeviceGet(int* device, int ordinal) {
    if (ordinal < 0 || ordinal >= devices()) return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}
int cuDeviceGetName(char* name, int length, int device) {
    std::snprintf(name, length, "emulated GPU %d", device);
    return SUCCESS;
}
int cuDeviceGetAttribute(int* value, int, int) { *value = 0; return SUCCESS; }
int cuDeviceTotalMem_v2(size_t* bytes, int) { *bytes = capacity(); return SUCCESS; }
int cuDevicePrimaryCtxRetain(void** context, int device) {
    *context = reinterpret_cast<void*>(static_cast<intptr_t>(device + 1));
    return SUCCESS;
}
int cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
static thread_local void* current = nullptr;
int cuCtxSetCurrent(void* context) { current = context; return SUCCESS; }
int cuCtxGetCurrent(void** context) { *context = current; return SUCCESS; }
int cuCtxSynchronize() { return forbidden(); }
int cuStreamCreate(void** stream, unsigned int) {
    *stream = new capture::Stream;
    return SUCCESS;
}
int cuStreamDestroy_v2(void* stream) { delete static_cast<capture::Stream*>(stream); return SUCCESS; }
int cuStreamSynchronize(void*) { return forbidden(); }

int emulatedSubmit(void* to, const capture::Work& work) {
    capture::Stream* stream = static_cast<capture::Stream*>(to);
    if (!stream->graph) return work.run();
    if (stream->owner != std::this_thread::get_id()) {
        stream->broken = true;
        return capture::WRONG_THREAD;
    }
    if (stream->broken) return capture::INVALIDATED;
    stream->graph->push_back(work);
    return SUCCESS;
}
int cuStreamBeginCapture_v2(void* from, int mode) {
    capture::Stream* stream = static_cast<capture::Stream*>(from);
    // Only captures that other threads do not disturb.
    if (!current || stream->graph || captured || mode != 1) return INVALID_VALUE;
    *stream = capture::Stream{new capture::Graph, false, std::this_thread::get_id()};
    captured = stream;
    return SUCCESS;
}
int cuStreamEndCapture(void* from, void** graph) {
    capture::Stream* stream = static_cast<capture::Stream*>(from);
    *graph = nullptr;
    if (!stream->graph) return capture::UNMATCHED;
    if (stream->owner != std::this_thread::get_id()) return capture::WRONG_THREAD;
    capture::Graph* recorded = std::exchange(stream->graph, nullptr);
    captured = nullptr;
    // EMULATED_NO_CAPTURE: a driver that refuses in the end.
    if (stream->broken || std::getenv("EMULATED_NO_CAPTURE")) {
        delete recorded;
        return capture::INVALIDATED;
    }
    *graph = recorded;
    report.captures++;
    return SUCCESS;
}
int cuGraphInstantiateWithFlags(void** executable, void* graph, unsigned long long flags) {
    if (!graph || flags || captured) return INVALID_VALUE;
    *executable = new capture::Graph(*static_cast<capture::Graph*>(graph));
    return SUCCESS;
}
int cuGraphDestroy(void* graph) { delete static_cast<capture::Graph*>(graph); return SUCCESS; }
int cuGraphExecDestroy(void* executable) { delete static_cast<capture::Graph*>(executable); return SUCCESS; }
int cuGraphLaunch(void* executable, void* stream) {
    if (!current || static_cast<capture::Stream*>(stream)->graph) return INVALID_VALUE;
    for (const capture::Work& work : *static_cast<capture::Graph*>(executable)) {
        if (!there(work)) {
            std::fprintf(stderr, "a graph was launched whose memory is not there any more\n");
            std::abort();
        }
        if (int status = work.run()) return status;
    }
    report.launches++;
    return SUCCESS;
}

int cuMemGetInfo_v2(size_t* free, size_t* total) {
    std::lock_guard<std::mutex> guard(lock);
    *total = capacity();
    // As if others used the rest while nobody looked: programs have to cope with it.
    *free = std::getenv("EMULATED_BOAST") ? *total * 8 : *total - used;
    return SUCCESS;
}
int cuMemAlloc_v2(uint64_t* address, size_t bytes) {
    if (int status = forbidden()) return status;
    std::lock_guard<std::mutex> guard(lock);
    if (used + bytes > capacity()) return OUT_OF_MEMORY;
    unsigned char* block = static_cast<unsigned char*>(std::aligned_alloc(256, (bytes + 2 * GUARD + 255) / 256 * 256));
    if (!block) return OUT_OF_MEMORY;
    std::memset(block, FILL, bytes + 2 * GUARD);
    *address = reinterpret_cast<uint64_t>(block + GUARD);
    blocks[*address] = bytes;
    report.allocations++;
    used += bytes;
    return SUCCESS;
}
int cuMemFree_v2(uint64_t address) {
    if (int status = forbidden()) return status;
    std::lock_guard<std::mutex> guard(lock);
    auto found = blocks.find(address);
    if (found == blocks.end()) return INVALID_VALUE;
    unsigned char* block = reinterpret_cast<unsigned char*>(address) - GUARD;
    for (size_t i = 0; i < GUARD; i++)
        if (block[i] != FILL || block[GUARD + found->second + i] != FILL) {
            std::fprintf(stderr, "memory of %zu bytes was written to outside its bounds\n", found->second);
            std::abort();
        }
    used -= found->second;
    std::free(block);
    blocks.erase(found);
    return SUCCESS;
}
int cuMemAllocAsync(uint64_t* address, size_t bytes, void*) { return cuMemAlloc_v2(address, bytes); }
int cuMemFreeAsync(uint64_t address, void*) { return cuMemFree_v2(address); }
int cuMemcpyHtoDAsync_v2(uint64_t to, const void* from, size_t bytes, void*) {
    if (int status = forbidden()) return status;
    count_copy(from);
    std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    return SUCCESS;
}
int cuMemcpyDtoHAsync_v2(void* to, uint64_t from, size_t bytes, void*) {
    if (int status = forbidden()) return status;
    count_copy(to);
    std::memcpy(to, reinterpret_cast<void*>(from), bytes);
    return SUCCESS;
}
int cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void* stream) {
    auto work = [=] {
        std::memset(reinterpret_cast<void*>(to), value, bytes);
        return int(SUCCESS);
    };
    return emulatedSubmit(stream, {work, {to}});
}
// EMULATED_NO_LOCKED: a computer that locks no pages.
int cuMemHostAlloc(void** address, size_t bytes, unsigned int) {
    if (int status = forbidden()) return status;
    if (std::getenv("EMULATED_NO_LOCKED")) return OUT_OF_MEMORY;
    std::lock_guard<std::mutex> guard(lock);
    *address = std::malloc(bytes);
    if (!*address) return OUT_OF_MEMORY;
    std::memset(*address, FILL, bytes);
    locked[*address] = bytes;
    return SUCCESS;
}
int cuMemFreeHost(void* address) {
    if (int status = forbidden()) return status;
    std::lock_guard<std::mutex> guard(lock);
    if (!locked.erase(address)) return INVALID_VALUE;
    std::free(address);
    return SUCCESS;
}

int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void* stream) {
    auto work = [=] {
        std::memcpy(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
        return int(SUCCESS);
    };
    return emulatedSubmit(stream, {work, {to, from}});
}

int cuModuleLoadData(void** module, const void*) { *module = std::malloc(1); return SUCCESS; }
int cuModuleUnload(void* module) { std::free(module); return SUCCESS; }
int cuModuleGetFunction(void** function, void*, const char* name) {
    auto found = kernels.find(name);
    if (found == kernels.end()) return NOT_FOUND;
    *function = const_cast<Entry*>(&found->second);
    return SUCCESS;
}
static void run(const Entry& entry, unsigned int grid, unsigned int block, void** arguments) {
    // Threads that work together are switched between at every barrier: as few as will do.
    if (entry.together) block = block < TOGETHER ? block : TOGETHER;
    blockDim = Coordinates{block, 1, 1};
    gridDim = Coordinates{grid, 1, 1};
    for (unsigned int number = 0; number < grid; number++) {
        blockIdx.x = number;
        if (entry.together) {
            fibers::run(block, entry.kernel, arguments);
            continue;
        }
        for (unsigned int thread = 0; thread < block; thread++) {
            threadIdx.x = thread;
            entry.kernel(arguments);
        }
    }
}
int cuLaunchKernel(void* function, unsigned int grid_x, unsigned int grid_y, unsigned int grid_z,
                   unsigned int block_x, unsigned int block_y, unsigned int block_z, unsigned int,
                   void* stream, void** arguments, void**) {
    if (!current || !stream) return INVALID_VALUE;
    // Every kernel counts along x only.
    if (grid_y * grid_z * block_y * block_z != 1 || block_x == 0 || block_x > 1024) return INVALID_VALUE;
    const Entry& entry = *static_cast<const Entry*>(function);
    if (!static_cast<capture::Stream*>(stream)->graph) {
        run(entry, grid_x, block_x, arguments);
        return SUCCESS;
    }
    Arguments copied = entry.copied(arguments);
    auto work = [&entry, grid_x, block_x, copies = copied.copies]() mutable {
        std::vector<void*> places;
        for (auto& copy : copies) places.push_back(copy.data());
        run(entry, grid_x, block_x, places.data());
        return int(SUCCESS);
    };
    return emulatedSubmit(stream, capture::Work{work, copied.addresses});
}
int cuGetErrorName(int error, const char** name) {
    *name = error == OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR";
    return SUCCESS;
}
int cuGetErrorString(int error, const char** text) {
    *text = error == OUT_OF_MEMORY ? "out of memory" : "emulated error";
    return SUCCESS;
}

}  // extern "C"
