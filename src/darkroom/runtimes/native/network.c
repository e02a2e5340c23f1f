#define _GNU_SOURCE
#include "network.h"

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "depthwise.h"
#include "lookup.h"

enum { BLOCKS_A_THREAD = 7 };                          /* divides most maps, so that blocks are alike */
enum { PATIENCE = 2000, AWHILE = 5000 }; /* turns of waiting for a step; and for another call, before sleep: some 60 us */
enum { NEAR = 1 << 14, KEPT = 1 << 19 }; /* bytes that the nearest cache keeps beside others, and that a core's keeps */

/* How a step is divided: `parts` times so many rows, by `slices` of so many pairs of vectors. */
typedef struct {
    int rows, parts, pairs, slices;
    int near; /* rows that are finished before others */
    Finish finish;
} Division;

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
    Range *ranges; /* [steps][threads] */
    int64_t count, probabilities;
    int threads;
    LookUp look_up;
    const uint8_t *photo;
    char *answer;
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    pthread_t *team;
    int hired, busy, running, leaving;
    int around; /* the core that the team was last spread around; -1: none yet */
    unsigned long round;
};

int darkroom_network_able(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

int64_t darkroom_network_step_bytes(void) { return sizeof(Step); }

/* --- one block of a step ----------------------------------------------------------------------------------------- */

static int smaller(int a, int b) { return a < b ? a : b; }

static int larger(int a, int b) { return a > b ? a : b; }

static int parts_of(int whole, int part) { return (whole + part - 1) / part; }

static char *output_at(const Network *n, const Output *o, int row, int column) {
    if (!o->type) return 0;
    return (o->data ? o->data : n->answer) + row * o->row + column * o->pixel;
}

static void place(const Network *n, const Epilogue *e, Places *at, int group, int row, int column) {
    const Other *o = &e->other;
    at->first[group] = output_at(n, &e->first, row, column);
    at->second[group] = output_at(n, &e->second, row, column);
    at->other[group] = o->type ? o->data + row * o->row + column * o->pixel : 0;
}

/* Pixels beside each other that are computed at once: `of` such groups in a row, from `column` on. */
typedef struct {
    int pixels, of, column;
} Groups;

TARGET static void convolve_groups(const Network *n, const Step *s, Groups g, int row, int rows, int pair,
                                   const int8_t *weights, int64_t bytes, Finish finish) {
    const int vectors = s->vectors - 2 * pair >= 2 ? 2 : 1, count = rows * g.of;
    Products p = {.weights = weights, .pixel = s->input_pixel, .window_row = s->window_row, .window = s->window,
                  .run = s->run, .ahead = (const char *)weights + bytes};
    Tile tile = {0, g.pixels, vectors, (int64_t)pair * MOST_VECTORS * LANES};
    Places at;
    Sums sums;
    for (int k = 0; k < count; k += MOST_GROUPS) {
        tile.groups = smaller(MOST_GROUPS, count - k);
        for (int i = 0; i < tile.groups; i++) {
            const int y = row + (k + i) / g.of, x = g.column + (k + i) % g.of * g.pixels;
            p.input[i] = s->input + y * s->input_row + x * s->input_pixel;
            place(n, &s->end, &at, i, y, x);
        }
        KERNELS[s->input_type == FLOATS][tile.groups - 1][vectors - 1][g.pixels](&p, sums);
        p.ahead += bytes / 4;
        finish(&s->end, sums, tile, &at);
    }
}

/* Rows are cut into groups of two sizes that differ by one. So few rows are finished at a time that what is written, and
 * added to it, stays in the nearest cache while all channels get their turn. */
TARGET static void convolve(const Network *n, const Step *s, const Division *d, int row, int rows, int pair, int pairs) {
    const int of = parts_of(s->columns, MOST_PIXELS), least = s->columns / of, more = s->columns % of;
    const Groups wide = {least + 1, more, 0}, narrow = {least, of - more, more * (least + 1)};
    const int64_t bytes = (int64_t)s->window * s->run * MOST_VECTORS * LINE;
    for (int end = row + rows, high; row < end; row += high) {
        high = smaller(d->near, end - row);
        for (int k = pair; k < pair + pairs; k++) {
            const int8_t *weights = (const int8_t *)s->weights + k * bytes;
            if (wide.of) convolve_groups(n, s, wide, row, high, k, weights, bytes, d->finish);
            convolve_groups(n, s, narrow, row, high, k, weights, bytes, d->finish);
        }
    }
}

TARGET static void convolve_channels(const Network *n, const Step *s, const Division *d, int row, int rows) {
    const int of = parts_of(s->columns, MOST_PIXELS), most = parts_of(s->columns, of);
    Products p = {.pixel = s->input_pixel, .window_row = s->window_row, .window = s->window, .run = s->run};
    Places at;
    Sums sums;
    for (int y = row; y < row + rows; y++)
        for (int v = 0; v < s->vectors; v += MOST_VECTORS) {
            const int vectors = smaller(MOST_VECTORS, s->vectors - v);
            p.weights = (const int8_t *)((const float *)s->weights + v * LANES);
            for (int x = 0; x < s->columns; x += most) {
                const int pixels = smaller(most, s->columns - x);
                p.input[0] = s->input + y * s->input_row + x * s->input_pixel + v * LANES;
                DEPTHWISE_KERNELS[vectors - 1][pixels](&p, s->window_pixel, s->vectors * LANES, sums);
                place(n, &s->end, &at, 0, y, x);
                d->finish(&s->end, sums, (Tile){1, pixels, vectors, (int64_t)v * LANES}, &at);
            }
        }
}

/* Of up to 64 channels of a window. */
INLINE __m512i largest_of(const Step *s, const char *from, const int rows, const int columns, __mmask64 mask, __m512i least,
                          const int type) {
    __m512i value = least;
#pragma GCC unroll 3
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < columns; j++) {
            const char *pixel = from + i * s->window_row + j * s->window_pixel;
            const __m512i found = _mm512_mask_loadu_epi8(least, mask, pixel);
            value = type == SIGNED ? _mm512_max_epi8(value, found) : _mm512_max_epu8(value, found);
        }
    return value;
}

/* What a window has beyond the edges does not count. */
TARGET static void largest(const Step *s, int row, int rows) {
    const __m512i least = _mm512_set1_epi8(s->input_type == SIGNED ? -128 : 0);
    const Output *o = &s->end.first;
    for (int y = row; y < row + rows; y++)
        for (int x = 0; x < s->columns; x++) {
            const int top = y * s->stride_down + s->top, left = x * s->stride_right + s->left;
            const int above = larger(top, 0), before = larger(left, 0);
            const int high = smaller(top + s->window, s->input_rows) - above;
            const int wide = smaller(left + s->run, s->input_columns) - before;
            const char *from = s->input + above * s->window_row + before * s->window_pixel;
            for (int c = 0; c < s->vectors * LANES; c += LINE) {
                const int bytes = s->vectors * LANES - c;
                const __mmask64 mask = bytes >= LINE ? ~0ULL : (1ULL << bytes) - 1;
                __m512i value;
                if (s->input_type == SIGNED)
                    value = largest_of(s, from + c, high, wide, mask, least, SIGNED);
                else if (high == 3 && wide == 3)
                    value = largest_of(s, from + c, 3, 3, mask, least, BYTES);
                else
                    value = largest_of(s, from + c, high, wide, mask, least, BYTES);
                _mm512_mask_storeu_epi8(o->data + y * o->row + x * o->pixel + c, mask, value);
            }
        }
}

TARGET static void mean(const Network *n, const Step *s, int vector) {
    const int64_t channel = vector * LANES;
    Places at;
    Sums sums;
    __m512 total = _mm512_setzero_ps();
    for (int i = 0; i < s->window; i++)
        for (int j = 0; j < s->run; j++) {
            const char *from = s->input + i * s->window_row + j * s->window_pixel;
            total = _mm512_add_ps(total, read_vector(from + channel * width(s->input_type), s->input_type));
        }
    _mm512_store_si512(sums[0][0][0], _mm512_castps_si512(total));
    place(n, &s->end, &at, 0, 0, 0);
    finish_any_of_floats(&s->end, sums, (Tile){1, 1, 1, channel}, &at);
}

static void take_photo(const Network *n, const Step *s, int row, int rows) {
    const Output *o = &s->end.first;
    Bytes b = {.table = s->table, .bytes = (int64_t)s->columns * s->channels, .rows = rows, .apart = o->row, .channels = s->channels};
    b.from = n->photo + row * b.bytes, b.to = (uint8_t *)o->data + row * o->row;
    n->look_up(&b);
}

static void do_block(const Network *n, int64_t step, int64_t block) {
    const Step *s = n->steps + step;
    const Division *d = n->divisions + step;
    const int slice = (int)(block / d->parts), row = (int)(block % d->parts) * d->rows;
    const int rows = smaller(d->rows, s->rows - row);
    if (s->kind == CONVOLUTION)
        convolve(n, s, d, row, rows, slice * d->pairs, smaller(d->pairs, (s->vectors + 1) / 2 - slice * d->pairs));
    else if (s->kind == DEPTHWISE)
        convolve_channels(n, s, d, row, rows);
    else if (s->kind == LARGEST)
        largest(s, row, rows);
    else if (s->kind == MEAN)
        mean(n, s, slice);
    else
        take_photo(n, s, row, rows);
}

/* Weights that stay in a core's cache are read by all; others are each read by one thread. */
static Division divide(const Step *s, int threads) {
    const int wanted = threads == 1 ? 1 : threads * BLOCKS_A_THREAD, rows = parts_of(s->rows, wanted);
    if (s->kind == MEAN) return (Division){1, 1, 1, s->vectors, 1};
    if (s->kind != CONVOLUTION) return (Division){rows, parts_of(s->rows, rows), 1, 1, 1};
    const int pairs = parts_of(s->vectors, MOST_VECTORS);
    const int64_t weights = (int64_t)s->window * s->run * MOST_VECTORS * LINE * pairs;
    const int near = NEAR / (s->columns * s->vectors * LANES), few = near > 1 ? near : 1;
    if ((weights <= KEPT && s->rows >= wanted) || pairs == 1) return (Division){rows, parts_of(s->rows, rows), pairs, 1, few};
    const int slices = pairs <= 2 * wanted ? pairs : wanted, each = parts_of(pairs, slices), high = parts_of(s->rows, parts_of(wanted, slices));
    return (Division){high, parts_of(s->rows, high), each, parts_of(pairs, each), high};
}

/* --- the team ---------------------------------------------------------------------------------------------------- */

/* A thread takes its own blocks first, so that it finds in its cache what it wrote in the step before, then others'. One
 * that comes late, or not at all, leaves its blocks to the others. */
static void run_step(const Network *n, int64_t step, int me) {
    Progress *progress = n->progress + step;
    for (int k = 0; k < n->threads; k++) {
        Range *range = n->ranges + step * n->threads + (me + k) % n->threads;
        while (__atomic_load_n(&range->next, __ATOMIC_RELAXED) < range->end) {
            const int64_t block = __atomic_fetch_add(&range->next, 1, __ATOMIC_RELAXED);
            if (block >= range->end) break;
            do_block(n, step, block);
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
    for (int64_t step = 0; step < n->count; step++) run_step(n, step, me);
}

typedef struct {
    Network *network;
    int number;
} Member;

static void *serve(void *given) {
    const Member me = *(Member *)given;
    Network *n = me.network;
    unsigned long seen = 0;
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
        for (int turn = 0; turn < AWHILE && __atomic_load_n(&n->round, __ATOMIC_RELAXED) == seen; turn++)
            __builtin_ia32_pause();
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

/* Where there are as many threads as cores, each helper gets one that is not the caller's: left alone, Linux may wake both
 * on the same one, and leave them there (decision 1002). */
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

static void get_ready(Network *n) {
    for (int64_t step = 0; step < n->count; step++) {
        const Division *d = n->divisions + step;
        const int64_t blocks = (int64_t)d->parts * d->slices;
        n->progress[step].left = blocks;
        for (int t = 0; t < n->threads; t++)
            n->ranges[step * n->threads + t] = (Range){blocks * t / n->threads, blocks * (t + 1) / n->threads};
    }
}

static void make_probabilities(float *values, int64_t count) {
    float most = -INFINITY, sum = 0;
    for (int64_t i = 0; i < count; i++) most = fmaxf(most, values[i]);
    for (int64_t i = 0; i < count; i++) sum += values[i] = expf(values[i] - most);
    for (int64_t i = 0; i < count; i++) values[i] /= sum;
}

void darkroom_network_run(Network *n, const uint8_t *photo, float *answer) {
    get_ready(n);
    n->photo = photo, n->answer = (char *)answer;
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

static void *lines(size_t count, size_t size) {
    void *memory = 0;
    return posix_memalign(&memory, LINE, count * size) ? 0 : memset(memory, 0, count * size);
}

Network *darkroom_network_new(const Step *steps, int64_t count, int threads, int64_t probabilities) {
    Network *n = lines(1, sizeof *n);
    if (!n) return 0;
    pthread_mutex_init(&n->lock, 0);
    pthread_cond_init(&n->begin, 0);
    pthread_cond_init(&n->end, 0);
    n->count = count, n->threads = threads, n->probabilities = probabilities, n->around = -1, n->look_up = look_up_of();
    n->steps = lines(count, sizeof *steps);
    n->divisions = lines(count, sizeof *n->divisions);
    n->progress = lines(count, sizeof *n->progress);
    n->ranges = lines(count * threads, sizeof *n->ranges);
    n->team = lines(threads, sizeof *n->team);
    if (!n->steps || !n->divisions || !n->progress || !n->ranges || !n->team) return darkroom_network_free(n), (Network *)0;
    memcpy(n->steps, steps, count * sizeof *steps);
    for (int64_t step = 0; step < count; step++) {
        n->divisions[step] = divide(steps + step, threads);
        n->divisions[step].finish = finish_of(&steps[step].end, steps[step].kind == CONVOLUTION && steps[step].input_type == FLOATS);
    }
    if (!hire(n)) return darkroom_network_free(n), (Network *)0;
    return n;
}

void darkroom_network_free(Network *n) {
    if (!n) return;
    pthread_mutex_lock(&n->lock);
    n->leaving = 1;
    pthread_cond_broadcast(&n->begin);
    pthread_mutex_unlock(&n->lock);
    for (int t = 0; t < n->hired; t++) pthread_join(n->team[t], 0);
    pthread_cond_destroy(&n->begin);
    pthread_cond_destroy(&n->end);
    pthread_mutex_destroy(&n->lock);
    free(n->steps), free(n->divisions), free(n->progress), free(n->ranges), free(n->team), free(n);
}

#else

int darkroom_network_able(void) { return 0; }
int64_t darkroom_network_step_bytes(void) { return sizeof(Step); }
Network *darkroom_network_new(const Step *steps, int64_t count, int threads, int64_t probabilities) { return 0; }
void darkroom_network_free(Network *network) {}
void darkroom_network_run(Network *network, const uint8_t *photo, float *answer) {}

#endif
