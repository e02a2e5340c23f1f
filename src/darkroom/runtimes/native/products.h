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

enum { LANES = 16, MOST_PIXELS = 7, MOST_GROUPS = 2, MOST_VECTORS = 2, LINE = 64 };

typedef struct {
    const char *input[MOST_GROUPS]; /* the window of each group's first pixel */
    const int8_t *weights;
    const char *ahead; /* weights that are needed soon */
    int64_t pixel, window_row;
    int window, run;
} Products;

typedef int32_t Sums[MOST_GROUPS][MOST_PIXELS][MOST_VECTORS][LANES] __attribute__((aligned(64)));

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

/* 4 bytes of every pixel with the weights of every channel. Pixels 3 and 6 have pointers of their own, since an
 * address holds no more than twice the distance between pixels. */
INLINE void multiply(__m512i sums[MOST_GROUPS][MOST_PIXELS][MOST_VECTORS], const char *from[MOST_GROUPS][3],
                     const int8_t *weights, int64_t pixel, int at, const int groups, const int pixels,
                     const int vectors, const int type) {
    __m512i weight[MOST_VECTORS];
    for (int v = 0; v < vectors; v++) weight[v] = _mm512_load_si512(weights + v * LINE);
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
#pragma GCC unroll 7
        for (int i = 0; i < pixels; i++) {
            const __m512i input = four_bytes(from[g][i / 3] + i % 3 * pixel + at);
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sums[g][i][v] = add_products(sums[g][i][v], input, weight[v], type);
        }
}

/* So many times 4 bytes beside each other. */
INLINE void advance(__m512i sums[MOST_GROUPS][MOST_PIXELS][MOST_VECTORS], const char *from[MOST_GROUPS][3],
                    const int8_t **weights, int64_t pixel, const int times, const int groups, const int pixels,
                    const int vectors, const int type) {
#pragma GCC unroll 4
    for (int k = 0; k < times; k++, *weights += vectors * LINE)
        multiply(sums, from, *weights, pixel, 4 * k, groups, pixels, vectors, type);
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
#pragma GCC unroll 3
        for (int third = 0; third < 3; third++) from[g][third] += 4 * times;
}

INLINE void products(const Products *p, Sums out, const int groups, const int pixels, const int vectors,
                     const int type) {
    __m512i sums[MOST_GROUPS][MOST_PIXELS][MOST_VECTORS];
    const int64_t pixel = p->pixel;
    const int8_t *weights = p->weights;
    const char *ahead = p->ahead;
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
#pragma GCC unroll 7
        for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) sums[g][i][v] = _mm512_setzero_si512();
    for (int row = 0; row < p->window; row++) {
        const char *from[MOST_GROUPS][3];
#pragma GCC unroll 2
        for (int g = 0; g < groups; g++)
#pragma GCC unroll 3
            for (int third = 0; third < 3; third++)
                from[g][third] = p->input[g] + row * p->window_row + 3 * third * pixel;
        for (int left = p->run / 4; left > 0; left--, ahead += 2 * LINE) {
            _mm_prefetch(ahead, _MM_HINT_T1);
            _mm_prefetch(ahead + LINE, _MM_HINT_T1);
            advance(sums, from, &weights, pixel, 4, groups, pixels, vectors, type);
        }
        if (p->run & 2) advance(sums, from, &weights, pixel, 2, groups, pixels, vectors, type);
        if (p->run & 1) advance(sums, from, &weights, pixel, 1, groups, pixels, vectors, type);
    }
#pragma GCC unroll 2
    for (int g = 0; g < groups; g++)
#pragma GCC unroll 7
        for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) _mm512_store_si512(out[g][i][v], sums[g][i][v]);
}

typedef void (*Kernel)(const Products *, Sums);

#define KERNEL(type, groups, pixels, vectors)                                                           \
    TARGET static void products_##type##_##groups##_##pixels##_##vectors(const Products *p, Sums out) { \
        products(p, out, groups, pixels, vectors, type);                                                \
    }
#define KERNELS_OF(type, groups, vectors)                                                              \
    KERNEL(type, groups, 1, vectors)                                                                   \
    KERNEL(type, groups, 2, vectors)                                                                   \
    KERNEL(type, groups, 3, vectors) KERNEL(type, groups, 4, vectors) KERNEL(type, groups, 5, vectors) \
        KERNEL(type, groups, 6, vectors) KERNEL(type, groups, 7, vectors)
#define KERNELS_OF_TYPE(type) \
    KERNELS_OF(type, 1, 1) KERNELS_OF(type, 1, 2) KERNELS_OF(type, 2, 1) KERNELS_OF(type, 2, 2)
KERNELS_OF_TYPE(BYTES)
KERNELS_OF_TYPE(SHORTS)
KERNELS_OF_TYPE(FLOATS)

#define NAMES_OF(type, groups, vectors)        \
    {0,                                        \
     products_##type##_##groups##_1_##vectors, \
     products_##type##_##groups##_2_##vectors, \
     products_##type##_##groups##_3_##vectors, \
     products_##type##_##groups##_4_##vectors, \
     products_##type##_##groups##_5_##vectors, \
     products_##type##_##groups##_6_##vectors, \
     products_##type##_##groups##_7_##vectors}
#define NAMES_OF_TYPE(type)                                                                          \
    {                                                                                                \
        {NAMES_OF(type, 1, 1), NAMES_OF(type, 1, 2)}, { NAMES_OF(type, 2, 1), NAMES_OF(type, 2, 2) } \
    }
static const Kernel KERNELS[][MOST_GROUPS][MOST_VECTORS][MOST_PIXELS + 1] = {
    [BYTES] = NAMES_OF_TYPE(BYTES), [FLOATS] = NAMES_OF_TYPE(FLOATS), [SHORTS] = NAMES_OF_TYPE(SHORTS)};

#endif
