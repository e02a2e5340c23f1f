#include "threads.h"

#include <pthread.h>

static struct {
    pthread_mutex_t lock, use;
    pthread_cond_t begin, end;
    int threads, wanted, busy; /* hired; of them for this round; at work */
    unsigned long round;
    Part part; /* NULL between rounds */
    const void *work;
    int64_t next, blocks;
} pool = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER,
          0, 0, 0, 0, 0, 0, 0, 0};

static void take_blocks(Part part, const void *work, int64_t blocks, int worker) {
    int64_t block;
    while ((block = __atomic_fetch_add(&pool.next, 1, __ATOMIC_RELAXED)) < blocks) part(work, block, worker);
}

/* A helper that wakes when the round is over goes back to sleep: nobody waits for it. */
static void *help(void *number) {
    unsigned long seen = 0;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (!pool.part || pool.round == seen) pthread_cond_wait(&pool.begin, &pool.lock);
        seen = pool.round;
        if ((intptr_t)number >= pool.wanted) continue;
        Part part = pool.part;
        const void *work = pool.work;
        const int64_t blocks = pool.blocks;
        pool.busy++;
        pthread_mutex_unlock(&pool.lock);
        take_blocks(part, work, blocks, 1 + (int)(intptr_t)number);
        pthread_mutex_lock(&pool.lock);
        if (--pool.busy == 0) pthread_cond_signal(&pool.end);
    }
    return 0;
}

static void forget_threads(void) { /* a forked child has none of them */
    pool.threads = pool.busy = 0;
    pool.part = 0;
    pthread_mutex_init(&pool.lock, 0);
    pthread_mutex_init(&pool.use, 0);
    pthread_cond_init(&pool.begin, 0);
    pthread_cond_init(&pool.end, 0);
}

static void hire(int threads) {
    static int told;
    if (!told) told = !pthread_atfork(0, 0, forget_threads);
    while (pool.threads < threads) {
        pthread_t thread;
        if (pthread_create(&thread, 0, help, (void *)(intptr_t)pool.threads)) return;
        pthread_detach(thread);
        pool.threads++;
    }
}

void darkroom_run(Part part, const void *work, int64_t blocks, int threads) {
    if (threads <= 1 || blocks <= 1) {
        for (int64_t block = 0; block < blocks; block++) part(work, block, 0);
        return;
    }
    pthread_mutex_lock(&pool.use);
    pthread_mutex_lock(&pool.lock);
    pool.wanted = threads < MAX_THREADS ? threads - 1 : MAX_THREADS - 1;
    hire(pool.wanted);
    pool.part = part, pool.work = work, pool.next = 0, pool.blocks = blocks;
    pool.round++;
    pthread_cond_broadcast(&pool.begin);
    pthread_mutex_unlock(&pool.lock);
    take_blocks(part, work, blocks, 0);
    pthread_mutex_lock(&pool.lock);
    pool.part = 0;
    while (pool.busy) pthread_cond_wait(&pool.end, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
    pthread_mutex_unlock(&pool.use);
}
