/* SPDX-License-Identifier: MIT */
/*
 * progress.c - one line that says what is done now, written over again and again.
 */
#include "progress.h"

#include "base.h"

#include <stdarg.h>
#include <unistd.h>

#define EVERY_NS (100 * RBR_MS)
#define CLEAR_LINE "\r\033[K"

static uint64_t next_ns;
static bool shown;

void
bench_progress(const bench_options *options, const char *format, ...)
{
    const uint64_t now = rbr_now_ns();
    va_list arguments;

    if (options->quiet || now < next_ns || !isatty(STDERR_FILENO))
        return;
    next_ns = now + EVERY_NS;
    shown = true;
    fprintf(stderr, CLEAR_LINE "ringbench %s: ", bench_mode_names[options->mode]);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
}

void
bench_progress_end(void)
{
    if (shown)
        fputs(CLEAR_LINE, stderr);
    shown = false;
}
