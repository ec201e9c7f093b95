/* SPDX-License-Identifier: MIT */
/*
 * options.c - the command line. Whatever is wrong with it is said with what would be right.
 */
#include "bench.h"
#include "option_values.h"
#include "sequence.h"

#include "segment.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_DEFAULT = 3, BATCH_DEFAULT = 64, BATCH_MAX = 1 << 20, WINDOW_MAX = 4096 };
#define COUNT_MAX UINT64_C(100000000000)
#define RATE_MAX 1000000000
#define RATE_DEFAULT 10000
#define ARENA_MIN (UINT64_C(1) << 20)
#define ARENA_MAX (UINT64_C(1) << 40)
#define DURATION_DEFAULT_NS UINT64_C(1000000000)
#define PERCENTILES_DEFAULT "50,90,99,99.9"

const char *const bench_mode_names[] = {[BENCH_FLOOR] = "floor",   [BENCH_CALL] = "call",
                                        [BENCH_STREAM] = "stream", [BENCH_OPEN] = "open",
                                        [BENCH_LARGE] = "large",   [BENCH_SOAK] = "soak",
                                        [BENCH_FAULT] = "fault",   [BENCH_COMPARE] = "compare"};
const char *const bench_wait_names[] = {"spin", "yield", "block", "adaptive"};

enum option_id {
    CPUS = 256,
    THREADS,
    DURATION,
    COUNT,
    RUNS,
    SIZE,
    BATCH,
    WINDOW,
    RATE,
    BURST,
    WAIT,
    RING,
    ARENA,
    SEED,
    TRAFFIC,
    FAULTS,
    PEERS,
    PERCENTILES,
    JSON,
    HDR,
    FAIL_ABOVE,
    BREAK_ABOVE,
    QUIET,
    HELP
};

enum {
    EVERY = 255,
    TIMED = BENCH_FLOOR | BENCH_CALL | BENCH_STREAM | BENCH_OPEN | BENCH_LARGE | BENCH_COMPARE,
    RINGS = BENCH_CALL | BENCH_STREAM | BENCH_OPEN | BENCH_SOAK | BENCH_COMPARE,
    SIZED = RINGS | BENCH_LARGE,
};

/* The modes that an option means something to stand beside it. */
static const struct {
    struct option option;
    int modes;
} known[] = {
    {{"cpus", required_argument, NULL, CPUS}, EVERY},
    {{"threads", no_argument, NULL, THREADS}, BENCH_FLOOR | BENCH_CALL | BENCH_STREAM | BENCH_OPEN},
    {{"duration", required_argument, NULL, DURATION}, EVERY & ~BENCH_FAULT},
    {{"count", required_argument, NULL, COUNT}, EVERY & ~BENCH_SOAK},
    {{"runs", required_argument, NULL, RUNS}, TIMED},
    {{"size", required_argument, NULL, SIZE}, SIZED},
    {{"batch", required_argument, NULL, BATCH}, BENCH_STREAM | BENCH_COMPARE},
    {{"window", required_argument, NULL, WINDOW}, BENCH_CALL},
    {{"rate", required_argument, NULL, RATE}, BENCH_OPEN},
    {{"burst", required_argument, NULL, BURST}, BENCH_OPEN},
    {{"wait", required_argument, NULL, WAIT}, SIZED},
    {{"ring", required_argument, NULL, RING}, SIZED | BENCH_FAULT},
    {{"arena", required_argument, NULL, ARENA}, BENCH_CALL | BENCH_LARGE | BENCH_SOAK},
    {{"seed", required_argument, NULL, SEED}, EVERY},
    {{"traffic", required_argument, NULL, TRAFFIC}, BENCH_SOAK},
    {{"faults", required_argument, NULL, FAULTS}, BENCH_FAULT},
    {{"peers", required_argument, NULL, PEERS}, BENCH_COMPARE},
    {{"percentiles", required_argument, NULL, PERCENTILES}, EVERY},
    {{"json", required_argument, NULL, JSON}, EVERY},
    {{"hdr", required_argument, NULL, HDR}, EVERY & ~BENCH_SOAK & ~BENCH_FAULT},
    {{"fail-above", required_argument, NULL, FAIL_ABOVE}, EVERY},
    {{"break-above", required_argument, NULL, BREAK_ABOVE}, BENCH_CALL | BENCH_OPEN},
    {{"quiet", no_argument, NULL, QUIET}, EVERY},
    {{"help", no_argument, NULL, HELP}, EVERY},
};
enum { KNOWN = sizeof known / sizeof known[0] };

static void
take_ring(bench_options *out, const char *value)
{
    out->ring_bytes = (uint32_t)bench_value_number("--ring", value, 1024, RBR_RING_BYTES_MIN,
                                                   RBR_RING_BYTES_MAX);
    if (!rbr_is_power_of_two(out->ring_bytes))
        bench_usage("--ring", value, "a power of two from 64K to 1G is allowed");
}

static uint32_t
small_number(const char *name, const char *value, uint64_t most)
{
    return (uint32_t)bench_value_number(name, value, 1000, 1, most);
}

/* How much is done. */
static bool
take_amount(bench_options *out, int id, const char *value)
{
    switch (id) {
    case DURATION:
        out->duration_ns = bench_value_duration_ns("--duration", value);
        out->count = 0;
        return true;
    case COUNT:
        out->count = bench_value_number("--count", value, 1000, 1, COUNT_MAX);
        return true;
    case RUNS:
        out->runs = small_number("--runs", value, BENCH_RUNS_MAX);
        return true;
    case SIZE:
        bench_value_sizes(out, value);
        return true;
    case BATCH:
        out->batch = small_number("--batch", value, BATCH_MAX);
        return true;
    case WINDOW:
        out->window = small_number("--window", value, WINDOW_MAX);
        return true;
    case RATE:
        out->rate = (double)bench_value_number("--rate", value, 1000, 1, RATE_MAX);
        return true;
    case BURST:
        out->burst = small_number("--burst", value, WINDOW_MAX);
        return true;
    default:
        return false;
    }
}

/* Where and how. */
static bool
take_place(bench_options *out, int id, const char *value)
{
    switch (id) {
    case CPUS:
        bench_value_cpus(out, value);
        return true;
    case THREADS:
        out->threads = true;
        return true;
    case WAIT:
        out->wait = bench_value_wait(value);
        return true;
    case RING:
        take_ring(out, value);
        return true;
    case ARENA:
        out->arena_bytes = bench_value_number("--arena", value, 1024, ARENA_MIN, ARENA_MAX);
        return true;
    case SEED:
        out->seed = bench_value_number("--seed", value, 1000, 0, UINT64_MAX / 2);
        return true;
    case TRAFFIC:
    case FAULTS:
    case PEERS:
        out->chosen = value;
        return true;
    default:
        return false;
    }
}

/* What is told. */
static void
take_output(bench_options *out, int id, const char *value)
{
    switch (id) {
    case PERCENTILES:
        bench_value_percentiles(out, value);
        break;
    case JSON:
        out->json_path = value;
        break;
    case HDR:
        out->hdr_path = value;
        break;
    case FAIL_ABOVE:
        bench_value_limits(out, value);
        break;
    case BREAK_ABOVE:
        out->break_above_ns = 1000 *
                              bench_value_number("--break-above", value, 1000, 1, 1000000000);
        break;
    case QUIET:
        out->quiet = true;
        break;
    default:
        break;
    }
}

static enum bench_mode
mode_of(const char *text)
{
    int mode;

    for (mode = BENCH_FLOOR; mode <= BENCH_COMPARE; mode *= 2)
        if (strcmp(text, bench_mode_names[mode]) == 0)
            return (enum bench_mode)mode;
    bench_usage("mode", text,
                "floor, call, stream, open, large, soak, fault, compare and report are allowed");
}

static void
refuse_for_mode(const char *name, int modes)
{
    char allowed[128] = "it belongs to";
    int mode;

    for (mode = BENCH_FLOOR; mode <= BENCH_COMPARE; mode *= 2)
        if ((modes & mode) != 0) {
            strncat(allowed, " ", sizeof allowed - strlen(allowed) - 1);
            strncat(allowed, bench_mode_names[mode], sizeof allowed - strlen(allowed) - 1);
        }
    bench_usage("no such option in this mode", name, allowed);
}

/* ------------------------------------------------------------ what only the whole line can tell */

static const char *
default_sizes(enum bench_mode mode)
{
    switch (mode) {
    case BENCH_STREAM:
    case BENCH_COMPARE:
        return "64,4K,64K";
    case BENCH_LARGE:
        return "64K,1M,16M,128M";
    case BENCH_SOAK:
        return "16,16K";
    default:
        return "64";
    }
}

static void
check_sizes(const bench_options *out, const char *sizes_given)
{
    size_t i;

    if (out->mode == BENCH_SOAK && (out->size_count != 2 || out->sizes[0] > out->sizes[1] ||
                                    out->sizes[0] < BENCH_SEQUENCE_BYTES_MIN))
        bench_usage("--size", sizes_given,
                    "the smallest size, from 16 on, and the largest one are "
                    "allowed, as in 16,16K");
    for (i = 0; i < out->size_count && (out->mode & RINGS & ~BENCH_COMPARE) != 0; i++) {
        if (out->sizes[i] > out->ring_bytes / 4 - 1024)
            bench_usage("--size", sizes_given,
                        "a record takes a quarter of the ring at the most: "
                        "smaller sizes, or a larger --ring, are allowed");
        /* The echo of a window that does not fit would wait for room while we wait for room. */
        if (out->window > 1 && (out->sizes[i] + 16) * out->window > out->ring_bytes)
            bench_usage("--size", sizes_given,
                        "--window times the size has to fit in the ring: a smaller --window, or a "
                        "larger --ring, is allowed");
    }
}

static FILE *
output(const char *name, const char *path)
{
    FILE *file = fopen(path, "we");

    if (file == NULL)
        bench_usage(name, path, strerror(errno));
    return file;
}

static void
check(bench_options *out, const char *sizes_given)
{
    if (out->size_count == 0)
        bench_value_sizes(out, default_sizes(out->mode));
    if (out->cpus[0] < 0)
        bench_default_cpus(out, false);
    if (out->cpus[0] == out->cpus[1] && out->wait == BENCH_WAIT_SPIN)
        bench_usage("--wait", "spin",
                    "who spins on the other side's CPU keeps it from running: with --cpus same, "
                    "yield, block and adaptive are allowed");
    check_sizes(out, sizes_given);
    if (out->json_path != NULL && strcmp(out->json_path, "-") == 0) {
        out->json = stdout;
        out->quiet = true;
    } else if (out->json_path != NULL) {
        out->json = output("--json", out->json_path);
    }
    if (out->hdr_path != NULL)
        out->hdr = output("--hdr", out->hdr_path);
}

static void
defaults(bench_options *out, enum bench_mode mode)
{
    *out = (bench_options){.mode = mode,
                           .duration_ns = DURATION_DEFAULT_NS,
                           .runs = mode == BENCH_SOAK || mode == BENCH_FAULT ? 1 : RUNS_DEFAULT,
                           .batch = BATCH_DEFAULT,
                           .window = 1,
                           .burst = 1,
                           .rate = RATE_DEFAULT,
                           .ring_bytes = RBR_RING_BYTES_DEFAULT,
                           .wait = mode == BENCH_SOAK ? BENCH_WAIT_ADAPTIVE : BENCH_WAIT_SPIN,
                           .cpus = {-1, -1}};
    if (mode == BENCH_SOAK)
        out->duration_ns *= 60;
    if (mode == BENCH_FAULT) {
        out->ring_bytes = RBR_RING_BYTES_MIN; /* often full, often at its end */
        out->wait = BENCH_WAIT_ADAPTIVE;
    }
    bench_value_percentiles(out, PERCENTILES_DEFAULT);
}

static void
answer_without_mode(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        bench_help(argc < 2 ? stderr : stdout);
        exit(argc < 2 ? BENCH_EXIT_USAGE : 0);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("ringbench " RBR_VERSION);
        exit(0);
    }
}

void
bench_options_parse(bench_options *out, int argc, char **argv)
{
    struct option options[KNOWN + 1] = {{NULL, 0, NULL, 0}};
    const char *sizes_given = "";
    bool wait_given = false;
    int id, index = 0, i;

    answer_without_mode(argc, argv);
    for (i = 0; i < KNOWN; i++)
        options[i] = known[i].option;
    defaults(out, mode_of(argv[1]));
    while ((id = getopt_long(argc - 1, argv + 1, "h", options, &index)) != -1) {
        if (id == '?') { /* getopt has said what is wrong */
            fputs("Try 'ringbench --help'.\n", stderr);
            exit(BENCH_EXIT_USAGE);
        }
        if (id == 'h' || id == HELP) {
            bench_help(stdout);
            exit(0);
        }
        if ((known[index].modes & (int)out->mode) == 0)
            refuse_for_mode(known[index].option.name, known[index].modes);
        if (id == SIZE)
            sizes_given = optarg;
        wait_given = wait_given || id == WAIT;
        if (!take_amount(out, id, optarg) && !take_place(out, id, optarg))
            take_output(out, id, optarg);
    }
    if (optind < argc - 1)
        bench_usage("one mode, then options; not", argv[optind + 1], "see --help");
    if (out->cpus[0] == out->cpus[1] && out->cpus[0] >= 0 && !wait_given)
        out->wait = BENCH_WAIT_BLOCK;
    check(out, sizes_given);
}
