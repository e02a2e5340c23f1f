/* Threads for the parts in C: asleep but for the moment of a call, and not OpenMP's, so that no second OpenMP runtime
 * competes with torch's. */

#ifndef DARKROOM_THREADS
#define DARKROOM_THREADS

#include <stdint.h>

#define MAX_THREADS 64

typedef void (*Part)(const void *work, int64_t block, int worker);

/* part(work, block, worker) for every block from 0 once, in any order, by at most so many threads, the caller among them;
 * no two threads at a time have the same number, which is below `threads` and MAX_THREADS. */
void darkroom_run(Part part, const void *work, int64_t blocks, int threads);

#endif
