/* SPDX-License-Identifier: MIT */
/*
 * error.c - messages for people.
 */
#include "base.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#undef rbr_fail /* macros for clang's analyzer */
#undef rbr_fail_sys

static void
error_write(rbr_error *err, rbr_status status, const char *format, va_list arguments)
{
    err->status = status;
    err->sys_errno = 0;
    vsnprintf(err->text, sizeof err->text, format, arguments);
}

rbr_status
rbr_fail(rbr_error *err, rbr_status status, const char *format, ...)
{
    va_list arguments;

    if (err == NULL)
        return status;
    va_start(arguments, format);
    error_write(err, status, format, arguments);
    va_end(arguments);
    return status;
}

rbr_status
rbr_fail_sys(rbr_error *err, const char *format, ...)
{
    const int number = errno;
    char reason[128];
    va_list arguments;
    size_t used;

    if (err == NULL)
        return RBR_SYSTEM;
    va_start(arguments, format);
    error_write(err, RBR_SYSTEM, format, arguments);
    va_end(arguments);
    err->sys_errno = number;
    used = strlen(err->text);
    /* GNU's strerror_r, which may or may not use the buffer; strerror is not safe with threads. */
    snprintf(err->text + used, sizeof err->text - used, ": %s",
             strerror_r(number, reason, sizeof reason));
    return RBR_SYSTEM;
}
