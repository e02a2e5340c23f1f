/* The bytes of a photo by a table for each channel, as bytes or as shorts. */

#ifndef DARKROOM_LOOKUP
#define DARKROOM_LOOKUP

#include "products.h"

enum { BYTE_VALUES = 256, MOST_CHANNELS = 4, TABLE_PARTS = BYTE_VALUES / LINE };

/* Rows of so many bytes, those of `to` so far apart. */
typedef struct {
    const void *table;
    const uint8_t *from;
    char *to;
    int64_t bytes, rows, apart;
    int channels;
} Bytes;

typedef void (*LookUp)(const Bytes *);

#define LOOK_UP(name, type)                                                                           \
    static inline __attribute__((always_inline)) void name##_of(const Bytes *b, const int channels) { \
        const type *table = b->table;                                                                 \
        for (int64_t y = 0; y < b->rows; y++) {                                                       \
            const uint8_t *from = b->from + y * b->bytes;                                             \
            type *to = (type *)(b->to + y * b->apart);                                                \
            for (int64_t i = 0; i < b->bytes; i += channels)                                          \
                for (int c = 0; c < channels; c++) to[i + c] = table[BYTE_VALUES * c + from[i + c]];  \
        }                                                                                             \
    }                                                                                                 \
    static void name(const Bytes *b) {                                                                \
        if (b->channels == 3)                                                                         \
            name##_of(b, 3);                                                                          \
        else                                                                                          \
            name##_of(b, b->channels);                                                                \
    }
LOOK_UP(look_up_each, uint8_t)
LOOK_UP(look_up_shorts, int16_t)

#define VBMI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

/* 64 at a time, in every channel's table; each byte takes what its own channel's says. */
VBMI static inline __attribute__((always_inline)) void look_up_lines(const Bytes *b, const int channels) {
    __m512i parts[MOST_CHANNELS][TABLE_PARTS];
    __mmask64 whose[MOST_CHANNELS][MOST_CHANNELS] = {{0}}; /* [line % channels][channel] */
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < TABLE_PARTS; p++)
            parts[c][p] = _mm512_loadu_si512((const uint8_t *)b->table + BYTE_VALUES * c + LINE * p);
    for (int i = 0; i < LINE * channels; i++) whose[i / LINE][i % channels] |= 1ULL << i % LINE;
    for (int64_t y = 0; y < b->rows; y++) {
        int line = 0;
        for (int64_t i = 0; i < b->bytes; i += LINE, line = line + 1 == channels ? 0 : line + 1) {
            const __mmask64 there = b->bytes - i >= LINE ? ~0ULL : (1ULL << (b->bytes - i)) - 1;
            const __m512i given = _mm512_maskz_loadu_epi8(there, b->from + y * b->bytes + i);
            const __mmask64 high = _mm512_movepi8_mask(given);
            __m512i found = given;
#pragma GCC unroll 4
            for (int c = 0; c < channels; c++) {
                const __m512i low = _mm512_permutex2var_epi8(parts[c][0], given, parts[c][1]);
                const __m512i top = _mm512_permutex2var_epi8(parts[c][2], given, parts[c][3]);
                found = _mm512_mask_blend_epi8(whose[line][c], found, _mm512_mask_blend_epi8(high, low, top));
            }
            _mm512_mask_storeu_epi8(b->to + y * b->apart + i, there, found);
        }
    }
}

VBMI static void look_up_many(const Bytes *b) {
    if (b->channels == 3)
        look_up_lines(b, 3);
    else
        look_up_lines(b, b->channels);
}

static LookUp look_up_of(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512vbmi") ? look_up_many : look_up_each;
}

#endif
