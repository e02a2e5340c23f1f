/* The stem of a residual network, whose numbers are the most there are: after a convolution by 7x7 filters with stride 2,
 * batch normalisation, ReLU and the greatest of 3x3 pixels with stride 2 (a border of one) in one; and all the way back to
 * the filters. What lies between is never written: not the normalised image, not its gradient, not that of the
 * convolution's answer. float32, channels side by side (channels_last). The unit of work is an image, and sums are joined
 * in the images' order: the number of threads changes no bit.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "batch_norm.h"
#include "processors.h"
#include "threads.h"

#define TAPS 7 /* along a side of the filters */
#define EDGE 3 /* zeros around the image */
#define NONE 9 /* instead of one of nine pixels: the ReLU let nothing pass */

/* A line of answers that have seen a line of x: the gradients, which of nine pixels it was, and the first of those nine that
 * lies in the line. */
typedef struct {
    const float *dy;
    const uint8_t *winner;
    int first;
} Seen;

/* The gradient of x is scale·g - slope·(x - mean) - rest. (channels) each. */
typedef struct {
    const float *scale, *mean, *slope, *rest;
} Slopes;

typedef struct {
    void (*pool)(const float *const *taps, const float *price, const float *scale, const float *shift, int64_t channels,
                 float *y, float *best, uint8_t *winner);
    void (*gather)(const float *dy, const float *best, const uint8_t *winner, const float *mean, int64_t channels,
                   int64_t count, float *total, float *product);
    void (*back_line)(const Seen *seen, int lines, const Slopes *by, int64_t channels, int64_t width, const float *x,
                      float *to, float *total);
    void (*add_line)(float *out, int64_t rows, const float *pixels, int64_t step, const float *gradients,
                     int64_t channels, int64_t count);
} Kernels;

#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__)

#define KERNELS "stem_kernels.h"
#include "generations.h"

/* For as many numbers in a register as darkroom_conv3x3_lanes says, or fewer; NULL: not on this processor. */
static const Kernels *kernels_for(int lanes) {
    return lanes >= 16 ? &kernels_avx512 : lanes >= 8 ? &kernels_avx2 : NULL;
}

#else

static const Kernels *kernels_for(int lanes) { return NULL; }

#endif

typedef struct {
    int64_t images, height, width, channels, out_height, out_width; /* of what is normalised, and of the pooled */
    const float *x, *dy;
    float *y, *best;              /* pooled, and the x that it is of */
    uint8_t *winner;              /* which of the nine, like y */
    const float *pixels;          /* what was convolved (images, in_height, in_width, colours) */
    int64_t in_height, in_width, colours;
    const Kernels *kernels;
    const float *scale, *shift; /* (channels) */
    Slopes by;
    double *sums;                 /* (images, 2, channels) */
    float *filters, *within;      /* (images, TAPS, TAPS, colours, channels), (images, TAPS, TAPS, channels) */
    float *room;                  /* (threads, room_size) */
    int64_t room_size;
} Work;

static int64_t half_of(int64_t side) { return (side + 1) / 2; }

static int64_t place_of(const Work *w, int64_t image, int64_t top) {
    return (image * w->out_height + top) * w->out_width * w->channels;
}

/* ---- forward ---- */

/* The nine pixels that an answer sees. Beyond the border it is the one in the middle, at the price of minus infinity. */
static void find_taps(const float **taps, float *price, const Work *w, int64_t image, int64_t top, int64_t left) {
    for (int64_t h = 2 * top - 1; h < 2 * top + 2; h++)
        for (int64_t v = 2 * left - 1; v < 2 * left + 2; v++, taps++, price++) {
            const int inside = h >= 0 && h < w->height && v >= 0 && v < w->width;
            const int64_t row = inside ? h : 2 * top, column = inside ? v : 2 * left;
            *taps = w->x + ((image * w->height + row) * w->width + column) * w->channels;
            *price = inside ? 0 : -INFINITY;
        }
}

static void pool_image(const void *given, int64_t image, int worker) {
    const Work *w = given;
    const float *taps[9];
    float price[9];
    for (int64_t top = 0; top < w->out_height; top++)
        for (int64_t left = 0; left < w->out_width; left++) {
            find_taps(taps, price, w, image, top, left);
            const int64_t place = place_of(w, image, top) + left * w->channels;
            w->kernels->pool(taps, price, w->scale, w->shift, w->channels, w->y + place, w->best + place,
                             w->winner + place);
        }
}

/* y, best and winner (images, (height + 1) / 2, (width + 1) / 2, channels) of x (images, height, width, channels); mean,
 * variance and the running ones as in darkroom_normalise. Channels are whole multiples of 16. 0: no memory, or not on
 * this processor. */
int darkroom_stem_forward(const float *x, float *y, float *best, uint8_t *winner, int64_t images, int64_t height,
                          int64_t width, int64_t channels, const float *weight, const float *bias, double eps,
                          double *mean, double *variance, float *running_mean, float *running_var, double momentum,
                          int lanes, int threads) {
    float scale[channels], shift[channels];
    Work w = {images, height, width, channels, half_of(height), half_of(width), .x = x, .y = y, .best = best,
              .winner = winner, .kernels = kernels_for(lanes)};
    const int64_t rows = images * height * width;
    if (!w.kernels) return 0;
    if (!norm_moments(x, 0, rows, channels, mean, variance, running_mean, running_var, momentum, threads)) return 0;
    norm_line(channels, weight, bias, eps, mean, variance, scale, shift);
    w.scale = scale, w.shift = shift;
    darkroom_run(pool_image, &w, images, threads);
    return 1;
}

/* ---- back ---- */

/* Σg and Σg·(x - mean) of an image */
static void gather_image(const void *given, int64_t image, int worker) {
    const Work *w = given;
    const int64_t channels = w->channels;
    double *sums = w->sums + image * 2 * channels;
    float part[2][channels];
    memset(sums, 0, 2 * channels * sizeof(double));
    for (int64_t top = 0; top < w->out_height; top++) {
        memset(part, 0, sizeof(part));
        const int64_t place = place_of(w, image, top);
        w->kernels->gather(w->dy + place, w->best + place, w->winner + place, w->by.mean, channels, w->out_width, part[0],
                           part[1]);
        for (int64_t c = 0; c < channels; c++) sums[c] += part[0][c], sums[channels + c] += part[1][c];
    }
}

/* to += sign · from */
FAST static void add(float *restrict to, const float *restrict from, float sign, int64_t count) {
    for (int64_t k = 0; k < count; k++) to[k] += sign * from[k];
}

/* For each tap of a line of the filters: the sum of a line's gradients where that tap lay within the image. */
static void sum_within(const Work *w, float *sums, const float *total, const float *gradients) {
    const int64_t channels = w->channels;
    for (int tap = 0; tap < TAPS; tap++, sums += channels) {
        memcpy(sums, total, channels * sizeof(float));
        for (int64_t v = 0; v < w->width && 2 * v + tap < EDGE; v++) add(sums, gradients + v * channels, -1, channels);
        for (int64_t v = w->width - 1; v >= 0 && 2 * v + tap - EDGE >= w->in_width; v--)
            add(sums, gradients + v * channels, -1, channels);
    }
}

static void back_image(const void *given, int64_t image, int worker) {
    const Work *w = given;
    const int64_t channels = w->channels, colours = w->colours, wide = w->in_width * colours;
    float *gradients = w->room + worker * w->room_size, *line = gradients + w->width * channels;
    float *filters = w->filters + image * TAPS * TAPS * colours * channels;
    float *within = w->within + image * TAPS * TAPS * channels, total[channels], sums[TAPS * channels];
    memset(filters, 0, TAPS * TAPS * colours * channels * sizeof(float));
    memset(within, 0, TAPS * TAPS * channels * sizeof(float));
    memset(line, 0, (wide + 2 * EDGE * colours) * sizeof(float));
    for (int64_t h = 0; h < w->height; h++) {
        Seen seen[2];
        int lines = 0;
        memset(total, 0, sizeof(total));
        for (int64_t top = h / 2; top <= (h + 1) / 2 && top < w->out_height; top++) {
            const int64_t place = place_of(w, image, top);
            seen[lines++] = (Seen){w->dy + place, w->winner + place, (int)(h - 2 * top + 1) * 3};
        }
        w->kernels->back_line(seen, lines, &w->by, channels, w->width,
                              w->x + (image * w->height + h) * w->width * channels, gradients, total);
        sum_within(w, sums, total, gradients);
        for (int tap = 0; tap < TAPS; tap++) {
            const int64_t from = 2 * h + tap - EDGE;
            if (from < 0 || from >= w->in_height) continue;
            memcpy(line + EDGE * colours, w->pixels + (image * w->in_height + from) * wide, wide * sizeof(float));
            w->kernels->add_line(filters + tap * TAPS * colours * channels, TAPS * colours, line, 2 * colours, gradients,
                                 channels, w->width);
            add(within + tap * TAPS * channels, sums, 1, TAPS * channels);
        }
    }
}

/* to (count) = Σ over the images, in their order */
FAST static void join(float *restrict to, const float *restrict parts, int64_t count, int64_t images) {
    for (int64_t k = 0; k < count; k++) {
        double sum = 0;
        for (int64_t image = 0; image < images; image++) sum += parts[image * count + k];
        to[k] = (float)sum;
    }
}

static int find_room(Work *w, int threads) {
    w->room_size = w->width * w->channels + (w->in_width + 2 * EDGE) * w->colours;
    w->sums = malloc(w->images * 2 * w->channels * sizeof(double));
    w->room = malloc(threads * w->room_size * sizeof(float));
    w->filters = malloc(w->images * TAPS * TAPS * w->colours * w->channels * sizeof(float));
    w->within = malloc(w->images * TAPS * TAPS * w->channels * sizeof(float));
    return w->sums && w->room && w->filters && w->within;
}

/* Of dy and what the way forward gave: the gradients of the filters (TAPS, TAPS, colours, channels), the sums of the
 * gradients of the convolution's answers for which a tap lay within the image (TAPS, TAPS, channels), and the gradients of
 * weight and bias. x (images, height, width, channels) was normalised, `pixels` (images, in_height, in_width, colours)
 * convolved. Channels are whole multiples of 16. 0: no memory, or not on this processor. */
int darkroom_stem_backward(const float *dy, const float *x, const float *best, const uint8_t *winner, const float *pixels,
                           float *filters, float *within, int64_t images, int64_t in_height, int64_t in_width,
                           int64_t colours, int64_t channels, const float *weight, const float *bias, double eps,
                           const double *mean, const double *variance, float *dweight, float *dbias, int lanes,
                           int threads) {
    float scale[channels], shift[channels], means[channels], slope[channels], rest[channels];
    double total[channels], product[channels];
    Work w = {images, half_of(in_height), half_of(in_width), channels, .x = x, .dy = dy, .pixels = pixels,
              .in_height = in_height, .in_width = in_width, .colours = colours, .kernels = kernels_for(lanes)};
    int done = 0;
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    w.out_height = half_of(w.height), w.out_width = half_of(w.width);
    w.best = (float *)best, w.winner = (uint8_t *)winner;
    if ((done = find_room(&w, threads) && w.kernels)) {
        norm_line(channels, weight, bias, eps, mean, variance, scale, shift);
        for (int64_t c = 0; c < channels; c++) means[c] = (float)mean[c], total[c] = product[c] = 0;
        w.by = (Slopes){scale, means, slope, rest};
        darkroom_run(gather_image, &w, images, threads);
        for (int64_t image = 0; image < images; image++)
            for (int64_t c = 0; c < channels; c++) {
                total[c] += w.sums[image * 2 * channels + c];
                product[c] += w.sums[(image * 2 + 1) * channels + c];
            }
        norm_slopes(images * w.height * w.width, channels, weight, eps, variance, total, product, dweight, dbias, slope,
                    rest);
        darkroom_run(back_image, &w, images, threads);
        join(filters, w.filters, TAPS * TAPS * colours * channels, images);
        join(within, w.within, TAPS * TAPS * channels, images);
    }
    free(w.sums), free(w.room), free(w.filters), free(w.within);
    return done;
}
