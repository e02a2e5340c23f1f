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

#if !defined(__LP64__)
#error "the offsets below are those of 64-bit machines"
#endif

enum { DONE = 0, REFUSED = 1, NO_MEMORY = 2 };
enum { ABI = 62, STRUCT_BYTES = 632, SPARE_BYTES = 1024 };
enum { GRAY = 1, YCC = 3, RGBX = 7 };
enum { MAX_SIDE = 65500 };

typedef void (*on_error)(void *);
typedef void (*on_message)(void *, int);

#define FIELD(jpeg, type, offset) (*(type *)((char *)(jpeg) + (offset)))
#define ERR(jpeg) FIELD(jpeg, void *, 0)
#define JPEG_COLOURS(jpeg) FIELD(jpeg, int, 60)
#define OUT_COLOURS(jpeg) FIELD(jpeg, int, 64)
#define SCALE_DENOM(jpeg) FIELD(jpeg, uint32_t, 72)
#define FANCY_UPSAMPLING(jpeg) FIELD(jpeg, int, 100)
#define OUT_WIDTH(jpeg) FIELD(jpeg, uint32_t, 136)
#define OUT_HEIGHT(jpeg) FIELD(jpeg, uint32_t, 140)
#define PROGRESSIVE(jpeg) FIELD(jpeg, int, 312)
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

/* What setjmp must not lose lies here, in memory, and not in registers. */
struct decoder {
    _Alignas(16) char jpeg[SPARE_BYTES];
    _Alignas(16) char error[SPARE_BYTES];
    jmp_buf leave;
    int warned;
    unsigned char *rows[2];
    unsigned char *blend;
};

static struct decoder *decoder_of(void *jpeg) { return (struct decoder *)jpeg; }
static void leave(void *jpeg) { longjmp(decoder_of(jpeg)->leave, 1); }
static void note(void *jpeg, int level) { if (level < 0) decoder_of(jpeg)->warned = 1; }

static void finish(struct decoder *d) {
    lib.destroy(d->jpeg);
    free(d->rows[0]);
    free(d->rows[1]);
    free(d->blend);
}

static int create(struct decoder *d) {
    memset(d, 0, sizeof *d);
    ERR(d->jpeg) = lib.std_error(d->error);
    ERROR_EXIT(d->error) = leave;
    EMIT_MESSAGE(d->error) = note;
    if (setjmp(d->leave)) return REFUSED; /* nothing was made yet */
    lib.create(d->jpeg, ABI, STRUCT_BYTES);
    return DONE;
}

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
    if (!lib.std_error || !lib.create || !lib.mem_src || !lib.read_header || !lib.start || !lib.crop || !lib.skip ||
        !lib.read || !lib.destroy)
        return REFUSED;
    struct decoder *d = malloc(sizeof *d);
    if (!d) return NO_MEMORY;
    int status = create(d);
    if (status == DONE) finish(d);
    free(d);
    return status;
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

/* Where an output position falls: the source position before it, and the weight (0 ... 256) of the one after. */
static void place(double from, double step, int position, int last, int *before, int *weight) {
    double at = from + (position + 0.5) * step - 0.5;
    if (at < 0) at = 0;
    if (at > last) at = last;
    *before = (int)at;
    *weight = (int)((at - *before) * 256 + 0.5);
}

/* Two rows mixed, bytes of RGBX. */
static void mix(const unsigned char *upper, const unsigned char *lower, int weight, unsigned char *out, size_t count) {
    uint16_t above = (uint16_t)(256 - weight), below = (uint16_t)weight;
    for (size_t k = 0; k < count; k++) out[k] = (unsigned char)((uint16_t)(upper[k] * above + lower[k] * below + 128) >> 8);
}

/* One output row: two neighbours mixed for each pixel, red and blue in one multiplication, green in another. */
static void squeeze(const unsigned char *row, const int *before, const int *weight, int width, unsigned char *out, int step) {
    const uint32_t *pixels = (const uint32_t *)row;
    for (int x = 0; x < width; x++, out += step) {
        uint32_t a = pixels[before[x]], b = pixels[before[x] + 1], right = (uint32_t)weight[x], left = 256 - right;
        uint32_t even = ((a & 0xFF00FF) * left + (b & 0xFF00FF) * right + 0x800080) >> 8;
        uint32_t odd = ((a >> 8 & 0xFF) * left + (b >> 8 & 0xFF) * right + 0x80) >> 8;
        out[0] = (unsigned char)even;
        out[1] = (unsigned char)odd;
        out[2] = (unsigned char)(even >> 16);
    }
}

/* The region [top, top + tall) x [left, left + wide) of the picture, in its own pixels, resized bilinearly to RGB bytes
 * (height, width, 3) at out; from right to left where mirror is set. The picture is first reduced by 2, 4 or 8, as far
 * as the region stays as large as what comes out. columns: scratch of 2 * width ints. */
int darkroom_jpeg_region(const unsigned char *data, size_t size, double top, double left, double tall, double wide,
                         int height, int width, int mirror, int *columns, unsigned char *out) {
    struct decoder *d = malloc(sizeof *d);
    if (!d) return NO_MEMORY;
    if (create(d) != DONE) { free(d); return REFUSED; }
    if (setjmp(d->leave)) { finish(d); free(d); return REFUSED; }

    lib.mem_src(d->jpeg, data, size);
    if (lib.read_header(d->jpeg, 1) != 1 || PROGRESSIVE(d->jpeg)) leave(d->jpeg);
    if (JPEG_COLOURS(d->jpeg) != YCC && JPEG_COLOURS(d->jpeg) != GRAY) leave(d->jpeg);
    uint32_t factor = 8;
    while (factor > 1 && (tall < (double)factor * height || wide < (double)factor * width)) factor /= 2;
    SCALE_DENOM(d->jpeg) = factor;
    OUT_COLOURS(d->jpeg) = RGBX;
    FANCY_UPSAMPLING(d->jpeg) = 0;
    if (!lib.start(d->jpeg)) leave(d->jpeg);

    int rows = (int)OUT_HEIGHT(d->jpeg), all = (int)OUT_WIDTH(d->jpeg);
    int first = (int)(left / factor) - 1, end = (int)((left + wide) / factor) + 2;
    if (first < 0) first = 0;
    if (end > all) end = all;
    if (first >= end) leave(d->jpeg);
    uint32_t begin = (uint32_t)first, taken = (uint32_t)(end - first);
    if (taken < (uint32_t)all) lib.crop(d->jpeg, &begin, &taken);

    size_t stride = 4 * ((size_t)taken + 1); /* one pixel more: the last one's neighbour, of weight 0 */
    d->rows[0] = calloc(1, stride + 64);
    d->rows[1] = calloc(1, stride + 64);
    d->blend = calloc(1, stride + 64);
    if (!d->rows[0] || !d->rows[1] || !d->blend) { finish(d); free(d); return NO_MEMORY; }

    for (int x = 0; x < width; x++)
        place(left / factor - begin, wide / factor / width, x, (int)taken - 1, &columns[x], &columns[width + x]);
    int upper, weight, next = 0; /* next: the row that libjpeg gives next; row r lies in rows[r % 2] */
    for (int y = 0; y < height; y++) {
        place(top / factor, tall / factor / height, y, rows - 1, &upper, &weight);
        int lower = upper + 1 < rows ? upper + 1 : upper;
        /* Once, and by pairs: skipped in the middle of a pair, chroma that two rows share comes out wrong. */
        if (y == 0 && upper > 1) next = (int)lib.skip(d->jpeg, (uint32_t)upper & ~1u);
        while (next <= lower) {
            unsigned char *row = d->rows[next % 2];
            if (lib.read(d->jpeg, &row, 1) != 1) leave(d->jpeg);
            next++;
        }
        if (weight && lower != upper) mix(d->rows[upper % 2], d->rows[lower % 2], weight, d->blend, 4 * (size_t)taken);
        const unsigned char *row = weight && lower != upper ? d->blend : d->rows[upper % 2];
        unsigned char *line = out + (size_t)y * width * 3;
        squeeze(row, columns, columns + width, width, mirror ? line + 3 * (width - 1) : line, mirror ? -3 : 3);
    }
    int status = d->warned ? REFUSED : DONE;
    finish(d);
    free(d);
    return status;
}
