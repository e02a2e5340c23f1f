/* Batch normalisation and the clamp after it (ReLU, ReLU6, or none), forward and back, of float32 or bfloat16 pixels
 * that hold their channels side by side (channels_last): the memory is rows of C numbers. What is computed is float32.
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
    const void *x, *dy, *more; /* more: NULL, or what is added to the way back */
    void *out;
    int64_t size, width, block, blocks; /* numbers in all, of a group, of a block; how many blocks */
    int64_t channels;
    const float *scale, *shift, *mean, *slope, *rest; /* (width): see each use */
    float low, high;
    double *sums; /* (blocks, 2, width) */
} Work;

/* ---- bfloat16: the upper half of a float ---- */

static inline float widened(uint16_t half) {
    const uint32_t bits = (uint32_t)half << 16;
    float number;
    memcpy(&number, &bits, sizeof(number));
    return number;
}

/* To the nearest, in the middle to the even one. */
static inline uint16_t rounded(float number) {
    uint32_t bits;
    memcpy(&bits, &number, sizeof(bits));
    const uint16_t nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
    return number == number ? nearest : 0x7fc0;
}

/* ---- one block ---- */

static int64_t begin_of(const Work *work, int64_t block) { return block * work->block; }

static int64_t end_of(const Work *work, int64_t block) {
    int64_t end = (block + 1) * work->block;
    return end < work->size ? end : work->size;
}

static void flush(double *restrict total, float *restrict part, int64_t width) {
    for (int64_t w = 0; w < width; w++) total[w] += part[w], part[w] = 0;
}

/* ---- for each kind of numbers ---- */

#define NUMBER float
#define READ(number) (number)
#define WRITE(number) (number)
#define NAME(name) name##_float
#include "batch_norm_kernels.h"
#undef NUMBER
#undef READ
#undef WRITE
#undef NAME

#define NUMBER uint16_t
#define READ(number) widened(number)
#define WRITE(number) rounded(number)
#define NAME(name) name##_bfloat16
#include "batch_norm_kernels.h"

typedef struct {
    Part measure, normalise, gather, give_back;
} Passes;

/* Of float32, of bfloat16. */
static const Passes PASSES[] = {{measure_float, normalise_float, gather_float, give_back_float},
                                {measure_bfloat16, normalise_bfloat16, gather_bfloat16, give_back_bfloat16}};

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

/* Mean and variance (biased) of each channel of x (rows, channels), float32 or halves (bfloat16); moves the running
 * ones. 0: no memory. */
int norm_moments(const void *x, int halves, int64_t rows, int64_t channels, double *mean, double *variance,
                 float *running_mean, float *running_var, double momentum, int threads) {
    Work work = {.x = x};
    if (!lay_out(&work, rows, channels)) return 0;
    darkroom_run(PASSES[halves].measure, &work, work.blocks, threads);
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
int darkroom_normalise(const void *x, void *y, int halves, int64_t rows, int64_t channels, const float *weight,
                       const float *bias, double eps, float low, float high, double *mean, double *variance,
                       float *running_mean, float *running_var, double momentum, int threads) {
    Work work = {.x = x, .out = y, .low = low, .high = high};
    if (!norm_moments(x, halves, rows, channels, mean, variance, running_mean, running_var, momentum, threads))
        return 0;
    if (!lay_out(&work, rows, channels)) return 0;
    float scale[channels], shift[channels], scales[work.width], shifts[work.width];
    norm_line(channels, weight, bias, eps, mean, variance, scale, shift);
    spread(scales, &work, scale);
    spread(shifts, &work, shift);
    work.scale = scales, work.shift = shifts;
    darkroom_run(PASSES[halves].normalise, &work, work.blocks, threads);
    free(work.sums);
    return 1;
}

/* The way back: dx (and more, where it is given), and the gradients of weight and bias. mean and variance are those of
 * the way forth. 0: no memory. */
int darkroom_normalise_back(const void *dy, const void *x, const void *more, void *dx, int halves, int64_t rows,
                            int64_t channels, const float *weight, const float *bias, double eps, float low, float high,
                            const double *mean, const double *variance, float *dweight, float *dbias, int threads) {
    Work work = {.x = x, .dy = dy, .more = more, .out = dx, .low = low, .high = high};
    if (!lay_out(&work, rows, channels)) return 0;
    float narrow[5][channels], wide[5][work.width];
    norm_line(channels, weight, bias, eps, mean, variance, narrow[0], narrow[1]);
    for (int64_t c = 0; c < channels; c++) narrow[2][c] = (float)mean[c];
    for (int n = 0; n < 3; n++) spread(wide[n], &work, narrow[n]);
    work.scale = wide[0], work.shift = wide[1], work.mean = wide[2];
    darkroom_run(PASSES[halves].gather, &work, work.blocks, threads);
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
    darkroom_run(PASSES[halves].give_back, &work, work.blocks, threads);
    free(work.sums);
    return 1;
}
