/* Convolutions of each channel with a window of its own: floats multiply, which is exact for bytes and windows as small
 * as any network's, since what they give stays below 2^24. */

#ifndef DARKROOM_DEPTHWISE
#define DARKROOM_DEPTHWISE

#include "epilogue.h"

/* `p->run` pixels in each row of the window, `next` bytes apart; weights: floats [window][run][all channels]. */
INLINE void depthwise(const Products *p, int64_t next, int64_t channels, Sums out, const int pixels,
                      const int vectors) {
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
                for (int i = 0; i < pixels; i++)
                    sums[i][v] =
                        _mm512_fmadd_ps(read_vector(from + i * p->pixel + v * LANES, BYTES), weight, sums[i][v]);
            }
        }
#pragma GCC unroll 7
    for (int i = 0; i < pixels; i++)
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) _mm512_store_si512(out[0][i][v], _mm512_cvtps_epi32(sums[i][v]));
}

typedef void (*DepthwiseKernel)(const Products *, int64_t, int64_t, Sums);

#define DEPTHWISE_OF(pixels, vectors)                                                                                \
    TARGET static void depthwise_##pixels##_##vectors(const Products *p, int64_t next, int64_t channels, Sums out) { \
        depthwise(p, next, channels, out, pixels, vectors);                                                          \
    }
#define DEPTHWISES_OF(vectors)                                                                          \
    DEPTHWISE_OF(1, vectors)                                                                            \
    DEPTHWISE_OF(2, vectors) DEPTHWISE_OF(3, vectors) DEPTHWISE_OF(4, vectors) DEPTHWISE_OF(5, vectors) \
        DEPTHWISE_OF(6, vectors) DEPTHWISE_OF(7, vectors)
DEPTHWISES_OF(1)
DEPTHWISES_OF(2)

#define DEPTHWISE_NAMES(vectors) \
    {0,                          \
     depthwise_1_##vectors,      \
     depthwise_2_##vectors,      \
     depthwise_3_##vectors,      \
     depthwise_4_##vectors,      \
     depthwise_5_##vectors,      \
     depthwise_6_##vectors,      \
     depthwise_7_##vectors}
static const DepthwiseKernel DEPTHWISE_KERNELS[MOST_VECTORS][MOST_PIXELS + 1] = {DEPTHWISE_NAMES(1),
                                                                                 DEPTHWISE_NAMES(2)};

#endif
