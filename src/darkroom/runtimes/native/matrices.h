/* Sums of products of bytes by matrices, for processors with AMX: one instruction multiplies 16 pixels of 64 bytes with
 * the weights of 16 channels, which takes `vpdpbusd` 256.
 *
 * The processor has eight registers of 16 rows of 64 bytes. Four are sums, of one or two groups of up to 16 pixels by
 * one or two vectors of channels; two are inputs, two weights. Weights lie as the other kernels read them, and sums are
 * the same to the last bit. Windows are multiplied whole, what lies beyond the edges left and right included. */

#ifndef DARKROOM_MATRICES
#define DARKROOM_MATRICES

#include "products.h"

enum { MATRIX_WORDS = 16, FEWEST_WORDS = 4 };

/* What the registers of a thread are set up for; 0 pixels: nothing. */
typedef struct {
    int pixels, words;
} Setup;

/* How many words of a row of a window are multiplied at once: as many as divide it, 0 where that is not worth it. */
static int matrix_words(int run) {
    for (int words = run < MATRIX_WORDS ? run : MATRIX_WORDS; words >= FEWEST_WORDS; words--)
        if (run % words == 0) return words;
    return 0;
}

#if defined(__linux__) && (defined(__clang__) ? __clang_major__ >= 12 : __GNUC__ >= 11)

#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MATRICES \
    __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,fma,prfchw,amx-tile,amx-int8"))) static

enum { HAS_TILES = 1 << 24, HAS_INT8 = 1 << 25 }; /* of leaf 7, in edx */
enum { REQUEST_STATE = 0x1023, TILE_STATE = 18 }; /* of arch_prctl: a process asks before it has the registers */

static int has_matrices(void) {
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & HAS_TILES) || !(d & HAS_INT8)) return 0;
    return !syscall(SYS_arch_prctl, REQUEST_STATE, TILE_STATE);
}

/* Registers 0 to 3 are sums, [group][vector]; 4 and 5 the inputs of each group; 6 and 7 the weights of each vector. */
MATRICES void set_up(Setup *now, int pixels, int words) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t bytes[16];
        uint8_t rows[16];
    } registers = {.palette = 1};
    if (now->pixels == pixels && now->words == words) return;
    for (int i = 0; i < 8; i++) {
        registers.bytes[i] = i == 4 || i == 5 ? 4 * words : LINE;
        registers.rows[i] = i < 6 ? pixels : words;
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(registers));
    *now = (Setup){pixels, words};
}

MATRICES void set_down(Setup *now) {
    if (now->pixels) _tile_release();
    *now = (Setup){0, 0};
}

MATRICES inline __attribute__((always_inline)) void multiply_matrices(const Products *p, Sums out, const int groups,
                                                                      const int vectors) {
    const int64_t line = vectors * LINE, apart = MOST_VECTORS * LINE;
    const int8_t *weights = p->weights + p->first * p->run * line;
    const char *ahead = p->ahead;
    const int fetched = p->fetched;
    _tile_zero(0);
    if (vectors > 1) _tile_zero(1);
    if (groups > 1) _tile_zero(2);
    if (groups > 1 && vectors > 1) _tile_zero(3);
    for (int row = p->first; row < p->end; row++)
        for (int at = 0; at < p->run; at += p->words, weights += p->words * line) {
            const int64_t from = row * p->window_row + 4 * at;
            for (int k = 0; k < fetched; k++, ahead += LINE) _mm_prefetch(ahead, _MM_HINT_T1);
            _tile_loadd(6, weights, line);
            _tile_loadd(4, p->input[0] + from, p->pixel);
            _tile_dpbusd(0, 4, 6);
            if (vectors > 1) {
                _tile_loadd(7, weights + LINE, line);
                _tile_dpbusd(1, 4, 7);
            }
            if (groups == 1) continue;
            _tile_loadd(5, p->input[1] + from, p->pixel);
            _tile_dpbusd(2, 5, 6);
            if (vectors > 1) _tile_dpbusd(3, 5, 7);
        }
    _tile_stored(0, out[0][0][0], apart);
    if (vectors > 1) _tile_stored(1, out[0][0][1], apart);
    if (groups > 1) _tile_stored(2, out[1][0][0], apart);
    if (groups > 1 && vectors > 1) _tile_stored(3, out[1][0][1], apart);
}

#define MATRIX_KERNEL(groups, vectors)                                                  \
    MATRICES void multiply_matrices_##groups##_##vectors(const Products *p, Sums out) { \
        multiply_matrices(p, out, groups, vectors);                                     \
    }
MATRIX_KERNEL(1, 1)
MATRIX_KERNEL(1, 2)
MATRIX_KERNEL(2, 1)
MATRIX_KERNEL(2, 2)

static const Kernel MATRIX_KERNELS[MOST_GROUPS][MOST_VECTORS] = {{multiply_matrices_1_1, multiply_matrices_1_2},
                                                                 {multiply_matrices_2_1, multiply_matrices_2_2}};

#else /* compilers that do not know the instructions */

static const Kernel MATRIX_KERNELS[MOST_GROUPS][MOST_VECTORS];
static int has_matrices(void) { return 0; }
static void set_up(Setup *now, int pixels, int words) {}
static void set_down(Setup *now) {}

#endif
#endif
