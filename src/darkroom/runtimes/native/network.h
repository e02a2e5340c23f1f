/* A quantised network as a list of steps over buffers that lie still, and a team of threads that runs it.
 *
 * Every tensor is a plane of pixels, channels last and padded to 16, with a border as wide as any step that reads it
 * needs; whoever makes the plan fills borders once, with what stands for zero. Addresses and extents are trusted: the
 * plan checks them. `plan.py` mirrors these structures. */

#ifndef DARKROOM_NETWORK
#define DARKROOM_NETWORK

#include <stdint.h>

enum { NOTHING, BYTES, SIGNED, FLOATS, SHORTS }; /* what a tensor holds: uint8, int8, float32, int16 */
enum { PHOTO, CONVOLUTION, LARGEST, MEAN, DEPTHWISE };

/* value = f * scale[channel] + shift[channel], or f itself where scale is NULL; at least `low`, SHORTS also at most
 * `high`; then, but for FLOATS, rounded half to even and saturated */
typedef struct {
    char *data;         /* of the first pixel, behind the border; NULL for the answer, which comes with the call */
    int64_t row, pixel; /* bytes from one to the next */
    const float *scale, *shift;
    float low, high;
    int32_t type;
} Output;

/* f += other * scale + shift */
typedef struct {
    const char *data;
    int64_t row, pixel;
    float scale, shift;
    int32_t type;
} Other;

/* What becomes of a sum f, in this order. */
typedef struct {
    const float *scale, *shift; /* f = sum * scale[channel] + shift[channel] */
    int32_t rounds;
    float low, high, step; /* where it rounds: f = clamp(round(f), low, high) * step */
    Other other;
    const float *least; /* f = max(f, least[channel]); NULL but for a ReLU */
    Output first;       /* of f */
    Output second;      /* of f; or where second_of_first of the rounded value of first, before its type's bytes */
    int32_t second_of_first;
} Epilogue;

typedef struct {
    int32_t kind;
    int32_t rows, columns;          /* of the output */
    int32_t vectors;                /* of 16 channels of the output */
    const char *input;              /* what the first window begins with, border included; NULL for the photo */
    int64_t input_row, input_pixel; /* bytes from one window to the next: below it, beside it */
    /* CONVOLUTION: a window has `window` rows of `run` times 4 bytes (all but SIGNED), the last of which may reach
     * beyond the window, where weights are 0; LARGEST: rows and columns (`run`) of pixels.
     * DEPTHWISE: rows and columns of pixels of BYTES or SHORTS, each channel alone.
     * MEAN: window is the input's rows, run its columns, and one output pixel. */
    int64_t window_row, window_pixel; /* bytes inside a window */
    int32_t window, run;
    int32_t input_type;
    /* LARGEST: how far the input reaches, and where the first window begins (negative: in what is not there).
     * CONVOLUTION: the same where the border is zeros, which need no work; rows or columns 0 where that is unknown. */
    int32_t input_rows, input_columns, top, left, stride_down, stride_right;
    /* CONVOLUTION: of bytes int8 [vectors / 2][window][run][2][16 channels][4 inputs], of shorts int16 with [2 inputs],
     * whose sums with any input fit 32 bits, of floats float [vectors / 2][window][run][2][16 channels]; the last block
     * of an odd number of vectors has [1] in place of [2].
     * DEPTHWISE: float [window][run][vectors * 16]; whole numbers for BYTES */
    const void *weights;
    /* CONVOLUTION of bytes: where a row of a window leaves one byte over behind `run` words, those of all rows, 8 at
     * most, are so many words more, which follow in `weights` too; else 0. Windows beside each other are 8 bytes apart
     * at most then. */
    int32_t rest;
    int32_t channels;  /* PHOTO: of the photo, and of its output; 4 at most */
    const void *table; /* PHOTO: [channels][256] of uint8 or int16, what each byte becomes */
    Epilogue end;      /* PHOTO and LARGEST use end.first.data, row and pixel alone */
} Step;

typedef struct Network Network;

/* Whether this processor can run any. */
int darkroom_network_able(void);

/* Whether it has matrices (AMX), and the system lets this process use them. */
int darkroom_network_has_matrices(void);

/* What a Step measures here, for those who lay it out by hand. */
int64_t darkroom_network_step_bytes(void);

/* The steps are copied, what they point to is not. So many numbers of the answer become probabilities, by a softmax: 0
 * for none. `matrices`: whether to use them. NULL where there is no memory or no thread to be had. */
Network *darkroom_network_new(const Step *steps, int64_t count, int threads, int64_t probabilities, int matrices);

void darkroom_network_free(Network *network);

/* So many photos, of so many bytes each, to as many answers, so many floats apart. One call at a time for a network. */
void darkroom_network_run(Network *network, const uint8_t *photos, float *answers, int64_t count, int64_t bytes,
                          int64_t apart);

#endif
