/* One region of a baseline JPEG, resized: only the rows and blocks that it needs are decoded, at the smallest of the
 * sizes that the DCT gives for nothing, and each output row is made as soon as its two source rows are there.
 *
 * libjpeg-turbo is opened at run time (the one that Pillow ships), so nothing but a C compiler is needed to build this.
 * Its structures are used by the few offsets below, those of the libjpeg 6.2 ABI on 64-bit machines, which has not
 * changed since 1998; the library itself refuses a caller whose version or size of structure is another.
 * Whatever is unusual (progressive, CMYK, damaged) is answered with REFUSED: the caller has a slower way for it.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jpeg_huffman.h"
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define WITH_AVX 1
#endif

#if !defined(__LP64__)
#error "the offsets below are those of 64-bit machines"
#endif

enum { DONE = 0, REFUSED = 1, NO_MEMORY = 2 };
enum { ABI = 62, STRUCT_BYTES = 632, SPARE_BYTES = 1024 };
enum { GRAY = 1, YCC = 3, RGBX = 7 };
enum { MAX_SIDE = 65500 };
enum { STEP = 16, REACH = 32 }; /* pixels that AVX-512 makes at a time, and out of how many */
enum { RING = 4 }; /* rows kept: libjpeg-turbo makes two at a time, of which the second may wait */

/* A weight as it is kept for a column: 128 times as large, four times over, once for each byte of a pixel. */
#define WEIGHTS(weight) ((uint64_t)(weight) * 128 * 0x0001000100010001u)
#define WEIGHT(weights) ((uint32_t)(weights) >> 7 & 0xFF)

typedef void (*on_error)(void *);
typedef void (*on_message)(void *, int);
typedef int (*on_mcu)(void *, int16_t **);

#define FIELD(jpeg, type, offset) (*(type *)((char *)(jpeg) + (offset)))
#define ERR(jpeg) FIELD(jpeg, void *, 0)
#define NEXT_BYTE(jpeg) FIELD(FIELD(jpeg, void *, 40), const unsigned char *, 0)
#define BYTES_LEFT(jpeg) FIELD(FIELD(jpeg, void *, 40), size_t, 8)
#define JPEG_COLOURS(jpeg) FIELD(jpeg, int, 60)
#define OUT_COLOURS(jpeg) FIELD(jpeg, int, 64)
#define SCALE_DENOM(jpeg) FIELD(jpeg, uint32_t, 72)
#define FANCY_UPSAMPLING(jpeg) FIELD(jpeg, int, 100)
#define OUT_WIDTH(jpeg) FIELD(jpeg, uint32_t, 136)
#define OUT_HEIGHT(jpeg) FIELD(jpeg, uint32_t, 140)
#define DC_TABLE(jpeg, n) FIELD(jpeg, const unsigned char *, 232 + 8 * (n))
#define AC_TABLE(jpeg, n) FIELD(jpeg, const unsigned char *, 264 + 8 * (n))
#define PROGRESSIVE(jpeg) FIELD(jpeg, int, 312)
#define RESTART_INTERVAL(jpeg) FIELD(jpeg, unsigned, 368)
#define SCAN_COMPONENTS(jpeg) FIELD(jpeg, int, 432)
#define COMPONENT(jpeg, n) FIELD(jpeg, void *, 440 + 8 * (n))
#define MCU_BLOCKS(jpeg) FIELD(jpeg, int, 480)
#define BLOCK_COMPONENT(jpeg, n) FIELD(jpeg, int, 484 + 4 * (n))
#define DECODE_MCU(jpeg) FIELD(FIELD(jpeg, void *, 592), on_mcu, 8)
#define DC_NUMBER(component) FIELD(component, int, 20)
#define AC_NUMBER(component) FIELD(component, int, 24)
#define ERROR_EXIT(error) FIELD(error, on_error, 0)
#define EMIT_MESSAGE(error) FIELD(error, on_message, 8)

static struct {
    void *(*std_error)(void *);
    void (*create)(void *, int, size_t);
    void (*mem_src)(void *, const unsigned char *, unsigned long);
    int (*read_header)(void *, int);
    int (*start)(void *);
    void (*crop)(void *, uint32_t *, uint32_t *);
    uint32_t (*skip)(void *, uint32_t);
    uint32_t (*read)(void *, unsigned char **, uint32_t);
    void (*destroy)(void *);
} lib;

struct room {
    unsigned char *bytes;
    size_t size;
};

/* What setjmp must not lose lies here, in memory, and not in registers. */
struct decoder {
    _Alignas(16) char jpeg[SPARE_BYTES];
    _Alignas(16) char error[SPARE_BYTES];
    jmp_buf leave;
    int warned;
    struct entropy entropy;
    struct room rows, scan; /* for the rows, the blend and the columns; for the bytes of the scan. For the next picture too */
};

/* One picture to cut: [top, top + tall) x [left, left + wide) of it, in its own pixels, resized bilinearly to RGB bytes
 * (height, width, 3) at out; from right to left where mirror is set. The status is the answer. */
struct cut {
    const unsigned char *data;
    size_t size;
    unsigned char *out;
    double top, left, tall, wide;
    int height, width, mirror, status;
};

static struct decoder *decoder_of(void *jpeg) { return (struct decoder *)jpeg; }
static void leave(void *jpeg) { longjmp(decoder_of(jpeg)->leave, 1); }
static void note(void *jpeg, int level) { if (level < 0) decoder_of(jpeg)->warned = 1; }

static int create(struct decoder *d) {
    memset(d->jpeg, 0, sizeof d->jpeg);
    memset(d->error, 0, sizeof d->error);
    d->warned = 0;
    ERR(d->jpeg) = lib.std_error(d->error);
    ERROR_EXIT(d->error) = leave;
    EMIT_MESSAGE(d->error) = note;
    if (setjmp(d->leave)) return REFUSED; /* nothing was made yet */
    lib.create(d->jpeg, ABI, STRUCT_BYTES);
    return DONE;
}

static int big(const unsigned char *at) { return at[0] << 8 | at[1]; }

/* Exif's orientation, 1 where it does not say. */
static int orientation(const unsigned char *exif, size_t size) {
    if (size < 14 || memcmp(exif, "Exif\0\0", 6)) return 1;
    const unsigned char *tiff = exif + 6;
    size -= 6;
    int little = tiff[0] == 'I';
#define SHORT(at) (little ? tiff[at] | tiff[(at) + 1] << 8 : big(tiff + (at)))
    size_t first = little ? (size_t)SHORT(4) | (size_t)SHORT(6) << 16 : (size_t)SHORT(4) << 16 | (size_t)SHORT(6);
    if (first + 2 > size) return 1;
    size_t count = (size_t)SHORT(first);
    for (size_t k = 0, at = first + 2; k < count && at + 12 <= size; k++, at += 12)
        if (SHORT(at) == 0x0112 && SHORT(at + 2) == 3) return SHORT(at + 8) >= 1 && SHORT(at + 8) <= 8 ? SHORT(at + 8) : 1;
#undef SHORT
    return 1;
}

/* (height, width) of a JPEG that darkroom_jpeg_region can take: baseline, upright, of one or three colours. */
int darkroom_jpeg_size(const unsigned char *data, size_t size, int *height, int *width) {
    if (size < 4 || data[0] != 0xFF || data[1] != 0xD8) return REFUSED;
    for (size_t at = 2; at + 4 <= size;) {
        if (data[at] != 0xFF) return REFUSED;
        int marker = data[at + 1];
        if (marker == 0xFF) { at++; continue; }
        size_t length = (size_t)big(data + at + 2);
        if (length < 2 || at + 2 + length > size) return REFUSED;
        if (marker == 0xE1 && orientation(data + at + 4, length - 2) != 1) return REFUSED;
        if (marker == 0xC0 || marker == 0xC1) {
            if (length < 8 || data[at + 4] != 8 || (data[at + 9] != 1 && data[at + 9] != 3)) return REFUSED;
            *height = big(data + at + 5);
            *width = big(data + at + 7);
            return *height && *width && *height <= MAX_SIDE && *width <= MAX_SIDE ? DONE : REFUSED;
        }
        if (marker == 0xDA || marker == 0xD9 || (marker >= 0xC2 && marker <= 0xCF && marker != 0xC4 && marker != 0xCC))
            return REFUSED;
        at += 2 + length;
    }
    return REFUSED;
}

/* Where an output position falls: the source position before it, and the weight (0 ... 255) of the one after. */
static void place(double from, double step, int position, int last, int *before, int *weight) {
    double at = from + (position + 0.5) * step - 0.5;
    if (at < 0) at = 0;
    if (at > last) at = last;
    int left = (int)at, right = (int)((at - left) * 256 + 0.5);
    *before = left + right / 256;
    *weight = right % 256;
}

/* Two rows mixed, bytes of RGBX. */
static void mix_plain(const unsigned char *restrict upper, const unsigned char *restrict lower, int weight,
                      unsigned char *restrict out, size_t count) {
    uint16_t above = (uint16_t)(256 - weight), below = (uint16_t)weight;
    for (size_t k = 0; k < count; k++) out[k] = (unsigned char)((uint16_t)(upper[k] * above + lower[k] * below + 128) >> 8);
}

/* One output row: two neighbours mixed for each pixel, red and blue in one multiplication, green in another. */
static void squeeze_pixels(const uint32_t *pixels, const int *before, const uint64_t *weight, int from, int width,
                           unsigned char *out) {
    for (int x = from; x < width; x++) {
        uint32_t a = pixels[before[x]], b = pixels[before[x] + 1], right = WEIGHT(weight[x]), left = 256 - right;
        uint32_t even = ((a & 0xFF00FF) * left + (b & 0xFF00FF) * right + 0x800080) >> 8;
        uint32_t odd = ((a >> 8 & 0xFF) * left + (b >> 8 & 0xFF) * right + 0x80) >> 8;
        out[3 * x] = (unsigned char)even;
        out[3 * x + 1] = (unsigned char)odd;
        out[3 * x + 2] = (unsigned char)(even >> 16);
    }
}

static void squeeze_plain(const uint32_t *pixels, const int *before, const uint64_t *weight, int width,
                          unsigned char *out) {
    squeeze_pixels(pixels, before, weight, 0, width, out);
}

/* How the columns of the output come out of those of a row, each of them filled once for a picture. Rows, blend and
 * columns have room for whole steps. */
struct columns {
    int width, taken; /* of the output, and of a row */
    int *before;
    uint64_t *weight;
    unsigned char *blend;
};

static void (*mix)(const unsigned char *, const unsigned char *, int, unsigned char *, size_t) = mix_plain;
static void (*squeeze)(const uint32_t *, const int *, const uint64_t *, int, unsigned char *) = squeeze_plain;

static void make_row(const struct columns *c, const unsigned char *upper, const unsigned char *lower, int weight,
                     unsigned char *out) {
    if (weight) mix(upper, lower, weight, c->blend, 4 * (size_t)c->taken);
    squeeze((const uint32_t *)(weight ? c->blend : upper), c->before, c->weight, c->width, out);
}

#ifdef WITH_AVX
/* a + (b - a) * weight / 256, rounded as above, of 16 numbers; the weights are given 128 times as large. */
#define BETWEEN(a, b, weight) _mm256_add_epi16(a, _mm256_mulhrs_epi16(_mm256_sub_epi16(b, a), weight))

/* The rows and what becomes of them have room for whole steps. */
__attribute__((target("avx2"))) static void mix_avx2(const unsigned char *upper, const unsigned char *lower, int weight,
                                                     unsigned char *out, size_t count) {
    const __m256i none = _mm256_setzero_si256(), below = _mm256_set1_epi16((short)(weight * 128));
    for (size_t k = 0; k < count; k += 32) {
        __m256i a = _mm256_loadu_si256((const __m256i *)(upper + k)), b = _mm256_loadu_si256((const __m256i *)(lower + k));
        __m256i first = BETWEEN(_mm256_unpacklo_epi8(a, none), _mm256_unpacklo_epi8(b, none), below);
        __m256i second = BETWEEN(_mm256_unpackhi_epi8(a, none), _mm256_unpackhi_epi8(b, none), below);
        _mm256_storeu_si256((__m256i *)(out + k), _mm256_packus_epi16(first, second));
    }
}

/* The same sums, eight pixels at a time: neighbours lie side by side and are fetched together, pixels 0, 1, 4, 5 and
 * 2, 3, 6, 7, which packing puts in order. Each step writes 28 bytes for 24: the last pixels are left to the plain way. */
__attribute__((target("avx2"))) static void squeeze_avx2(const uint32_t *pixels, const int *before,
                                                         const uint64_t *weight, int width, unsigned char *out) {
    const __m256i left = _mm256_setr_epi8(0, -1, 1, -1, 2, -1, 3, -1, 8, -1, 9, -1, 10, -1, 11, -1, 0, -1, 1, -1, 2, -1,
                                          3, -1, 8, -1, 9, -1, 10, -1, 11, -1);
    const __m256i right = _mm256_or_si256(left, _mm256_set1_epi16(4));
    const __m256i pack = _mm256_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1, 0, 1, 2, 4, 5, 6, 8, 9,
                                          10, 12, 13, 14, -1, -1, -1, -1);
    int x = 0;
    for (; x + 10 <= width; x += 8) {
        __m256i at = _mm256_permute4x64_epi64(_mm256_loadu_si256((const __m256i *)(before + x)), 0xD8);
        __m256i one = _mm256_i32gather_epi64((const long long *)pixels, _mm256_castsi256_si128(at), 4);
        __m256i two = _mm256_i32gather_epi64((const long long *)pixels, _mm256_extracti128_si256(at, 1), 4);
        __m256i early = _mm256_loadu_si256((const __m256i *)(weight + x));
        __m256i late = _mm256_loadu_si256((const __m256i *)(weight + x + 4));
        one = BETWEEN(_mm256_shuffle_epi8(one, left), _mm256_shuffle_epi8(one, right),
                      _mm256_permute2x128_si256(early, late, 0x20));
        two = BETWEEN(_mm256_shuffle_epi8(two, left), _mm256_shuffle_epi8(two, right),
                      _mm256_permute2x128_si256(early, late, 0x31));
        __m256i packed = _mm256_shuffle_epi8(_mm256_packus_epi16(one, two), pack);
        _mm_storeu_si128((__m128i *)(out + 3 * x), _mm256_castsi256_si128(packed));
        _mm_storeu_si128((__m128i *)(out + 3 * x + 12), _mm256_extracti128_si256(packed, 1));
    }
    squeeze_pixels(pixels, before, weight, x, width, out);
}

static int with_avx512;

/* Whether each step's pixels lie near enough to each other; if so, the columns are put in the order that the next
 * function wants: positions from the first of the step, which comes after them, and the weights of pixels 0, 1, 4, 5,
 * 8, 9, 12, 13 before the others. */
static int arrange(struct columns *c, int *first) {
    for (int x = 0; x < c->width; x += STEP) {
        int last = x + STEP <= c->width ? x + STEP - 1 : c->width - 1;
        int least = c->before[x] < c->before[last] ? c->before[x] : c->before[last];
        int most = c->before[x] < c->before[last] ? c->before[last] : c->before[x];
        if (most + 1 - least >= REACH) return 0;
        first[x / STEP] = least;
    }
    for (int x = 0; x < c->width; x += STEP) {
        uint64_t weight[STEP];
        memcpy(weight, c->weight + x, sizeof weight);
        for (int k = 0; k < STEP; k++) {
            c->before[x + k] -= first[x / STEP];
            c->weight[x + (k & 2) * 4 + (k >> 2) * 2 + (k & 1)] = weight[k];
        }
    }
    return 1;
}

#undef BETWEEN
#define BETWEEN(a, b, weight) _mm512_add_epi16(a, _mm512_mulhrs_epi16(_mm512_sub_epi16(b, a), weight))

/* The same sums once more, sixteen pixels at a time: of both rows the neighbours come out of two registers, so that
 * nothing waits for what was just written. */
__attribute__((target("avx512f,avx512bw"))) static void make_row_avx512(const struct columns *c, const int *first,
                                                                        const uint32_t *upper, const uint32_t *lower,
                                                                        int weight, unsigned char *out) {
    const __m512i none = _mm512_setzero_si512(), below = _mm512_set1_epi16((short)(weight * 128));
    const __m512i pack = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    const __m512i close = _mm512_setr_epi32(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 3, 7, 11, 15);
    for (int x = 0; x < c->width; x += STEP, first++) {
        __m512i left = _mm512_loadu_si512(c->before + x), right = _mm512_add_epi32(left, _mm512_set1_epi32(1));
        __m512i one = _mm512_loadu_si512(upper + *first), two = _mm512_loadu_si512(upper + *first + STEP);
        __m512i a = _mm512_permutex2var_epi32(one, left, two), b = _mm512_permutex2var_epi32(one, right, two);
        __m512i a0 = _mm512_unpacklo_epi8(a, none), a1 = _mm512_unpackhi_epi8(a, none);
        __m512i b0 = _mm512_unpacklo_epi8(b, none), b1 = _mm512_unpackhi_epi8(b, none);
        if (weight) {
            one = _mm512_loadu_si512(lower + *first), two = _mm512_loadu_si512(lower + *first + STEP);
            a = _mm512_permutex2var_epi32(one, left, two), b = _mm512_permutex2var_epi32(one, right, two);
            a0 = BETWEEN(a0, _mm512_unpacklo_epi8(a, none), below), a1 = BETWEEN(a1, _mm512_unpackhi_epi8(a, none), below);
            b0 = BETWEEN(b0, _mm512_unpacklo_epi8(b, none), below), b1 = BETWEEN(b1, _mm512_unpackhi_epi8(b, none), below);
        }
        a0 = BETWEEN(a0, b0, _mm512_loadu_si512(c->weight + x));
        a1 = BETWEEN(a1, b1, _mm512_loadu_si512(c->weight + x + STEP / 2));
        __m512i packed = _mm512_shuffle_epi8(_mm512_packus_epi16(a0, a1), pack);
        int bytes = 3 * (c->width - x < STEP ? c->width - x : STEP);
        _mm512_mask_storeu_epi8(out + 3 * x, ((__mmask64)1 << bytes) - 1, _mm512_permutexvar_epi32(close, packed));
    }
}
#endif

/* Opens libjpeg-turbo; DONE where it is one that this file understands. Call once, before anything else. */
int darkroom_jpeg_open(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) return REFUSED;
    *(void **)&lib.std_error = dlsym(library, "jpeg_std_error");
    *(void **)&lib.create = dlsym(library, "jpeg_CreateDecompress");
    *(void **)&lib.mem_src = dlsym(library, "jpeg_mem_src");
    *(void **)&lib.read_header = dlsym(library, "jpeg_read_header");
    *(void **)&lib.start = dlsym(library, "jpeg_start_decompress");
    *(void **)&lib.crop = dlsym(library, "jpeg_crop_scanline");
    *(void **)&lib.skip = dlsym(library, "jpeg_skip_scanlines");
    *(void **)&lib.read = dlsym(library, "jpeg_read_scanlines");
    *(void **)&lib.destroy = dlsym(library, "jpeg_destroy_decompress");
#ifdef WITH_AVX
    if (__builtin_cpu_supports("avx2")) mix = mix_avx2, squeeze = squeeze_avx2;
    with_avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw");
#endif
    if (!lib.std_error || !lib.create || !lib.mem_src || !lib.read_header || !lib.start || !lib.crop || !lib.skip ||
        !lib.read || !lib.destroy)
        return REFUSED;
    struct decoder *d = malloc(sizeof *d);
    if (!d) return NO_MEMORY;
    int status = create(d);
    if (status == DONE) lib.destroy(d->jpeg);
    free(d);
    return status;
}

/* At least so many bytes. */
static unsigned char *make_room(struct decoder *d, struct room *room, size_t size) {
    if (size > room->size) {
        free(room->bytes);
        room->bytes = calloc(1, size);
        room->size = room->bytes ? size : 0;
        if (!room->bytes) leave(d->jpeg);
    }
    return room->bytes;
}

static int take_mcu(void *jpeg, int16_t **blocks) {
    if (!decode_mcu(&decoder_of(jpeg)->entropy, blocks)) leave(jpeg);
    return 1;
}

/* From here on coefficients come from jpeg_huffman.h, a fifth to a third faster. libjpeg asks for each MCU through the
 * second member of a structure of its own, which has been so since version 5; it is left as it is where restarts or
 * several scans make more of the work. */
static void take_entropy(struct decoder *d) {
    struct entropy *e = &d->entropy;
    if (RESTART_INTERVAL(d->jpeg) || SCAN_COMPONENTS(d->jpeg) != (JPEG_COLOURS(d->jpeg) == YCC ? 3 : 1)) return;
    if (MCU_BLOCKS(d->jpeg) > MOST_BLOCKS) return;
    size_t size = BYTES_LEFT(d->jpeg);
    begin_entropy(e, NEXT_BYTE(d->jpeg), size, make_room(d, &d->scan, size + MCU_BYTES));
    e->blocks = MCU_BLOCKS(d->jpeg);
    for (int n = 0; n < e->blocks; n++) {
        int place = BLOCK_COMPONENT(d->jpeg, n), dc = DC_NUMBER(COMPONENT(d->jpeg, place));
        int ac = AC_NUMBER(COMPONENT(d->jpeg, place));
        build(&e->tables[0][dc], DC_TABLE(d->jpeg, dc), 0);
        build(&e->tables[1][ac], AC_TABLE(d->jpeg, ac), 1);
        e->plan[n].dc = &e->tables[0][dc];
        e->plan[n].ac = &e->tables[1][ac];
        e->plan[n].component = place;
    }
    DECODE_MCU(d->jpeg) = take_mcu;
}

/* The picture is first reduced by 2, 4 or 8, as far as the region stays as large as what comes out. */
static void decode(struct decoder *d, const struct cut *cut) {
    int height = cut->height, width = cut->width;
    lib.mem_src(d->jpeg, cut->data, cut->size);
    if (lib.read_header(d->jpeg, 1) != 1 || PROGRESSIVE(d->jpeg)) leave(d->jpeg);
    if (JPEG_COLOURS(d->jpeg) != YCC && JPEG_COLOURS(d->jpeg) != GRAY) leave(d->jpeg);
    uint32_t factor = 8;
    while (factor > 1 && (cut->tall < (double)factor * height || cut->wide < (double)factor * width)) factor /= 2;
    SCALE_DENOM(d->jpeg) = factor;
    OUT_COLOURS(d->jpeg) = RGBX;
    FANCY_UPSAMPLING(d->jpeg) = 0;
    if (!lib.start(d->jpeg)) leave(d->jpeg);
    take_entropy(d);

    int rows = (int)OUT_HEIGHT(d->jpeg), all = (int)OUT_WIDTH(d->jpeg);
    int first = (int)(cut->left / factor) - 1, end = (int)((cut->left + cut->wide) / factor) + 2;
    if (first < 0) first = 0;
    if (end > all) end = all;
    if (first >= end) leave(d->jpeg);
    uint32_t begin = (uint32_t)first, taken = (uint32_t)(end - first);
    if (taken < (uint32_t)all) lib.crop(d->jpeg, &begin, &taken);

    /* One pixel more: the last one's neighbour, of weight 0. Then room for steps of any width. */
    size_t line = (4 * ((size_t)taken + 1) + 4 * REACH + 63) / 64 * 64, most = (size_t)width + STEP;
    size_t bytes = (RING + 1) * line + most * (sizeof(uint64_t) + 2 * sizeof(int));
    unsigned char *room = make_room(d, &d->rows, bytes), *ring[RING];
    for (int k = 0; k < RING; k++) ring[k] = room + (size_t)k * line;
    struct columns columns = {.width = width, .taken = (int)taken, .blend = room + RING * line};
    columns.weight = (uint64_t *)(columns.blend + line);
    columns.before = (int *)(columns.weight + most);
    memset(columns.weight + width, 0, STEP * sizeof(uint64_t));
    memset(columns.before + width, 0, STEP * sizeof(int));
    int upper, weight;
    for (int x = 0; x < width; x++) {
        int column = cut->mirror ? width - 1 - x : x;
        place(cut->left / factor - begin, cut->wide / factor / width, x, (int)taken - 1, &columns.before[column], &weight);
        columns.weight[column] = WEIGHTS(weight);
    }
#ifdef WITH_AVX
    int *first_of_step = columns.before + most, near = with_avx512 && arrange(&columns, first_of_step);
#endif
    int next = 0; /* the row that libjpeg gives next; row r lies in ring[r % RING] */
    for (int y = 0; y < height; y++) {
        place(cut->top / factor, cut->tall / factor / height, y, rows - 1, &upper, &weight);
        int lower = weight ? upper + 1 : upper;
        /* Once, and by pairs: skipped in the middle of a pair, chroma that two rows share comes out wrong. */
        if (y == 0 && upper > 1) next = (int)lib.skip(d->jpeg, (uint32_t)upper & ~1u);
        while (next <= lower) {
            unsigned char *pair[2] = {ring[next % RING], ring[(next + 1) % RING]};
            uint32_t got = lib.read(d->jpeg, pair, next % 2 ? 1 : 2);
            if (!got) leave(d->jpeg);
            next += (int)got;
        }
        const unsigned char *above = ring[upper % RING], *below = ring[lower % RING];
        unsigned char *out = cut->out + (size_t)y * width * 3;
#ifdef WITH_AVX
        if (near) {
            make_row_avx512(&columns, first_of_step, (const uint32_t *)above, (const uint32_t *)below, weight, out);
            continue;
        }
#endif
        make_row(&columns, above, below, weight, out);
    }
}

static int fill(struct decoder *d, const struct cut *cut) {
    if (create(d) != DONE) return REFUSED;
    if (setjmp(d->leave)) {
        lib.destroy(d->jpeg);
        return REFUSED;
    }
    decode(d, cut);
    lib.destroy(d->jpeg);
    return d->warned ? REFUSED : DONE;
}

/* Each cut filled, or refused: each has its own status. Many at a time, because whoever calls from Python stands in line
 * for its lock after each call. */
int darkroom_jpeg_regions(struct cut *cuts, size_t count) {
    struct decoder *d = calloc(1, sizeof *d);
    if (!d) return NO_MEMORY;
    for (size_t k = 0; k < count; k++) cuts[k].status = fill(d, &cuts[k]);
    free(d->rows.bytes);
    free(d->scan.bytes);
    free(d);
    return DONE;
}
