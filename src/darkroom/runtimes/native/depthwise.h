/* Convolutions of each channel with a window of its own: floats multiply, which is exact for bytes and windows as small
 * as any network's, since what they give stays below 2^24. What they give of shorts stays in float. */

#ifndef DARKROOM_DEPTHWISE
#define DARKROOM_DEPTHWISE

#include "epilogue.h"

/* `p->run` pixels in each row of the window, `next` bytes apart; weights: floats [window][run][all channels]. */
INLINE void depthwise(const Products *p, int64_t next, int64_t channels, Sums out, const int pixels, const int vectors,
                      const int type) {
    __m512 sums[MOST_PIXELS][MOST_VECTORS];
#pragma GCC unroll 7
    for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) sums[i][v] = _mm512_setzero_ps();
    const float *weights = (const float *)p->weights;
    for (int row = 0; row < p->window; row++)
        for (int column = 0; column < p->run; column++, weights += channels) {
            const char *from = p->input[0] + row * p->window_row + column * next;
#pragma GCC unroll 2
            for (int v = 0; v < vectors; v++) {
                const __m512 weight = _mm512_loadu_ps(weights + v * LANES);
#pragma GCC unroll 7
                for (int i = 0; i < pixels; i++) {
                    const __m512 input = read_vector(from + i * p->pixel + v * LANES * width(type), type);
                    sums[i][v] = _mm512_fmadd_ps(input, weight, sums[i][v]);
                }
            }
        }
#pragma GCC unroll 7
    for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++)
            _mm512_store_si512(out[0][i][v],
                               type == BYTES ? _mm512_cvtps_epi32(sums[i][v]) : _mm512_castps_si512(sums[i][v]));
}

typedef void (*DepthwiseKernel)(const Products *, int64_t, int64_t, Sums);

#define DEPTHWISE_OF(type, pixels, vectors)                                                                       \
    TARGET static void depthwise_##type##_##pixels##_##vectors(const Products *p, int64_t next, int64_t channels, \
                                                               Sums out) {                                        \
        depthwise(p, next, channels, out, pixels, vectors, type);                                                 \
    }
#define DEPTHWISES_OF(type, vectors) \
    DEPTHWISE_OF(type, 1, vectors)   \
    DEPTHWISE_OF(type, 2, vectors)   \
    DEPTHWISE_OF(type, 3, vectors)   \
    DEPTHWISE_OF(type, 4, vectors)   \
    DEPTHWISE_OF(type, 5, vectors)   \
    DEPTHWISE_OF(type, 6, vectors)   \
    DEPTHWISE_OF(type, 7, vectors)
DEPTHWISES_OF(BYTES, 1)
DEPTHWISES_OF(BYTES, 2)
DEPTHWISES_OF(SHORTS, 1)
DEPTHWISES_OF(SHORTS, 2)

#define DEPTHWISE_NAMES(type, vectors) \
    {0,                                \
     depthwise_##type##_1_##vectors,   \
     depthwise_##type##_2_##vectors,   \
     depthwise_##type##_3_##vectors,   \
     depthwise_##type##_4_##vectors,   \
     depthwise_##type##_5_##vectors,   \
     depthwise_##type##_6_##vectors,   \
     depthwise_##type##_7_##vectors}
static const DepthwiseKernel DEPTHWISE_KERNELS[][MOST_VECTORS][MOST_PIXELS + 1] = {
    [BYTES] = {DEPTHWISE_NAMES(BYTES, 1), DEPTHWISE_NAMES(BYTES, 2)},
    [SHORTS] = {DEPTHWISE_NAMES(SHORTS, 1), DEPTHWISE_NAMES(SHORTS, 2)}};

#endif
