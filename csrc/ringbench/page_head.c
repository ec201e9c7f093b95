/* SPDX-License-Identifier: MIT */
/*
 * page_head.c - the top of the page: machines, notices, documents.
 */
#include "page.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MACHINE_COLUMNS = 200 };

static const bench_json *
part_of(const bench_page_document *document, const char *key)
{
    return bench_json_member(document->json.root, key);
}

static double
number_of(const bench_json *object, const char *key)
{
    const bench_json *member = object != NULL ? bench_json_member(object, key) : NULL;

    return member != NULL && member->type == BENCH_JSON_NUMBER ? member->number : (double)NAN;
}

/* --------------------------------------------------------------------------------------- machines */

static void
describe_machine(bench_text *to, const bench_page_document *document)
{
    static const char *const keys[] = {"architecture", "kernel", "hypervisor"};
    static const char *const words[] = {", ", ", Linux ", ", under "};
    const bench_json *machine = part_of(document, "machine");
    const char *cpu = bench_page_text_of(machine, "cpu");
    const double cpus = number_of(machine, "cpus");
    size_t i;

    bench_text_cut(to, 0);
    bench_text_put(to, cpu[0] != '\0' ? cpu : "unknown machine");
    if (!isnan(cpus))
        bench_text_add(to, ", %s CPU%s", bench_human_count(cpus).text, cpus == 1 ? "" : "s");
    for (i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const char *text = bench_page_text_of(machine, keys[i]);

        if (text[0] != '\0' && strcmp(text, "unknown") != 0)
            bench_text_add(to, "%s%s", words[i], text);
    }
}

/* Each machine once; of several, with the runs that were there. */
static void
write_machines(bench_text *to, const bench_page *page)
{
    bench_text machine = {0}, other = {0};
    size_t i, j;

    for (i = 0; i < page->document_count; i++) {
        bench_text runs = {0};
        size_t same = 0;
        bool known = false;

        describe_machine(&machine, &page->documents[i]);
        for (j = 0; j < page->document_count; j++) {
            describe_machine(&other, &page->documents[j]);
            if (strcmp(machine.bytes, other.bytes) != 0)
                continue;
            known = known || j < i;
            bench_text_add(&runs, "%s%zu", same++ > 0 ? ", " : "", j + 1);
        }
        if (!known) {
            bench_text_put(to, "<p class=\"machine\">");
            bench_text_shortened(to, machine.bytes, MACHINE_COLUMNS);
            if (same < page->document_count)
                bench_text_add(to, " <small>(run%s %s)</small>", same > 1 ? "s" : "", runs.bytes);
            bench_text_put(to, "</p>\n");
        }
        bench_text_free(&runs);
    }
    bench_text_free(&machine);
    bench_text_free(&other);
}

/* -------------------------------------------------------------------------------------- documents */

/* 2026-11-21T12:00:00Z as 2026-11-21 12:00 UTC; anything else as it is. */
static void
write_time(bench_text *to, const char *time)
{
    static const char pattern[] = "0000-00-00T00:00:00Z";
    size_t i;

    for (i = 0; i < sizeof pattern; i++)
        if (pattern[i] == '0' ? time[i] < '0' || time[i] > '9' : time[i] != pattern[i])
            break;
    if (i == sizeof pattern)
        bench_text_add(to, "%.10s %.5s UTC", time, time + 11);
    else
        bench_text_escaped(to, time);
}

static void
write_value(bench_text *to, const char *key, const bench_json *value)
{
    switch (value->type) {
    case BENCH_JSON_NUMBER:
        /* Numbers of CPUs are names; sizes read better in 1024s. */
        bench_text_put(to, strcmp(key, "sizes") == 0 ? bench_human_bytes(value->number).text
                                                     : bench_page_human(key, value->number).text);
        break;
    case BENCH_JSON_STRING:
        bench_text_escaped(to, value->text);
        break;
    case BENCH_JSON_TRUE:
        bench_text_put(to, "yes");
        break;
    case BENCH_JSON_FALSE:
        bench_text_put(to, "no");
        break;
    default: /* nothing that the modes write */
        bench_text_put(to, "?");
        break;
    }
}

static void
write_parameters(bench_text *to, const bench_json *parameters)
{
    const bench_json *parameter, *item;
    const char *before = "";

    for (parameter = parameters != NULL ? parameters->first : NULL; parameter != NULL;
         parameter = parameter->next) {
        bench_text_add(to, "%s<span class=\"parameter\"><span class=\"key\">", before);
        before = " ";
        bench_page_heading(to, parameter->key);
        bench_text_put(to, "</span> ");
        if (parameter->type == BENCH_JSON_ARRAY) {
            for (item = parameter->first; item != NULL; item = item->next) {
                write_value(to, parameter->key, item);
                bench_text_put(to, item->next != NULL ? ", " : "");
            }
        } else {
            write_value(to, parameter->key, parameter);
        }
        bench_text_put(to, "</span>");
    }
}

/* With what it was built and ran: the compiler, or Python and NumPy. */
static void
write_builder(bench_text *to, const bench_json *machine)
{
    const char *const compiler = bench_page_text_of(machine, "compiler");
    const char *const python = bench_page_text_of(machine, "python");
    const char *const numpy = bench_page_text_of(machine, "numpy");

    bench_text_escaped(to, compiler);
    if (python[0] != '\0') {
        bench_text_put(to, compiler[0] != '\0' ? ", Python " : "Python ");
        bench_text_escaped(to, python);
    }
    if (numpy[0] != '\0') {
        bench_text_put(to, ", NumPy ");
        bench_text_escaped(to, numpy);
    }
}

static void
write_number(bench_text *to, const char *key, double value)
{
    bench_text_add(to, "<td>%s</td>", isnan(value) ? "" : bench_page_human(key, value).text);
}

static void
write_document(bench_text *to, const bench_page *page, const bench_page_document *document)
{
    const bench_json *run = part_of(document, "run"), *machine = part_of(document, "machine");

    bench_text_put(to, "<tr><th scope=\"row\">");
    bench_page_document_name(to, page, document);
    bench_text_put(to, "</th><td class=\"text\">");
    bench_text_escaped(to, document->file);
    bench_text_put(to, "</td><td class=\"text\">");
    write_time(to, document->started);
    bench_text_put(to, "</td><td class=\"text\">");
    bench_text_escaped(to, document->tool);
    bench_text_put(to, " ");
    bench_text_escaped(to, document->version);
    bench_text_put(to, "<br/><small>");
    write_builder(to, machine);
    bench_text_put(to, "</small>");
    bench_text_put(to, "</td>");
    write_number(to, "seconds_s", number_of(run, "seconds"));
    write_number(to, "load", number_of(machine, "load_average"));
    write_number(to, "steal_percent", number_of(run, "steal_percent"));
    bench_text_put(to, "<td class=\"text parameters\">");
    write_parameters(to, part_of(document, "parameters"));
    bench_text_put(to, "</td></tr>\n");
}

void
bench_page_head(bench_text *to, const bench_page *page)
{
    size_t i;

    bench_text_put(to, "<header><h1>");
    bench_text_escaped(to, page->title);
    bench_text_put(to, "</h1>\n");
    write_machines(to, page);
    bench_text_put(to, "</header>\n");
    bench_page_notices(to, page);
    bench_text_put(
        to, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Documents\">"
            "<table class=\"documents\">\n<thead><tr><th scope=\"col\" class=\"text\">run</th>"
            "<th scope=\"col\" class=\"text\">file</th><th scope=\"col\" class=\"text\">when</th>"
            "<th scope=\"col\" class=\"text\">made by</th><th scope=\"col\">took</th>"
            "<th scope=\"col\">load</th><th scope=\"col\">stolen</th>"
            "<th scope=\"col\" class=\"text\">parameters</th></tr></thead>\n<tbody>\n");
    for (i = 0; i < page->document_count; i++)
        write_document(to, page, &page->documents[i]);
    bench_text_put(to, "</tbody></table></div>\n");
}
