/* Convolutions by matrices: which pixels are multiplied at once, and what becomes of their sums. */

#ifndef DARKROOM_MATRIX_STEPS
#define DARKROOM_MATRIX_STEPS

#include "division.h"

static int is_joined(const Step *s, int64_t row, int64_t pixel, int type) { return !type || row == s->columns * pixel; }

/* Flat where that makes fewer groups. */
static Matrix matrix_of(const Step *s) {
    const Epilogue *e = &s->end;
    const int words = s->input_type == BYTES && !s->rest ? matrix_words(s->run) : 0;
    const int pitch = (int)(s->input_row / s->input_pixel), whole = (s->rows - 1) * pitch + s->columns;
    const int groups = s->rows * parts_of(s->columns, MOST_IN_GROUP);
    const int flat = s->input_row % s->input_pixel == 0 && 8 * parts_of(whole, MOST_IN_GROUP) <= 7 * groups;
    const int joined = flat && pitch == s->columns && is_joined(s, e->first.row, e->first.pixel, e->first.type) &&
                       is_joined(s, e->second.row, e->second.pixel, e->second.type) &&
                       is_joined(s, e->other.row, e->other.pixel, e->other.type);
    return (Matrix){words, flat, flat ? pitch : s->columns, joined};
}

/* So many pixels beside each other, from `begin` on in a line; the first `skip` of them are finished. */
typedef struct {
    int row, begin, skip, size;
} Group;

/* Those of a group that are pixels. */
TARGET static void finish_group(const Call *call, const Step *s, const Division *d, Tile tile, const Group *g,
                                int32_t (*sums)[MOST_VECTORS][LANES]) {
    const Matrix *m = &d->matrix;
    int row = g->row, column = g->begin + g->skip;
    Places at;
    if (m->flat) row += column / m->pitch, column %= m->pitch;
    for (int done = g->skip; done < g->size; row++, column = 0) {
        const int left = g->size - done;
        tile.pixels = m->joined ? left : smaller(s->columns - column, left);
        if (tile.pixels > 0) {
            place(call, &s->end, &at, 0, row, column);
            d->finish(&s->end, (void *)(sums + done), tile, &at);
        }
        done += m->joined ? left : m->pitch - column;
    }
}

/* Which rows of the windows of two groups do not both lie beyond an edge. */
static void find_rows(const Step *s, const Division *d, Products *p, int first, int last) {
    const int known = d->wide && !d->matrix.flat;
    p->first = known ? larger(0, -(last * s->stride_down + s->top)) : 0;
    p->end = known ? smaller(s->window, s->input_rows - (first * s->stride_down + s->top)) : s->window;
}

/* Lines are cut into groups of one size, the last of which may begin before the one before it ends. `soon`: weights
 * that are read after these, fetched meanwhile. */
TARGET static void multiply_rows(const Call *call, const Step *s, const Division *d, int row, int rows, int pair,
                                 const int8_t *soon, Setup *setup) {
    const int vectors = vectors_of(s, pair), flat = d->matrix.flat;
    const int length = flat ? (rows - 1) * d->matrix.pitch + s->columns : s->columns;
    const int of = parts_of(length, MOST_IN_GROUP), size = parts_of(length, of), count = flat ? of : rows * of;
    const int calls = parts_of(count, MOST_GROUPS);
    const Tile tile = {1, 0, vectors, (int64_t)pair * MOST_VECTORS * LANES};
    Products p = {.weights = weights_of(s, pair),
                  .pixel = s->input_pixel,
                  .window_row = s->window_row,
                  .run = s->run,
                  .words = d->matrix.words,
                  .fetched = parts_of(d->matrix.words * vectors, calls),
                  .ahead = (const char *)soon};
    Group group[MOST_GROUPS];
    Sums sums;
    set_up(setup, size, d->matrix.words);
    for (int k = 0; k < count; k += MOST_GROUPS, p.ahead += weights_of_pair(s) / calls) {
        const int groups = smaller(MOST_GROUPS, count - k);
        for (int i = 0; i < groups; i++) {
            const int wanted = (k + i) % of * size, begin = smaller(wanted, length - size);
            group[i] = (Group){row + (k + i) / of, begin, wanted - begin, size};
            p.input[i] = s->input + group[i].row * s->input_row + begin * s->input_pixel;
        }
        find_rows(s, d, &p, group[0].row, group[groups - 1].row);
        MATRIX_KERNELS[groups - 1][vectors - 1](&p, sums);
        for (int i = 0; i < groups; i++) finish_group(call, s, d, tile, group + i, sums[i]);
    }
}

#endif
