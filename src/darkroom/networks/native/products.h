/* Vectors and products of small matrices, included once for each kind of processor by *_kernels.h. */

typedef float NAME(vec) __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t NAME(places) __attribute__((vector_size(4 * LANES)));

#define VEC NAME(vec)
#define PANEL (2 * LANES)
#define INLINE static inline __attribute__((always_inline)) TARGET

INLINE VEC NAME(load)(const float *from) { return *(const VEC *)from; }
INLINE void NAME(store)(float *to, VEC value) { *(VEC *)to = value; }

/* out (rows, wide * LANES) = or += Σ over depth d of a[r * a_row + d * a_col] · b[d * b_row + …]. rows and wide are known
 * when this is compiled; `ahead` is how far away lies what is needed next. */
INLINE void NAME(multiply)(int rows, int wide, int add, float *restrict out, int64_t out_row, const float *restrict a,
                           int64_t a_row, int64_t a_col, const float *restrict b, int64_t b_row, int64_t depth,
                           int64_t ahead) {
    VEC sum[ROWS][2];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int w = 0; w < wide; w++) sum[r][w] = add ? NAME(load)(out + r * out_row + w * LANES) : (VEC){0};
    for (int64_t d = 0; d < depth; d++) {
        VEC right[2];
        for (int w = 0; w < wide; w++) right[w] = NAME(load)(b + d * b_row + w * LANES);
        for (int w = 0; w < wide * LANES; w += 16) __builtin_prefetch(b + d * b_row + w + ahead, 0, 2);
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            const float left = a[r * a_row + d * a_col];
#pragma GCC unroll 2
            for (int w = 0; w < wide; w++) sum[r][w] += left * right[w];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++)
#pragma GCC unroll 2
        for (int w = 0; w < wide; w++) NAME(store)(out + r * out_row + w * LANES, sum[r][w]);
}

#define FITS(n) (n > ROWS ? 1 : n) /* nothing is compiled that is never called */
#define UP_TO_14                                                                                                       \
    ROWS_OF(1) ROWS_OF(2) ROWS_OF(3) ROWS_OF(4) ROWS_OF(5) ROWS_OF(6) ROWS_OF(7) ROWS_OF(8) ROWS_OF(9) ROWS_OF(10)     \
    ROWS_OF(11) ROWS_OF(12) ROWS_OF(13) ROWS_OF(14)
#define ROWS_OF(n)                                                                                                     \
    case n:                                                                                                            \
        if (wide == 2) PRODUCT(n, 2);                                                                                  \
        else PRODUCT(n, 1);                                                                                            \
        break;

INLINE int64_t NAME(least)(int64_t a, int64_t b) { return a < b ? a : b; }
