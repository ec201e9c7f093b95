/* SPDX-License-Identifier: MIT */
/*
 * page_notices.c - what to know before reading: wrong counts, noise, budgets missed, failures.
 */
#include "page.h"

#include <math.h>
#include <string.h>

enum { LISTED_MAX = 6 }; /* of a document; the tables have all */

/* Writes what there is to say of a document, LISTED_MAX things at the most; returns how many there
 * are. */
typedef size_t lister(bench_text *to, const bench_page_document *document);

void
bench_page_document_name(bench_text *to, const bench_page *page,
                         const bench_page_document *document)
{
    const size_t number = (size_t)(document - page->documents) + 1;

    bench_text_add(to, "<a href=\"#table-%zu\">%zu. ", number, number);
    bench_text_escaped(to, document->mode);
    if (document->label[0] != '\0') {
        bench_text_put(to, ", ");
        bench_text_escaped(to, document->label);
    }
    bench_text_put(to, "</a>");
}

/* "channel, 64 B: " */
static void
begin_item(bench_text *to, const bench_page_row *row, size_t number)
{
    bench_text_put(to, number > 1 ? "; " : "");
    bench_text_escaped(to, row->name);
    if (row->bytes >= 0)
        bench_text_add(to, ", %s", bench_human_bytes(row->bytes).text);
    bench_text_put(to, ": ");
}

/* What a peer loses is no news about us; the table marks it. */
static bool
is_peer(const bench_page_row *row)
{
    return bench_page_has_peers(row->document) && !bench_page_is_ours(row);
}

static size_t
list_wrong_counts(bench_text *to, const bench_page_document *document)
{
    size_t found = 0, i, j;

    for (i = 0; i < document->row_count; i++)
        for (j = 0; bench_page_zeros[j] != NULL; j++) {
            const double count = bench_page_figure(&document->rows[i], bench_page_zeros[j]);

            if (isnan(count) || count == 0 || is_peer(&document->rows[i]) || ++found > LISTED_MAX)
                continue;
            begin_item(to, &document->rows[i], found);
            bench_page_heading(to, bench_page_zeros[j]);
            bench_text_add(to, " %s", bench_human_count(count).text);
        }
    return found;
}

static size_t
list_noise(bench_text *to, const bench_page_document *document)
{
    if (document->noise == NULL)
        return 0;
    bench_text_escaped(to, document->noise[0] != '\0' ? document->noise : "it does not say why");
    return 1;
}

static size_t
list_over_budget(bench_text *to, const bench_page_document *document)
{
    size_t found = 0, i;

    for (i = 0; i < document->row_count; i++) {
        const bench_page_row *row = &document->rows[i];

        if (!bench_page_over_budget(row) || ++found > LISTED_MAX)
            continue;
        begin_item(to, row, found);
        bench_text_add(to, "%s, allowed ",
                       bench_page_human("ratio", bench_page_figure(row, "ratio")).text);
        bench_text_put(to, bench_page_human("budget", bench_page_figure(row, "budget")).text);
    }
    return bench_page_missed_budgets(to, document, found, LISTED_MAX);
}

static size_t
list_errors(bench_text *to, const bench_page_document *document)
{
    size_t found = 0, i;

    for (i = 0; i < document->row_count; i++) {
        const bench_page_row *row = &document->rows[i];

        if (row->error == NULL || ++found > LISTED_MAX)
            continue;
        begin_item(to, row, found);
        bench_text_escaped(to, row->error);
    }
    return found;
}

static void
write_notice(bench_text *to, const bench_page *page, const char *css, const char *heading,
             lister *list)
{
    const size_t start = to->size;
    bool any = false;
    size_t i, before, found;

    bench_text_add(to, "<div class=\"notice %s\" role=\"note\">%s\n<ul>\n", css, heading);
    for (i = 0; i < page->document_count; i++) {
        before = to->size;
        bench_text_put(to, "<li>");
        bench_page_document_name(to, page, &page->documents[i]);
        bench_text_put(to, ": ");
        found = list(to, &page->documents[i]);
        if (found > LISTED_MAX)
            bench_text_add(to, "; and %zu more", found - LISTED_MAX);
        bench_text_put(to, "</li>\n");
        if (found == 0)
            bench_text_cut(to, before);
        any = any || found > 0;
    }
    bench_text_put(to, "</ul></div>\n");
    if (!any)
        bench_text_cut(to, start);
}

void
bench_page_notices(bench_text *to, const bench_page *page)
{
    write_notice(to, page, "bad", "<strong>Wrong</strong> Counts that must be 0, and are not.",
                 list_wrong_counts);
    write_notice(to, page, "noisy",
                 "<strong>Noisy</strong> Other load met these runs: trust their ratios more than "
                 "their times.",
                 list_noise);
    write_notice(to, page, "bad", "<strong>Over budget</strong>", list_over_budget);
    write_notice(to, page, "bad", "<strong>Failed</strong> These rows have no figures.",
                 list_errors);
}
