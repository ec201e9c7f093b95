/* SPDX-License-Identifier: MIT */
/*
 * utf8.h - characters in UTF-8, strictly: nothing overlong, no surrogates, nothing above U+10FFFF.
 */
#ifndef RBR_BENCH_UTF8_H
#define RBR_BENCH_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* The bytes of the character at `at`: 1 to 4; 0: it is none, or `end` cuts it. */
size_t bench_utf8_length(const char *at, const char *end);
/* The character at `at`, which is a whole one of `length` bytes. */
uint32_t bench_utf8_get(const char *at, size_t length);
/* Writes up to 4 bytes and returns how many. */
size_t bench_utf8_put(char *out, uint32_t code);

#endif
