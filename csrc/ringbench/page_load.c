/* SPDX-License-Identifier: MIT */
/*
 * page_load.c - JSON trees into documents and rows.
 *
 * What the page relies on is checked here, once: types, limits, percentiles in order. What it does
 * not know it takes as it is: any other member of a row with a number is a figure of the table.
 */
#include "page.h"

#include "bench.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NO_COLOR SIZE_MAX /* not yet, or that of a floor */

static const char *const known_tools[] = {"ringbench", "ringbridge bench"};

/* --------------------------------------------------------------------------------------- refusing */

/* Messages quote files, and go to a terminal. */
static void
print_plain(const char *text)
{
    for (; *text != '\0'; text++)
        fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, stderr);
}

_Noreturn static void
refuse_at(const char *path, unsigned line, unsigned column, const char *message)
{
    fputs("ringbench report: ", stderr);
    print_plain(path);
    fprintf(stderr, ":%u:%u: ", line, column);
    print_plain(message);
    fputc('\n', stderr);
    exit(BENCH_EXIT_USAGE);
}

__attribute__((format(printf, 3, 4))) _Noreturn static void
refuse(const bench_page_document *document, const bench_json *value, const char *format, ...)
{
    unsigned line, column;
    char message[256];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    bench_json_where(&document->json, value, &line, &column);
    refuse_at(document->path, line, column, message);
}

/* NULL: there is none. */
static const bench_json *
member_of_type(const bench_page_document *document, const bench_json *object, const char *key,
               enum bench_json_type type)
{
    const bench_json *member = bench_json_member(object, key);
    const bench_json wanted = {.type = type};

    if (member == NULL || member->type == BENCH_JSON_NULL)
        return NULL;
    if (member->type != type)
        refuse(document, member, "\"%s\" must be %s, not %s", key, bench_json_type_name(&wanted),
               bench_json_type_name(member));
    return member;
}

static const char *
text_member(const bench_page_document *document, const bench_json *object, const char *key,
            const char *otherwise)
{
    const bench_json *member = member_of_type(document, object, key, BENCH_JSON_STRING);

    return member != NULL ? member->text : otherwise;
}

/* -------------------------------------------------------------------------------------------- rows */

static const bench_json *
percentiles(const bench_page_document *document, const bench_json *row)
{
    const bench_json *list = member_of_type(document, row, "percentiles", BENCH_JSON_ARRAY);
    double percent = -1, ns = 0;
    const bench_json *pair;

    if (list == NULL || list->count == 0)
        return NULL;
    if (list->count > BENCH_PAGE_POINTS_MAX)
        refuse(document, list, "more than %d percentiles in a row", BENCH_PAGE_POINTS_MAX);
    for (pair = list->first; pair != NULL; pair = pair->next) {
        if (pair->type != BENCH_JSON_ARRAY || pair->count != 2 ||
            pair->first->type != BENCH_JSON_NUMBER || pair->first->next->type != BENCH_JSON_NUMBER)
            refuse(document, pair, "a percentile is a list of two numbers: percent, nanoseconds");
        if (!(pair->first->number > percent && pair->first->number <= 100))
            refuse(document, pair, "percentiles go up from 0 to 100, each only once");
        if (!(pair->first->next->number >= ns))
            refuse(document, pair, "a percentile is not below the one before it, or below 0");
        percent = pair->first->number;
        ns = pair->first->next->number;
    }
    return list;
}

static void
add_row(bench_page *page, bench_page_document *document, const bench_json *json)
{
    const bench_json *bytes;
    bench_page_row *row;

    if (json->type != BENCH_JSON_OBJECT)
        refuse(document, json, "a result must be an object, not %s", bench_json_type_name(json));
    if (page->row_count == BENCH_PAGE_ROWS_MAX)
        refuse(document, json, "more than %d results for one page: give fewer files",
               BENCH_PAGE_ROWS_MAX);
    bytes = member_of_type(document, json, "bytes", BENCH_JSON_NUMBER);
    if (bytes != NULL && bytes->number < 0)
        refuse(document, bytes, "\"bytes\" must not be below 0");
    row = &page->rows[page->row_count++];
    *row = (bench_page_row){.document = document,
                            .json = json,
                            .name = text_member(document, json, "name", ""),
                            .kind = text_member(document, json, "kind", ""),
                            .floor = text_member(document, json, "floor", ""),
                            .error = text_member(document, json, "error", NULL),
                            .percentiles = percentiles(document, json),
                            .bytes = bytes != NULL ? bytes->number : -1,
                            .color = NO_COLOR};
    row->label = row->name;
    if (row->name[0] == '\0')
        refuse(document, json, "this result has no \"name\"");
    document->row_count++;
}

/* --------------------------------------------------------------------------------------- documents */

static void
check_origin(const bench_page_document *document)
{
    const bench_json *const root = document->json.root;
    const bench_json *tool, *format;
    size_t i;

    tool = root->type == BENCH_JSON_OBJECT ? bench_json_member(root, "tool") : NULL;
    if (tool == NULL || tool->type != BENCH_JSON_STRING)
        refuse(document, root,
               "this is no result of a benchmark: \"tool\" is missing; known are "
               "\"ringbench\" and \"ringbridge bench\"");
    for (i = 0; strcmp(tool->text, known_tools[i]) != 0; i++)
        if (i + 1 == sizeof known_tools / sizeof known_tools[0])
            refuse(document, tool,
                   "unknown tool \"%.40s\"; known are \"ringbench\" and \"ringbridge bench\"",
                   tool->text);
    format = bench_json_member(root, "format");
    if (format == NULL)
        refuse(document, root,
               "\"format\" is missing: this file is from an older %.40s; format %d "
               "is known, measure again",
               tool->text, BENCH_PAGE_FORMAT);
    if (format->type != BENCH_JSON_NUMBER || format->number != BENCH_PAGE_FORMAT)
        refuse(document, format,
               "unknown format%s%.6s; known is %d: the ringbench that wrote it, or "
               "a newer one, can read it",
               format->type == BENCH_JSON_NUMBER ? " " : "",
               format->type == BENCH_JSON_NUMBER ? bench_human_number(format->number).text : "",
               BENCH_PAGE_FORMAT);
}

static const char *
noise_of(const bench_page_document *document)
{
    const bench_json *run = member_of_type(document, document->json.root, "run", BENCH_JSON_OBJECT);
    const bench_json *noisy = run != NULL ? bench_json_member(run, "noisy") : NULL;

    if (noisy == NULL || noisy->type != BENCH_JSON_TRUE)
        return NULL;
    return text_member(document, run, "noise", "");
}

void
bench_page_load(bench_page *page, const char *path, char *text, size_t size)
{
    bench_page_document *document = &page->documents[page->document_count];
    const char *const slash = strrchr(path, '/');
    const bench_json *results, *row;
    bench_json_error error;

    *document = (bench_page_document){.path = path, .file = slash != NULL ? slash + 1 : path};
    if (!bench_json_read(&document->json, text, size, &error))
        refuse_at(path, error.line, error.column, error.message);
    check_origin(document);
    document->tool = bench_page_text_of(document->json.root, "tool");
    document->version = text_member(document, document->json.root, "version", "");
    document->mode = text_member(document, document->json.root, "mode", "");
    document->started = text_member(document, document->json.root, "started", "");
    document->label = "";
    document->noise = noise_of(document);
    member_of_type(document, document->json.root, "machine", BENCH_JSON_OBJECT);
    member_of_type(document, document->json.root, "parameters", BENCH_JSON_OBJECT);
    results = member_of_type(document, document->json.root, "results", BENCH_JSON_ARRAY);
    if (results == NULL)
        refuse(document, document->json.root, "\"results\" is missing");
    document->rows = page->rows + page->row_count;
    for (row = results->first; row != NULL; row = row->next)
        add_row(page, document, row);
    page->document_count++;
}

/* ----------------------------------------------------------------------------------- relating rows */

double
bench_page_figure(const bench_page_row *row, const char *key)
{
    const bench_json *figure = bench_json_member(row->json, key);

    return figure != NULL && figure->type == BENCH_JSON_NUMBER ? figure->number : (double)NAN;
}

const char *
bench_page_text_of(const bench_json *object, const char *key)
{
    const bench_json *member = object != NULL ? bench_json_member(object, key) : NULL;

    return member != NULL && member->type == BENCH_JSON_STRING ? member->text : "";
}

bool
bench_page_same_group(const bench_page_row *a, const bench_page_row *b)
{
    return a->bytes == b->bytes && strcmp(a->kind, b->kind) == 0 &&
           strcmp(a->document->mode, b->document->mode) == 0;
}

bool
bench_page_is_ours(const bench_page_row *row)
{
    return strncmp(row->name, "ringbridge", strlen("ringbridge")) == 0;
}

bool
bench_page_has_peers(const bench_page_document *document)
{
    return strcmp(document->mode, "compare") == 0 || strcmp(document->mode, "python") == 0;
}

bench_page_row *
bench_page_floor_of(bench_page *page, const bench_page_row *row)
{
    bench_page_row *const rows = page->rows + (row->document->rows - page->rows);
    bench_page_row *found = NULL;
    unsigned best = 0;
    size_t i;

    for (i = 0; i < row->document->row_count && row->floor[0] != '\0'; i++) {
        const unsigned alike = 1u + 2u * (rows[i].bytes == row->bytes) +
                               (strcmp(rows[i].kind, row->kind) == 0);

        if (&rows[i] == row || alike <= best || strcmp(rows[i].name, row->floor) != 0)
            continue;
        best = alike;
        found = &rows[i];
    }
    return found;
}

/* Two documents of one mode are told apart by a word that only one parameter has ("block"), or else
 * by the file's name. */
static const char *
label_of(const bench_page_document *document, const bench_page_document *other)
{
    const bench_json *mine = bench_json_member(document->json.root, "parameters");
    const bench_json *theirs = bench_json_member(other->json.root, "parameters");
    const bench_json *parameter;

    for (parameter = mine != NULL ? mine->first : NULL; parameter != NULL;
         parameter = parameter->next) {
        const char *there = bench_page_text_of(theirs, parameter->key);

        if (parameter->type == BENCH_JSON_STRING && there[0] != '\0' &&
            parameter->text[0] != '\0' && strcmp(parameter->text, there) != 0)
            return parameter->text;
    }
    return document->file;
}

static bool
shares_a_row(const bench_page_document *a, const bench_page_document *b)
{
    size_t i, j;

    for (i = 0; i < a->row_count; i++)
        for (j = 0; j < b->row_count; j++)
            if (bench_page_same_group(&a->rows[i], &b->rows[j]) &&
                strcmp(a->rows[i].name, b->rows[j].name) == 0)
                return true;
    return false;
}

static void
label_documents(bench_page *page)
{
    size_t i, j;

    for (i = 0; i < page->document_count; i++)
        for (j = 0; j < page->document_count; j++) {
            bench_page_document *document = &page->documents[i];

            if (i == j || !shares_a_row(document, &page->documents[j]))
                continue;
            /* A third one may be alike in what set the first two apart. */
            document->label = document->label[0] == '\0' ? label_of(document, &page->documents[j])
                                                         : document->file;
        }
}

static void
label_row(bench_page_row *row)
{
    bench_text label = {0};

    if (row->document->label[0] == '\0')
        return;
    bench_text_add(&label, "%s (%s)", row->name, row->document->label);
    row->label = label.bytes; /* until the program ends */
}

/* The color of an earlier row of that label and mode, or the next one. Ours, where there are peers,
 * have the first one for themselves. */
static void
color_row(bench_page *page, bench_page_row *row)
{
    const bool peers = bench_page_has_peers(row->document);
    const bool first = peers && strcmp(row->label, "ringbridge") == 0;
    size_t next = peers && !first ? 1 : 0;
    const bench_page_row *other;

    for (other = page->rows; other < row; other++) {
        if (other->color == NO_COLOR || strcmp(other->document->mode, row->document->mode) != 0)
            continue;
        if (strcmp(other->label, row->label) == 0) {
            row->color = other->color;
            return;
        }
        if (!first && other->color >= next)
            next = other->color + 1;
    }
    row->color = next;
}

void
bench_page_relate(bench_page *page)
{
    bench_page_row *row, *floor;
    const bench_page_row *const end = page->rows + page->row_count;

    label_documents(page);
    for (row = page->rows; row < end; row++) {
        label_row(row);
        floor = bench_page_floor_of(page, row);
        /* Peers have their ratio to ours: that is no floor. */
        if (floor != NULL && !(bench_page_has_peers(floor->document) && bench_page_is_ours(floor)))
            floor->is_floor = true;
        if (strcmp(row->kind, "floor") == 0)
            row->is_floor = true;
    }
    for (row = page->rows; row < end; row++)
        if (strcmp(row->kind, "floor") != 0 || strcmp(row->document->mode, "floor") == 0)
            color_row(page, row);
}
