/* SPDX-License-Identifier: MIT */
/*
 * machine.c - what /proc, uname and the CPU itself say.
 */
#include "machine.h"

#include "ringbridge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* A run that lost more than this to others is called noisy. A kernel's own threads run 25 to 40 times
 * a second on two CPUs that spin, briefly; a program that wants one of them has it over a hundred
 * times, for milliseconds. */
#define NOISY_STEAL_PERCENT 1.0
#define NOISY_SWITCHES_PER_S 60.0

static void
cpu_model(char *out, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[256];

    snprintf(out, size, "unknown CPU");
    if (file == NULL)
        return;
    while (fgets(line, sizeof line, file) != NULL) {
        const char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) != 0 || colon == NULL)
            continue;
        snprintf(out, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    fclose(file);
}

/* x86: leaf 0x40000000 names it where bit 31 of leaf 1's ecx says that there is one (the convention
 * of all hypervisors since Microsoft's specification). Elsewhere the device tree tells. */
static void
hypervisor(char *out, size_t size)
{
    out[0] = '\0';
#if defined(__x86_64__)
    unsigned a, b, c, d;
    char name[13] = "";

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & (1u << 31)) == 0)
        return;
    __cpuid(0x40000000, a, b, c, d);
    memcpy(name, &b, 4);
    memcpy(name + 4, &c, 4);
    memcpy(name + 8, &d, 4);
    if (strncmp(name, "KVMKVMKVM", 9) == 0)
        snprintf(out, size, "KVM");
    else
        snprintf(out, size, "%s", name[0] != '\0' ? name : "unnamed");
#else
    FILE *file = fopen("/proc/device-tree/hypervisor/compatible", "re");

    if (file == NULL)
        return;
    if (fgets(out, (int)size, file) == NULL)
        out[0] = '\0';
    fclose(file);
#endif
}

static const char *
compiler(void)
{
#if defined(__clang__)
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

void
bench_machine_read(bench_machine *out)
{
    struct utsname system;

    memset(out, 0, sizeof *out);
    cpu_model(out->cpu, sizeof out->cpu);
    hypervisor(out->hypervisor, sizeof out->hypervisor);
    uname(&system);
    snprintf(out->kernel, sizeof out->kernel, "%.63s", system.release);
    snprintf(out->architecture, sizeof out->architecture, "%.31s", system.machine);
    out->cpus = sysconf(_SC_NPROCESSORS_ONLN);
    out->compiler = compiler();
    if (getloadavg(&out->load_average, 1) != 1)
        out->load_average = 0;
}

/* -------------------------------------------------------------------------------------- the run */

static struct {
    uint64_t ns, steal_ticks, switches; /* at the beginning */
    uint64_t excused;
} begun;

static uint64_t
steal_ticks(const int cpus[2])
{
    FILE *file = fopen("/proc/stat", "re");
    unsigned long long steal;
    uint64_t sum = 0;
    char line[256];
    int cpu;

    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "cpu%d %*u %*u %*u %*u %*u %*u %*u %llu", &cpu, &steal) == 2 &&
            (cpu == cpus[0] || cpu == cpus[1]))
            sum += steal;
    fclose(file);
    return sum;
}

static uint64_t
involuntary_switches(void)
{
    struct rusage own, children;

    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    return (uint64_t)(own.ru_nivcsw + children.ru_nivcsw);
}

void
bench_run_begin(bench_run *run, const int cpus[2])
{
    const time_t now = time(NULL);
    struct tm utc;

    memset(run, 0, sizeof *run);
    gmtime_r(&now, &utc);
    strftime(run->started, sizeof run->started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    begun.steal_ticks = steal_ticks(cpus);
    begun.switches = involuntary_switches();
    begun.ns = rbr_now_ns();
}

void
bench_run_excuse(uint64_t switches)
{
    begun.excused += switches;
}

void
bench_run_end(bench_run *run, const int cpus[2])
{
    const double ticks = (double)(steal_ticks(cpus) - begun.steal_ticks);
    const int used = cpus[0] == cpus[1] ? 1 : 2;
    double switches_per_s;
    uint64_t switches;

    run->seconds = (double)(rbr_now_ns() - begun.ns) / 1e9;
    run->steal_percent = 100.0 * ticks / (double)sysconf(_SC_CLK_TCK) /
                         (run->seconds * used + 1e-9);
    switches = involuntary_switches() - begun.switches;
    run->involuntary_switches = switches > begun.excused ? switches - begun.excused : 0;
    switches_per_s = (double)run->involuntary_switches / (run->seconds + 1e-9);
    run->noisy = run->steal_percent > NOISY_STEAL_PERCENT || switches_per_s > NOISY_SWITCHES_PER_S;
    if (run->steal_percent > NOISY_STEAL_PERCENT)
        snprintf(run->noise, sizeof run->noise, "the hypervisor took %.1f %% of the CPUs' time",
                 run->steal_percent);
    else if (run->noisy)
        snprintf(run->noise, sizeof run->noise, "others ran on our CPUs %.0f times a second",
                 switches_per_s);
}
