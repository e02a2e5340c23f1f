/* A step of a network, block by block: which part of its output a block is, and how it comes about. */

#ifndef DARKROOM_STEPS
#define DARKROOM_STEPS

#include <math.h>

#include "depthwise.h"
#include "matrix_steps.h"

enum { BLOCKS_A_THREAD = 7 };            /* divides most maps, so that blocks are alike */
enum { NEAR = 1 << 14, KEPT = 1 << 19 }; /* bytes that the nearest cache keeps beside others, and that a core's keeps */

/* Pixels beside each other that are computed at once: `of` such groups in a row, from `column` on. `rest`: that of the
 * first of the rows. */
typedef struct {
    int pixels, of, column;
    const char *rest;
} Groups;

/* Whether a window of the group reaches beyond an edge: then one of the distances is negative. */
static inline int is_beyond(const Step *s, const Division *d, int row, int column, int pixels) {
    const int top = row * s->stride_down + s->top, bottom = s->input_rows - s->window - top;
    const int left = column * s->stride_right + s->left;
    const int right = s->input_columns - d->wide - left - (pixels - 1) * s->stride_right;
    return (top | bottom | left | right) < 0;
}

/* Which of the rows of a window do not lie beyond the edges; how many words of a row do, for the first pixel of a group
 * at its beginning, for the last at its end. */
static void reach(const Step *s, const Division *d, Reach *r, int group, int row, int column, int pixels) {
    const int top = row * s->stride_down + s->top, left = column * s->stride_right + s->left;
    const int right = s->input_columns - d->wide - left - (pixels - 1) * s->stride_right;
    r->first[group] = larger(-top, 0), r->end[group] = smaller(s->window, s->input_rows - top);
    if (left < 0) r->head = -left * d->words, r->left |= 1 << group;
    if (right < 0) r->tail = -right * d->words, r->right |= 1 << group;
}

/* What kernels are not compiled for is multiplied with zeros. */
static void settle(const Step *s, Reach *r, int groups) {
    const int odd = groups > 1 && (r->left == 2 || r->right == 1);
    if (odd || r->head + r->tail > s->run) r->head = r->tail = r->left = r->right = 0;
}

/* `soon`: weights that are read after these, fetched while the first four tiles are computed. */
TARGET static void convolve_groups(const Call *call, const Step *s, const Division *d, Groups g, int row, int rows,
                                   int pair, const int8_t *soon) {
    const int vectors = vectors_of(s, pair), count = rows * g.of;
    Products p = {.weights = weights_of(s, pair),
                  .pixel = s->input_pixel,
                  .window_row = s->window_row,
                  .window = s->window,
                  .run = s->run,
                  .rest = s->rest,
                  .ahead = (const char *)soon};
    Tile tile = {0, g.pixels, vectors, (int64_t)pair * MOST_VECTORS * LANES};
    Places at;
    Sums sums;
    for (int k = 0, y = row, x = g.column, end = g.column + g.of * g.pixels; k < count; k += MOST_GROUPS) {
        tile.groups = smaller(MOST_GROUPS, count - k);
        int edges = INSIDE, rows_of[MOST_GROUPS], columns_of[MOST_GROUPS];
        for (int i = 0; i < tile.groups; i++) {
            p.input[i] = s->input + y * s->input_row + x * s->input_pixel;
            if (s->rest) p.rest_of[i] = g.rest + (y - row) * rest_of_row(s) + x * REST_BYTES;
            place(call, &s->end, &at, i, y, x);
            if (d->wide) edges |= is_beyond(s, d, y, x, g.pixels);
            rows_of[i] = y, columns_of[i] = x;
            x += g.pixels;
            if (x == end) x = g.column, y++;
        }
        if (edges) {
            p.reach.head = p.reach.tail = p.reach.left = p.reach.right = 0;
            for (int i = 0; i < tile.groups; i++) reach(s, d, &p.reach, i, rows_of[i], columns_of[i], g.pixels);
            settle(s, &p.reach, tile.groups);
        }
        KERNELS[s->input_type][edges][tile.groups - 1][vectors - 1][g.pixels](&p, sums);
        p.ahead += weights_of_pair(s) / 4;
        d->finish(&s->end, sums, tile, &at);
    }
}

/* Rows are cut into groups of two sizes that differ by one. So few rows are finished at a time that what is written,
 * and added to it, stays in the nearest cache while all channels get their turn. */
TARGET static void convolve_rows(const Call *call, const Step *s, const Division *d, int row, int rows, int pair,
                                 int pairs, Own own) {
    const int of = parts_of(s->columns, MOST_PIXELS), least = s->columns / of, more = s->columns % of;
    Groups wide = {least + 1, more, 0, own.rest}, narrow = {least, of - more, more * (least + 1), own.rest};
    for (int end = row + rows, high; row < end; row += high) {
        high = smaller(d->near, end - row);
        for (int k = pair; k < pair + pairs; k++) {
            const int8_t *again = row + high < end ? weights_of(s, pair) : own.next;
            const int8_t *soon = k + 1 < pair + pairs ? weights_of(s, k + 1) : again;
            if (d->matrix.words) {
                multiply_rows(call, s, d, row, high, k, soon, own.setup);
                continue;
            }
            if (wide.of) convolve_groups(call, s, d, wide, row, high, k, soon);
            convolve_groups(call, s, d, narrow, row, high, k, soon);
        }
        if (s->rest) wide.rest = narrow.rest += high * rest_of_row(s);
    }
}

TARGET static void convolve(const Call *call, const Step *s, const Division *d, int row, int rows, int pair, int pairs,
                            Own own) {
    const int together = s->rest ? TOGETHER : rows;
    for (int end = row + rows, some; row < end; row += some) {
        some = smaller(together, end - row);
        const char *rest = s->rest ? gather_rest(s, row, some, own.scratch) : 0;
        const Own mine = {own.setup, own.scratch, rest, row + some < end ? weights_of(s, pair) : own.next};
        convolve_rows(call, s, d, row, some, pair, pairs, mine);
    }
}

TARGET static void convolve_channels(const Call *call, const Step *s, const Division *d, int row, int rows) {
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
                p.input[0] = s->input + y * s->input_row + x * s->input_pixel + v * LANES * width(s->input_type);
                DEPTHWISE_KERNELS[s->input_type][vectors - 1][pixels](&p, s->window_pixel, s->vectors * LANES, sums);
                place(call, &s->end, &at, 0, y, x);
                d->finish(&s->end, sums, (Tile){1, pixels, vectors, (int64_t)v * LANES}, &at);
            }
        }
}

INLINE __m512i least_of(const int type) {
    if (type == FLOATS) return _mm512_castps_si512(_mm512_set1_ps(-INFINITY));
    if (type == SHORTS) return _mm512_set1_epi16(INT16_MIN);
    return _mm512_set1_epi8(type == SIGNED ? -128 : 0);
}

INLINE __m512i larger_of(__m512i a, __m512i b, const int type) {
    if (type == FLOATS) return _mm512_castps_si512(_mm512_max_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b)));
    if (type == SHORTS) return _mm512_max_epi16(a, b);
    return type == SIGNED ? _mm512_max_epi8(a, b) : _mm512_max_epu8(a, b);
}

/* Of up to 64 bytes of each pixel of a window. */
INLINE __m512i largest_of(const Step *s, const char *from, const int rows, const int columns, __mmask64 mask,
                          const int type) {
    const __m512i least = least_of(type);
    __m512i value = least;
#pragma GCC unroll 3
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 3
        for (int j = 0; j < columns; j++) {
            const char *pixel = from + i * s->window_row + j * s->window_pixel;
            const __m512i found = _mm512_mask_loadu_epi8(least, mask, pixel);
            value = larger_of(value, found, type);
        }
    return value;
}

/* What a window has beyond the edges does not count. */
TARGET static void largest(const Step *s, int row, int rows) {
    const Output *o = &s->end.first;
    const int channels = s->vectors * LANES * width(s->input_type);
    for (int y = row; y < row + rows; y++)
        for (int x = 0; x < s->columns; x++) {
            const int top = y * s->stride_down + s->top, left = x * s->stride_right + s->left;
            const int above = larger(top, 0), before = larger(left, 0);
            const int high = smaller(top + s->window, s->input_rows) - above;
            const int wide = smaller(left + s->run, s->input_columns) - before;
            const char *from = s->input + above * s->window_row + before * s->window_pixel;
            for (int c = 0; c < channels; c += LINE) {
                const int bytes = channels - c;
                const __mmask64 mask = bytes >= LINE ? ~0ULL : (1ULL << bytes) - 1;
                __m512i value;
                if (s->input_type == FLOATS)
                    value = largest_of(s, from + c, high, wide, mask, FLOATS);
                else if (s->input_type == SHORTS)
                    value = largest_of(s, from + c, high, wide, mask, SHORTS);
                else if (s->input_type == SIGNED)
                    value = largest_of(s, from + c, high, wide, mask, SIGNED);
                else if (high == 3 && wide == 3)
                    value = largest_of(s, from + c, 3, 3, mask, BYTES);
                else
                    value = largest_of(s, from + c, high, wide, mask, BYTES);
                _mm512_mask_storeu_epi8(o->data + y * o->row + x * o->pixel + c, mask, value);
            }
        }
}

TARGET static void mean(const Call *call, const Step *s, int vector) {
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
    place(call, &s->end, &at, 0, 0, 0);
    finish_any_of_floats(&s->end, sums, (Tile){1, 1, 1, channel}, &at);
}

static void take_photo(const Call *call, const Step *s, int row, int rows) {
    const Output *o = &s->end.first;
    Bytes b = {.table = s->table,
               .bytes = (int64_t)s->columns * s->channels,
               .rows = rows,
               .apart = o->row,
               .channels = s->channels};
    b.from = call->photo + row * b.bytes, b.to = o->data + row * o->row;
    (o->type == SHORTS ? look_up_shorts : call->look_up)(&b);
}

/* The weights that a block begins with. */
static const int8_t *begins_with(const Step *s, const Division *d, int64_t block) {
    return weights_of(s, (int)(block / d->parts) * d->pairs);
}

static void do_block(const Call *call, const Step *s, const Division *d, int64_t block, Own own) {
    const int slice = (int)(block / d->parts), row = (int)(block % d->parts) * d->rows;
    const int rows = smaller(d->rows, s->rows - row), pair = slice * d->pairs;
    const int pairs = smaller(d->pairs, parts_of(s->vectors, MOST_VECTORS) - pair);
    if (s->kind == CONVOLUTION)
        convolve(call, s, d, row, rows, pair, pairs, own);
    else if (s->kind == DEPTHWISE)
        convolve_channels(call, s, d, row, rows);
    else if (s->kind == LARGEST)
        largest(s, row, rows);
    else if (s->kind == MEAN)
        mean(call, s, slice);
    else
        take_photo(call, s, row, rows);
}

/* Weights that stay in a core's cache are read by all; others are each read by one thread. */
static Division divide_convolution(const Step *s, int wanted, int rows) {
    const int pairs = parts_of(s->vectors, MOST_VECTORS);
    const int64_t weights = weights_of_pair(s) * pairs;
    const int near = NEAR / (s->columns * s->vectors * LANES * width(s->end.first.type)), few = near > 1 ? near : 1;
    const int together = (weights <= KEPT && s->rows >= wanted) || pairs == 1;
    if (together) return (Division){rows, parts_of(s->rows, rows), pairs, 1, few};
    const int slices = pairs <= 2 * wanted ? pairs : wanted, each = parts_of(pairs, slices);
    const int high = parts_of(s->rows, parts_of(wanted, slices));
    return (Division){high, parts_of(s->rows, high), each, parts_of(pairs, each), high};
}

static Division divide(const Step *s, int threads, int matrices) {
    const int wanted = threads == 1 ? 1 : threads * BLOCKS_A_THREAD, rows = parts_of(s->rows, wanted);
    if (s->kind == MEAN) return (Division){1, 1, 1, s->vectors, 1};
    if (s->kind != CONVOLUTION) return (Division){rows, parts_of(s->rows, rows), 1, 1, 1};
    Division d = divide_convolution(s, wanted, rows);
    if (matrices) d.matrix = matrix_of(s);
    if (s->input_columns && s->input_type != FLOATS) {
        d.words = s->window_pixel / 4;
        d.wide = s->run / d.words;
    }
    return d;
}

#endif
