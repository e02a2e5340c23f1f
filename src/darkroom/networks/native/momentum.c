/* Gradient descent with momentum over all weights of a network in one call: every number is read once and written once,
 * where torch's functions for whole tensors go through them four times. */

#include <stdint.h>

#include "processors.h"
#include "threads.h"

#define BLOCK 65536 /* numbers */

typedef struct {
    int64_t count;
    float *const *weights, *const *moments;
    const float *const *gradients;
    const int64_t *sizes;
    float momentum, rate, decay;
} Work;

static int64_t blocks_of(int64_t size) { return (size + BLOCK - 1) / BLOCK; }

FAST static void descend(const Work *work, int64_t tensor, int64_t begin, int64_t end) {
    float *restrict weights = work->weights[tensor], *restrict moments = work->moments[tensor];
    const float *restrict gradients = work->gradients[tensor];
    const float momentum = work->momentum, rate = work->rate, decay = work->decay;
    for (int64_t k = begin; k < end; k++) {
        const float moment = momentum * moments[k] - rate * (gradients[k] + decay * weights[k]);
        moments[k] = moment;
        weights[k] += moment;
    }
}

static void descend_block(const void *given, int64_t block, int worker) {
    const Work *work = given;
    int64_t tensor = 0;
    for (; block >= blocks_of(work->sizes[tensor]); tensor++) block -= blocks_of(work->sizes[tensor]);
    const int64_t begin = block * BLOCK, size = work->sizes[tensor];
    descend(work, tensor, begin, begin + BLOCK < size ? begin + BLOCK : size);
}

/* moment = momentum·moment - rate·(gradient + decay·weight);  weight += moment, of `count` tensors. */
void darkroom_descend(int64_t count, float *const *weights, const float *const *gradients, float *const *moments,
                      const int64_t *sizes, float momentum, float rate, float decay, int threads) {
    const Work work = {count, weights, moments, gradients, sizes, momentum, rate, decay};
    int64_t blocks = 0;
    for (int64_t tensor = 0; tensor < count; tensor++) blocks += blocks_of(sizes[tensor]);
    darkroom_run(descend_block, &work, blocks, threads);
}
