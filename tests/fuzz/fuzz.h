/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share. A target is one function over bytes that anybody may have
 * written; it returns, or the process ends with a message: that is a finding.
 *
 * libFuzzer calls it with inputs that it makes up, replay.c with those that are committed.
 */
#ifndef RBR_TESTS_FUZZ_H
#define RBR_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
