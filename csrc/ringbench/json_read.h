/* SPDX-License-Identifier: MIT */
/*
 * json_read.h - JSON text into a tree, strictly (RFC 8259). See json_read.c.
 *
 * Knows nothing of ringbench: a test links it alone.
 */
#ifndef RBR_BENCH_JSON_READ_H
#define RBR_BENCH_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Our documents have five levels, some 40 members an object and some thousand values. */
#define BENCH_JSON_BYTES_MAX (16u << 20)  /* of a text */
#define BENCH_JSON_DEPTH_MAX 32           /* arrays and objects in each other */
#define BENCH_JSON_MEMBERS_MAX 256 /* of an object: each name is compared with all others */
#define BENCH_JSON_VALUES_MAX (1u << 20) /* of a text */

enum bench_json_type {
    BENCH_JSON_NULL,
    BENCH_JSON_FALSE,
    BENCH_JSON_TRUE,
    BENCH_JSON_NUMBER,
    BENCH_JSON_STRING,
    BENCH_JSON_ARRAY,
    BENCH_JSON_OBJECT,
};

typedef struct bench_json {
    enum bench_json_type type;
    uint32_t offset; /* in the text */
    uint32_t count; /* of items or members */
    double number; /* always finite */
    const char *text; /* of a string: UTF-8 that ends with its only zero; else NULL */
    const char *key; /* of a member of an object: its name; else NULL */
    struct bench_json *next; /* of the same array or object */
    struct bench_json *first;
} bench_json;

typedef struct bench_json_document {
    bench_json *root;
    const char *text; /* not owned */
    char *strings; /* all that were unescaped */
    struct bench_json_block *blocks;
} bench_json_document;

typedef struct bench_json_error {
    unsigned line, column; /* from 1; the column counts characters */
    char message[160];
} bench_json_error;

/* The text must stay as long as the document. False: nothing is left to free. */
bool bench_json_read(bench_json_document *out, const char *text, size_t size,
                     bench_json_error *error);
void bench_json_free(bench_json_document *document);

/* NULL: there is none of that name, or this is no object. */
const bench_json *bench_json_member(const bench_json *object, const char *key);
void bench_json_where(const bench_json_document *document, const bench_json *value, unsigned *line,
                      unsigned *column);
/* How an error message calls it: "a list". */
const char *bench_json_type_name(const bench_json *value);

#endif
