/* Sums of products, of bytes, of shorts or of floats, for processors with AVX-512 and its VNNI.
 *
 * A tile is one or two groups of up to 7 pixels, beside each other within a group, by one or two vectors of 16
 * channels: 28 sums, two registers of weights and one of inputs are all that the processor has. 7 divides the sides of
 * every map of a network for 224 pixels; others are cut into groups of nearly one size. */

#ifndef DARKROOM_PRODUCTS
#define DARKROOM_PRODUCTS

#include <immintrin.h>

#include "network.h"

#define TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,prfchw")))
#define INLINE TARGET static inline __attribute__((always_inline))

enum { LANES = 16, MOST_PIXELS = 7, MOST_IN_GROUP = 16, MOST_GROUPS = 2, MOST_VECTORS = 2, LINE = 64 };
enum { REST_BYTES = 8 }; /* of a window: one for each of its rows */

/* Windows reach beyond the edges of a map, where zeros lie: nothing has to be multiplied there. Of each group the rows
 * of the window that do not; of each row so many words at its beginning and end that do, for the first or last pixel of
 * some groups (a bit for each). */
typedef struct {
    int first[MOST_GROUPS], end[MOST_GROUPS];
    int head, tail, left, right;
} Reach;

typedef struct {
    const char *input[MOST_GROUPS]; /* the window of each group's first pixel */
    const int8_t *weights;
    const char *ahead; /* weights that are needed soon */
    int64_t pixel, window_row;
    int window, run;
    Reach reach; /* of sums of bytes and shorts */
    /* of matrices: the rows of the window that count, words of one matrix, lines ahead that it fetches */
    int first, end, words, fetched;
    int rest;
    const char *rest_of[MOST_GROUPS]; /* of each group's first pixel; the next one's is REST_BYTES behind */
} Products;

typedef int32_t Sums[MOST_GROUPS][MOST_IN_GROUP][MOST_VECTORS][LANES] __attribute__((aligned(64)));

INLINE __m512i four_bytes(const char *address) {
    int32_t bytes;
    __builtin_memcpy(&bytes, address, sizeof bytes);
    return _mm512_set1_epi32(bytes);
}

/* 4 bytes of input, for all channels alike, times the weights of 16 channels: four bytes each, two shorts, a float. */
INLINE __m512i add_products(__m512i sum, __m512i input, __m512i weight, const int type) {
    if (type == BYTES) return _mm512_dpbusd_epi32(sum, input, weight);
    if (type == SHORTS) return _mm512_dpwssd_epi32(sum, input, weight);
    return _mm512_castps_si512(
        _mm512_fmadd_ps(_mm512_castsi512_ps(input), _mm512_castsi512_ps(weight), _mm512_castsi512_ps(sum)));
}

/* What a kernel works on, known as it is compiled. `groups` from the first to behind the last; `left` and `right` as
 * in Reach. */
typedef struct {
    int group, groups, pixels, vectors, type, left, right;
} Work;

typedef __m512i Registers[MOST_GROUPS][MOST_PIXELS][MOST_VECTORS];
typedef const char *Rows[MOST_GROUPS][3];

/* 4 bytes of every pixel with the weights of every channel. Pixels 3 and 6 have pointers of their own, since an
 * address holds no more than twice the distance between pixels. */
INLINE void multiply(Registers sums, Rows from, const int8_t *weights, int64_t pixel, int at, const Work w) {
    __m512i weight[MOST_VECTORS];
    for (int v = 0; v < w.vectors; v++) weight[v] = _mm512_load_si512(weights + v * LINE);
#pragma GCC unroll 2
    for (int g = w.group; g < w.groups; g++)
#pragma GCC unroll 7
        for (int i = 0; i < w.pixels; i++) {
            if ((i == 0 && w.left >> g & 1) || (i == w.pixels - 1 && w.right >> g & 1)) continue;
            const __m512i input = four_bytes(from[g][i / 3] + i % 3 * pixel + at);
#pragma GCC unroll 2
            for (int v = 0; v < w.vectors; v++) sums[g][i][v] = add_products(sums[g][i][v], input, weight[v], w.type);
        }
}

/* Where a kernel has come to in a row of the window. */
typedef struct {
    Rows from;
    const int8_t *weights;
    const char *ahead;
    int64_t pixel;
} Place;

/* So many times 4 bytes beside each other. */
INLINE void advance(Registers sums, Place *at, const int times, const Work w) {
#pragma GCC unroll 4
    for (int k = 0; k < times; k++, at->weights += w.vectors * LINE)
        multiply(sums, at->from, at->weights, at->pixel, 4 * k, w);
#pragma GCC unroll 2
    for (int g = w.group; g < w.groups; g++)
#pragma GCC unroll 3
        for (int third = 0; third < 3; third++) at->from[g][third] += 4 * times;
}

INLINE void advance_far(Registers sums, Place *at, int words, const Work w) {
    for (; words >= 4; words -= 4, at->ahead += 2 * LINE) {
        _mm_prefetch(at->ahead, _MM_HINT_T1);
        _mm_prefetch(at->ahead + LINE, _MM_HINT_T1);
        advance(sums, at, 4, w);
    }
}

INLINE void begin(Place *at, const char *const *input, int64_t offset, const Work w) {
#pragma GCC unroll 2
    for (int g = w.group; g < w.groups; g++)
#pragma GCC unroll 3
        for (int third = 0; third < 3; third++) at->from[g][third] = input[g] + offset + 3 * third * at->pixel;
}

INLINE void begin_row(Place *at, const Products *p, int row, const Work w) {
    begin(at, p->input, row * p->window_row, w);
}

/* One row of the window. */
INLINE void add_row(Registers sums, Place *at, const Products *p, int row, const Work w) {
    begin_row(at, p, row, w);
    advance_far(sums, at, p->run, w);
    if (p->run & 2) advance(sums, at, 2, w);
    if (p->run & 1) advance(sums, at, 1, w);
}

/* What the rows have left over. */
INLINE void add_rest(Registers sums, Place *at, const Products *p, const Work w) {
    at->pixel = REST_BYTES;
    begin(at, p->rest_of, 0, w);
    for (int word = 0; word < p->rest; word++) advance(sums, at, 1, w);
}

/* The same as add_row for some of the groups, at the edges: words are those of whole vectors. */
INLINE void add_row_at_edge(Registers sums, Place *at, const Products *p, int row, const Work w) {
    const int all = ((1 << w.groups) - 1) & ~((1 << w.group) - 1);
    const Work first = {w.group, w.groups, w.pixels, w.vectors, w.type, all & 1, 0};
    const Work last = {w.group, w.groups, w.pixels, w.vectors, w.type, 0, all & 2};
    const Work firsts = {w.group, w.groups, w.pixels, w.vectors, w.type, all, 0};
    const Work lasts = {w.group, w.groups, w.pixels, w.vectors, w.type, 0, all};
    begin_row(at, p, row, w);
    if ((p->reach.left & all) == all)
        advance_far(sums, at, p->reach.head, firsts);
    else
        advance_far(sums, at, p->reach.head, first);
    advance_far(sums, at, p->run - p->reach.head - p->reach.tail, w);
    if ((p->reach.right & all) == all)
        advance_far(sums, at, p->reach.tail, lasts);
    else
        advance_far(sums, at, p->reach.tail, last);
}

INLINE void products(const Products *p, Sums out, const int groups, const int pixels, const int vectors, const int type,
                     const int edges) {
    const Work both = {0, groups, pixels, vectors, type, 0, 0}, one = {0, 1, pixels, vectors, type, 0, 0};
    const Work other = {1, groups, pixels, vectors, type, 0, 0};
    Registers sums;
    Place at = {.weights = p->weights, .ahead = p->ahead, .pixel = p->pixel};
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
#pragma GCC unroll 7
        for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sums[g][i][v] = _mm512_setzero_si512();
    for (int row = 0; row < p->window; row++) {
        const int here = row >= p->reach.first[0] && row < p->reach.end[0];
        const int there = groups > 1 && row >= p->reach.first[1] && row < p->reach.end[1];
        if (!edges)
            add_row(sums, &at, p, row, both);
        else if (here && (groups == 1 || there))
            add_row_at_edge(sums, &at, p, row, both);
        else if (here)
            add_row_at_edge(sums, &at, p, row, one);
        else if (there)
            add_row_at_edge(sums, &at, p, row, other);
        else
            at.weights += (int64_t)p->run * vectors * LINE;
    }
    if (type == BYTES && !edges && p->rest) add_rest(sums, &at, p, both);
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
#pragma GCC unroll 7
        for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) _mm512_store_si512(out[g][i][v], sums[g][i][v]);
}

typedef void (*Kernel)(const Products *, Sums);

enum { INSIDE, EDGES };

#define KERNEL(type, edges, groups, pixels, vectors)                                                              \
    TARGET static void products_##type##_##edges##_##groups##_##pixels##_##vectors(const Products *p, Sums out) { \
        products(p, out, groups, pixels, vectors, type, edges);                                                   \
    }
#define KERNELS_OF(type, edges, groups, vectors) \
    KERNEL(type, edges, groups, 1, vectors)      \
    KERNEL(type, edges, groups, 2, vectors)      \
    KERNEL(type, edges, groups, 3, vectors)      \
    KERNEL(type, edges, groups, 4, vectors)      \
    KERNEL(type, edges, groups, 5, vectors)      \
    KERNEL(type, edges, groups, 6, vectors)      \
    KERNEL(type, edges, groups, 7, vectors)
#define KERNELS_OF_TYPE(type, edges) \
    KERNELS_OF(type, edges, 1, 1)    \
    KERNELS_OF(type, edges, 1, 2)    \
    KERNELS_OF(type, edges, 2, 1)    \
    KERNELS_OF(type, edges, 2, 2)
KERNELS_OF_TYPE(BYTES, INSIDE)
KERNELS_OF_TYPE(BYTES, EDGES)
KERNELS_OF_TYPE(SHORTS, INSIDE)
KERNELS_OF_TYPE(SHORTS, EDGES)
KERNELS_OF_TYPE(FLOATS, INSIDE)

#define NAMES_OF(type, edges, groups, vectors)           \
    {0,                                                  \
     products_##type##_##edges##_##groups##_1_##vectors, \
     products_##type##_##edges##_##groups##_2_##vectors, \
     products_##type##_##edges##_##groups##_3_##vectors, \
     products_##type##_##edges##_##groups##_4_##vectors, \
     products_##type##_##edges##_##groups##_5_##vectors, \
     products_##type##_##edges##_##groups##_6_##vectors, \
     products_##type##_##edges##_##groups##_7_##vectors}
#define NAMES_OF_TYPE(type, edges)                                    \
    {                                                                 \
        {NAMES_OF(type, edges, 1, 1), NAMES_OF(type, edges, 1, 2)}, { \
            NAMES_OF(type, edges, 2, 1), NAMES_OF(type, edges, 2, 2)  \
        }                                                             \
    }
/* Floats are few: what lies beyond an edge is multiplied. */
static const Kernel KERNELS[][2][MOST_GROUPS][MOST_VECTORS][MOST_PIXELS + 1] = {
    [BYTES] = {NAMES_OF_TYPE(BYTES, INSIDE), NAMES_OF_TYPE(BYTES, EDGES)},
    [FLOATS] = {NAMES_OF_TYPE(FLOATS, INSIDE), NAMES_OF_TYPE(FLOATS, INSIDE)},
    [SHORTS] = {NAMES_OF_TYPE(SHORTS, INSIDE), NAMES_OF_TYPE(SHORTS, EDGES)}};

#endif
