// The threads of a block that wait for each other at barriers: fibers of one thread of the computer, each
// run to its next barrier in turn, from the first to the last and then from the last to the first, so that
// a missing barrier shows. A barrier that only some threads reach ends the program.
#pragma once
#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

namespace fibers {

typedef void (*Kernel)(void** arguments);

struct Fiber {
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(1 << 17);
    bool ended = false;
};

static thread_local std::vector<Fiber> fibers;
static thread_local ucontext_t scheduler;
static thread_local Fiber* current = nullptr;
static thread_local Kernel kernel;
static thread_local void** arguments;

static void begin() {
    kernel(arguments);
    current->ended = true;
    swapcontext(&current->context, &scheduler);
}

// Runs one block.
static void run(unsigned int threads, Kernel of, void** with) {
    kernel = of;
    arguments = with;
    if (fibers.size() < threads) fibers.resize(threads);
    for (unsigned int i = 0; i < threads; i++) {
        Fiber& fiber = fibers[i];
        fiber.ended = false;
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.data();
        fiber.context.uc_stack.ss_size = fiber.stack.size();
        fiber.context.uc_link = nullptr;
        makecontext(&fiber.context, begin, 0);
    }
    for (bool forwards = true;; forwards = !forwards) {
        unsigned int ended = 0;
        for (unsigned int i = 0; i < threads; i++) {
            unsigned int thread = forwards ? i : threads - 1 - i;
            current = &fibers[thread];
            threadIdx.x = thread;
            swapcontext(&scheduler, &current->context);
            ended += current->ended;
        }
        if (ended == threads) break;
        if (ended > 0) {
            std::fprintf(stderr, "only some threads of a block came to a barrier\n");
            std::abort();
        }
    }
    current = nullptr;
}

}  // namespace fibers

void __syncthreads() {
    if (!fibers::current) {
        std::fprintf(stderr, "a barrier in a kernel whose threads are not said to work together\n");
        std::abort();
    }
    unsigned int thread = threadIdx.x;
    fibers::Fiber* self = fibers::current;
    swapcontext(&self->context, &fibers::scheduler);
    threadIdx.x = thread;
}
