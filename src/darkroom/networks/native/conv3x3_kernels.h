/* The inner loops of conv3x3.c, once for each generation of processors (generations.h says LANES, ROWS, TARGET and NAME).
 * Channels are whole multiples of LANES. */

#include "products.h"

/* ---- Lavin and Gray's F(4x4, 3x3): the transforms of one tile ----
 *
 * Along a side that is no multiple of four, some tiles have three pixels (`size` 3): F(3, 3) at five of the six points. The
 * points of the filters are the same for both; what they differ by is in the transforms of the input. */

/* Whether tiles of that size have the point. */
INLINE int NAME(has)(int size, int point) { return size == 4 || point != CUT; }

/* out: 6 of x: 6, with strides; of size 3 5 of 5 */
INLINE void NAME(input_line)(VEC *out, int out_step, const VEC *x, int size) {
    if (size == 3) {
        const VEC odd = x[3] - x[1];
        out[0] = 4 * (x[0] - x[2]) + 2 * odd;
        out[out_step] = 3 * (x[3] - x[2]) - 6 * x[1];
        out[2 * out_step] = x[3] - 3 * x[2] + 2 * x[1];
        out[3 * out_step] = 4 * odd;
        out[5 * out_step] = x[4] - x[2] - 2 * odd;
        return;
    }
    const VEC even = x[4] - 4 * x[2], odd = x[3] - 4 * x[1], near = x[4] - x[2], far = 2 * (x[3] - x[1]);
    out[0] = 4 * x[0] - 5 * x[2] + x[4];
    out[out_step] = even + odd;
    out[2 * out_step] = even - odd;
    out[3 * out_step] = near + far;
    out[4 * out_step] = near - far;
    out[5 * out_step] = 4 * x[1] - 5 * x[3] + x[5];
}

/* out: 4 of x: 6; of size 3 3 of 5 */
INLINE void NAME(output_line)(VEC *out, int out_step, const VEC *x, int size) {
    const VEC even = x[1] + x[2], odd = x[1] - x[2];
    if (size == 3) {
        out[0] = x[0] + even + x[3];
        out[out_step] = odd + 2 * x[3];
        out[2 * out_step] = even + 4 * x[3] + x[5];
        return;
    }
    const VEC more = x[3] + x[4], less = x[3] - x[4];
    out[0] = x[0] + even + more;
    out[out_step] = odd + 2 * less;
    out[2 * out_step] = even + 4 * more;
    out[3 * out_step] = odd + 8 * less + x[5];
}

/* out: 6 of x: 4, or 5 of 3, the way of output_line back */
INLINE void NAME(gradient_line)(VEC *out, int out_step, const VEC *x, int size) {
    const VEC even = x[0] + x[2], wide = x[0] + 4 * x[2];
    VEC odd = x[1], far = 2 * x[1];
    if (size == 4) odd += x[3], far += 8 * x[3];
    out[0] = x[0];
    out[out_step] = even + odd;
    out[2 * out_step] = even - odd;
    out[3 * out_step] = wide + far;
    if (size == 4) out[4 * out_step] = wide - far;
    out[5 * out_step] = x[size - 1];
}

/* out: 6 of taps: 3 */
INLINE void NAME(filter_line)(VEC *out, int out_step, const VEC *x) {
    const VEC even = (x[0] + x[2]) * (-1 / 6.0f), odd = x[1] * (1 / 6.0f);
    const VEC near = x[0] * (1 / 24.0f) + x[2] * (1 / 6.0f), far = x[1] * (1 / 12.0f);
    out[0] = x[0] * 0.25f;
    out[out_step] = even - odd;
    out[2 * out_step] = even + odd;
    out[3 * out_step] = near + far;
    out[4 * out_step] = near - far;
    out[5 * out_step] = x[2];
}

/* out: 3 of x: 6, the way of filter_line back */
INLINE void NAME(taps_line)(VEC *out, int out_step, const VEC *x) {
    const VEC even = (x[1] + x[2]) * (-1 / 6.0f), odd = x[2] - x[1], more = x[3] + x[4], less = x[3] - x[4];
    out[0] = x[0] * 0.25f + even + more * (1 / 24.0f);
    out[out_step] = odd * (1 / 6.0f) + less * (1 / 12.0f);
    out[2 * out_step] = even + more * (1 / 6.0f) + x[5];
}

#if LANES == 16
#define EVERY(of, bit)                                                                                                 \
    {of(0, bit), of(1, bit), of(2, bit),  of(3, bit),  of(4, bit),  of(5, bit),  of(6, bit),  of(7, bit),              \
     of(8, bit), of(9, bit), of(10, bit), of(11, bit), of(12, bit), of(13, bit), of(14, bit), of(15, bit)}
#else
#define EVERY(of, bit)                                                                                                 \
    {of(0, bit), of(1, bit), of(2, bit), of(3, bit), of(4, bit), of(5, bit), of(6, bit), of(7, bit)}
#endif
#define NEAR(w, bit) (w & bit ? LANES + w - bit : w)
#define FAR(w, bit) (w & bit ? LANES + w : w + bit)

/* Squares of `bit` numbers exchanged between rows that are `bit` apart. */
#define EXCHANGE(bit)                                                                                                  \
    _Pragma("GCC unroll 16") for (int r = 0; r < LANES; r++) {                                                         \
        if (r & bit) continue;                                                                                         \
        const VEC first = rows[r], second = rows[r + bit];                                                             \
        rows[r] = __builtin_shuffle(first, second, (NAME(places))EVERY(NEAR, bit));                                    \
        rows[r + bit] = __builtin_shuffle(first, second, (NAME(places))EVERY(FAR, bit));                               \
    }

/* to (LANES, LANES) = from, rows and columns exchanged */
TARGET static void NAME(turn)(float *restrict to, int64_t to_row, const float *restrict from, int64_t from_row) {
    VEC rows[LANES];
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) rows[r] = NAME(load)(from + r * from_row);
    EXCHANGE(1)
    EXCHANGE(2)
    EXCHANGE(4)
#if LANES == 16
    EXCHANGE(8)
#endif
#pragma GCC unroll 16
    for (int r = 0; r < LANES; r++) NAME(store)(to + r * to_row, rows[r]);
}

/* 36 points, `step` apart, of `count` filters' 3x3 taps, `count` apart */
TARGET static void NAME(filter)(float *restrict out, int64_t step, const float *restrict taps, int64_t count) {
    for (int64_t k = 0; k < count; k += LANES) {
        VEC half[18], line[6];
        for (int w = 0; w < 3; w++) {
            for (int h = 0; h < 3; h++) line[h] = NAME(load)(taps + (h * 3 + w) * count + k);
            NAME(filter_line)(half + w, 3, line);
        }
        for (int h = 0; h < 6; h++) {
            NAME(filter_line)(line, 1, half + 3 * h);
            for (int w = 0; w < 6; w++) NAME(store)(out + (h * 6 + w) * step + k, line[w]);
        }
    }
}

/* `count` filters' 3x3 taps, `count` apart, of 36 points, `step` apart, that are added up over `splits` */
TARGET static void NAME(taps)(float *restrict out, const float *restrict in, int64_t step, int64_t splits,
                              int64_t count) {
    for (int64_t k = 0; k < count; k += LANES) {
        VEC half[18], line[6];
        for (int w = 0; w < 6; w++) {
            for (int h = 0; h < 6; h++) {
                const float *from = in + (h * 6 + w) * step + k;
                line[h] = NAME(load)(from);
                for (int64_t split = 1; split < splits; split++) line[h] += NAME(load)(from + split * POINTS * step);
            }
            NAME(taps_line)(half + w, 6, line);
        }
        for (int h = 0; h < 3; h++) {
            NAME(taps_line)(line, 1, half + 6 * h);
            for (int w = 0; w < 3; w++) NAME(store)(out + (h * 3 + w) * count + k, line[w]);
        }
    }
}

/* points of 6x6 pixels, `step` apart; of their channels each PANEL lies `panel_step` behind the one before. The tile to
 * the right is asked for. */
INLINE void NAME(input_tile)(float *restrict points, int64_t step, int64_t panel_step, const float *const *from,
                             int64_t channels, int tall, int wide) {
    for (int64_t c = 0; c < channels; c += LANES) {
        float *out = points + c / PANEL * panel_step + c % PANEL;
        VEC half[36], line[6];
        for (int w = 0; w < wide + 2; w++) {
            for (int h = 0; h < tall + 2; h++) {
                line[h] = NAME(load)(from[h * 6 + w] + c);
                if (w >= 2) __builtin_prefetch(from[h * 6 + w] + c + 4 * channels);
            }
            NAME(input_line)(half + w, 6, line, tall);
        }
        for (int h = 0; h < 6; h++) {
            if (!NAME(has)(tall, h)) continue;
            NAME(input_line)(line, 1, half + 6 * h, wide);
            for (int w = 0; w < 6; w++)
                if (NAME(has)(wide, w)) NAME(store)(out + (h * 6 + w) * step, line[w]);
        }
    }
}

/* 4x4 pixels of their points, added to what lies at `more` if that is given; the tile to the right begins `next` numbers
 * on */
INLINE void NAME(output_tile)(float *const *to, const float *const *more, const float *restrict in, int64_t step,
                              int64_t channels, int64_t next, int tall, int wide) {
    for (int64_t c = 0; c < channels; c += LANES) {
        VEC half[24], line[6];
        for (int w = 0; w < 6; w++) {
            if (!NAME(has)(wide, w)) continue;
            for (int h = 0; h < 6; h++)
                if (NAME(has)(tall, h)) line[h] = NAME(load)(in + (h * 6 + w) * step + c);
            NAME(output_line)(half + w, 6, line, tall);
        }
        for (int h = 0; h < tall; h++) {
            NAME(output_line)(line, 1, half + 6 * h, wide);
            for (int w = 0; w < wide; w++) {
                const int pixel = h * 4 + w;
                if (more) line[w] += NAME(load)(more[pixel] + c);
                NAME(store)(to[pixel] + c, line[w]);
                __builtin_prefetch(to[pixel] + c + next, 1);
                if (more) __builtin_prefetch(more[pixel] + c + next);
            }
        }
    }
}

/* points of the gradients of 4x4 pixels, which lie as those of `input_tile` do */
INLINE void NAME(gradient_tile)(float *restrict points, int64_t step, int64_t panel_step, const float *const *from,
                                int64_t channels, int tall, int wide) {
    for (int64_t c = 0; c < channels; c += LANES) {
        float *out = points + c / PANEL * panel_step + c % PANEL;
        VEC half[24], line[6];
        for (int w = 0; w < wide; w++) {
            for (int h = 0; h < tall; h++) {
                line[h] = NAME(load)(from[h * 4 + w] + c);
                __builtin_prefetch(from[h * 4 + w] + c + 4 * channels);
            }
            NAME(gradient_line)(half + w, 4, line, tall);
        }
        for (int h = 0; h < 6; h++) {
            if (!NAME(has)(tall, h)) continue;
            NAME(gradient_line)(line, 1, half + 4 * h, wide);
            for (int w = 0; w < 6; w++)
                if (NAME(has)(wide, w)) NAME(store)(out + (h * 6 + w) * step, line[w]);
        }
    }
}

/* The same of tiles that are so tall and wide: 4 or 3. */
#define OF_EVERY_SIZE(function, ...)                                                                                   \
    if (tall == 4 && wide == 4) function(__VA_ARGS__, 4, 4);                                                           \
    else if (tall == 4) function(__VA_ARGS__, 4, 3);                                                                   \
    else if (wide == 4) function(__VA_ARGS__, 3, 4);                                                                   \
    else function(__VA_ARGS__, 3, 3);

TARGET static void NAME(input)(float *points, int64_t step, int64_t panel_step, const float *const *from,
                               int64_t channels, int tall, int wide) {
    OF_EVERY_SIZE(NAME(input_tile), points, step, panel_step, from, channels)
}

TARGET static void NAME(output)(float *const *to, const float *const *more, const float *in, int64_t step,
                                int64_t channels, int64_t next, int tall, int wide) {
    OF_EVERY_SIZE(NAME(output_tile), to, more, in, step, channels, next)
}

TARGET static void NAME(gradient)(float *points, int64_t step, int64_t panel_step, const float *const *from,
                                  int64_t channels, int tall, int wide) {
    OF_EVERY_SIZE(NAME(gradient_tile), points, step, panel_step, from, channels)
}

/* ---- products of matrices ---- */

/* out (rows, wide * LANES) = a (rows, depth) · b (depth, wide * LANES) */
#define PRODUCT(n, wide)                                                                                               \
    NAME(multiply)(FITS(n), wide, 0, out, out_row, a, depth, 1, b, (wide) * LANES, depth, depth * (wide) * LANES)
TARGET static void NAME(product_rows)(int64_t rows, int wide, float *restrict out, int64_t out_row,
                                      const float *restrict a, const float *restrict b, int64_t depth) {
    switch (rows) { UP_TO_14 }
}
#undef PRODUCT

/* out (rows, wide * LANES) = or += aᵀ · b;  a (depth, rows) and b (depth, wide * LANES), rows of both PANEL apart */
#define PRODUCT(n, wide) NAME(multiply)(FITS(n), wide, add, out, out_row, a, 1, PANEL, b, PANEL, depth, 0)
TARGET static void NAME(outer_rows)(int64_t rows, int wide, int add, float *restrict out, int64_t out_row,
                                    const float *restrict a, const float *restrict b, int64_t depth) {
    switch (rows) { UP_TO_14 }
}
#undef PRODUCT

/* out (rows, width) = a (rows, depth) · b (width / PANEL, depth, PANEL), the last panel as wide as what is left */
TARGET static void NAME(product)(float *restrict out, const float *restrict a, int64_t rows, int64_t depth,
                                 const float *restrict b, int64_t width) {
    for (int64_t w = 0; w < width; w += PANEL)
        for (int64_t r = 0; r < rows; r += ROWS)
            NAME(product_rows)(NAME(least)(rows - r, ROWS), width - w >= PANEL ? 2 : 1, out + r * width + w, width,
                               a + r * depth, b + w * depth, depth);
}

/* out (rows, width) = or += aᵀ · b;  a (rows / PANEL, …, PANEL) and b (width / PANEL, …, PANEL), of which the first
 * `depth` of every panel count; panels are `step` apart */
TARGET static void NAME(outer)(float *restrict out, int add, const float *restrict a, int64_t rows,
                               const float *restrict b, int64_t width, int64_t depth, int64_t step) {
    const int64_t most = (PANEL + PANEL / ROWS) / (PANEL / ROWS + 1); /* as even as it goes */
    for (int64_t w = 0; w < width; w += PANEL)
        for (int64_t panel = 0; panel < rows; panel += PANEL) {
            const int64_t count = NAME(least)(rows - panel, PANEL);
            for (int64_t r = 0; r < count; r += most)
                NAME(outer_rows)(NAME(least)(count - r, most), width - w >= PANEL ? 2 : 1, add,
                                 out + (panel + r) * width + w, width, a + panel / PANEL * step + r,
                                 b + w / PANEL * step, depth);
        }
}

static const Kernels NAME(kernels) = {LANES,        NAME(turn),     NAME(filter),  NAME(taps), NAME(input),
                                      NAME(output), NAME(gradient), NAME(product), NAME(outer)};

#undef VEC
#undef PANEL
#undef INLINE
#undef FITS
#undef EVERY
#undef NEAR
#undef FAR
#undef EXCHANGE
#undef OF_EVERY_SIZE
#undef UP_TO_14
#undef ROWS_OF
