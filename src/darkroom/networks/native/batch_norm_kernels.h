/* The passes over one block, for numbers that lie in memory as NUMBER: READ and WRITE turn them into float and back,
 * NAME is what something is called for them. Sums and all that is computed are of the same precision for all. */

/* sums[0] = Σx; then, with the block's own mean of each channel, sums[1] = Σ(x - mean)². */
FAST static void NAME(measure)(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, begin = begin_of(work, block), end = end_of(work, block);
    const int64_t channels = work->channels, rows = (end - begin) / channels;
    double *total = work->sums + block * 2 * width, *square = total + width;
    float part[width], mean[width];
    memset(total, 0, 2 * width * sizeof(double));
    memset(part, 0, width * sizeof(float));
    for (int64_t k = begin, since = 0; k < end; k += width) {
        const NUMBER *restrict x = (const NUMBER *)work->x + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) part[w] += READ(x[w]);
        if (++since == FLUSH_ROWS) flush(total, part, width), since = 0;
    }
    flush(total, part, width);
    for (int64_t w = channels; w < width; w++) total[w % channels] += total[w];
    for (int64_t w = 0; w < width; w++) mean[w] = (float)(total[w % channels] / rows);
    for (int64_t k = begin, since = 0; k < end; k += width) {
        const NUMBER *restrict x = (const NUMBER *)work->x + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) part[w] += (READ(x[w]) - mean[w]) * (READ(x[w]) - mean[w]);
        if (++since == FLUSH_ROWS) flush(square, part, width), since = 0;
    }
    flush(square, part, width);
    for (int64_t w = channels; w < width; w++) square[w % channels] += square[w];
    for (int64_t c = 0; c < channels; c++) { /* what was subtracted was the mean rounded */
        const double off = total[c] / rows - mean[c];
        square[c] -= off * off * rows;
    }
}

/* out = clamp(x·scale + shift) */
FAST static void NAME(normalise)(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, end = end_of(work, block);
    const float *restrict scale = work->scale, *restrict shift = work->shift;
    const float low = work->low, high = work->high;
    for (int64_t k = begin_of(work, block); k < end; k += width) {
        const NUMBER *restrict x = (const NUMBER *)work->x + k;
        NUMBER *restrict out = (NUMBER *)work->out + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) {
            float y = READ(x[w]) * scale[w] + shift[w];
            y = y < low ? low : y;
            out[w] = WRITE(y > high ? high : y);
        }
    }
}

/* g = dy where the clamp let x pass;  sums[0] = Σg, sums[1] = Σg·(x - mean) */
FAST static void NAME(gather)(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, begin = begin_of(work, block), end = end_of(work, block);
    const float *restrict scale = work->scale, *restrict shift = work->shift, *restrict mean = work->mean;
    const float low = work->low, high = work->high;
    double *total = work->sums + block * 2 * width, *product = total + width;
    float part[width], prod[width];
    memset(total, 0, 2 * width * sizeof(double));
    memset(part, 0, width * sizeof(float));
    memset(prod, 0, width * sizeof(float));
    for (int64_t k = begin, since = 0; k < end; k += width) {
        const NUMBER *restrict x = (const NUMBER *)work->x + k, *restrict dy = (const NUMBER *)work->dy + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) {
            const float y = READ(x[w]) * scale[w] + shift[w];
            const float d = READ(dy[w]); /* read anyway: else it is no vector loop */
            const float g = (y > low) & (y < high) ? d : 0.0f;
            part[w] += g;
            prod[w] += g * (READ(x[w]) - mean[w]);
        }
        if (++since == FLUSH_ROWS) flush(total, part, width), flush(product, prod, width), since = 0;
    }
    flush(total, part, width);
    flush(product, prod, width);
    for (int64_t w = work->channels; w < width; w++) {
        total[w % work->channels] += total[w];
        product[w % work->channels] += product[w];
    }
}

/* out = scale·g - slope·(x - mean) - rest + more */
FAST static void NAME(give_back)(const void *given, int64_t block, int worker) {
    const Work *work = given;
    const int64_t width = work->width, end = end_of(work, block);
    const float *restrict scale = work->scale, *restrict shift = work->shift, *restrict mean = work->mean;
    const float *restrict slope = work->slope, *restrict rest = work->rest;
    const float low = work->low, high = work->high;
    NUMBER nothing[width];
    memset(nothing, 0, sizeof(nothing));
    for (int64_t k = begin_of(work, block); k < end; k += width) {
        const NUMBER *restrict x = (const NUMBER *)work->x + k, *restrict dy = (const NUMBER *)work->dy + k;
        const NUMBER *restrict more = work->more ? (const NUMBER *)work->more + k : nothing;
        NUMBER *restrict out = (NUMBER *)work->out + k;
        const int64_t wide = end - k < width ? end - k : width;
        for (int64_t w = 0; w < wide; w++) {
            const float y = READ(x[w]) * scale[w] + shift[w];
            const float d = READ(dy[w]), g = (y > low) & (y < high) ? d : 0.0f;
            out[w] = WRITE(scale[w] * g - slope[w] * (READ(x[w]) - mean[w]) - rest[w] + READ(more[w]));
        }
    }
}
