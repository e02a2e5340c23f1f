/* What becomes of sums: scaled, rounded, added to, and written, once or twice.
 *
 * It costs as much as 5 to 20 products, so the forms that networks have most are compiled one by one; any other takes
 * the same code with nothing known beforehand. */

#ifndef DARKROOM_EPILOGUE
#define DARKROOM_EPILOGUE

#include "products.h"

/* All that decides which instructions an epilogue needs. */
typedef struct {
    int floats, rounds, other, least, first, affine, clamped, second, of_first;
} Form;

/* Where each group of pixels goes, and where what is added to it lies. */
typedef struct {
    char *first[MOST_GROUPS], *second[MOST_GROUPS];
    const char *other[MOST_GROUPS];
} Places;

typedef struct {
    int groups, pixels, vectors;
    int64_t channel; /* the first one */
} Tile;

typedef void (*Finish)(const Epilogue *, Sums, Tile, const Places *);

static inline __attribute__((always_inline)) int width(int type) { return type == FLOATS ? 4 : type == SHORTS ? 2 : 1; }

INLINE __m512 read_vector(const char *address, const int type) {
    if (type == FLOATS) return _mm512_loadu_ps(address);
    if (type == SHORTS) return _mm512_cvtepi32_ps(_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i *)address)));
    const __m128i bytes = _mm_loadu_si128((const __m128i *)address);
    return _mm512_cvtepi32_ps(type == SIGNED ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
}

/* Each array has the vectors of one pixel, or of two beside each other: `pixel` bytes apart. Saturates as it narrows,
 * four vectors at a time. */
INLINE void write_bytes(char *to, int64_t pixel, const __m512i *whole, const int pixels, const int vectors,
                        const int type) {
    if (vectors == 1) {
#pragma GCC unroll 2
        for (int i = 0; i < pixels; i++) {
            const __m512i value = type == SIGNED ? whole[i] : _mm512_max_epi32(whole[i], _mm512_setzero_si512());
            _mm_storeu_si128((__m128i *)(to + i * pixel),
                             type == SIGNED ? _mm512_cvtsepi32_epi8(value) : _mm512_cvtusepi32_epi8(value));
        }
        return;
    }
    const __m512i one = _mm512_packs_epi32(whole[0], whole[1]);
    const __m512i two = pixels == 2 ? _mm512_packs_epi32(whole[2], whole[3]) : one;
    const __m512i bytes = type == SIGNED ? _mm512_packs_epi16(one, two) : _mm512_packus_epi16(one, two);
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i sorted = _mm512_permutexvar_epi32(order, bytes);
    _mm256_storeu_si256((__m256i *)to, _mm512_castsi512_si256(sorted));
    if (pixels == 2) _mm256_storeu_si256((__m256i *)(to + pixel), _mm512_extracti64x4_epi64(sorted, 1));
}

/* The same in 16 bits, a pixel at a time. */
INLINE void write_shorts(char *to, int64_t pixel, const __m512i *whole, const int pixels, const int vectors) {
    const __m512i order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
#pragma GCC unroll 2
    for (int i = 0; i < pixels; i++)
        if (vectors == 1)
            _mm256_storeu_si256((__m256i *)(to + i * pixel), _mm512_cvtsepi32_epi16(whole[i]));
        else {
            const __m512i shorts = _mm512_packs_epi32(whole[2 * i], whole[2 * i + 1]);
            _mm512_storeu_si512(to + i * pixel, _mm512_permutexvar_epi64(order, shorts));
        }
}

/* Writes values, and leaves in them what was written. */
INLINE void write_values(char *to, int64_t pixel, __m512 *values, const int pixels, const int vectors, const int type,
                         const int read_again) {
    if (type == FLOATS) {
#pragma GCC unroll 4
        for (int i = 0; i < pixels * vectors; i++)
            _mm512_storeu_ps(to + i / vectors * pixel + i % vectors * LANES * 4, values[i]);
        return;
    }
    __m512i whole[4];
#pragma GCC unroll 4
    for (int i = 0; i < pixels * vectors; i++) whole[i] = _mm512_cvtps_epi32(values[i]);
    if (type == SHORTS)
        write_shorts(to, pixel, whole, pixels, vectors);
    else
        write_bytes(to, pixel, whole, pixels, vectors, type);
    if (!read_again) return;
    if (type == SHORTS) {
#pragma GCC unroll 4
        for (int i = 0; i < pixels * vectors; i++) values[i] = _mm512_cvtepi32_ps(whole[i]);
        return;
    }
    const __m512i low = _mm512_set1_epi32(type == SIGNED ? -128 : 0);
    const __m512i high = _mm512_set1_epi32(type == SIGNED ? 127 : 255);
#pragma GCC unroll 4
    for (int i = 0; i < pixels * vectors; i++)
        values[i] = _mm512_cvtepi32_ps(_mm512_min_epi32(_mm512_max_epi32(whole[i], low), high));
}

typedef struct {
    __m512 scale[MOST_VECTORS], shift[MOST_VECTORS], least[MOST_VECTORS], first_scale[MOST_VECTORS],
        first_shift[MOST_VECTORS], second_scale[MOST_VECTORS], second_shift[MOST_VECTORS];
} Factors;

INLINE __m512 bounded(__m512 value, const Output *o, const int type, const int clamped) {
    if (clamped || type == SHORTS) value = _mm512_max_ps(value, _mm512_set1_ps(o->low));
    return type == SHORTS ? _mm512_min_ps(value, _mm512_set1_ps(o->high)) : value;
}

/* One pixel, or two beside each other: vectors[pixel * vectors + vector]. */
INLINE void finish_pixels(const Epilogue *e, const Form f, const Factors *by,
                          const int32_t (*sums)[MOST_VECTORS][LANES], char *first, char *second, const char *other,
                          const int pixels, const int vectors) {
    __m512 values[4];
#pragma GCC unroll 4
    for (int i = 0; i < pixels * vectors; i++) {
        const int p = i / vectors, v = i % vectors;
        const __m512i sum = _mm512_load_si512(sums[p][v]);
        __m512 value = f.floats ? _mm512_castsi512_ps(sum) : _mm512_cvtepi32_ps(sum);
        value = _mm512_fmadd_ps(value, by->scale[v], by->shift[v]);
        if (f.rounds) {
            value = _mm512_roundscale_ps(value, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
            value = _mm512_min_ps(_mm512_max_ps(value, _mm512_set1_ps(e->low)), _mm512_set1_ps(e->high));
        }
        if (f.other) {
            const __m512 found = read_vector(other + p * e->other.pixel + v * LANES * width(f.other), f.other);
            const __m512 scale = _mm512_set1_ps(e->other.scale);
            if (f.rounds) value = _mm512_fmadd_ps(value, _mm512_set1_ps(e->step), _mm512_set1_ps(e->other.shift));
            value = _mm512_fmadd_ps(found, scale, value);
        } else if (f.rounds)
            value = _mm512_mul_ps(value, _mm512_set1_ps(e->step));
        if (f.least) value = _mm512_max_ps(value, by->least[v]);
        values[i] = value;
    }
    if (f.first) {
        __m512 written[4];
#pragma GCC unroll 4
        for (int i = 0; i < pixels * vectors; i++) {
            const int v = i % vectors;
            written[i] = f.affine ? _mm512_fmadd_ps(values[i], by->first_scale[v], by->first_shift[v]) : values[i];
            written[i] = bounded(written[i], &e->first, f.first, f.clamped);
        }
        write_values(first, e->first.pixel, written, pixels, vectors, f.first, f.of_first);
        if (f.of_first)
#pragma GCC unroll 4
            for (int i = 0; i < pixels * vectors; i++) values[i] = written[i];
    }
    if (f.second) {
#pragma GCC unroll 4
        for (int i = 0; i < pixels * vectors; i++) {
            const int v = i % vectors;
            values[i] = _mm512_fmadd_ps(values[i], by->second_scale[v], by->second_shift[v]);
            values[i] = bounded(values[i], &e->second, f.second, f.clamped);
        }
        write_values(second, e->second.pixel, values, pixels, vectors, f.second, 0);
    }
}

INLINE void finish_tile(const Epilogue *e, const Form f, Sums sums, const Tile t, const Places *at, const int vectors) {
    Factors by = {0};
#pragma GCC unroll 2
    for (int v = 0; v < vectors; v++) {
        const int64_t c = t.channel + v * LANES;
        by.scale[v] = _mm512_loadu_ps(e->scale + c), by.shift[v] = _mm512_loadu_ps(e->shift + c);
        if (f.other && !f.rounds) by.shift[v] = _mm512_add_ps(by.shift[v], _mm512_set1_ps(e->other.shift));
        if (f.least) by.least[v] = _mm512_loadu_ps(e->least + c);
        if (f.affine)
            by.first_scale[v] = _mm512_loadu_ps(e->first.scale + c),
            by.first_shift[v] = _mm512_loadu_ps(e->first.shift + c);
        if (f.second)
            by.second_scale[v] = _mm512_loadu_ps(e->second.scale + c),
            by.second_shift[v] = _mm512_loadu_ps(e->second.shift + c);
    }
    for (int g = 0; g < t.groups; g++) {
        char *first = at->first[g] + t.channel * width(f.first), *second = at->second[g] + t.channel * width(f.second);
        const char *other = at->other[g] + t.channel * width(f.other);
        int i = 0;
        for (; i + 2 <= t.pixels; i += 2)
            finish_pixels(e, f, &by, (const int32_t (*)[MOST_VECTORS][LANES])sums[g][i], first + i * e->first.pixel,
                          second + i * e->second.pixel, other + i * e->other.pixel, 2, vectors);
        if (i < t.pixels)
            finish_pixels(e, f, &by, (const int32_t (*)[MOST_VECTORS][LANES])sums[g][i], first + i * e->first.pixel,
                          second + i * e->second.pixel, other + i * e->other.pixel, 1, vectors);
    }
}

/* Beyond what saturating does, and what SHORTS always are. */
static int is_bounded(const Output *o) {
    return o->type && o->type != SHORTS && o->low > (o->type == BYTES ? 0 : o->type == SIGNED ? -128 : -INFINITY);
}

TARGET static Form form_of(const Epilogue *e, int floats) {
    return (Form){floats,
                  e->rounds,
                  e->other.type,
                  e->least != 0,
                  e->first.type,
                  e->first.scale != 0,
                  is_bounded(&e->first) || is_bounded(&e->second),
                  e->second.type,
                  e->second_of_first};
}

#define FINISH(name, ...)                                                                      \
    TARGET static void finish_##name(const Epilogue *e, Sums sums, Tile t, const Places *at) { \
        const Form form = __VA_ARGS__;                                                         \
        if (t.vectors == 2)                                                                    \
            finish_tile(e, form, sums, t, at, 2);                                              \
        else                                                                                   \
            finish_tile(e, form, sums, t, at, 1);                                              \
    }

/* floats, rounds, other, least, first, affine, clamped, second, second of first */
#define TO_BYTES {0, 0, NOTHING, 0, BYTES, 0, 0, NOTHING, 0}
#define TO_SIGNED {0, 0, NOTHING, 0, SIGNED, 0, 0, NOTHING, 0}
#define STEM {0, 0, NOTHING, 1, BYTES, 0, 0, NOTHING, 0}
#define SUM {0, 1, SIGNED, 0, BYTES, 1, 0, NOTHING, 0}
#define SUM_TWICE {0, 1, SIGNED, 0, SIGNED, 0, 0, BYTES, 1}
#define SHORTCUT_TWICE {0, 0, SIGNED, 0, SIGNED, 0, 0, BYTES, 1}
#define KEPT_SUM {0, 0, SIGNED, 0, BYTES, 1, 0, NOTHING, 0}
#define KEPT_SUM_TWICE {0, 0, SIGNED, 0, SIGNED, 0, 0, BYTES, 0}
#define RELU_OF_SUM {0, 0, BYTES, 0, BYTES, 0, 0, NOTHING, 0}
#define TO_SHORTS {0, 0, NOTHING, 0, SHORTS, 0, 0, NOTHING, 0}
#define STEM_OF_SHORTS {0, 0, NOTHING, 1, SHORTS, 0, 0, NOTHING, 0}
#define SUM_OF_SHORTS {0, 0, SHORTS, 0, SHORTS, 1, 0, NOTHING, 0}
#define SUM_OF_SHORTS_TWICE {0, 0, SHORTS, 0, SHORTS, 0, 0, SHORTS, 0}
#define RELU_OF_SHORTS {0, 0, SHORTS, 0, SHORTS, 0, 0, NOTHING, 0}
FINISH(to_bytes, (Form)TO_BYTES)
FINISH(to_signed, (Form)TO_SIGNED)
FINISH(stem, (Form)STEM)
FINISH(sum, (Form)SUM)
FINISH(sum_twice, (Form)SUM_TWICE)
FINISH(shortcut_twice, (Form)SHORTCUT_TWICE)
FINISH(kept_sum, (Form)KEPT_SUM)
FINISH(kept_sum_twice, (Form)KEPT_SUM_TWICE)
FINISH(relu_of_sum, (Form)RELU_OF_SUM)
FINISH(to_shorts, (Form)TO_SHORTS)
FINISH(stem_of_shorts, (Form)STEM_OF_SHORTS)
FINISH(sum_of_shorts, (Form)SUM_OF_SHORTS)
FINISH(sum_of_shorts_twice, (Form)SUM_OF_SHORTS_TWICE)
FINISH(relu_of_shorts, (Form)RELU_OF_SHORTS)
FINISH(any, form_of(e, 0))
FINISH(any_of_floats, form_of(e, 1))

static const struct {
    Form form;
    Finish finish;
} FORMS[] = {
    {TO_BYTES, finish_to_bytes},
    {TO_SIGNED, finish_to_signed},
    {STEM, finish_stem},
    {SUM, finish_sum},
    {SUM_TWICE, finish_sum_twice},
    {SHORTCUT_TWICE, finish_shortcut_twice},
    {KEPT_SUM, finish_kept_sum},
    {KEPT_SUM_TWICE, finish_kept_sum_twice},
    {RELU_OF_SUM, finish_relu_of_sum},
    {TO_SHORTS, finish_to_shorts},
    {STEM_OF_SHORTS, finish_stem_of_shorts},
    {SUM_OF_SHORTS, finish_sum_of_shorts},
    {SUM_OF_SHORTS_TWICE, finish_sum_of_shorts_twice},
    {RELU_OF_SHORTS, finish_relu_of_shorts},
};

TARGET static Finish finish_of(const Epilogue *e, int floats) {
    const Form form = form_of(e, floats);
    for (unsigned k = 0; k < sizeof FORMS / sizeof *FORMS; k++)
        if (!memcmp(&form, &FORMS[k].form, sizeof form)) return FORMS[k].finish;
    return floats ? finish_any_of_floats : finish_any;
}

#endif
