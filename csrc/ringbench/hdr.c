/* SPDX-License-Identifier: MIT */
/*
 * hdr.c - the rows' histograms as a HdrHistogram log (format 1.3), for the tools that read those.
 *
 * Our buckets are HdrHistogram's at two significant digits, one for one (histogram.c), so counts are
 * only written down: V2 encoding, ZigZag LEB128 counts with runs of zeros as negative numbers, in a
 * zlib stream, in base64. The zlib stream is stored, not compressed: that needs no library, and any
 * reader takes it. Source: HdrHistogram's AbstractHistogram.encodeIntoByteBuffer; RFC 1950, 1951.
 */
#include "report.h"

#include "process.h"

#include "ringbridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COOKIE UINT32_C(0x1c849313)
#define COOKIE_COMPRESSED UINT32_C(0x1c849314)
enum { DIGITS = 2, HEADER = 40, STORED_MAX = 65535, COUNT_BYTES_MAX = 9 };

struct buffer {
    uint8_t *bytes;
    size_t size;
};

static void
put(struct buffer *to, const void *bytes, size_t size)
{
    memcpy(to->bytes + to->size, bytes, size);
    to->size += size;
}

/* Big endian. */
static void
put_number(struct buffer *to, uint64_t value, int bytes)
{
    while (bytes-- > 0) {
        const uint8_t byte = (uint8_t)(value >> (8 * bytes));

        put(to, &byte, 1);
    }
}

static void
put_count(struct buffer *to, int64_t count)
{
    uint64_t left = ((uint64_t)count << 1) ^ (uint64_t)(count >> 63);
    int i;

    for (i = 1; i < COUNT_BYTES_MAX && left >= 0x80; i++) {
        put_number(to, (left & 0x7f) | 0x80, 1);
        left >>= 7;
    }
    put_number(to, left, 1); /* the ninth byte carries all eight bits */
}

static void
put_histogram(struct buffer *to, const bench_histogram *histogram)
{
    const size_t used = bench_histogram_bucket(histogram->max) + 1, begin = to->size;
    const double unit_ratio = 1.0;
    uint64_t ratio_bits;
    int64_t zeros = 0;
    size_t bucket;

    memcpy(&ratio_bits, &unit_ratio, sizeof ratio_bits);
    put_number(to, COOKIE, 4);
    put_number(to, 0, 4); /* the counts' size, below */
    put_number(to, 0, 4); /* no shift of the indexes */
    put_number(to, DIGITS, 4);
    put_number(to, 1, 8); /* the lowest value told apart */
    put_number(to, histogram->max > 2 ? histogram->max : 2, 8);
    put_number(to, ratio_bits, 8);
    for (bucket = 0; bucket < used; bucket++) {
        if (histogram->counts[bucket] == 0) {
            zeros++;
            continue;
        }
        if (zeros > 0)
            put_count(to, -zeros);
        zeros = 0;
        put_count(to, (int64_t)histogram->counts[bucket]);
    }
    bucket = to->size - begin - HEADER;
    to->size = begin + 4;
    put_number(to, bucket, 4);
    to->size = begin + HEADER + bucket;
}

static uint32_t
adler32(const uint8_t *bytes, size_t size)
{
    uint32_t a = 1, b = 0;
    size_t i;

    for (i = 0; i < size; i++) {
        a = (a + bytes[i]) % 65521;
        b = (b + a) % 65521;
    }
    return b << 16 | a;
}

static void
put_zlib(struct buffer *to, const struct buffer *from)
{
    size_t done = 0;

    put_number(to, 0x7801, 2);
    do {
        const size_t rest = from->size - done, part = rest > STORED_MAX ? STORED_MAX : rest;
        const uint8_t head[5] = {part == rest, (uint8_t)part, (uint8_t)(part >> 8), (uint8_t)~part,
                                 (uint8_t)(~part >> 8)};

        put(to, head, sizeof head);
        put(to, from->bytes + done, part);
        done += part;
    } while (done < from->size);
    put_number(to, adler32(from->bytes, from->size), 4);
}

static void
write_base64(FILE *to, const struct buffer *from)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t i;

    for (i = 0; i < from->size; i += 3) {
        const size_t rest = from->size - i;
        const uint32_t bits = (uint32_t)from->bytes[i] << 16 |
                              (uint32_t)(rest > 1 ? from->bytes[i + 1] : 0) << 8 |
                              (rest > 2 ? from->bytes[i + 2] : 0);

        fputc(digits[bits >> 18], to);
        fputc(digits[bits >> 12 & 63], to);
        fputc(rest > 1 ? digits[bits >> 6 & 63] : '=', to);
        fputc(rest > 2 ? digits[bits & 63] : '=', to);
    }
}

/* A tag: the row's name and size; what would end a field is left out. */
static void
write_tag(FILE *to, const bench_row *row)
{
    const double *bytes = bench_row_get(row, "bytes");
    const char *c;

    fputs("Tag=", to);
    for (c = row->name; *c != '\0'; c++)
        if (*c != ',')
            fputc(*c == ' ' ? '-' : *c, to);
    if (bytes != NULL)
        fprintf(to, "-%.0f", *bytes);
    fputc(',', to);
}

static void
write_row(FILE *to, const bench_row *row, double seconds)
{
    const size_t room = HEADER + (size_t)BENCH_BUCKETS * COUNT_BYTES_MAX;
    struct buffer plain = {malloc(room), 0}, packed = {malloc(2 * room), 0};

    if (plain.bytes == NULL || packed.bytes == NULL)
        bench_die(BENCH_EXIT_MACHINE, "no memory");
    put_histogram(&plain, row->histogram);
    packed.size = 8; /* of its own header, below */
    put_zlib(&packed, &plain);
    plain.size = packed.size; /* from here on only remembered */
    packed.size = 0;
    put_number(&packed, COOKIE_COMPRESSED, 4);
    put_number(&packed, plain.size - 8, 4);
    packed.size = plain.size;
    write_tag(to, row);
    fprintf(to, "0.000,%.3f,%.3f,", seconds, (double)row->histogram->max / 1e6);
    write_base64(to, &packed);
    fputc('\n', to);
    free(plain.bytes);
    free(packed.bytes);
}

bool
bench_hdr_write(const bench_report *report)
{
    FILE *to = report->options->hdr;
    size_t i;

    if (to == NULL)
        return true;
    fprintf(to, "#[ringbench %s %s; values in nanoseconds]\n", RBR_VERSION,
            bench_mode_names[report->options->mode]);
    fputs("#[Histogram log format version 1.3]\n", to);
    fprintf(to, "#[StartTime: %.3f (seconds since epoch), %s]\n",
            (double)time(NULL) - report->run.seconds, report->run.started);
    fputs("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_"
          "Histogram\"\n",
          to);
    for (i = 0; i < report->count; i++)
        if (report->rows[i].histogram != NULL && report->rows[i].histogram->total > 0)
            write_row(to, &report->rows[i], report->run.seconds);
    return fflush(to) == 0 && !ferror(to) && fclose(to) == 0;
}
