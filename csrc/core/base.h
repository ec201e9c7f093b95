/* SPDX-License-Identifier: MIT */
/*
 * base.h - what every file of the core may use: errors, extra checks, small arithmetic.
 */
#ifndef RBR_BASE_H
#define RBR_BASE_H

#include "ringbridge.h"

#include <assert.h>
#include <stdarg.h>
#include <stdatomic.h>

/* Extra invariant checks: on in VERIFY builds, free elsewhere. Never on what the peer can write.
 * Where a check walks a whole structure, it is a function that exists in VERIFY builds alone; its own
 * asserts say what is wrong, so it returns true. */
#ifdef RBR_VERIFY_BUILD
#define RBR_VERIFY(condition) assert(condition)
#else
#define RBR_VERIFY(condition) ((void)0)
#endif

#define RBR_MIB (UINT64_C(1) << 20)
#define RBR_MS (UINT64_C(1000000))
#define RBR_SECOND (UINT64_C(1000000000))

/* Fill err (which may be NULL) and return its status, so that `return rbr_fail(...)` reads well.
 * rbr_fail_sys appends errno's text and gives RBR_SYSTEM. */
rbr_status rbr_fail(rbr_error *err, rbr_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
rbr_status rbr_fail_sys(rbr_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#ifdef __clang_analyzer__ /* sees one file at a time: this says what error.c returns */
#define rbr_fail(err, status, ...) (rbr_fail(err, status, __VA_ARGS__), (status))
#define rbr_fail_sys(...) (rbr_fail_sys(__VA_ARGS__), RBR_SYSTEM)
#endif

static inline uint64_t
rbr_round_up(uint64_t value, uint64_t power_of_two)
{
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

static inline bool
rbr_is_power_of_two(uint64_t value)
{
    return value != 0 && (value & (value - 1)) == 0;
}

#endif
