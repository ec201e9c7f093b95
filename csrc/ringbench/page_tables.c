/* SPDX-License-Identifier: MIT */
/*
 * page_tables.c - every figure of every row, in units for people.
 *
 * A figure's unit is the end of its key: p50_ns, bytes_per_s. Figures that are not known have their
 * column too, after those that are.
 */
#include "page.h"

#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Little triangles. */
#define ABOVE "\xe2\x96\xb2 "
#define BELOW "\xe2\x96\xbc "

const char *const bench_page_zeros[] = {"late_looks", "lost",    "duplicated",
                                        "reordered",  "corrupt", NULL};

/* In the order of the columns. */
static const struct {
    const char *key, *heading;
} known[] = {
    {"trip_ns", "trip"},
    {"min_ns", "min"},
    {"p10_ns", "p10"},
    {"p50_ns", "p50"},
    {"p90_ns", "p90"},
    {"p99_ns", "p99"},
    {"p99.9_ns", "p99.9"},
    {"p99.99_ns", "p99.99"},
    {"p99.999_ns", "p99.999"},
    {"max_ns", "max"},
    {"mean_ns", "mean"},
    {"samples", "samples"},
    {"messages_per_s", "messages"},
    {"bytes_per_s", "throughput"},
    {"ratio", "ratio"},
    {"budget", "budget"},
    {"cpu_ns", "CPU"},
    {"peer_cpu_ns", "peer's CPU"},
    {"wakes", "wakes"},
    {"sleeps", "sleeps"},
    {"syscalls", "system calls"},
    {"page_faults", "page faults"},
    {"late_looks", "late looks"},
    {"lost", "lost"},
    {"duplicated", "duplicated"},
    {"reordered", "reordered"},
    {"corrupt", "corrupt"},
};
enum { KNOWN = sizeof known / sizeof known[0] };

typedef struct table {
    const bench_page_document *document;
    const char *columns[BENCH_PAGE_COLUMNS_MAX];
    size_t count;
    bool has_kind, has_bytes, has_floor, has_error;
} table;

/* ----------------------------------------------------------------------------------------- figures */

static bool
ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text), wanted = strlen(end);

    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static bool
must_be_zero(const char *key)
{
    size_t i;

    for (i = 0; bench_page_zeros[i] != NULL; i++)
        if (strcmp(key, bench_page_zeros[i]) == 0)
            return true;
    return false;
}

bench_human
bench_page_human(const char *key, double value)
{
    bench_human human;

    if (ends_with(key, "bytes_per_s"))
        return bench_human_byte_rate(value);
    if (ends_with(key, "_per_s"))
        return bench_human_rate(value);
    if (ends_with(key, "_ns"))
        return bench_human_ns(value);
    if (ends_with(key, "_s"))
        return bench_human_ns(value * 1e9);
    if (ends_with(key, "bytes"))
        return bench_human_bytes(value);
    if (ends_with(key, "ratio") || ends_with(key, "budget")) {
        snprintf(human.text, sizeof human.text, fabs(value) < 1e6 ? "%.2f" : "%.3g", value);
        return human;
    }
    if (ends_with(key, "_percent")) {
        snprintf(human.text, sizeof human.text, "%.3g %%", value);
        return human;
    }
    return bench_human_count(value);
}

bool
bench_page_over_budget(const bench_page_row *row)
{
    const double ratio = bench_page_figure(row, "ratio"), budget = bench_page_figure(row, "budget");

    return budget < 1 ? ratio < budget : ratio > budget; /* false for NaN */
}

void
bench_page_group_title(bench_text *to, const bench_page_row *row)
{
    if (strcmp(row->document->mode, row->kind) == 0)
        bench_text_put(to, row->kind);
    else
        bench_text_add(to, "%s: %s", row->document->mode, row->kind);
    if (row->bytes >= 0)
        bench_text_add(to, ", %s", bench_human_bytes(row->bytes).text);
}

/* ----------------------------------------------------------------------------------------- columns */

static bool
is_figure(const bench_json *member)
{
    /* null: it could not be measured, which is worth a column. */
    return (member->type == BENCH_JSON_NUMBER || member->type == BENCH_JSON_NULL) &&
           strcmp(member->key, "bytes") != 0;
}

static bool
is_known(const char *key)
{
    size_t i;

    for (i = 0; i < KNOWN; i++)
        if (strcmp(key, known[i].key) == 0)
            return true;
    return false;
}

static bool
has_figure(const bench_page_document *document, const char *key)
{
    size_t i;

    for (i = 0; i < document->row_count; i++) {
        const bench_json *member = bench_json_member(document->rows[i].json, key);

        if (member != NULL && is_figure(member))
            return true;
    }
    return false;
}

static void
add_column(table *of, const char *key)
{
    size_t i;

    for (i = 0; i < of->count; i++)
        if (strcmp(of->columns[i], key) == 0)
            return;
    if (of->count == BENCH_PAGE_COLUMNS_MAX) {
        fprintf(stderr, "ringbench report: %s: more than %d different figures in its results\n",
                of->document->file, BENCH_PAGE_COLUMNS_MAX);
        exit(BENCH_EXIT_USAGE);
    }
    of->columns[of->count++] = key;
}

static void
find_columns(table *of, const bench_page_document *document)
{
    const bench_json *member;
    size_t i;

    *of = (table){.document = document};
    for (i = 0; i < KNOWN; i++)
        if (has_figure(document, known[i].key))
            add_column(of, known[i].key);
    for (i = 0; i < document->row_count; i++) {
        const bench_page_row *row = &document->rows[i];

        of->has_kind = of->has_kind || row->kind[0] != '\0';
        of->has_bytes = of->has_bytes || row->bytes >= 0;
        of->has_floor = of->has_floor || row->floor[0] != '\0';
        of->has_error = of->has_error || row->error != NULL;
        for (member = row->json->first; member != NULL; member = member->next)
            if (is_figure(member) && !is_known(member->key))
                add_column(of, member->key);
    }
}

void
bench_page_heading(bench_text *to, const char *key)
{
    static const char *const units[] = {"_per_s", "_ns", "_percent", "_bytes", "_s"};
    char heading[64];
    size_t i;

    snprintf(heading, sizeof heading, "%s", key);
    for (i = 0; i < sizeof units / sizeof units[0]; i++)
        if (ends_with(heading, units[i])) {
            heading[strlen(heading) - strlen(units[i])] = '\0';
            break;
        }
    for (i = 0; heading[i] != '\0'; i++)
        if (heading[i] == '_')
            heading[i] = ' ';
    for (i = 0; i < KNOWN; i++)
        if (strcmp(key, known[i].key) == 0)
            snprintf(heading, sizeof heading, "%s", known[i].heading);
    bench_text_escaped(to, heading);
}

static void
write_heading(bench_text *to, const char *key)
{
    bench_text_put(to, "<th scope=\"col\" title=\"");
    bench_text_escaped(to, key);
    bench_text_put(to, "\">");
    bench_page_heading(to, key);
    bench_text_put(to, "</th>");
}

/* ------------------------------------------------------------------------------------------- cells */

static void
write_text_cell(bench_text *to, const char *text)
{
    bench_text_put(to, "<td class=\"text\">");
    bench_text_escaped(to, text);
    bench_text_put(to, "</td>");
}

static void
write_figure(bench_text *to, const bench_page_row *row, const char *key)
{
    const bench_json *member = bench_json_member(row->json, key);
    bench_human human;

    if (member == NULL || !is_figure(member)) {
        bench_text_put(to, "<td></td>");
        return;
    }
    if (member->type == BENCH_JSON_NULL) {
        bench_text_put(to, "<td title=\"could not be measured\">?</td>");
        return;
    }
    human = bench_page_human(key, member->number);
    if (must_be_zero(key) && member->number != 0)
        bench_text_add(to, "<td class=\"bad\" title=\"must be 0\"><strong>! %s</strong></td>",
                       human.text);
    else if (strcmp(key, "ratio") == 0 && bench_page_over_budget(row))
        bench_text_add(to,
                       "<td class=\"over\" title=\"the budget is %s\"><strong>%s%s"
                       "</strong></td>",
                       bench_page_human("budget", bench_page_figure(row, "budget")).text,
                       bench_page_figure(row, "budget") < 1 ? BELOW : ABOVE, human.text);
    else
        bench_text_add(to, "<td>%s</td>", human.text);
}

static void
write_row(bench_text *to, const table *of, const bench_page_row *row, bool new_group)
{
    size_t i;

    bench_text_add(to, "<tr%s><th scope=\"row\">", new_group ? " class=\"group\"" : "");
    bench_text_escaped(to, row->name);
    bench_text_put(to, "</th>");
    if (of->has_kind)
        write_text_cell(to, row->kind);
    if (of->has_bytes)
        bench_text_add(to, "<td>%s</td>",
                       row->bytes >= 0 ? bench_human_bytes(row->bytes).text : "");
    for (i = 0; i < of->count; i++)
        write_figure(to, row, of->columns[i]);
    if (of->has_floor)
        write_text_cell(to, row->floor);
    if (of->has_error) {
        bench_text_put(to, row->error != NULL ? "<td class=\"text bad\">" : "<td>");
        bench_text_escaped(to, row->error != NULL ? row->error : "");
        bench_text_put(to, "</td>");
    }
    bench_text_put(to, "</tr>\n");
}

static void
write_headings(bench_text *to, const table *of)
{
    size_t i;

    bench_text_put(to, "<thead><tr><th scope=\"col\" class=\"text\">name</th>");
    if (of->has_kind)
        bench_text_put(to, "<th scope=\"col\" class=\"text\">kind</th>");
    if (of->has_bytes)
        bench_text_put(to, "<th scope=\"col\">size</th>");
    for (i = 0; i < of->count; i++)
        write_heading(to, of->columns[i]);
    if (of->has_floor)
        bench_text_put(to, "<th scope=\"col\" class=\"text\">ratio to</th>");
    if (of->has_error)
        bench_text_put(to, "<th scope=\"col\" class=\"text\">error</th>");
    bench_text_put(to, "</tr></thead>\n<tbody>\n");
}

static void
write_table(bench_text *to, const bench_page_document *document, size_t number)
{
    table of;
    size_t i;

    find_columns(&of, document);
    bench_text_add(to, "<h3 id=\"table-%zu\">%zu. ", number, number);
    bench_text_escaped(to, document->mode);
    if (document->label[0] != '\0') {
        bench_text_put(to, ", ");
        bench_text_escaped(to, document->label);
    }
    bench_text_put(to, "</h3>\n");
    if (document->row_count == 0) {
        bench_text_put(to, "<p>No results.</p>\n");
        return;
    }
    bench_text_put(to, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"");
    bench_text_escaped(to, document->mode);
    bench_text_put(to, "\"><table class=\"figures\">\n");
    write_headings(to, &of);
    for (i = 0; i < document->row_count; i++)
        write_row(to, &of, &document->rows[i],
                  i > 0 && document->rows[i].bytes != document->rows[i - 1].bytes);
    bench_text_put(to, "</tbody></table></div>\n");
    bench_page_budgets(to, document);
}

void
bench_page_tables(bench_text *to, const bench_page *page)
{
    size_t i;

    bench_text_put(to,
                   "<section id=\"tables\"><h2>All figures</h2>\n"
                   "<p>Wakes, sleeps, system calls and page faults are counted for one message, "
                   "on both sides together. Late looks, lost, duplicated, reordered and corrupt "
                   "must be 0. A question mark: it could not be measured.</p>\n");
    for (i = 0; i < page->document_count; i++)
        write_table(to, &page->documents[i], i + 1);
    bench_text_put(to, "</section>\n");
}
