/* KERNELS, a header, once for each generation of processors: AVX-512, then AVX2. LANES: numbers in a register; ROWS: of
 * an answer, two registers wide, that fit into its registers; NAME: what something is called in this generation. */

#include <immintrin.h>

#define LANES 16
#define ROWS 14
#define TARGET __attribute__((target("avx512f,avx512vl,avx512dq,fma")))
#define NAME(name) name##_avx512
#include KERNELS
#undef LANES
#undef ROWS
#undef TARGET
#undef NAME

#define LANES 8
#define ROWS 6
#define TARGET __attribute__((target("avx2,fma")))
#define NAME(name) name##_avx2
#include KERNELS
#undef LANES
#undef ROWS
#undef TARGET
#undef NAME
