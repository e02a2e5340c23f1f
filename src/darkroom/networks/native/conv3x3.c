/* Convolution by 3x3 filters, stride 1, a border of one zero: float32, channels side by side (channels_last), forward and
 * both ways back, with a quarter of the multiplications: F(4x4, 3x3) of Lavin and Gray, "Fast Algorithms for
 * Convolutional Neural Networks" (2016). A tile of 6x6 pixels and a filter become 36 points each; over the channels each
 * point is a product of matrices; 36 sums become 4x4 pixels.
 *
 * Tiles are taken in blocks whose points stay in the second-level cache. What is added up, and in which order, depends
 * on the shapes only: the number of threads changes no bit.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "processors.h"
#include "threads.h"

#define POINTS 36
#define CUT 4              /* of the six points along a side: the one that tiles of three pixels lack */
#define PADDING 16         /* numbers between points, which would otherwise fight for the same places of a cache */
#define SMALL_SUMS (1 << 20) /* numbers: up to so many, each thread has sums of its own */
#define SMALL_CHUNK 56       /* tiles that are added up before the filters' points are touched again, by one thread, */
#define CHUNK 128            /* and by all */
#define SPLIT 448            /* tiles that one thread adds up by itself */

typedef struct {
    int lanes;
    void (*turn)(float *to, int64_t to_row, const float *from, int64_t from_row);
    void (*filter)(float *out, int64_t step, const float *taps, int64_t count);
    void (*taps)(float *out, const float *in, int64_t step, int64_t splits, int64_t count);
    void (*input)(float *points, int64_t step, int64_t panel_step, const float *const *from, int64_t channels, int tall,
                  int wide);
    void (*output)(float *const *to, const float *const *more, const float *in, int64_t step, int64_t channels,
                   int64_t next, int tall, int wide);
    void (*gradient)(float *points, int64_t step, int64_t panel_step, const float *const *from, int64_t channels,
                     int tall, int wide);
    void (*product)(float *out, const float *a, int64_t rows, int64_t depth, const float *b, int64_t width);
    void (*outer)(float *out, int add, const float *a, int64_t rows, const float *b, int64_t width, int64_t depth,
                  int64_t step);
} Kernels;

/* The inner loops for each generation of processors. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#define KERNELS "conv3x3_kernels.h"
#include "generations.h"

/* For registers of at most so many numbers; NULL: not on this processor. */
static const Kernels *kernels_for(int lanes) {
    if (lanes >= 16 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq"))
        return &kernels_avx512;
    if (lanes >= 8 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &kernels_avx2;
    return NULL;
}

#else

static const Kernels *kernels_for(int lanes) { return NULL; }

#endif

/* Along a side: tiles of four pixels, then tiles of three. */
typedef struct {
    int64_t whole, cut;
} Side;

/* Tiles lie by kinds, so that those which have a point are neighbours: cut from above only, whole, cut from the left only,
 * cut both ways. */
enum { KINDS = 4 };

typedef struct {
    const Kernels *kernels;
    int64_t images, height, width, inputs, outputs;
    Side down, across;
    int64_t ends[KINDS]; /* of each kind of tiles, of all images */
    int64_t tiles;
    const float *zeros; /* what lies beyond the border */
} Layer;

typedef struct {
    int64_t image, top, left;
    int tall, wide; /* 4 or 3 */
} Tile;

static int64_t less(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t more(int64_t a, int64_t b) { return a > b ? a : b; }

static Side side_of(int64_t pixels) {
    const int64_t tiles = (pixels + 3) / 4, cut = less(4 * tiles - pixels, tiles);
    return (Side){tiles - cut, cut};
}

static int lay_out(Layer *layer, int lanes) {
    layer->kernels = kernels_for(lanes);
    layer->down = side_of(layer->height);
    layer->across = side_of(layer->width);
    const Side down = layer->down, across = layer->across;
    const int64_t counts[KINDS] = {down.cut * across.whole, down.whole * across.whole, down.whole * across.cut,
                                   down.cut * across.cut};
    layer->tiles = 0;
    for (int kind = 0; kind < KINDS; kind++) layer->ends[kind] = layer->tiles += layer->images * counts[kind];
    layer->zeros = calloc(more(layer->inputs, layer->outputs), sizeof(float));
    return layer->kernels && layer->zeros;
}

static Tile tile_at(const Layer *layer, int64_t number) {
    int kind = 0;
    while (number >= layer->ends[kind]) kind++;
    if (kind) number -= layer->ends[kind - 1];
    const int tall = kind == 1 || kind == 2 ? 4 : 3, wide = kind < 2 ? 4 : 3;
    const int64_t rows = tall == 4 ? layer->down.whole : layer->down.cut;
    const int64_t columns = wide == 4 ? layer->across.whole : layer->across.cut;
    const int64_t row = number / columns % rows, column = number % columns;
    return (Tile){.image = number / columns / rows,
                  .top = tall == 4 ? 4 * row : 4 * layer->down.whole + 3 * row,
                  .left = wide == 4 ? 4 * column : 4 * layer->across.whole + 3 * column,
                  .tall = tall,
                  .wide = wide};
}

/* The first of the tiles from `begin` to `end` that have the point; gives how many do. */
static int64_t tiles_with(const Layer *layer, int point, int64_t begin, int64_t end, int64_t *first) {
    const int tall = point / 6 == CUT, wide = point % 6 == CUT;
    *first = less(more(begin, tall ? layer->ends[0] : 0), end);
    return more(less(end, wide ? layer->ends[1] : tall ? layer->ends[2] : layer->tiles) - *first, 0);
}

/* Where a tile's pixels lie: tall x wide of a square of `side`, from `edge` before the tile's corner on. */
static void find_pixels(const float **pixels, const Layer *layer, const float *x, int64_t channels, const Tile *tile,
                        int side, int edge) {
    for (int64_t row = 0; row < tile->tall + 2 * edge; row++)
        for (int64_t column = 0; column < tile->wide + 2 * edge; column++) {
            const int64_t h = tile->top - edge + row, w = tile->left - edge + column;
            const int inside = h >= 0 && h < layer->height && w >= 0 && w < layer->width;
            const int64_t place = (tile->image * layer->height + h) * layer->width + w;
            pixels[row * side + column] = inside ? x + place * channels : layer->zeros;
        }
}

static float *numbers(int64_t count) { return aligned_alloc(64, (count * sizeof(float) + 63) / 64 * 64); }

/* ---- filters ---- */

typedef struct {
    const Kernels *kernels;
    const float *filters;
    int64_t stride[4]; /* of outputs, inputs, rows, columns */
    int64_t inputs, outputs, panel;
    float *points; /* (36, outputs / panel, inputs, panel), the last panel as wide as what is left */
} Filters;

enum { INPUTS = 16, MOST = 32 * INPUTS }; /* taken at a time; a panel's filters of so many */

/* (9, INPUTS, wide) of the filters from output `first` and input `c` on, read along whichever lies together */
static void gather_taps(float *restrict taps, const Filters *f, int64_t first, int64_t wide, int64_t c) {
    const int64_t *stride = f->stride;
    const int lanes = f->kernels->lanes;
    for (int tap = 0; tap < 9; tap++, taps += INPUTS * wide) {
        const float *from = f->filters + first * stride[0] + c * stride[1] + tap / 3 * stride[2] + tap % 3 * stride[3];
        if (stride[1] == 1)
            for (int64_t i = 0; i < INPUTS; i += lanes)
                for (int64_t k = 0; k < wide; k += lanes)
                    f->kernels->turn(taps + i * wide + k, wide, from + k * stride[0] + i, stride[0]);
        else
            for (int64_t i = 0; i < INPUTS; i++)
                for (int64_t k = 0; k < wide; k++) taps[i * wide + k] = from[k * stride[0] + i * stride[1]];
    }
}

static void transform_filters(const void *given, int64_t panel, int worker) {
    const Filters *f = given;
    const int64_t first = panel * f->panel, wide = less(f->panel, f->outputs - first);
    float taps[9 * MOST];
    for (int64_t c = 0; c < f->inputs; c += INPUTS) {
        gather_taps(taps, f, first, wide, c);
        f->kernels->filter(f->points + first * f->inputs + c * wide, f->inputs * f->outputs + PADDING, taps,
                           INPUTS * wide);
    }
}

/* ---- forward, and back to the input ---- */

typedef struct {
    Layer layer;
    const float *x, *filters, *more; /* more: NULL, or what is added to the answer */
    float *y, *room; /* room: (threads, room_size) */
    int64_t room_size;
    int64_t block, parts, part; /* tiles of a block; the outputs are done in so many parts of so many */
} Forward;

static void share_out(Forward *f, int threads) {
    const int64_t tiles = f->layer.tiles, panel = 2 * f->layer.kernels->lanes;
    int64_t blocks = f->layer.inputs + f->layer.outputs <= 256 ? (tiles + 27) / 28 : (tiles + 55) / 56;
    f->parts = 1, f->part = f->layer.outputs;
    while (blocks * f->parts < threads && f->part >= 128 && f->part / 2 % panel == 0) f->parts *= 2, f->part /= 2;
    const int64_t rounds = (blocks * f->parts + threads - 1) / threads;
    if (rounds * threads / f->parts > blocks) blocks = rounds * threads / f->parts;
    f->block = (tiles + blocks - 1) / blocks;
}

static void convolve(const void *given, int64_t item, int worker) {
    const Forward *f = given;
    const Layer *layer = &f->layer;
    const Kernels *kernels = layer->kernels;
    const int64_t begin = item / f->parts * f->block, count = less(f->block, layer->tiles - begin);
    const int64_t inputs = layer->inputs, outputs = layer->outputs, first = item % f->parts * f->part;
    const int64_t in_step = f->block * inputs + PADDING, out_step = f->block * f->part + PADDING;
    float *in = f->room + worker * f->room_size, *out = in + POINTS * in_step, *nowhere = out + POINTS * out_step;
    const float *pixels[POINTS];
    for (int64_t t = 0; t < count; t++) {
        const Tile tile = tile_at(layer, begin + t);
        find_pixels(pixels, layer, f->x, inputs, &tile, 6, 1);
        kernels->input(in + t * inputs, in_step, 2 * kernels->lanes, pixels, inputs, tile.tall, tile.wide);
    }
    for (int p = 0; p < POINTS; p++) {
        int64_t with;
        const int64_t rows = tiles_with(layer, p, begin, begin + count, &with);
        kernels->product(out + p * out_step + (with - begin) * f->part, in + p * in_step + (with - begin) * inputs, rows,
                         inputs, f->filters + p * (inputs * outputs + PADDING) + first * inputs, f->part);
    }
    for (int64_t t = 0; t < count; t++) {
        const Tile tile = tile_at(layer, begin + t);
        float *to[16];
        find_pixels(pixels, layer, f->y, outputs, &tile, 4, 0);
        for (int h = 0; h < tile.tall; h++)
            for (int w = 4 * h; w < 4 * h + tile.wide; w++)
                to[w] = pixels[w] == layer->zeros ? nowhere : (float *)pixels[w] + first;
        if (f->more) find_pixels(pixels, layer, f->more + first, outputs, &tile, 4, 0);
        kernels->output(to, f->more ? pixels : NULL, out + t * f->part, out_step, f->part, 4 * outputs, tile.tall,
                        tile.wide);
    }
}

/* y (images, height, width, outputs) of x (images, height, width, inputs), and `more`, like y, is added if it is not NULL;
 * `filters` lie with the given strides of outputs, inputs, rows and columns. 0: no memory, or not on this processor. */
int darkroom_conv3x3(const float *x, const float *filters, int64_t output_stride, int64_t input_stride,
                     int64_t row_stride, int64_t column_stride, const float *more, float *y, int64_t images,
                     int64_t height, int64_t width, int64_t inputs, int64_t outputs, int lanes, int threads) {
    const Layer layer = {.images = images, .height = height, .width = width, .inputs = inputs, .outputs = outputs};
    Forward f = {layer, .x = x, .more = more, .y = y};
    Filters transformed = {NULL, filters, {output_stride, input_stride, row_stride, column_stride}, inputs, outputs};
    int done = 0;
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    if (lay_out(&f.layer, lanes)) {
        share_out(&f, threads);
        f.room_size = POINTS * (f.block * (inputs + f.part) + 2 * PADDING) + f.part;
        f.room = numbers(threads * f.room_size);
        f.filters = transformed.points = numbers(POINTS * (inputs * outputs + PADDING));
        transformed.kernels = f.layer.kernels;
        transformed.panel = 2 * f.layer.kernels->lanes;
        if ((done = f.room && f.filters)) {
            darkroom_run(transform_filters, &transformed, (outputs + transformed.panel - 1) / transformed.panel, threads);
            darkroom_run(convolve, &f, (f.layer.tiles + f.block - 1) / f.block * f.parts, threads);
        }
    }
    free((void *)f.layer.zeros), free(f.room), free(transformed.points);
    return done;
}

/* ---- back to the filters ---- */

typedef struct {
    Layer layer;
    const float *x, *dy;
    float *dw;
    float *room, *points, *gradients; /* room: (threads, room_size), the points of inputs and of gradients in it */
    float *sums;                      /* (splits, 36, outputs, inputs) */
    int64_t room_size, chunk, panel;  /* chunk: tiles whose points there is room for */
    int64_t in_step, out_step;        /* between points */
    int64_t splits, split;            /* of so many tiles: each adds up by itself */
    int64_t begin, end;               /* the chunk at hand */
} Backward;

static void transform_tile(const Backward *b, int64_t number) {
    const Layer *layer = &b->layer;
    const Kernels *kernels = layer->kernels;
    const Tile tile = tile_at(layer, number);
    const float *pixels[POINTS];
    const int64_t place = (number - b->begin) * b->panel, panel_step = b->chunk * b->panel;
    find_pixels(pixels, layer, b->x, layer->inputs, &tile, 6, 1);
    kernels->input(b->points + place, b->in_step, panel_step, pixels, layer->inputs, tile.tall, tile.wide);
    find_pixels(pixels, layer, b->dy, layer->outputs, &tile, 4, 0);
    kernels->gradient(b->gradients + place, b->out_step, panel_step, pixels, layer->outputs, tile.tall, tile.wide);
}

enum { TILES = 16 };

static void transform_tiles(const void *given, int64_t block, int worker) {
    const Backward *b = given;
    const int64_t begin = b->begin + block * TILES, end = less(begin + TILES, b->end);
    for (int64_t tile = begin; tile < end; tile++) transform_tile(b, tile);
}

static void add_point(const void *given, int64_t point, int worker) {
    const Backward *b = given;
    const int64_t inputs = b->layer.inputs, outputs = b->layer.outputs;
    const int goes_on = b->begin % b->split > 0; /* otherwise the sums begin, be it with zeros */
    int64_t with;
    const int64_t count = tiles_with(&b->layer, (int)point, b->begin, b->end, &with);
    if (goes_on && !count) return;
    b->layer.kernels->outer(b->sums + point * (inputs * outputs + PADDING), goes_on,
                            b->gradients + point * b->out_step + (with - b->begin) * b->panel, outputs,
                            b->points + point * b->in_step + (with - b->begin) * b->panel, inputs, count,
                            b->chunk * b->panel);
}

/* A split from its first tile to its last, by one thread. */
static void add_split(const void *given, int64_t split, int worker) {
    Backward b = *(const Backward *)given;
    const int64_t end = less((split + 1) * b.split, b.layer.tiles);
    b.sums += split * POINTS * (b.layer.inputs * b.layer.outputs + PADDING);
    b.points += worker * b.room_size;
    b.gradients += worker * b.room_size;
    for (b.begin = split * b.split; b.begin < end; b.begin = b.end) {
        b.end = less(b.begin + b.chunk, end);
        for (int64_t tile = b.begin; tile < b.end; tile++) transform_tile(&b, tile);
        for (int point = 0; point < POINTS; point++) add_point(&b, point, worker);
    }
}

/* All threads at every chunk: sums that are too large for each to have its own. */
static void add_chunks(Backward *b, int threads) {
    for (b->begin = 0; b->begin < b->layer.tiles; b->begin = b->end) {
        b->end = less(b->begin + b->chunk, b->layer.tiles);
        darkroom_run(transform_tiles, b, (b->end - b->begin + TILES - 1) / TILES, threads);
        darkroom_run(add_point, b, POINTS, threads);
    }
}

/* The filters of one output. */
static void finish_output(const void *given, int64_t output, int worker) {
    const Backward *b = given;
    const int64_t inputs = b->layer.inputs, step = inputs * b->layer.outputs + PADDING;
    b->layer.kernels->taps(b->dw + output * 9 * inputs, b->sums + output * inputs, step, b->splits, inputs);
}

/* dw (outputs, 3, 3, inputs) of x and the gradient dy (images, height, width, outputs).
 * 0: no memory, or not on this processor. */
int darkroom_conv3x3_filters(const float *x, const float *dy, float *dw, int64_t images, int64_t height, int64_t width,
                             int64_t inputs, int64_t outputs, int lanes, int threads) {
    const Layer layer = {.images = images, .height = height, .width = width, .inputs = inputs, .outputs = outputs};
    Backward b = {layer, .x = x, .dy = dy, .dw = dw};
    int done = 0;
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    if (lay_out(&b.layer, lanes)) {
        const int small = POINTS * inputs * outputs <= SMALL_SUMS;
        const int64_t tiles = b.layer.tiles;
        b.splits = small ? (tiles + SPLIT - 1) / SPLIT : 1;
        b.split = (tiles + b.splits - 1) / b.splits;
        b.chunk = less(small ? SMALL_CHUNK : CHUNK, b.split);
        b.panel = 2 * b.layer.kernels->lanes;
        b.in_step = (inputs + b.panel - 1) / b.panel * b.panel * b.chunk + PADDING;
        b.out_step = (outputs + b.panel - 1) / b.panel * b.panel * b.chunk + PADDING;
        b.room_size = POINTS * (b.in_step + b.out_step);
        b.room = b.points = numbers((small ? threads : 1) * b.room_size);
        b.sums = numbers(b.splits * POINTS * (inputs * outputs + PADDING));
        if ((done = b.room && b.sums)) {
            b.gradients = b.points + POINTS * b.in_step;
            if (small) darkroom_run(add_split, &b, b.splits, threads);
            else add_chunks(&b, threads);
            darkroom_run(finish_output, &b, outputs, threads);
        }
    }
    free((void *)b.layer.zeros), free(b.room), free(b.sums);
    return done;
}

/* How many numbers a register of this processor has, where convolutions are done here; 0: nowhere but in torch. */
int darkroom_conv3x3_lanes(void) {
    const Kernels *kernels = kernels_for(16);
    return kernels ? kernels->lanes : 0;
}
