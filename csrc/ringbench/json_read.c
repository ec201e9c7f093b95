/* SPDX-License-Identifier: MIT */
/*
 * json_read.c - JSON text into a tree, strictly (RFC 8259).
 *
 * The text may come from anybody. It is never written to; unescaped strings go to a buffer of the
 * text's size, which they cannot exceed: a string's quotes are two bytes, its final zero is one.
 * No recursion: open arrays and objects stand in a list of BENCH_JSON_DEPTH_MAX. Stricter than the
 * RFC demands, because our documents need none of it: a name twice in an object, a zero byte or
 * half a surrogate pair in a string, and a number that no double can hold are refused.
 */
#include "json_read.h"
#include "utf8.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_VALUES = 512, SHOWN_BYTES = 40 };

struct bench_json_block {
    struct bench_json_block *next;
    size_t used;
    bench_json values[BLOCK_VALUES];
};

struct open_value {
    bench_json *value;
    bench_json *last; /* its newest item or member */
};

typedef struct reader {
    bench_json_document document;
    const char *at, *end;
    char *strings; /* the next free byte */
    size_t values;
    struct open_value open[BENCH_JSON_DEPTH_MAX];
    size_t depth;
    bench_json_error *error;
} reader;

static void
position(const char *text, size_t offset, unsigned *line, unsigned *column)
{
    size_t i;

    *line = *column = 1;
    for (i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            ++*line;
            *column = 1;
        } else if (((unsigned char)text[i] & 0xc0u) != 0x80u) {
            ++*column;
        }
    }
}

__attribute__((format(printf, 3, 4))) static bool
fail(reader *r, const char *at, const char *format, ...)
{
    va_list arguments;

    position(r->document.text, (size_t)(at - r->document.text), &r->error->line, &r->error->column);
    va_start(arguments, format);
    vsnprintf(r->error->message, sizeof r->error->message, format, arguments);
    va_end(arguments);
    return false;
}

/* What stands there instead of what is expected. */
static bool
unexpected(reader *r, const char *expected)
{
    const unsigned char byte = r->at < r->end ? (unsigned char)*r->at : 0;

    if (r->at == r->end)
        return fail(r, r->at, "%s is expected, but the text ends", expected);
    if (byte > 0x20 && byte < 0x7f)
        return fail(r, r->at, "%s is expected, not '%c'", expected, byte);
    return fail(r, r->at, "%s is expected, not the byte 0x%02x", expected, byte);
}

static void
skip_space(reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static bool
is_digit(const reader *r)
{
    return r->at < r->end && *r->at >= '0' && *r->at <= '9';
}

/* NULL: no memory, or too many values; the error is set. */
static bench_json *
new_value(reader *r)
{
    struct bench_json_block *block = r->document.blocks;

    if (r->values == BENCH_JSON_VALUES_MAX) {
        fail(r, r->at, "more than %u values: this is no result of a benchmark",
             BENCH_JSON_VALUES_MAX);
        return NULL;
    }
    if (block == NULL || block->used == BLOCK_VALUES) {
        block = malloc(sizeof *block);
        if (block == NULL) {
            fail(r, r->at, "out of memory");
            return NULL;
        }
        block->next = r->document.blocks;
        block->used = 0;
        r->document.blocks = block;
    }
    r->values++;
    block->values[block->used] = (bench_json){.offset = (uint32_t)(r->at - r->document.text)};
    return &block->values[block->used++];
}

/* -------------------------------------------------------------------------------------- strings */

/* Four hexadecimal digits; UINT32_MAX: there are not. */
static uint32_t
hex4(const reader *r, const char *at)
{
    uint32_t code = 0;
    int i;

    if (r->end - at < 4)
        return UINT32_MAX;
    for (i = 0; i < 4; i++) {
        const char c = at[i];

        code <<= 4;
        if (c >= '0' && c <= '9')
            code |= (uint32_t)(c - '0');
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            code |= (uint32_t)((c | 0x20) - 'a' + 10);
        else
            return UINT32_MAX;
    }
    return code;
}

/* At the u of \uXXXX. */
static bool
read_unicode_escape(reader *r)
{
    const char *const start = r->at - 1;
    uint32_t code = hex4(r, r->at + 1), low;

    if (code == UINT32_MAX)
        return fail(r, start, "\\u is followed by four hexadecimal digits");
    r->at += 5;
    if (code == 0)
        return fail(r, start, "\\u0000 is not allowed: no text of a benchmark has a zero byte");
    if (code >= 0xd800 && code <= 0xdfff) {
        low = code < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u'
                  ? hex4(r, r->at + 2)
                  : UINT32_MAX;
        if (low < 0xdc00 || low > 0xdfff)
            return fail(r, start, "half a surrogate pair: it is no character");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        r->at += 6;
    }
    r->strings += bench_utf8_put(r->strings, code);
    return true;
}

/* At the backslash. */
static bool
read_escape(reader *r)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *name;

    r->at++;
    if (r->at < r->end && *r->at == 'u')
        return read_unicode_escape(r);
    name = r->at < r->end && *r->at != '\0' ? strchr(names, *r->at) : NULL;
    if (name == NULL)
        return unexpected(r, "one of \" \\ / b f n r t u after a backslash");
    *r->strings++ = meant[name - names];
    r->at++;
    return true;
}

/* At the opening quote. */
static bool
read_string(reader *r, const char **out)
{
    const char *const start = r->at++;
    size_t length;

    *out = r->strings;
    while (r->at < r->end && *r->at != '"') {
        if (*r->at == '\\') {
            if (!read_escape(r))
                return false;
            continue;
        }
        if ((unsigned char)*r->at < 0x20)
            return fail(r, r->at, "the byte 0x%02x in a string must be escaped",
                        (unsigned char)*r->at);
        length = bench_utf8_length(r->at, r->end);
        if (length == 0)
            return fail(r, r->at, "the byte 0x%02x does not belong here: the text is not UTF-8",
                        (unsigned char)*r->at);
        memcpy(r->strings, r->at, length);
        r->strings += length;
        r->at += length;
    }
    if (r->at == r->end)
        return fail(r, start, "this string has no closing quote");
    r->at++;
    *r->strings++ = '\0';
    return true;
}

/* -------------------------------------------------------------------------------------- numbers */

/* Only the grammar; r->at goes behind the number. */
static bool
skip_number(reader *r)
{
    const char *const start = r->at;

    if (*r->at == '-')
        r->at++;
    if (!is_digit(r))
        return unexpected(r, "a digit");
    if (*r->at++ == '0') {
        if (is_digit(r))
            return fail(r, start, "a number begins with one 0 at the most");
    }
    while (is_digit(r))
        r->at++;
    if (r->at < r->end && *r->at == '.') {
        r->at++;
        if (!is_digit(r))
            return unexpected(r, "a digit after the point");
        while (is_digit(r))
            r->at++;
    }
    if (r->at < r->end && (*r->at | 0x20) == 'e') {
        r->at++;
        if (r->at < r->end && (*r->at == '+' || *r->at == '-'))
            r->at++;
        if (!is_digit(r))
            return unexpected(r, "a digit in the exponent");
        while (is_digit(r))
            r->at++;
    }
    return true;
}

static bool
read_number(reader *r, double *out)
{
    const char *const start = r->at;
    char digits[64]; /* the text does not end with a zero; a long number goes to the heap */
    char *copy = digits;
    size_t length;

    if (!skip_number(r))
        return false;
    length = (size_t)(r->at - start);
    if (length >= sizeof digits) {
        copy = malloc(length + 1);
        if (copy == NULL)
            return fail(r, start, "out of memory");
    }
    memcpy(copy, start, length);
    copy[length] = '\0';
    *out = strtod(copy, NULL);
    if (copy != digits)
        free(copy);
    if (!isfinite(*out))
        return fail(r, start, "this number is too large for a double");
    return true;
}

/* --------------------------------------------------------------------------------------- values */

static bool
read_word(reader *r, bench_json *value)
{
    static const char *const words[] = {"null", "false", "true"}; /* by type */
    size_t type;

    for (type = 0; type < 3; type++) {
        const size_t length = strlen(words[type]);

        if ((size_t)(r->end - r->at) < length || memcmp(r->at, words[type], length) != 0)
            continue;
        value->type = (enum bench_json_type)type;
        r->at += length;
        return true;
    }
    return unexpected(r, "a value");
}

/* Of an array or object only the opening bracket. */
static bool
read_value(reader *r, bench_json *value)
{
    const char first = r->at < r->end ? *r->at : '\0';

    if (first == '[' || first == '{') {
        if (r->depth == BENCH_JSON_DEPTH_MAX)
            return fail(r, r->at, "more than %d arrays and objects in each other",
                        BENCH_JSON_DEPTH_MAX);
        value->type = first == '[' ? BENCH_JSON_ARRAY : BENCH_JSON_OBJECT;
        r->open[r->depth++] = (struct open_value){.value = value};
        r->at++;
        return true;
    }
    if (first == '"') {
        value->type = BENCH_JSON_STRING;
        return read_string(r, &value->text);
    }
    if (first == '-' || is_digit(r)) {
        value->type = BENCH_JSON_NUMBER;
        return read_number(r, &value->number);
    }
    return read_word(r, value);
}

static bool
read_key(reader *r, const bench_json *object, const char **key)
{
    const char *const start = r->at;

    if (r->at == r->end || *r->at != '"')
        return unexpected(r, "a name in quotes");
    if (object->count == BENCH_JSON_MEMBERS_MAX)
        return fail(r, start, "more than %d members in an object", BENCH_JSON_MEMBERS_MAX);
    if (!read_string(r, key))
        return false;
    if (bench_json_member(object, *key) != NULL)
        return fail(r, start, "the name \"%.*s\" stands twice in this object", SHOWN_BYTES, *key);
    skip_space(r);
    if (r->at == r->end || *r->at != ':')
        return unexpected(r, "a colon after the name");
    r->at++;
    skip_space(r);
    return true;
}

/* One value with its name, into the innermost open array or object. */
static bool
read_item(reader *r)
{
    struct open_value *parent = r->depth > 0 ? &r->open[r->depth - 1] : NULL;
    const char *key = NULL;
    bench_json *value;

    if (parent != NULL && parent->value->type == BENCH_JSON_OBJECT &&
        !read_key(r, parent->value, &key))
        return false;
    value = new_value(r);
    if (value == NULL || !read_value(r, value))
        return false;
    value->key = key;
    if (parent == NULL) {
        r->document.root = value;
        return true;
    }
    if (parent->last != NULL)
        parent->last->next = value;
    else
        parent->value->first = value;
    parent->last = value;
    parent->value->count++;
    return true;
}

/* Behind an opening bracket or an item: closes what ends here, up to where the next item begins or
 * nothing is open. */
static bool
close_or_continue(reader *r)
{
    while (r->depth > 0) {
        const bench_json *inner = r->open[r->depth - 1].value;
        const bool array = inner->type == BENCH_JSON_ARRAY;

        skip_space(r);
        if (r->at < r->end && *r->at == (array ? ']' : '}')) {
            r->at++;
            r->depth--;
            continue;
        }
        if (inner->count == 0)
            return true; /* whatever is no item is refused as one */
        if (r->at == r->end || *r->at != ',')
            return unexpected(r, array ? "a comma or ]" : "a comma or }");
        r->at++;
        skip_space(r);
        return true;
    }
    return true;
}

static bool
read_tree(reader *r)
{
    if (r->end - r->at > (ptrdiff_t)BENCH_JSON_BYTES_MAX)
        return fail(r, r->at, "more than %u MiB: this is no result of a benchmark",
                    BENCH_JSON_BYTES_MAX >> 20);
    r->document.strings = malloc((size_t)(r->end - r->at) + 1);
    if (r->document.strings == NULL)
        return fail(r, r->at, "out of memory");
    r->strings = r->document.strings;
    skip_space(r);
    do {
        if (!read_item(r) || !close_or_continue(r))
            return false;
    } while (r->depth > 0);
    skip_space(r);
    if (r->at < r->end)
        return unexpected(r, "the end of the text");
    return true;
}

bool
bench_json_read(bench_json_document *out, const char *text, size_t size, bench_json_error *error)
{
    reader r = {.document = {.text = text}, .at = text, .end = text + size, .error = error};

    if (!read_tree(&r)) {
        bench_json_free(&r.document);
        return false;
    }
    *out = r.document;
    return true;
}

void
bench_json_free(bench_json_document *document)
{
    struct bench_json_block *block = document->blocks, *next;

    for (; block != NULL; block = next) {
        next = block->next;
        free(block);
    }
    free(document->strings);
    *document = (bench_json_document){0};
}

/* -------------------------------------------------------------------------------------- looking */

const bench_json *
bench_json_member(const bench_json *object, const char *key)
{
    const bench_json *member = NULL;

    if (object->type == BENCH_JSON_OBJECT)
        for (member = object->first; member != NULL; member = member->next)
            if (strcmp(member->key, key) == 0)
                break;
    return member;
}

void
bench_json_where(const bench_json_document *document, const bench_json *value, unsigned *line,
                 unsigned *column)
{
    position(document->text, value->offset, line, column);
}

const char *
bench_json_type_name(const bench_json *value)
{
    static const char *const names[] = {"null",     "false",  "true",     "a number",
                                        "a string", "a list", "an object"}; /* by type */

    return names[value->type];
}
