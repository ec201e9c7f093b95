/* SPDX-License-Identifier: MIT */
/*
 * options.c - the command line. Whatever is wrong with it is said with what would be right.
 */
#include "bench.h"
#include "processes.h"

#include "segment.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum { RUNS_DEFAULT = 3, BATCH_DEFAULT = 64, BATCH_MAX = 1 << 20 };
#define DURATION_MIN_S 0.001
#define DURATION_MAX_S 3600.0
#define COUNT_MAX UINT64_C(100000000000)

const char *const bench_mode_names[] = {
    [BENCH_FLOOR] = "floor", [BENCH_CALL] = "call", [BENCH_STREAM] = "stream"};
const char *const bench_wait_names[] = {"spin", "block", "adaptive"};

enum option_id { CPUS = 256, DURATION, COUNT, RUNS, SIZE, BATCH, RING, WAIT, JSON, QUIET, HELP };

static const struct option known[] = {
    {"cpus", required_argument, NULL, CPUS},   {"duration", required_argument, NULL, DURATION},
    {"count", required_argument, NULL, COUNT}, {"runs", required_argument, NULL, RUNS},
    {"size", required_argument, NULL, SIZE},   {"batch", required_argument, NULL, BATCH},
    {"ring", required_argument, NULL, RING},   {"wait", required_argument, NULL, WAIT},
    {"json", required_argument, NULL, JSON},   {"quiet", no_argument, NULL, QUIET},
    {"help", no_argument, NULL, HELP},         {NULL, 0, NULL, 0}};

/* The modes that an option means something to, by option_id. */
static const int option_modes[] = {[SIZE - CPUS] = BENCH_CALL | BENCH_STREAM,
                                   [BATCH - CPUS] = BENCH_STREAM,
                                   [RING - CPUS] = BENCH_CALL | BENCH_STREAM,
                                   [WAIT - CPUS] = BENCH_CALL,
                                   [HELP - CPUS] = 0};

_Noreturn static void
usage(const char *what, const char *given, const char *allowed)
{
    fprintf(stderr, "ringbench: %s '%s': %s\n", what, given, allowed);
    fputs("Try 'ringbench --help'.\n", stderr);
    exit(BENCH_EXIT_USAGE);
}

/* A number with an optional suffix (K, M, G: powers of 1024 or of 1000); false: it is none. */
static bool
number(const char *text, const char **end, unsigned base, uint64_t *out)
{
    static const char suffixes[] = "kmg";
    uint64_t factor = 1, value;
    const char *suffix;
    char *after;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    value = strtoull(text, &after, 10);
    if (errno != 0)
        return false;
    suffix = *after != '\0' ? strchr(suffixes, *after | 0x20) : NULL;
    if (suffix != NULL) {
        for (; suffix >= suffixes; suffix--)
            factor *= base;
        after++;
    }
    *end = after;
    *out = value * factor;
    return value <= UINT64_MAX / factor;
}

static uint64_t
whole_number(const char *name, const char *text, unsigned base, uint64_t least, uint64_t most)
{
    char allowed[96];
    const char *end;
    uint64_t value;

    if (number(text, &end, base, &value) && *end == '\0' && value >= least && value <= most)
        return value;
    snprintf(allowed, sizeof allowed, "a number from %llu to %llu is allowed, suffixes K, M, G",
             (unsigned long long)least, (unsigned long long)most);
    usage(name, text, allowed);
}

static void
sizes(bench_options *out, const char *text)
{
    const char *at = text;

    for (out->size_count = 0; out->size_count < BENCH_SIZES_MAX; at++) {
        uint64_t *size = &out->sizes[out->size_count];

        if (!number(at, &at, 1024, size) || *size < 8 || *size > RBR_RING_BYTES_MAX)
            break;
        out->size_count++;
        if (*at == '\0')
            return;
        if (*at != ',')
            break;
    }
    usage("--size", text, "up to 16 sizes from 8 to 1G bytes are allowed, as in 64,4K,64K");
}

static void
duration(bench_options *out, const char *text)
{
    char *end;
    double seconds = strtod(text, &end);

    if (strcmp(end, "ms") == 0)
        seconds /= 1000;
    else if (strcmp(end, "m") == 0)
        seconds *= 60;
    else if (*end != '\0' && strcmp(end, "s") != 0)
        end = (char *)text;
    if (end == text || !(seconds >= DURATION_MIN_S && seconds <= DURATION_MAX_S))
        usage("--duration", text, "1ms to 60m of a run are allowed, as in 500ms, 2s or 1m");
    out->duration_ns = (uint64_t)(seconds * 1e9);
    out->count = 0;
}

static void
cpus(bench_options *out, const char *text)
{
    int allowed[1024], count = bench_cpus_allowed(allowed, 1024), side, i;
    uint64_t given[2] = {0, 0};
    const char *end = text;
    char message[160];
    size_t used;

    if (number(text, &end, 1000, &given[0]) && *end == ',' &&
        number(end + 1, &end, 1000, &given[1]) && *end == '\0') {
        for (side = 0; side < 2; side++)
            for (i = 0, out->cpus[side] = -1; i < count && i < 1024; i++)
                if ((uint64_t)allowed[i] == given[side])
                    out->cpus[side] = allowed[i];
        if (out->cpus[0] >= 0 && out->cpus[1] >= 0 && out->cpus[0] != out->cpus[1])
            return;
    }
    used = (size_t)snprintf(message, sizeof message,
                            "two different CPUs are allowed, as in 0,1; this process may use");
    for (i = 0; i < count && i < 8; i++)
        used += (size_t)snprintf(message + used, sizeof message - used, " %d", allowed[i]);
    usage("--cpus", text, message);
}

static void
default_cpus(bench_options *out)
{
    const int count = bench_cpus_allowed(out->cpus, 2);

    if (count >= 2)
        return;
    fputs("ringbench: this process may use one CPU only, and two are measured: see taskset(1), or "
          "the container's CPU limit\n",
          stderr);
    exit(BENCH_EXIT_MACHINE);
}

static enum bench_wait
wait_of(const char *text)
{
    int wait;

    for (wait = BENCH_WAIT_SPIN; wait <= BENCH_WAIT_ADAPTIVE; wait++)
        if (strcmp(text, bench_wait_names[wait]) == 0)
            return (enum bench_wait)wait;
    usage("--wait", text, "spin, block or adaptive are allowed");
}

static void
take(bench_options *out, int id, const char *value)
{
    switch (id) {
    case CPUS:
        cpus(out, value);
        break;
    case DURATION:
        duration(out, value);
        break;
    case COUNT:
        out->count = whole_number("--count", value, 1000, 1, COUNT_MAX);
        break;
    case RUNS:
        out->runs = (uint32_t)whole_number("--runs", value, 1000, 1, 100);
        break;
    case SIZE:
        sizes(out, value);
        break;
    case BATCH:
        out->batch = (uint32_t)whole_number("--batch", value, 1000, 1, BATCH_MAX);
        break;
    case RING:
        out->ring_bytes = (uint32_t)whole_number("--ring", value, 1024, RBR_RING_BYTES_MIN,
                                                 RBR_RING_BYTES_MAX);
        if (!rbr_is_power_of_two(out->ring_bytes))
            usage("--ring", value, "a power of two from 64K to 1G is allowed");
        break;
    case WAIT:
        out->wait = wait_of(value);
        break;
    case JSON:
        out->json_path = value;
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
    if (strcmp(text, "floor") == 0)
        return BENCH_FLOOR;
    if (strcmp(text, "call") == 0)
        return BENCH_CALL;
    if (strcmp(text, "stream") == 0)
        return BENCH_STREAM;
    usage("mode", text, "floor, call and stream are allowed");
}

/* What only the whole command line can tell. */
static void
check(bench_options *out, const char *sizes_given)
{
    size_t i;

    if (out->size_count == 0 && out->mode == BENCH_STREAM)
        sizes(out, "64,4K,64K");
    else if (out->size_count == 0)
        sizes(out, "64");
    for (i = 0; i < out->size_count; i++)
        if (out->sizes[i] > out->ring_bytes / 4 - 1024)
            usage("--size", sizes_given,
                  "a record takes a quarter of the ring at the most: "
                  "smaller sizes, or a larger --ring, are allowed");
    if (out->json_path == NULL)
        return;
    out->json = strcmp(out->json_path, "-") == 0 ? stdout : fopen(out->json_path, "we");
    if (out->json == NULL)
        usage("--json", out->json_path, strerror(errno));
    if (out->json == stdout)
        out->quiet = true;
}

void
bench_options_parse(bench_options *out, int argc, char **argv)
{
    const char *sizes_given = "";
    int id, modes, index = 0;

    *out = (bench_options){.duration_ns = UINT64_C(1000000000),
                           .runs = RUNS_DEFAULT,
                           .batch = BATCH_DEFAULT,
                           .ring_bytes = RBR_RING_BYTES_DEFAULT,
                           .cpus = {-1, -1}};
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        bench_help(argc < 2 ? stderr : stdout);
        exit(argc < 2 ? BENCH_EXIT_USAGE : 0);
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("ringbench " RBR_VERSION);
        exit(0);
    }
    out->mode = mode_of(argv[1]);
    while ((id = getopt_long(argc - 1, argv + 1, "h", known, &index)) != -1) {
        if (id == '?') { /* getopt has said what is wrong */
            fputs("Try 'ringbench --help'.\n", stderr);
            exit(BENCH_EXIT_USAGE);
        }
        if (id == 'h' || id == HELP) {
            bench_help(stdout);
            exit(0);
        }
        modes = option_modes[id - CPUS];
        if (modes != 0 && (modes & (int)out->mode) == 0)
            usage("no such option in this mode", known[index].name,
                  modes == BENCH_CALL     ? "it belongs to call"
                  : modes == BENCH_STREAM ? "it belongs to stream"
                                          : "it belongs to call and stream");
        if (id == SIZE)
            sizes_given = optarg;
        take(out, id, optarg);
    }
    if (optind < argc - 1)
        usage("one mode, then options; not", argv[optind + 1], "see --help");
    if (out->cpus[0] < 0)
        default_cpus(out);
    check(out, sizes_given);
}
