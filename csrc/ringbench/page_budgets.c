/* SPDX-License-Identifier: MIT */
/*
 * page_budgets.c - the budgets that `ringbridge bench` writes beside its rows, as text: what the
 * project allows itself, and whether it was met.
 */
#include "page.h"

/* NULL: there are none. What does not look like a budget is passed over, as unknown keys are. */
static const bench_json *
first_of(const bench_page_document *document)
{
    const bench_json *list = bench_json_member(document->json.root, "budgets");

    return list != NULL && list->type == BENCH_JSON_ARRAY ? list->first : NULL;
}

static bool
is_missed(const bench_json *budget)
{
    const bench_json *ok = bench_json_member(budget, "ok");

    return ok != NULL && ok->type == BENCH_JSON_FALSE;
}

size_t
bench_page_missed_budgets(bench_text *to, const bench_page_document *document, size_t found,
                          size_t most)
{
    const bench_json *budget;

    for (budget = first_of(document); budget != NULL; budget = budget->next) {
        if (!is_missed(budget) || ++found > most)
            continue;
        bench_text_put(to, found > 1 ? "; " : "");
        bench_text_escaped(to, bench_page_text_of(budget, "what"));
        bench_text_put(to, ": ");
        bench_text_escaped(to, bench_page_text_of(budget, "measured"));
        bench_text_put(to, ", allowed ");
        bench_text_escaped(to, bench_page_text_of(budget, "budget"));
    }
    return found;
}

static void
write_budget(bench_text *to, const bench_json *budget)
{
    static const char *const texts[] = {"measured", "against", "budget"};
    const bench_json *ok = bench_json_member(budget, "ok");
    size_t i;

    bench_text_put(to, "<tr><th scope=\"row\">");
    bench_text_escaped(to, bench_page_text_of(budget, "what"));
    bench_text_put(to, "</th>");
    for (i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bench_text_put(to, "<td class=\"text\">");
        bench_text_escaped(to, bench_page_text_of(budget, texts[i]));
        bench_text_put(to, "</td>");
    }
    if (is_missed(budget))
        bench_text_put(to, "<td class=\"text bad\"><strong>missed</strong></td></tr>\n");
    else
        bench_text_add(to, "<td class=\"text\">%s</td></tr>\n",
                       ok != NULL && ok->type == BENCH_JSON_TRUE ? "met" : "");
}

void
bench_page_budgets(bench_text *to, const bench_page_document *document)
{
    const bench_json *budget = first_of(document);

    if (budget == NULL)
        return;
    bench_text_put(to,
                   "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Budgets\">"
                   "<table class=\"budgets\">\n<thead><tr><th scope=\"col\" class=\"text\">budget "
                   "of</th><th scope=\"col\" class=\"text\">measured</th><th scope=\"col\" "
                   "class=\"text\">against</th><th scope=\"col\" class=\"text\">allowed</th>"
                   "<th scope=\"col\" class=\"text\"></th></tr></thead>\n<tbody>\n");
    for (; budget != NULL; budget = budget->next)
        write_budget(to, budget);
    bench_text_put(to, "</tbody></table></div>\n");
}
