/* SPDX-License-Identifier: MIT */
/*
 * main.c - ringbench: what this machine can do, and how close ringbridge comes to it.
 */
#include "bench.h"
#include "processes.h"
#include "report.h"

void
bench_help(FILE *to)
{
    static const char text[] =
        "usage: ringbench MODE [OPTION]...\n"
        "\n"
        "Measures ringbridge between two processes on this machine, in C, and the machine itself\n"
        "beside it: every figure that matters is also a ratio to the machine's floor, measured in\n"
        "turn with it, so that other load meets both.\n"
        "\n"
        "Modes\n"
        "  floor    what the machine can do: cache lines between two CPUs, wake-ups, memcpy,\n"
        "           system calls. Nothing between two processes is faster.\n"
        "               ringbench floor\n"
        "  call     round trips: raw records in a ring, and whole calls over a real channel.\n"
        "           Ratios: to the cache-line ping-pong; where both sides sleep, to sem_t.\n"
        "               ringbench call --wait block --duration 2s\n"
        "  stream   one way, records in batches, every byte read. Ratio: to memcpy of that size.\n"
        "               ringbench stream --size 64,4K,64K --batch 64\n"
        "\n"
        "Options\n"
        "  --cpus A,B       the two CPUs (default: the first two that are allowed)\n"
        "  --duration T     of one run: 500ms, 2s, 1m (default 1s)\n"
        "  --count N        or: so many round trips or records a run; suffixes K, M, G\n"
        "  --runs N         how many runs, 1 to 100 (default 3)\n"
        "  --size LIST      call, stream: bytes of a record; a list with suffixes: 64,4K,64K\n"
        "  --batch N        stream: records that are made visible at once (default 64; at most a\n"
        "                   sixteenth of the ring)\n"
        "  --ring BYTES     call, stream: of each ring, a power of two (default 1M)\n"
        "  --wait HOW       call: spin (default), block (both sides sleep every time),\n"
        "                   adaptive (what ringbridge does by itself: spin a little, then sleep)\n"
        "  --json FILE      machine, parameters and all figures; - is stdout, without the table\n"
        "  --quiet          no table, no progress\n"
        "  --help, --version\n"
        "\n"
        "Reading the table\n"
        "  trip us    median over slices that were timed as a whole: no clock in it\n"
        "  p50 ... max  each round trip timed by itself; one reading of the clock is in it\n"
        "  ratio      median over neighbouring slices; with block, of the two p50, because one\n"
        "             preemption outweighs a slice of sleeps. budget: what we allow ourselves\n"
        "  / bare     part of the speed of bare slots and two counters, without records\n"
        "  line us    the ping-pong meanwhile: hypervisors move CPUs together and apart\n"
        "  late       sleeps that a 100 ms timer had to end: a lost wake-up; must be 0\n"
        "\n"
        "Exit status: 0, 1 wrong data arrived, 2 a bad option, 3 the machine does not allow it.\n";

    fputs(text, to);
}

int
main(int argc, char **argv)
{
    static bench_report report;
    bench_options options;
    int code;

    bench_options_parse(&options, argc, argv);
    bench_step_limit(options.duration_ns, options.count);
    report.options = &options;
    switch (options.mode) {
    case BENCH_FLOOR:
        code = bench_floor(&options, &report);
        break;
    case BENCH_CALL:
        code = bench_call(&options, &report);
        break;
    default:
        code = bench_stream(&options, &report);
        break;
    }
    if (!bench_report_json(&report))
        bench_die(BENCH_EXIT_MACHINE, "cannot write %s", options.json_path);
    if (fflush(stdout) != 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot write the table");
    return code;
}
