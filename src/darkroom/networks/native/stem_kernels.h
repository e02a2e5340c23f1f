/* The inner loops of stem.c, once for each generation of processors (generations.h says LANES, ROWS, TARGET and NAME).
 * Channels are whole multiples of LANES. */

#include "products.h"

typedef uint8_t NAME(bytes) __attribute__((vector_size(LANES), aligned(1), may_alias));

#define WHOLE NAME(places) /* numbers, or all ones where something holds */
#define CHOOSE(holds, one, other) ((VEC)(((WHOLE)(one) & (holds)) | ((WHOLE)(other) & ~(holds))))

/* Of the compilers' own conversions, GCC 12 does this one number by number. */
INLINE WHOLE NAME(load_bytes)(const uint8_t *from) {
#if LANES == 16
    return (WHOLE)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)from));
#else
    return (WHOLE)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)from));
#endif
}

/* Normalises nine pixels, each at its price; gives the greatest clamped, the x that it is of, and which of the nine, or
 * NONE. */
TARGET static void NAME(pool)(const float *const *taps, const float *price, const float *scale, const float *shift,
                              int64_t channels, float *y, float *best, uint8_t *winner) {
    for (int64_t c = 0; c < channels; c += LANES) {
        const VEC by = NAME(load)(scale + c), plus = NAME(load)(shift + c), nothing = {0};
        VEC most = nothing - INFINITY, of = nothing;
        WHOLE who = {0};
#pragma GCC unroll 9
        for (int tap = 0; tap < 9; tap++) {
            const VEC x = NAME(load)(taps[tap] + c), value = x * by + plus + price[tap];
            const WHOLE better = ~(value <= most); /* what is no number wins */
            most = CHOOSE(better, value, most);
            of = CHOOSE(better, x, of);
            who = (better & tap) | (~better & who);
        }
        const WHOLE passes = most > nothing;
        NAME(store)(y + c, CHOOSE(most < nothing, nothing, most));
        NAME(store)(best + c, of);
        *(NAME(bytes) *)(winner + c) = __builtin_convertvector((passes & who) | (~passes & NONE), NAME(bytes));
    }
}

/* total += Σg, product += Σg·(x - mean) over `count` answers, of what comes back through the ReLU */
TARGET static void NAME(gather)(const float *dy, const float *best, const uint8_t *winner, const float *mean,
                                int64_t channels, int64_t count, float *total, float *product) {
    for (int64_t k = 0; k < count * channels; k += channels)
        for (int64_t c = 0; c < channels; c += LANES) {
            const WHOLE passes = NAME(load_bytes)(winner + k + c) != NONE;
            const VEC gradient = (VEC)((WHOLE)NAME(load)(dy + k + c) & passes);
            const VEC away = NAME(load)(best + k + c) - NAME(load)(mean + c);
            NAME(store)(total + c, NAME(load)(total + c) + gradient);
            NAME(store)(product + c, NAME(load)(product + c) + gradient * away);
        }
}

/* What comes to a pixel from an answer of which it was the given one of nine. */
INLINE VEC NAME(from)(const Seen *seen, int64_t place, int tap) {
    return (VEC)((WHOLE)NAME(load)(seen->dy + place) & (NAME(load_bytes)(seen->winner + place) == seen->first + tap));
}

INLINE void NAME(finish)(const Slopes *by, int64_t c, VEC gradient, const float *x, float *to, float *total) {
    const VEC away = NAME(load)(x + c) - NAME(load)(by->mean + c);
    gradient = NAME(load)(by->scale + c) * gradient - NAME(load)(by->slope + c) * away - NAME(load)(by->rest + c);
    NAME(store)(to + c, gradient);
    NAME(store)(total + c, NAME(load)(total + c) + gradient);
}

/* The gradients of two pixels of a line, or of the last one, that `lines` of answers have seen; `more`: there are answers to
 * the right. */
INLINE void NAME(back_pixels)(const Seen *seen, int lines, const Slopes *by, int64_t place, int64_t channels, int pixels,
                              int more, const float *x, float *to, float *total) {
    for (int64_t c = 0; c < channels; c += LANES) {
        VEC first = {0}, second = {0};
        for (int l = 0; l < lines; l++) {
            first += NAME(from)(seen + l, place + c, 1);
            second += NAME(from)(seen + l, place + c, 2);
            if (more) second += NAME(from)(seen + l, place + channels + c, 0);
        }
        NAME(finish)(by, c, first, x, to, total);
        if (pixels == 2) NAME(finish)(by, c, second, x + channels, to + channels, total);
    }
}

/* The gradients of a line of x, which are added to the total, too. */
INLINE void NAME(back_lines)(const Seen *seen, int lines, const Slopes *by, int64_t channels, int64_t width,
                             const float *x, float *to, float *total) {
    const int64_t last = (width - 1) / 2;
    for (int64_t left = 0; left < last; left++)
        NAME(back_pixels)(seen, lines, by, left * channels, channels, 2, 1, x + 2 * left * channels,
                          to + 2 * left * channels, total);
    NAME(back_pixels)(seen, lines, by, last * channels, channels, width % 2 ? 1 : 2, 0, x + 2 * last * channels,
                      to + 2 * last * channels, total);
}

TARGET static void NAME(back_line)(const Seen *seen, int lines, const Slopes *by, int64_t channels, int64_t width,
                                   const float *x, float *to, float *total) {
    if (lines == 1) NAME(back_lines)(seen, 1, by, channels, width, x, to, total);
    else NAME(back_lines)(seen, 2, by, channels, width, x, to, total);
}

#define PRODUCT(n, wide)                                                                                               \
    NAME(multiply)(FITS(n), wide, 1, out + r * channels + c, channels, pixels + r, 1, step, gradients + c, channels,   \
                   count, 0)

/* out (rows, channels) += Σ over `count` pixels of rows numbers, of which the next pixel's begin `step` further on, times
 * its gradients (channels) */
TARGET static void NAME(add_line)(float *restrict out, int64_t rows, const float *restrict pixels, int64_t step,
                                  const float *restrict gradients, int64_t channels, int64_t count) {
    for (int64_t c = 0; c < channels; c += PANEL) {
        const int wide = channels - c >= PANEL ? 2 : 1;
        for (int64_t r = 0; r < rows; r += ROWS) switch (NAME(least)(rows - r, ROWS)) { UP_TO_14 }
    }
}

static const Kernels NAME(kernels) = {NAME(pool), NAME(gather), NAME(back_line), NAME(add_line)};

#undef PRODUCT
#undef CHOOSE
#undef WHOLE
#undef VEC
#undef PANEL
#undef INLINE
#undef FITS
#undef UP_TO_14
#undef ROWS_OF
