#define _GNU_SOURCE
#include "entry.h"
#include "network.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "steps.h"

enum { MOST_THREADS = 1024 };
enum { PATIENCE = 2000 };        /* turns of waiting for a step's end */
enum { SHORT = 30, LONG = 240 }; /* us of waiting for another call, before sleep */

/* Of one step and thread: which block is the next of those that are this thread's first. */
typedef struct {
    int64_t next, end;
} __attribute__((aligned(64))) Range;

typedef struct {
    int64_t left; /* blocks that are not done */
} __attribute__((aligned(64))) Progress;

struct Network {
    Step *steps;
    Division *divisions;
    Progress *progress;
    Range *ranges;       /* [steps][threads] */
    const int8_t **next; /* [steps][threads]: the weights that a thread begins with after this step */
    int64_t count, probabilities;
    char *scratch; /* [threads][scratch_bytes] */
    int64_t scratch_bytes;
    int threads;
    Call call;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    pthread_t *team;
    int hired, busy, running, leaving;
    pid_t owner; /* a child of its process has the memory and not the team */
    int around;  /* the core that the team was last spread around; -1: none yet */
    unsigned long round;
};

int darkroom_network_able(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

int darkroom_network_has_matrices(void) { return has_matrices(); }

int64_t darkroom_network_step_bytes(void) { return sizeof(Step); }

/* A thread takes its own blocks first, so that it finds in its cache what it wrote in the step before, then others'.
 * One that comes late, or not at all, leaves its blocks to the others. */
static void run_step(const Network *n, int64_t step, int me, Setup *setup) {
    const Step *s = n->steps + step;
    const Division *d = n->divisions + step;
    Progress *progress = n->progress + step;
    for (int k = 0; k < n->threads; k++) {
        Range *range = n->ranges + step * n->threads + (me + k) % n->threads;
        while (__atomic_load_n(&range->next, __ATOMIC_RELAXED) < range->end) {
            const int64_t block = __atomic_fetch_add(&range->next, 1, __ATOMIC_RELAXED);
            if (block >= range->end) break;
            const int more = s->kind == CONVOLUTION && block + 1 < range->end;
            const int8_t *next = more ? begins_with(s, d, block + 1) : n->next[step * n->threads + me];
            do_block(&n->call, s, d, block, (Own){setup, n->scratch + me * n->scratch_bytes, 0, next});
            __atomic_fetch_sub(&progress->left, 1, __ATOMIC_RELEASE);
        }
    }
    for (int turn = 0; __atomic_load_n(&progress->left, __ATOMIC_ACQUIRE) > 0;)
        if (++turn % PATIENCE)
            __builtin_ia32_pause();
        else
            sched_yield();
}

static void run_steps(const Network *n, int me) {
    Setup setup = {0, 0};
    for (int64_t step = 0; step < n->count; step++) run_step(n, step, me, &setup);
    set_down(&setup);
}

typedef struct {
    Network *network;
    int number;
} Member;

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

/* To be woken takes as long as a layer does: where calls follow each other closely it is worth staying awake. */
static int is_called_soon(const Network *n, unsigned long seen, int awhile) {
    for (const int64_t end = now() + awhile; now() < end; __builtin_ia32_pause())
        if (__atomic_load_n(&n->round, __ATOMIC_RELAXED) != seen) return 1;
    return 0;
}

static void *serve(void *given) {
    const Member me = *(Member *)given;
    Network *n = me.network;
    unsigned long seen = 0;
    int awhile = LONG;
    free(given);
    pthread_mutex_lock(&n->lock);
    for (;;) {
        while (!n->leaving && (!n->running || n->round == seen)) pthread_cond_wait(&n->begin, &n->lock);
        if (n->leaving) break;
        seen = n->round;
        n->busy++;
        pthread_mutex_unlock(&n->lock);
        run_steps(n, me.number);
        pthread_mutex_lock(&n->lock);
        if (--n->busy == 0) pthread_cond_signal(&n->end);
        pthread_mutex_unlock(&n->lock);
        awhile = is_called_soon(n, seen, awhile) ? LONG : awhile / 2 > SHORT ? awhile / 2 : SHORT;
        pthread_mutex_lock(&n->lock);
    }
    pthread_mutex_unlock(&n->lock);
    return 0;
}

static int hire(Network *n) {
    while (n->hired < n->threads - 1) {
        Member *member = malloc(sizeof *member);
        if (!member) return 0;
        *member = (Member){n, n->hired + 1};
        if (pthread_create(n->team + n->hired, 0, serve, member)) {
            free(member);
            return 0;
        }
        n->hired++;
    }
    return 1;
}

/* Where there are as many threads as cores, each helper gets one that is not the caller's: left alone, Linux may wake
 * both on the same one, and leave them there (decision 1002). */
static void spread(Network *n) {
    cpu_set_t allowed, one;
    const int here = sched_getcpu();
    if (here == n->around || pthread_getaffinity_np(pthread_self(), sizeof allowed, &allowed)) return;
    if (CPU_COUNT(&allowed) != n->threads || !CPU_ISSET(here, &allowed)) return;
    int cpu = 0;
    for (int t = 0; t < n->hired; t++, cpu++) {
        while (cpu == here || !CPU_ISSET(cpu, &allowed)) cpu++;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        pthread_setaffinity_np(n->team[t], sizeof one, &one);
    }
    n->around = here;
}

static int64_t first_of(const Division *d, int thread, int threads) {
    return (int64_t)d->parts * d->slices * thread / threads;
}

static void get_ready(Network *n) {
    for (int64_t step = 0; step < n->count; step++) {
        const Division *d = n->divisions + step;
        n->progress[step].left = (int64_t)d->parts * d->slices;
        for (int t = 0; t < n->threads; t++)
            n->ranges[step * n->threads + t] = (Range){first_of(d, t, n->threads), first_of(d, t + 1, n->threads)};
    }
}

static void make_probabilities(float *values, int64_t count) {
    float most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++) most = fmaxf(most, values[i]);
    for (int64_t i = 0; i < count; i++) sum += values[i] = expf(values[i] - most);
    for (int64_t i = 0; i < count; i++) values[i] /= sum;
}

static void answer_one(Network *n, const uint8_t *photo, float *answer) {
    get_ready(n);
    n->call.photo = photo, n->call.answer = (char *)answer;
    if (n->threads > 1) {
        spread(n);
        pthread_mutex_lock(&n->lock);
        n->running = 1;
        __atomic_add_fetch(&n->round, 1, __ATOMIC_RELAXED);
        pthread_cond_broadcast(&n->begin);
        pthread_mutex_unlock(&n->lock);
    }
    run_steps(n, 0);
    if (n->threads > 1) {
        pthread_mutex_lock(&n->lock);
        n->running = 0;
        while (n->busy) pthread_cond_wait(&n->end, &n->lock);
        pthread_mutex_unlock(&n->lock);
    }
    make_probabilities(answer, n->probabilities);
}

void darkroom_network_run(Network *n, const uint8_t *photos, float *answers, int64_t count, int64_t bytes,
                          int64_t apart) {
    for (int64_t k = 0; k < count; k++) answer_one(n, photos + k * bytes, answers + k * apart);
}

/* After the last step comes the first, for the next photo. */
static void look_ahead(Network *n) {
    for (int t = 0; t < n->threads; t++) {
        const int8_t *next = 0;
        for (int64_t k = 2 * n->count - 1; k >= 0; k--) {
            const int64_t step = k % n->count;
            const Division *d = n->divisions + step;
            n->next[step * n->threads + t] = next;
            if (n->steps[step].kind == CONVOLUTION) next = begins_with(n->steps + step, d, first_of(d, t, n->threads));
        }
    }
}

static void *lines(size_t count, size_t size) {
    void *memory = 0;
    return posix_memalign(&memory, LINE, count * size) ? 0 : memset(memory, 0, count * size);
}

static Network *give_up(Network *n) {
    darkroom_network_free(n);
    return 0;
}

Network *darkroom_network_new(const Step *steps, int64_t count, int threads, int64_t probabilities, int matrices) {
    matrices = matrices && has_matrices();
    Network *n = threads > 0 && threads <= MOST_THREADS ? lines(1, sizeof *n) : 0;
    if (!n) return 0;
    pthread_mutex_init(&n->lock, 0);
    pthread_cond_init(&n->begin, 0);
    pthread_cond_init(&n->end, 0);
    n->count = count, n->threads = threads, n->probabilities = probabilities;
    n->scratch_bytes = LINE;
    n->around = -1, n->owner = getpid(), n->call.look_up = look_up_of();
    n->steps = lines(count, sizeof *steps);
    n->divisions = lines(count, sizeof *n->divisions);
    n->progress = lines(count, sizeof *n->progress);
    n->ranges = lines(count * threads, sizeof *n->ranges);
    n->next = lines(count * threads, sizeof *n->next);
    n->team = lines(threads, sizeof *n->team);
    if (!n->steps || !n->divisions || !n->progress || !n->ranges || !n->next || !n->team) return give_up(n);
    memcpy(n->steps, steps, count * sizeof *steps);
    for (int64_t step = 0; step < count; step++)
        if (n->scratch_bytes < rest_bytes(steps + step)) n->scratch_bytes = rest_bytes(steps + step);
    n->scratch = lines(threads, n->scratch_bytes);
    if (!n->scratch) return give_up(n);
    for (int64_t step = 0; step < count; step++) {
        n->divisions[step] = divide(steps + step, threads, matrices);
        const int floats = steps[step].input_type == (steps[step].kind == DEPTHWISE ? SHORTS : FLOATS);
        n->divisions[step].finish = finish_of(&steps[step].end, floats);
    }
    look_ahead(n);
    if (!hire(n)) return give_up(n);
    return n;
}

void darkroom_network_free(Network *n) {
    if (!n || n->owner != getpid()) return;
    pthread_mutex_lock(&n->lock);
    n->leaving = 1;
    pthread_cond_broadcast(&n->begin);
    pthread_mutex_unlock(&n->lock);
    for (int t = 0; t < n->hired; t++) pthread_join(n->team[t], 0);
    pthread_cond_destroy(&n->begin);
    pthread_cond_destroy(&n->end);
    pthread_mutex_destroy(&n->lock);
    free(n->steps), free(n->divisions), free(n->progress), free(n->ranges), free(n->next), free(n->scratch),
        free(n->team), free(n);
}

#else

int darkroom_network_able(void) { return 0; }
int darkroom_network_has_matrices(void) { return 0; }
int64_t darkroom_network_step_bytes(void) { return sizeof(Step); }
Network *darkroom_network_new(const Step *steps, int64_t count, int threads, int64_t probabilities, int matrices) {
    return 0;
}
void darkroom_network_free(Network *network) {}
void darkroom_network_run(Network *network, const uint8_t *photos, float *answers, int64_t count, int64_t bytes,
                          int64_t apart) {}

#endif
