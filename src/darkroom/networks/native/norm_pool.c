/* Batch normalisation, ReLU and the greatest of 3x3 pixels with stride 2 (a border of one), in one: the stem of a residual
 * network, whose numbers are the most there are. What lies between the three is never written: not the normalised image,
 * not its gradient. float32, channels side by side (channels_last). The unit of work is an image, and sums are joined in
 * the images' order: the number of threads changes no bit.
 */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "batch_norm.h"
#include "processors.h"
#include "threads.h"

typedef struct {
    int64_t images, height, width, channels, out_height, out_width;
    const float *x, *dy;
    float *y, *dx;
    uint8_t *winner; /* (images, out_height, out_width, channels): which of the nine */
    const float *scale, *shift, *mean, *slope, *rest;
    double *sums; /* (images, 2, channels) */
    float *room;  /* (threads, width, channels) */
} Work;

static int64_t out_of(int64_t side) { return (side + 1) / 2; }

/* The nine pixels that an answer sees; NULL beyond the border. */
static void find_taps(const float **taps, const Work *w, int64_t image, int64_t top, int64_t left) {
    for (int64_t h = 2 * top - 1; h < 2 * top + 2; h++)
        for (int64_t v = 2 * left - 1; v < 2 * left + 2; v++, taps++) {
            const int inside = h >= 0 && h < w->height && v >= 0 && v < w->width;
            *taps = inside ? w->x + ((image * w->height + h) * w->width + v) * w->channels : NULL;
        }
}

static int64_t place_of(const Work *w, int64_t image, int64_t top, int64_t left) {
    return ((image * w->out_height + top) * w->out_width + left) * w->channels;
}

FAST static void forward_pixel(const Work *w, const float *const *taps, float *restrict y, uint8_t *restrict winner) {
    const float *restrict scale = w->scale, *restrict shift = w->shift;
    const int64_t channels = w->channels;
    float best[channels];
    int32_t arg[channels];
    for (int64_t c = 0; c < channels; c++) best[c] = -INFINITY, arg[c] = 0;
    for (int tap = 0; tap < 9; tap++) {
        const float *restrict x = taps[tap];
        if (!x) continue;
        for (int64_t c = 0; c < channels; c++) {
            const float value = x[c] * scale[c] + shift[c];
            const int better = !(value <= best[c]); /* what is no number wins */
            best[c] = better ? value : best[c];
            arg[c] = better ? tap : arg[c];
        }
    }
    for (int64_t c = 0; c < channels; c++) y[c] = best[c] < 0 ? 0 : best[c];
    for (int64_t c = 0; c < channels; c++) winner[c] = (uint8_t)arg[c];
}

static void forward_image(const void *given, int64_t image, int worker) {
    const Work *w = given;
    const float *taps[9];
    for (int64_t top = 0; top < w->out_height; top++)
        for (int64_t left = 0; left < w->out_width; left++) {
            const int64_t place = place_of(w, image, top, left);
            find_taps(taps, w, image, top, left);
            forward_pixel(w, taps, w->y + place, w->winner + place);
        }
}

/* What comes back through the ReLU, and to which of the nine. */
FAST static void take_gradient(const Work *w, int64_t place, float *restrict gradient, int32_t *restrict arg) {
    const float *restrict y = w->y + place, *restrict dy = w->dy + place;
    const uint8_t *restrict winner = w->winner + place;
    for (int64_t c = 0; c < w->channels; c++) {
        const float d = dy[c];
        gradient[c] = y[c] > 0 ? d : 0;
    }
    for (int64_t c = 0; c < w->channels; c++) arg[c] = winner[c];
}

FAST static void gather_pixel(const Work *w, const float *const *taps, const float *restrict gradient,
                              const int32_t *restrict arg, float *restrict total, float *restrict product) {
    const float *restrict mean = w->mean;
    for (int64_t c = 0; c < w->channels; c++) total[c] += gradient[c];
    for (int tap = 0; tap < 9; tap++) {
        const float *restrict x = taps[tap];
        if (!x) continue;
        for (int64_t c = 0; c < w->channels; c++) {
            const float part = gradient[c] * (x[c] - mean[c]);
            product[c] += arg[c] == tap ? part : 0;
        }
    }
}

/* Σg and Σg·(x - mean) of an image */
static void gather_image(const void *given, int64_t image, int worker) {
    const Work *w = given;
    const int64_t channels = w->channels;
    double *sums = w->sums + image * 2 * channels;
    float gradient[channels], part[2][channels];
    int32_t arg[channels];
    const float *taps[9];
    memset(sums, 0, 2 * channels * sizeof(double));
    for (int64_t top = 0; top < w->out_height; top++) {
        memset(part, 0, sizeof(part));
        for (int64_t left = 0; left < w->out_width; left++) {
            find_taps(taps, w, image, top, left);
            take_gradient(w, place_of(w, image, top, left), gradient, arg);
            gather_pixel(w, taps, gradient, arg, part[0], part[1]);
        }
        for (int64_t c = 0; c < channels; c++) sums[c] += part[0][c], sums[channels + c] += part[1][c];
    }
}

FAST static void add_where(float *restrict to, const float *restrict gradient, const int32_t *restrict arg, int tap,
                           int64_t channels) {
    for (int64_t c = 0; c < channels; c++) to[c] += arg[c] == tap ? gradient[c] : 0;
}

FAST static void finish_row(const Work *w, float *restrict dx, const float *restrict x, const float *restrict row) {
    const float *restrict scale = w->scale, *restrict mean = w->mean, *restrict slope = w->slope, *restrict rest = w->rest;
    for (int64_t v = 0; v < w->width; v++, dx += w->channels, x += w->channels, row += w->channels)
        for (int64_t c = 0; c < w->channels; c++) dx[c] = scale[c] * row[c] - slope[c] * (x[c] - mean[c]) - rest[c];
}

static void back_image(const void *given, int64_t image, int worker) {
    const Work *w = given;
    const int64_t channels = w->channels, size = w->width * channels;
    float *row = w->room + worker * size, gradient[channels];
    int32_t arg[channels];
    for (int64_t h = 0; h < w->height; h++) {
        memset(row, 0, size * sizeof(float));
        for (int64_t top = h / 2; top <= (h + 1) / 2 && top < w->out_height; top++)
            for (int64_t left = 0; left < w->out_width; left++) {
                take_gradient(w, place_of(w, image, top, left), gradient, arg);
                for (int64_t v = 2 * left - 1, tap = (h - 2 * top + 1) * 3; v < 2 * left + 2; v++, tap++)
                    if (v >= 0 && v < w->width) add_where(row + v * channels, gradient, arg, (int)tap, channels);
            }
        const int64_t place = (image * w->height + h) * size;
        finish_row(w, w->dx + place, w->x + place, row);
    }
}

/* y and winner (images, (height + 1) / 2, (width + 1) / 2, channels) of x (images, height, width, channels); mean,
 * variance and the running ones as in darkroom_norm_forward. 0: no memory. */
int darkroom_norm_pool_forward(const float *x, float *y, uint8_t *winner, int64_t images, int64_t height, int64_t width,
                               int64_t channels, const float *weight, const float *bias, double eps, double *mean,
                               double *variance, float *running_mean, float *running_var, double momentum, int threads) {
    float scale[channels], shift[channels];
    Work w = {images, height, width, channels, out_of(height), out_of(width), .x = x, .y = y, .winner = winner};
    const int64_t rows = images * height * width;
    if (!norm_moments(x, rows, channels, mean, variance, running_mean, running_var, momentum, threads)) return 0;
    norm_line(channels, weight, bias, eps, mean, variance, scale, shift);
    w.scale = scale, w.shift = shift;
    darkroom_run(forward_image, &w, images, threads);
    return 1;
}

/* dx and the gradients of weight and bias, of dy and what the way forward gave. 0: no memory. */
int darkroom_norm_pool_backward(const float *dy, const float *x, const float *y, const uint8_t *winner, float *dx,
                                int64_t images, int64_t height, int64_t width, int64_t channels, const float *weight,
                                const float *bias, double eps, const double *mean, const double *variance,
                                float *dweight, float *dbias, int threads) {
    float scale[channels], shift[channels], means[channels], slope[channels], rest[channels];
    double total[channels], product[channels];
    Work w = {images, height, width, channels, out_of(height), out_of(width), .x = x, .dy = dy, .dx = dx};
    int done = 0;
    threads = threads < 1 ? 1 : threads > MAX_THREADS ? MAX_THREADS : threads;
    w.y = (float *)y, w.winner = (uint8_t *)winner;
    w.sums = malloc(images * 2 * channels * sizeof(double));
    w.room = malloc(threads * width * channels * sizeof(float));
    if ((done = w.sums && w.room)) {
        norm_line(channels, weight, bias, eps, mean, variance, scale, shift);
        for (int64_t c = 0; c < channels; c++) means[c] = (float)mean[c], total[c] = product[c] = 0;
        w.scale = scale, w.mean = means, w.slope = slope, w.rest = rest;
        darkroom_run(gather_image, &w, images, threads);
        for (int64_t image = 0; image < images; image++)
            for (int64_t c = 0; c < channels; c++) {
                total[c] += w.sums[image * 2 * channels + c];
                product[c] += w.sums[(image * 2 + 1) * channels + c];
            }
        norm_slopes(images * height * width, channels, weight, eps, variance, total, product, dweight, dbias, slope, rest);
        darkroom_run(back_image, &w, images, threads);
    }
    free(w.sums), free(w.room);
    return done;
}
