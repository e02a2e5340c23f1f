/* Batch normalisation and the clamp after it (ReLU, ReLU6, or none), forward and back, of float32 pixels that hold
 * their channels side by side (channels_last): the memory is rows of C numbers.
 *
 * Everything here waits for memory, so each direction reads what it needs twice and writes once. A group of rows is
 * treated as one row of W = C * repeat numbers, wide enough to keep the adders busy. Sums are made block by block, and
 * blocks are joined in their order in double precision: the answer does not depend on the number of threads.
 * Blocks' means and squares are joined as Chan, Golub and LeVeque (1979) do.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "batch_norm.h"
#include "processors.h"
#include "threads.h"

#define MIN_WIDTH 128      /* numbers */
#define LANES 16           /* numbers in the largest register */
#define BLOCK_BYTES 131072 /* stays in the second-level cache between its two readings */
#define FLUSH_ROWS 64      /* rows that are added up in single precision */

typedef struct {
    const float *x, *dy, *more; /* more: NULL, or what is added to the way back */
    float *out;
    int64_t size, width, block, blocks; /* numbers in all, of a group, of a block; how many blocks */
    int64_t channels;
    const float *scale, *shift, *mean, *slope, *rest; /* (width): see each use */
    float low, high;
    double *sums; /* (blocks, 2, width) */
} Work;

/* ---- one block ---- */

static int64_t begin_of(const Work *work, int64_t block) { return block * work->block; }

static int64_t end_of(const Work *work, int64_t block) {
    int64_t end = (block + 1) * work->block;
    return end < work->size ? end : work->size;
}

static void flush(double *restrict total, float *restrict part, int64_t width) {
    for (int64_t w = 0; w < width; w++) total[w] += part[w], part[w] = 0;
}

/* sums[0] = Σx; then, with the block's own mean of each channel, sums[1] = Σ(x - mean)². */
FAST static void measure(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, begin = begin_of(work, block), end = end_of(work, block);
    const int64_t channels = work->channels, rows = (end - begin) / channels;
    double *total = work->sums + block * 2 * width, *square = total + width;
    float part[width], mean[width];
    memset(total, 0, 2 * width * sizeof(double));
    memset(part, 0, width * sizeof(float));
    for (int64_t k = begin, since = 0; k < end; k += width) {
        const float *restrict x = work->x + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) part[w] += x[w];
        if (++since == FLUSH_ROWS) flush(total, part, width), since = 0;
    }
    flush(total, part, width);
    for (int64_t w = channels; w < width; w++) total[w % channels] += total[w];
    for (int64_t w = 0; w < width; w++) mean[w] = (float)(total[w % channels] / rows);
    for (int64_t k = begin, since = 0; k < end; k += width) {
        const float *restrict x = work->x + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) part[w] += (x[w] - mean[w]) * (x[w] - mean[w]);
        if (++since == FLUSH_ROWS) flush(square, part, width), since = 0;
    }
    flush(square, part, width);
    for (int64_t w = channels; w < width; w++) square[w % channels] += square[w];
    for (int64_t c = 0; c < channels; c++) { /* what was subtracted was the mean rounded */
        const double off = total[c] / rows - mean[c];
        square[c] -= off * off * rows;
    }
}

/* out = clamp(x·scale + shift) */
FAST static void normalise(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, end = end_of(work, block);
    const float *restrict scale = work->scale, *restrict shift = work->shift;
    const float low = work->low, high = work->high;
    for (int64_t k = begin_of(work, block); k < end; k += width) {
        const float *restrict x = work->x + k;
        float *restrict out = work->out + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) {
            float y = x[w] * scale[w] + shift[w];
            y = y < low ? low : y;
            out[w] = y > high ? high : y;
        }
    }
}

/* g = dy where the clamp let x pass;  sums[0] = Σg, sums[1] = Σg·(x - mean) */
FAST static void gather(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, begin = begin_of(work, block), end = end_of(work, block);
    const float *restrict scale = work->scale, *restrict shift = work->shift, *restrict mean = work->mean;
    const float low = work->low, high = work->high;
    double *total = work->sums + block * 2 * width, *product = total + width;
    float part[width], prod[width];
    memset(total, 0, 2 * width * sizeof(double));
    memset(part, 0, width * sizeof(float));
    memset(prod, 0, width * sizeof(float));
    for (int64_t k = begin, since = 0; k < end; k += width) {
        const float *restrict x = work->x + k, *restrict dy = work->dy + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) {
            const float y = x[w] * scale[w] + shift[w];
            const float d = dy[w], g = (y > low) & (y < high) ? d : 0.0f; /* read anyway: else it is no vector loop */
            part[w] += g;
            prod[w] += g * (x[w] - mean[w]);
        }
        if (++since == FLUSH_ROWS) flush(total, part, width), flush(product, prod, width), since = 0;
    }
    flush(total, part, width);
    flush(product, prod, width);
    for (int64_t w = work->channels; w < width; w++) {
        total[w % work->channels] += total[w];
        product[w % work->channels] += product[w];
    }
}

/* out = scale·g - slope·(x - mean) - rest + more */
FAST static void give_back(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, end = end_of(work, block);
    const float *restrict scale = work->scale, *restrict shift = work->shift, *restrict mean = work->mean;
    const float *restrict slope = work->slope, *restrict rest = work->rest;
    const float low = work->low, high = work->high;
    for (int64_t k = begin_of(work, block); k < end; k += width) {
        const float *restrict x = work->x + k, *restrict dy = work->dy + k;
        float *restrict out = work->out + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) {
            const float y = x[w] * scale[w] + shift[w];
            const float d = dy[w], g = (y > low) & (y < high) ? d : 0.0f;
            out[w] = scale[w] * g - slope[w] * (x[w] - mean[w]) - rest[w];
        }
        if (work->more) {
            const float *restrict more = work->more + k;
            for (int64_t w = 0; w < wide; w++) out[w] += more[w];
        }
    }
}

/* ---- whole tensors ---- */

static int lay_out(Work *work, int64_t rows, int64_t channels) {
    int64_t repeat = (MIN_WIDTH + channels - 1) / channels, groups;
    while (repeat > 1 && channels * repeat % LANES) repeat++; /* or every row would end with numbers done one by one */
    work->channels = channels;
    work->size = rows * channels;
    work->width = channels * repeat;
    groups = BLOCK_BYTES / (int64_t)sizeof(float) / work->width;
    work->block = work->width * (groups > 0 ? groups : 1);
    work->blocks = (work->size + work->block - 1) / work->block;
    work->sums = malloc(work->blocks * 2 * work->width * sizeof(double));
    return work->sums != NULL;
}

/* (channels) → (width): the same numbers again and again */
static void spread(float *wide, const Work *work, const float *narrow) {
    for (int64_t w = 0; w < work->width; w++) wide[w] = narrow[w % work->channels];
}

/* Mean and variance (biased) of each channel of x (rows, channels); moves the running ones. 0: no memory. */
int norm_moments(const float *x, int64_t rows, int64_t channels, double *mean, double *variance, float *running_mean,
                 float *running_var, double momentum, int threads) {
    Work work = {.x = x};
    if (!lay_out(&work, rows, channels)) return 0;
    darkroom_run(measure, &work, work.blocks, threads);
    for (int64_t c = 0; c < channels; c++) {
        double m = 0, square = 0;
        int64_t count = 0;
        for (int64_t block = 0; block < work.blocks; block++) {
            const int64_t more = (end_of(&work, block) - begin_of(&work, block)) / channels;
            const double *sums = work.sums + block * 2 * work.width;
            const double away = sums[c] / more - m;
            square += sums[work.width + c] + away * away * ((double)count * more / (count + more));
            count += more;
            m += away * more / count;
        }
        mean[c] = m;
        variance[c] = square / rows;
        running_mean[c] += momentum * (m - running_mean[c]);
        running_var[c] += momentum * (square / (rows - 1) - running_var[c]); /* unbiased, as torch keeps it */
    }
    free(work.sums);
    return 1;
}

/* What normalising multiplies by and adds. */
void norm_line(int64_t channels, const float *weight, const float *bias, double eps, const double *mean,
               const double *variance, float *scale, float *shift) {
    for (int64_t c = 0; c < channels; c++) {
        const double by = weight[c] / __builtin_sqrt(variance[c] + eps);
        scale[c] = (float)by;
        shift[c] = (float)(bias[c] - mean[c] * by);
    }
}

/* Of the sums Σg and Σg·(x - mean): the gradients of weight and bias, and slope and rest of the gradient of x, which is
 * scale·g - slope·(x - mean) - rest. */
void norm_slopes(int64_t rows, int64_t channels, const float *weight, double eps, const double *variance,
                 const double *total, const double *product, float *dweight, float *dbias, float *slope, float *rest) {
    for (int64_t c = 0; c < channels; c++) {
        const double inverse = 1 / (variance[c] + eps), root = __builtin_sqrt(inverse);
        dweight[c] = (float)(product[c] * root);
        dbias[c] = (float)total[c];
        slope[c] = (float)(weight[c] * root * inverse * product[c] / rows);
        rest[c] = (float)(weight[c] * root * total[c] / rows);
    }
}

/* y = clamp(weight·(x - mean)/√(var + eps) + bias); gives mean and variance (biased) of each channel, and moves the
 * running ones. 0: no memory. */
int darkroom_norm_forward(const float *x, float *y, int64_t rows, int64_t channels, const float *weight,
                          const float *bias, double eps, float low, float high, double *mean, double *variance,
                          float *running_mean, float *running_var, double momentum, int threads) {
    Work work = {.x = x, .out = y, .low = low, .high = high};
    if (!norm_moments(x, rows, channels, mean, variance, running_mean, running_var, momentum, threads)) return 0;
    if (!lay_out(&work, rows, channels)) return 0;
    float scale[channels], shift[channels], scales[work.width], shifts[work.width];
    norm_line(channels, weight, bias, eps, mean, variance, scale, shift);
    spread(scales, &work, scale);
    spread(shifts, &work, shift);
    work.scale = scales, work.shift = shifts;
    darkroom_run(normalise, &work, work.blocks, threads);
    free(work.sums);
    return 1;
}

/* The way back: dx (and more, where it is given), and the gradients of weight and bias. mean and variance are those of
 * the way forth. 0: no memory. */
int darkroom_norm_backward(const float *dy, const float *x, const float *more, float *dx, int64_t rows, int64_t channels,
                           const float *weight, const float *bias, double eps, float low, float high,
                           const double *mean, const double *variance, float *dweight, float *dbias, int threads) {
    Work work = {.x = x, .dy = dy, .more = more, .out = dx, .low = low, .high = high};
    if (!lay_out(&work, rows, channels)) return 0;
    float narrow[5][channels], wide[5][work.width];
    norm_line(channels, weight, bias, eps, mean, variance, narrow[0], narrow[1]);
    for (int64_t c = 0; c < channels; c++) narrow[2][c] = (float)mean[c];
    for (int n = 0; n < 3; n++) spread(wide[n], &work, narrow[n]);
    work.scale = wide[0], work.shift = wide[1], work.mean = wide[2];
    darkroom_run(gather, &work, work.blocks, threads);
    double total[channels], product[channels];
    memset(total, 0, sizeof(total)), memset(product, 0, sizeof(product));
    for (int64_t block = 0; block < work.blocks; block++)
        for (int64_t c = 0; c < channels; c++) {
            total[c] += work.sums[block * 2 * work.width + c];
            product[c] += work.sums[(block * 2 + 1) * work.width + c];
        }
    norm_slopes(rows, channels, weight, eps, variance, total, product, dweight, dbias, narrow[3], narrow[4]);
    spread(wide[3], &work, narrow[3]);
    spread(wide[4], &work, narrow[4]);
    work.slope = wide[3], work.rest = wide[4];
    darkroom_run(give_back, &work, work.blocks, threads);
    free(work.sums);
    return 1;
}
