/* How the work of a step is divided, and what a thread finds at hand while it does its part. */

#ifndef DARKROOM_DIVISION
#define DARKROOM_DIVISION

#include "epilogue.h"
#include "lookup.h"
#include "matrices.h"
#include "rest.h"

/* What differs from call to call. */
typedef struct {
    const uint8_t *photo;
    char *answer;
    LookUp look_up;
} Call;

/* How a step is multiplied by matrices, `words` at once; 0 words: by other kernels. A line of its output is a row, or
 * where `flat` all rows of a block as one, with what lies between the end of a row and the beginning of the next,
 * `pitch` pixels behind. `joined`: nothing lies between. */
typedef struct {
    int words, flat, pitch, joined;
} Matrix;

/* How a step is divided: `parts` times so many rows, by `slices` of so many pairs of vectors. */
typedef struct {
    int rows, parts, pairs, slices;
    int near;        /* rows that are finished before others */
    int wide, words; /* of a window, where what lies beyond the edges need not be multiplied: columns, words of one */
    Matrix matrix;
    Finish finish;
} Division;

static int smaller(int a, int b) { return a < b ? a : b; }

static int larger(int a, int b) { return a > b ? a : b; }

static int parts_of(int whole, int part) { return (whole + part - 1) / part; }

/* Of a pair of vectors, in bytes. */
static int64_t weights_of_pair(const Step *s) { return ((int64_t)s->window * s->run + s->rest) * MOST_VECTORS * LINE; }

static const int8_t *weights_of(const Step *s, int pair) {
    return (const int8_t *)s->weights + pair * weights_of_pair(s);
}

/* The last pair may be one vector. */
static int vectors_of(const Step *s, int pair) { return smaller(MOST_VECTORS, s->vectors - pair * MOST_VECTORS); }

static char *output_at(const Call *call, const Output *o, int row, int column) {
    if (!o->type) return 0;
    return (o->data ? o->data : call->answer) + row * o->row + column * o->pixel;
}

static void place(const Call *call, const Epilogue *e, Places *at, int group, int row, int column) {
    const Other *o = &e->other;
    at->first[group] = output_at(call, &e->first, row, column);
    at->second[group] = output_at(call, &e->second, row, column);
    at->other[group] = o->type ? o->data + row * o->row + column * o->pixel : 0;
}

/* What a thread has for itself while it works on a block: its registers, memory, what windows leave over, and the
 * weights that it reads after it. */
typedef struct {
    Setup *setup;
    char *scratch;
    const char *rest;
    const int8_t *next;
} Own;

#endif
