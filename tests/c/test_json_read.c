/* SPDX-License-Identifier: MIT */
/*
 * test_json_read.c - ringbench's JSON reader: all of RFC 8259 that our documents need, and nothing
 * that is not JSON.
 *
 * It is no part of the core library: CMakeLists.txt compiles its source into this program.
 */
#include "check.h"
#include "json_read.h"
#include "utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bench_json_document document;
static bench_json_error error;

/* From memory of exactly that size, so that a sanitizer sees a byte too many. */
static bool
read_bytes(const char *text, size_t size)
{
    static char *copy;
    char *const old = copy;
    bool done;

    copy = malloc(size + 1);
    CHECK(copy != NULL);
    memcpy(copy + 1, text, size);
    memset(&error, 0, sizeof error);
    done = bench_json_read(&document, copy + 1, size, &error);
    free(old);
    return done;
}

static bool
reads(const char *text)
{
    return read_bytes(text, strlen(text));
}

static bool
refused_at(const char *text, unsigned line, unsigned column, const char *word)
{
    if (reads(text)) {
        bench_json_free(&document);
        return false;
    }
    if (error.line == line && error.column == column && strstr(error.message, word) != NULL)
        return true;
    printf("     %u:%u: %s\n", error.line, error.column, error.message);
    return false;
}

static bool
string_is(const char *text, const char *wanted)
{
    const bool same = reads(text) && document.root->type == BENCH_JSON_STRING &&
                      strcmp(document.root->text, wanted) == 0;

    bench_json_free(&document);
    return same;
}

static bool
number_is(const char *text, double wanted)
{
    const bool same = reads(text) && document.root->type == BENCH_JSON_NUMBER &&
                      document.root->number == wanted;

    bench_json_free(&document);
    return same;
}

TEST(a_tree_has_its_values_in_order)
{
    const bench_json *list;

    CHECK(reads(" {\"a\": [1, -2.5e1, null, true, false, \"x\", [], {}], \"b\": {\"c\": 3}} \n"));
    CHECK(document.root->type == BENCH_JSON_OBJECT && document.root->count == 2);
    list = bench_json_member(document.root, "a");
    CHECK(list->type == BENCH_JSON_ARRAY && list->count == 8);
    CHECK(list->first->number == 1 && list->first->next->number == -25);
    CHECK(list->first->next->next->type == BENCH_JSON_NULL);
    CHECK(bench_json_member(bench_json_member(document.root, "b"), "c")->number == 3);
    CHECK(bench_json_member(document.root, "c") == NULL);
    CHECK(bench_json_member(list, "c") == NULL);
    bench_json_free(&document);
    CHECK(document.root == NULL);
}

TEST(a_value_knows_where_it_stands)
{
    unsigned line, column;

    CHECK(reads("{\n  \"\xc3\xa4\": [1,\n 22]}"));
    bench_json_where(&document, document.root->first->first->next, &line, &column);
    CHECK(line == 3 && column == 2);
    bench_json_where(&document, document.root->first, &line, &column);
    CHECK(line == 2 && column == 8); /* in characters, not bytes */
    bench_json_free(&document);
}

TEST(any_value_may_stand_alone)
{
    CHECK(number_is("0", 0) && number_is("-0", 0) && number_is(" 10 ", 10));
    CHECK(number_is("0.5e-1", 0.05) && number_is("1E+2", 100));
    CHECK(number_is("100000000000000000000000000000000000000000000000000000000000000000000000e-71",
                    1));
    CHECK(reads("null") && document.root->type == BENCH_JSON_NULL);
    bench_json_free(&document);
    CHECK(string_is("\"\"", ""));
}

TEST(what_is_no_number_is_refused)
{
    CHECK(refused_at("01", 1, 1, "one 0"));
    CHECK(refused_at("+1", 1, 1, "a value"));
    CHECK(refused_at("-", 1, 2, "a digit"));
    CHECK(refused_at("1.", 1, 3, "after the point"));
    CHECK(refused_at(".5", 1, 1, "a value"));
    CHECK(refused_at("1e", 1, 3, "exponent"));
    CHECK(refused_at("[0x10]", 1, 3, "a comma"));
    CHECK(refused_at("NaN", 1, 1, "a value"));
    CHECK(refused_at("[1e999]", 1, 2, "too large"));
}

TEST(escapes_become_utf8)
{
    CHECK(string_is("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"));
    CHECK(string_is("\"\\u0041\\u00e9\\u20AC\\ud83d\\ude00\"", "A\xc3\xa9\xe2\x82\xac"
                                                               "\xf0\x9f\x98\x80"));
    CHECK(string_is("\"\xf0\x9f\x98\x80 \xed\x9f\xbf\"", "\xf0\x9f\x98\x80 \xed\x9f\xbf"));
}

TEST(what_is_no_string_is_refused)
{
    CHECK(refused_at("\"abc", 1, 1, "no closing quote"));
    CHECK(refused_at("\"a\nb\"", 1, 3, "must be escaped"));
    CHECK(refused_at("\"a\\x\"", 1, 4, "after a backslash"));
    CHECK(refused_at("\"\\", 1, 3, "the text ends"));
    CHECK(refused_at("\"\\u12\"", 1, 2, "four hexadecimal"));
    CHECK(refused_at("\"\\u0000\"", 1, 2, "zero byte"));
    CHECK(refused_at("\"\\ud800\"", 1, 2, "surrogate"));
    CHECK(refused_at("\"\\udc00\\ud800\"", 1, 2, "surrogate"));
    CHECK(refused_at("\"\\ud800\\u0041\"", 1, 2, "surrogate"));
    CHECK(refused_at("'a'", 1, 1, "a value"));
}

TEST(what_is_not_utf8_is_refused)
{
    CHECK(refused_at("\"\xff\"", 1, 2, "not UTF-8"));
    CHECK(refused_at("\"a\x80\"", 1, 3, "not UTF-8"));
    CHECK(refused_at("\"\xc0\xaf\"", 1, 2, "not UTF-8"));         /* overlong */
    CHECK(refused_at("\"\xe0\x80\xaf\"", 1, 2, "not UTF-8"));     /* overlong */
    CHECK(refused_at("\"\xed\xa0\x80\"", 1, 2, "not UTF-8"));     /* surrogate */
    CHECK(refused_at("\"\xf4\x90\x80\x80\"", 1, 2, "not UTF-8")); /* above U+10FFFF */
    CHECK(refused_at("\"\xe2\x82", 1, 2, "not UTF-8"));           /* cut */
}

TEST(what_is_no_array_or_object_is_refused)
{
    CHECK(refused_at("", 1, 1, "the text ends"));
    CHECK(refused_at("[1, 2", 1, 6, "the text ends"));
    CHECK(refused_at("[1,]", 1, 4, "a value"));
    CHECK(refused_at("[,1]", 1, 2, "a value"));
    CHECK(refused_at("[1 2]", 1, 4, "a comma or ]"));
    CHECK(refused_at("[1}", 1, 3, "a comma or ]"));
    CHECK(refused_at("{\"a\" 1}", 1, 6, "a colon"));
    CHECK(refused_at("{\"a\": }", 1, 7, "a value"));
    CHECK(refused_at("{\"a\": 1,}", 1, 9, "a name in quotes"));
    CHECK(refused_at("{a: 1}", 1, 2, "a name in quotes"));
    CHECK(refused_at("{\n\"a\": 1,\n\"a\": 2}", 3, 1, "twice"));
    CHECK(refused_at("[1] x", 1, 5, "the end of the text"));
    CHECK(refused_at("]", 1, 1, "a value"));
    CHECK(refused_at("[1, // one\n2]", 1, 5, "a value"));
    CHECK(refused_at("\xef\xbb\xbf{}", 1, 1, "0xef"));
    CHECK(!read_bytes("[1\0]", 4) && strstr(error.message, "0x00") != NULL);
}

TEST(nesting_members_values_and_size_have_their_limits)
{
    const size_t size = (size_t)BENCH_JSON_BYTES_MAX + 1;
    char *const text = malloc(size + 1);
    size_t i, used;

    CHECK(text != NULL);
    memset(text, '[', size);
    memset(text + BENCH_JSON_DEPTH_MAX, ']', BENCH_JSON_DEPTH_MAX);
    CHECK(read_bytes(text, (size_t)2 * BENCH_JSON_DEPTH_MAX));
    bench_json_free(&document);
    text[BENCH_JSON_DEPTH_MAX] = '[';
    CHECK(!read_bytes(text, 1000) && strstr(error.message, "32 arrays and objects") != NULL);
    CHECK(error.column == BENCH_JSON_DEPTH_MAX + 1);

    for (i = 0, used = 0; i <= BENCH_JSON_MEMBERS_MAX; i++)
        used += (size_t)sprintf(text + used, "%c\"%zu\":0", i == 0 ? '{' : ',', i);
    CHECK(!read_bytes(text, used) && strstr(error.message, "256 members") != NULL);

    for (i = 0; i < size; i++)
        text[i] = i % 2 != 0 ? '0' : i == 0 ? '[' : ',';
    CHECK(!read_bytes(text, size) && strstr(error.message, "16 MiB") != NULL);
    CHECK(!read_bytes(text, size - 1) && strstr(error.message, "1048576 values") != NULL);
    free(text);
}

/* Whatever the bytes are: no crash, and a position inside the text. The sanitizers look on. */
TEST_SECONDS(damaged_text_is_read_or_refused, 60)
{
    static const char good[] =
        "{\"tool\": \"ringbench\", \"x\": [1, -2.5e-7, null, true, {\"a\\n\\u20ac\": "
        "\"\xc3\xa9\"}],\n"
        " \"percentiles\": [[0, 400], [99.9, 2000], [100, 8e4]], \"y\": \"\\ud83d\\ude00\"}";
    static const char marks[] = "[]{},:\"\\u09.eE-+ \n\x00\x7f\x80\xc3\xff";
    enum { ROUNDS = 200000 };
    uint64_t state = 20240229;
    unsigned accepted = 0;
    int i;

    printf("     seed %llu\n", (unsigned long long)state);
    for (i = 0; i < ROUNDS; i++) {
        char text[sizeof good];
        size_t size = sizeof good - 1, changes;

        memcpy(text, good, sizeof good);
        for (changes = (size_t)i % 4; changes > 0; changes--) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            text[(state >> 33) % size] = marks[(state >> 20) % (sizeof marks - 1)];
        }
        state = state * 6364136223846793005u + 1442695040888963407u;
        if (i % 5 == 0)
            size = (size_t)(state >> 33) % size;
        if (read_bytes(text, size)) {
            accepted++;
            bench_json_free(&document);
        } else {
            CHECK(error.line >= 1 && error.column >= 1 && error.column <= sizeof good);
            CHECK(error.message[0] != '\0');
        }
    }
    printf("     %u of %d accepted\n", accepted, (int)ROUNDS);
    CHECK(accepted > ROUNDS / 10 && accepted < ROUNDS);
}

TEST(every_character_survives_utf8)
{
    uint32_t code;

    for (code = 1; code <= 0x10ffff; code++) {
        char bytes[4];
        const size_t length = bench_utf8_put(bytes, code);
        const bool surrogate = code >= 0xd800 && code <= 0xdfff;

        CHECK(bench_utf8_length(bytes, bytes + length) == (surrogate ? 0 : length));
        CHECK(bench_utf8_get(bytes, length) == code);
        CHECK(length == 1 || bench_utf8_length(bytes, bytes + length - 1) == 0);
    }
}
