/* SPDX-License-Identifier: MIT */
/*
 * utf8.c - one character at a time.
 */
#include "utf8.h"

size_t
bench_utf8_length(const char *at, const char *end)
{
    const unsigned char *const bytes = (const unsigned char *)at;
    size_t length, i;

    if (at >= end)
        return 0;
    if (bytes[0] < 0x80)
        return 1;
    if (bytes[0] < 0xc2 || bytes[0] > 0xf4) /* inside a character, overlong, or too large */
        return 0;
    length = bytes[0] < 0xe0 ? 2 : bytes[0] < 0xf0 ? 3 : 4;
    if ((size_t)(end - at) < length)
        return 0;
    for (i = 1; i < length; i++)
        if ((bytes[i] & 0xc0u) != 0x80u)
            return 0;
    if ((bytes[0] == 0xe0 && bytes[1] < 0xa0) || (bytes[0] == 0xf0 && bytes[1] < 0x90) ||
        (bytes[0] == 0xed && bytes[1] > 0x9f) || (bytes[0] == 0xf4 && bytes[1] > 0x8f))
        return 0; /* overlong; surrogates and too large */
    return length;
}

uint32_t
bench_utf8_get(const char *at, size_t length)
{
    static const unsigned char lead_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07}; /* by length */
    uint32_t code = (unsigned char)at[0] & lead_bits[length];
    size_t i;

    for (i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)at[i] & 0x3fu);
    return code;
}

size_t
bench_utf8_put(char *out, uint32_t code)
{
    static const unsigned char leads[] = {0, 0, 0xc0, 0xe0, 0xf0}; /* by length */
    const size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    size_t i;

    for (i = length; i > 1; i--, code >>= 6)
        out[i - 1] = (char)(0x80u | (code & 0x3fu));
    out[0] = (char)(leads[length] | code);
    return length;
}
