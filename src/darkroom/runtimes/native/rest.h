/* What the rows of a window leave over behind whole words, a byte each: those of all its rows side by side, so that
 * they are words as well. 7 pixels of 3 bytes are 5 words and a byte: 37 words in all, where rows padded to words have
 * 42. */

#ifndef DARKROOM_REST
#define DARKROOM_REST

#include <string.h>

#include "products.h"

enum { TOGETHER = 8, AT_ONCE = 16 }; /* rows of the output that it is gathered for; columns */

static int64_t whole_columns(const Step *s) { return (s->columns + AT_ONCE - 1) / AT_ONCE * AT_ONCE; }

/* Bytes from what the windows of one row leave over to the next row's; 0: nothing. */
static int64_t rest_of_row(const Step *s) { return s->rest ? whole_columns(s) * REST_BYTES : 0; }

static int64_t rows_of_input(const Step *s, int rows) { return (int64_t)(rows - 1) * s->stride_down + s->window; }

/* What gathering needs. */
static int64_t rest_bytes(const Step *s) {
    const int64_t bytes = whole_columns(s) * rows_of_input(s, TOGETHER) + TOGETHER * rest_of_row(s);
    return s->rest ? (bytes + LINE - 1) / LINE * LINE : 0;
}

/* Which of so many times 16 bytes are picked where every `apart`th is, 8 at most. */
typedef struct {
    __m128i places[REST_BYTES];
} Picks;

INLINE Picks picks_of(const int apart) {
    int8_t places[REST_BYTES * AT_ONCE];
    Picks picks;
    memset(places, -1, sizeof places);
    for (int i = 0, from = 0; i < AT_ONCE; i++, from += apart) places[from / AT_ONCE * AT_ONCE + i] = from % AT_ONCE;
    memcpy(&picks, places, sizeof picks);
    return picks;
}

/* The first byte, and every `apart`th after it. */
INLINE void pick(const char *from, const Picks *picks, const int apart, char *to, int count) {
    int x = 0;
    for (; x + AT_ONCE <= count; x += AT_ONCE, from += AT_ONCE * apart) {
        __m128i found = _mm_setzero_si128();
#pragma GCC unroll 8
        for (int k = 0; k < apart; k++) {
            const __m128i bytes = _mm_loadu_si128((const __m128i *)(from + k * AT_ONCE));
            found = _mm_or_si128(found, _mm_shuffle_epi8(bytes, picks->places[k]));
        }
        _mm_storeu_si128((__m128i *)(to + x), found);
    }
    for (; x < count; x++, from += apart) to[x] = *from;
}

/* 16 bytes of each of 8 rows: 16 times 8 bytes. */
INLINE void interleave(const __m128i *rows, char *to) {
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        __m128i two[4], four[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++)
            two[i] = half ? _mm_unpackhi_epi8(rows[2 * i], rows[2 * i + 1])
                          : _mm_unpacklo_epi8(rows[2 * i], rows[2 * i + 1]);
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++) {
            four[i] = _mm_unpacklo_epi16(two[2 * i], two[2 * i + 1]);
            four[2 + i] = _mm_unpackhi_epi16(two[2 * i], two[2 * i + 1]);
        }
#pragma GCC unroll 2
        for (int i = 0; i < 2; i++, to += 32) {
            _mm_storeu_si128((__m128i *)to, _mm_unpacklo_epi32(four[2 * i], four[2 * i + 1]));
            _mm_storeu_si128((__m128i *)(to + 16), _mm_unpackhi_epi32(four[2 * i], four[2 * i + 1]));
        }
    }
}

/* For so many rows of the output, TOGETHER at most, in `scratch`; returns where that of the first pixel lies. */
TARGET static const char *gather_rest(const Step *s, int row, int rows, char *scratch) {
    const int64_t columns = whole_columns(s), given = rows_of_input(s, rows);
    const char *from = s->input + row * s->input_row + 4 * s->run;
    char *to = scratch + columns * rows_of_input(s, TOGETHER);
    const int apart = (int)s->input_pixel;
    const Picks picks = picks_of(apart);
    for (int64_t y = 0; y < given; y++, from += s->window_row)
        if (apart == 6) /* every other of pixels of 3 bytes */
            pick(from, &picks, 6, scratch + y * columns, s->columns);
        else
            pick(from, &picks, apart, scratch + y * columns, s->columns);
    for (int y = 0; y < rows; y++)
        for (int64_t x = 0; x < columns; x += AT_ONCE) {
            const char *picked = scratch + y * s->stride_down * columns + x;
            __m128i lines[REST_BYTES];
            for (int i = 0; i < REST_BYTES; i++)
                lines[i] =
                    i < s->window ? _mm_loadu_si128((const __m128i *)(picked + i * columns)) : _mm_setzero_si128();
            interleave(lines, to + y * rest_of_row(s) + x * REST_BYTES);
        }
    return to;
}

#endif
