/* The inner loops of stem.c, included once for each kind of processor with LANES, ROWS, TARGET and NAME defined, and
 * undefined at its end. Channels are whole multiples of LANES. */

#include "products.h"

typedef uint8_t NAME(bytes) __attribute__((vector_size(LANES), aligned(1), may_alias));

#define WHOLE NAME(places) /* numbers, or all ones where something holds */
#define CHOOSE(holds, one, other) ((VEC)(((WHOLE)(one) & (holds)) | ((WHOLE)(other) & ~(holds))))

INLINE WHOLE NAME(load_bytes)(const uint8_t *from) { return __builtin_convertvector(*(const NAME(bytes) *)from, WHOLE); }

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

/* Adds the gradients of a line of answers where they belong in a line of x, which is the first, second or third that they
 * see. `row` begins a pixel before that line. */
TARGET static void NAME(spread)(const float *dy, const uint8_t *winner, int line, int64_t channels, int64_t count,
                                float *row) {
    for (int64_t k = 0; k < count * channels; k += channels)
        for (int64_t c = 0; c < channels; c += LANES) {
            const WHOLE gradient = (WHOLE)NAME(load)(dy + k + c);
            const WHOLE which = NAME(load_bytes)(winner + k + c) - 3 * line;
            for (int pixel = 0; pixel < 3; pixel++) {
                float *to = row + 2 * k + pixel * channels + c;
                NAME(store)(to, NAME(load)(to) + (VEC)(gradient & (which == pixel)));
            }
        }
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

static const Kernels NAME(kernels) = {NAME(pool), NAME(gather), NAME(spread), NAME(add_line)};

#undef PRODUCT
#undef CHOOSE
#undef WHOLE
#undef LANES
#undef ROWS
#undef TARGET
#undef NAME
#undef VEC
#undef PANEL
#undef INLINE
#undef FITS
#undef UP_TO_14
#undef ROWS_OF
