// Work that streams are given: done at once, or recorded in a graph while the stream is captured.
//
// It is stricter than a GPU: what a program must not do during a capture breaks it off, others stay away
// from a stream that is captured, and a graph that is launched may only touch memory that is still there.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

namespace capture {

// What is done, and the addresses of the GPU's memory that it was given.
struct Work {
    std::function<int()> run;
    std::vector<uint64_t> addresses;
};

typedef std::vector<Work> Graph;

struct Stream {
    Graph* graph = nullptr;
    bool broken = false;
    std::thread::id owner;
};

enum { UNSUPPORTED = 900, INVALIDATED = 901, UNMATCHED = 903, WRONG_THREAD = 908 };

}  // namespace capture

// Of the driver, for cuDNN.
extern "C" int emulatedSubmit(void* stream, const capture::Work& work);
