/* The parts of batch normalisation that layers fused with it share: batch_norm.c says what they are. */

#ifndef DARKROOM_BATCH_NORM
#define DARKROOM_BATCH_NORM

#include <stdint.h>

int norm_moments(const void *x, int halves, int64_t rows, int64_t channels, double *mean, double *variance,
                 float *running_mean, float *running_var, double momentum, int threads);
void norm_line(int64_t channels, const float *weight, const float *bias, double eps, const double *mean,
               const double *variance, float *scale, float *shift);
void norm_slopes(int64_t rows, int64_t channels, const float *weight, double eps, const double *variance,
                 const double *total, const double *product, float *dweight, float *dbias, float *slope, float *rest);

#endif
