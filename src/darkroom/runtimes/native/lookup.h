/* The bytes of a photo by a table for each channel. */

#ifndef DARKROOM_LOOKUP
#define DARKROOM_LOOKUP

#include "products.h"

enum { BYTE_VALUES = 256, MOST_CHANNELS = 4, TABLE_PARTS = BYTE_VALUES / LINE };

typedef void (*LookUp)(const uint8_t *table, int channels, const uint8_t *from, uint8_t *to, int64_t bytes);

static void look_up_each(const uint8_t *table, int channels, const uint8_t *from, uint8_t *to, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += channels)
        for (int c = 0; c < channels; c++) to[i + c] = table[BYTE_VALUES * c + from[i + c]];
}

#define VBMI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

/* 64 at a time, in every channel's table; each byte takes what its own channel's says. */
VBMI static void look_up_many(const uint8_t *table, int channels, const uint8_t *from, uint8_t *to, int64_t bytes) {
    __m512i parts[MOST_CHANNELS][TABLE_PARTS];
    __mmask64 whose[MOST_CHANNELS][MOST_CHANNELS] = {{0}}; /* [line % channels][channel] */
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < TABLE_PARTS; p++) parts[c][p] = _mm512_loadu_si512(table + BYTE_VALUES * c + LINE * p);
    for (int i = 0; i < LINE * channels; i++) whose[i / LINE][i % channels] |= 1ULL << i % LINE;
    int line = 0;
    for (int64_t i = 0; i < bytes; i += LINE, line = line + 1 == channels ? 0 : line + 1) {
        const __mmask64 there = bytes - i >= LINE ? ~0ULL : (1ULL << (bytes - i)) - 1;
        const __m512i given = _mm512_maskz_loadu_epi8(there, from + i);
        const __mmask64 high = _mm512_movepi8_mask(given);
        __m512i found = given;
        for (int c = 0; c < channels; c++) {
            const __m512i low = _mm512_permutex2var_epi8(parts[c][0], given, parts[c][1]);
            const __m512i either = _mm512_mask_blend_epi8(high, low, _mm512_permutex2var_epi8(parts[c][2], given, parts[c][3]));
            found = _mm512_mask_blend_epi8(whose[line][c], found, either);
        }
        _mm512_mask_storeu_epi8(to + i, there, found);
    }
}

static LookUp look_up_of(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512vbmi") ? look_up_many : look_up_each;
}

#endif
