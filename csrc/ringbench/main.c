/* SPDX-License-Identifier: MIT */
/*
 * main.c - ringbench: what this machine can do, and how close ringbridge comes to it.
 */
#include "bench.h"
#include "page.h"
#include "process.h"
#include "progress.h"
#include "report.h"
#include "trace.h"

#include <string.h>

static void
run_mode(const bench_options *options, bench_report *report)
{
    switch (options->mode) {
    case BENCH_FLOOR:
        bench_floor(options, report);
        break;
    case BENCH_CALL:
        bench_call(options, report);
        break;
    case BENCH_STREAM:
        bench_stream(options, report);
        break;
    case BENCH_OPEN:
        bench_open(options, report);
        break;
    case BENCH_LARGE:
        bench_large(options, report);
        break;
    case BENCH_SOAK:
        bench_soak(options, report);
        break;
    case BENCH_FAULT:
        bench_fault(options, report);
        break;
    default:
        bench_compare(options, report);
        break;
    }
}

int
main(int argc, char **argv)
{
    static bench_report report;
    static bench_options options;

    if (argc > 1 && strcmp(argv[1], "report") == 0)
        return bench_report_page(argc - 1, argv + 1);
    bench_options_parse(&options, argc, argv);
    report.options = &options;
    bench_machine_read(&report.machine);
    bench_step_limit(options.duration_ns, options.count);
    if (options.break_above_ns != 0)
        bench_trace_open();
    bench_run_begin(&report.run, options.cpus);
    run_mode(&options, &report);
    bench_run_end(&report.run, options.cpus);
    bench_progress_end();
    bench_table_print(&report);
    if (!bench_json_write(&report))
        bench_die(BENCH_EXIT_MACHINE, "cannot write %s", options.json_path);
    if (!bench_hdr_write(&report))
        bench_die(BENCH_EXIT_MACHINE, "cannot write %s", options.hdr_path);
    if (fflush(stdout) != 0)
        bench_die(BENCH_EXIT_MACHINE, "cannot write the table");
    if (bench_report_is_wrong(&report))
        return BENCH_EXIT_WRONG;
    return bench_limits_exceeded(&report) > 0 ? BENCH_EXIT_LIMIT : 0;
}
