/* The entropy coding of a baseline JPEG undone: most of what decoding costs, here by one look at a table for a
 * coefficient with its zeros before it. What libjpeg would warn of ends with FALSE: whoever asks has a slower way for it.
 * Knows no library: tables and bytes come in, coefficients go out.
 */
#include <stdint.h>
#include <string.h>

enum { LOOK = 11, LOOKS = 5 }; /* bits of one look, and looks at 56 of them */
enum { TABLE_BYTES = 17 + 256 }; /* of a DHT segment: how many codes of each length, from 0, and their symbols */
enum { END = 64 }; /* as a run of zeros: past the last coefficient */
enum { MOST_BLOCKS = 10 };
enum { MCU_BYTES = MOST_BLOCKS * 64 * 31 / 8 + 16 }; /* at most, and what is read ahead */
enum { PIECE = 4096 };

/* An entry: in its lowest byte the bits of code and value together, then the zeros before it, then the value itself.
 * Where the value does not fit into the look: minus the bits of the code, the zeros, the bits of the value. Where not
 * even the code does: 0. */
struct table {
    uint8_t source[TABLE_BYTES];
    int32_t entries[1 << LOOK];
    int32_t last[17], shift[17]; /* by length of code: the last code, and what takes a code to its symbol's place */
};

struct bits {
    const uint8_t *at;
    uint64_t buffer; /* the next bit on top */
    int count;
};

struct symbol {
    struct bits bits; /* after it */
    int run; /* negative: there is no such code */
    int32_t value;
};

struct entropy {
    const uint8_t *raw, *raw_end; /* what is still to be unstuffed */
    struct bits bits;
    uint8_t *end; /* of what is */
    int ended; /* nothing comes after it */
    int blocks;
    struct { const struct table *dc, *ac; int component; } plan[MOST_BLOCKS]; /* of each block of an MCU */
    uint32_t dc[4]; /* of the block before, by component */
    struct table tables[2][4]; /* kept for the next picture: most have the same */
    int16_t nowhere[64];
};

/* Where the coefficients of the zigzag lie; runs may lead past its end. */
static const uint8_t PLACES[2 * END] = {
    0,  1,  8,  16, 9,  2,  3,  10, 17, 24, 32, 25, 18, 11, 4,  5,  12, 19, 26, 33, 40, 48, 41, 34, 27, 20,
    13, 6,  7,  14, 21, 28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45,
    38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63,
    63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63, 63};

/* A value of so many bits as JPEG writes it: those that begin with 0 are negative. */
static inline int32_t signed_value(uint32_t bits, int size) {
    return bits >> (size - 1) ? (int32_t)bits : (int32_t)bits - (1 << size) + 1;
}

static int32_t partial_entry(int symbol, int length, int is_ac) {
    int size = is_ac ? symbol & 15 : symbol, run = is_ac ? symbol >> 4 : 0;
    if (is_ac && !size && run != 15) run = END;
    return size << 16 | run << 8 | (-length & 0xFF);
}

/* From the bits and huffval of a JHUFF_TBL, which libjpeg has found consistent. */
static void build(struct table *table, const uint8_t *source, int is_ac) {
    if (!memcmp(table->source, source, TABLE_BYTES)) return;
    memcpy(table->source, source, TABLE_BYTES);
    memset(table->entries, 0, sizeof table->entries);
    const uint8_t *counts = source, *symbols = source + 17;
    int32_t code = 0, number = 0;
    for (int length = 1; length <= 16; length++, code <<= 1) {
        table->shift[length] = number - code;
        for (int k = 0; k < counts[length] && number < 256; k++, code++, number++) {
            int32_t entry = partial_entry(symbols[number], length, is_ac);
            int size = entry >> 16, spare = LOOK - length;
            for (int32_t rest = 0; spare >= 0 && rest < 1 << spare; rest++) {
                int32_t whole = entry;
                if (size <= spare) {
                    int32_t value = size ? signed_value((uint32_t)rest >> (spare - size), size) : 0;
                    whole = (int32_t)((uint32_t)value << 16) | (entry & 0xFF00) | (length + size);
                }
                table->entries[(code << spare | rest) & ((1 << LOOK) - 1)] = whole;
            }
        }
        table->last[length] = code - 1;
    }
}

/* Some more bytes without what was stuffed between them, and zeros after the last. */
static __attribute__((noinline)) void unstuff(struct entropy *e) {
    const uint8_t *stop = e->raw_end - e->raw > PIECE ? e->raw + PIECE : e->raw_end;
    while (e->raw < stop) {
        const uint8_t *stuffed = memchr(e->raw, 0xFF, (size_t)(stop - e->raw));
        size_t plain = (size_t)((stuffed ? stuffed : stop) - e->raw);
        memcpy(e->end, e->raw, plain);
        e->end += plain;
        e->raw += plain;
        if (!stuffed) continue;
        if (e->raw_end - e->raw < 2 || e->raw[1]) break; /* a marker: the end */
        *e->end++ = 0xFF;
        e->raw += 2;
    }
    if (e->raw >= stop && stop < e->raw_end) return;
    memset(e->end, 0, MCU_BYTES);
    e->ended = 1;
}

/* Of n bytes from a JPEG's scan; clean has room for n + MCU_BYTES. */
static void begin_entropy(struct entropy *e, const uint8_t *raw, size_t n, uint8_t *clean) {
    e->raw = raw;
    e->raw_end = raw + n;
    e->bits = (struct bits){.at = clean};
    e->end = clean;
    e->ended = 0;
    memset(e->dc, 0, sizeof e->dc);
}

/* At least 56 bits: the longest code and the longest value have 31. */
static inline struct bits refill(struct bits bits) {
    uint64_t bytes;
    memcpy(&bytes, bits.at, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    bytes = __builtin_bswap64(bytes);
#endif
    bits.buffer |= bytes >> bits.count;
    bits.at += (63 - bits.count) >> 3;
    bits.count |= 56;
    return bits;
}

/* The entry of a code longer than a look; 0 where there is no such code. */
static __attribute__((noinline)) int32_t long_entry(const struct table *table, uint64_t buffer, int is_ac) {
    for (int length = LOOK + 1; length <= 16; length++) {
        int32_t code = (int32_t)(buffer >> (64 - length));
        if (code <= table->last[length])
            return partial_entry(table->source[17 + ((code + table->shift[length]) & 0xFF)], length, is_ac);
    }
    return 0;
}

static inline struct bits taken(struct bits bits, int count) {
    bits.buffer <<= count;
    bits.count -= count;
    return bits;
}

static inline int32_t look(const struct table *table, struct bits bits) {
    return table->entries[bits.buffer >> (64 - LOOK)];
}

/* One code and its value, however long. */
static inline struct symbol symbol_at(const struct table *table, struct bits bits, int is_ac) {
    int32_t entry = look(table, bits);
    if ((int8_t)entry > 0) return (struct symbol){taken(bits, entry & 0xFF), entry >> 8 & 0xFF, entry >> 16};
    if (!entry) entry = long_entry(table, bits.buffer, is_ac);
    if (!entry) return (struct symbol){.run = -1};
    bits = taken(bits, -(int8_t)entry);
    int size = entry >> 16;
    int32_t value = size ? signed_value((uint32_t)(bits.buffer >> (64 - size)), size) : 0;
    return (struct symbol){taken(bits, size), entry >> 8 & 0xFF, value};
}

/* One MCU into blocks of zeros, in natural order; NULL where nobody wants it. FALSE where it is damaged. */
static int decode_mcu(struct entropy *e, int16_t **blocks) {
    while (e->end - e->bits.at < MCU_BYTES && !e->ended) unstuff(e);
    struct bits bits = e->bits;
    for (int n = 0; n < e->blocks; n++) {
        int16_t *block = blocks ? blocks[n] : e->nowhere;
        struct symbol symbol = symbol_at(e->plan[n].dc, refill(bits), 0);
        if (symbol.run < 0) return 0;
        bits = symbol.bits;
        block[0] = (int16_t)(e->dc[e->plan[n].component] += (uint32_t)symbol.value);
        const struct table *table = e->plan[n].ac;
        for (int k = 1; k < END;) {
            bits = refill(bits);
            /* Several looks before more bits are fetched: where those lie is known later than what the next look needs. */
#pragma GCC unroll 5
            for (int looks = 0; looks < LOOKS && k < END; looks++) {
                int32_t entry = look(table, bits);
                if (__builtin_expect((int8_t)entry <= 0, 0)) {
                    symbol = symbol_at(table, refill(bits), 1);
                    if (symbol.run < 0) return 0;
                    bits = symbol.bits;
                    k += symbol.run;
                    block[PLACES[k++]] = (int16_t)symbol.value;
                    break;
                }
                bits = taken(bits, entry & 0xFF);
                k += entry >> 8 & 0xFF;
                block[PLACES[k++]] = (int16_t)(entry >> 16);
            }
        }
    }
    e->bits = bits;
    return !e->ended || (bits.at - e->end) * 8 <= bits.count;
}
