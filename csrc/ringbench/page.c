/* SPDX-License-Identifier: MIT */
/*
 * page.c - `ringbench report`: reads documents, writes the page.
 *
 * The page is built in memory and goes to a new file beside the wanted one, which then takes its
 * name: whoever looks sees the old page or the new one, whole. A name that stands for a device or a
 * pipe is written to as it is.
 */
#include "page.h"

#include "bench.h"
#include "process.h"

#include "ringbridge.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bench_page page; /* large, and one is enough */

/* ------------------------------------------------------------------------------------ command line */

typedef struct page_request {
    const char *output;
    const char *title;
    char **files;
    int file_count;
} page_request;

_Noreturn static void
usage(const char *given, const char *what)
{
    fprintf(stderr, "ringbench report: %s%s%s\nTry 'ringbench --help'.\n", given,
            given[0] != '\0' ? ": " : "", what);
    exit(BENCH_EXIT_USAGE);
}

static void
parse(page_request *out, int argc, char **argv)
{
    static const struct option options[] = {{"output", required_argument, NULL, 'o'},
                                            {"title", required_argument, NULL, 't'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    int option;

    *out = (page_request){.output = "ringbench.html", .title = "ringbench report"};
    while ((option = getopt_long(argc, argv, "o:h", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            out->output = optarg;
            break;
        case 't':
            out->title = optarg;
            break;
        case 'h':
            bench_help(stdout);
            exit(0);
        default: /* getopt has said what is wrong */
            fputs("Try 'ringbench --help'.\n", stderr);
            exit(BENCH_EXIT_USAGE);
        }
    }
    out->files = argv + optind;
    out->file_count = argc - optind;
    if (out->output[0] == '\0')
        usage("-o", "the name of a file is expected, or - for stdout");
    if (out->file_count == 0)
        usage("", "no file: give what other modes wrote with --json FILE");
    if (out->file_count > BENCH_PAGE_DOCUMENTS_MAX) {
        fprintf(stderr, "ringbench report: %d files: a page takes %d at the most\n",
                out->file_count, BENCH_PAGE_DOCUMENTS_MAX);
        exit(BENCH_EXIT_USAGE);
    }
}

/* ----------------------------------------------------------------------------------------- reading */

/* All that a file has, but not more than one byte beyond what the reader takes. */
static char *
read_all(FILE *file, const char *path, size_t *size)
{
    const size_t most = (size_t)BENCH_JSON_BYTES_MAX + 1;
    size_t room = 1u << 16;
    char *text = malloc(room), *more;

    for (*size = 0; text != NULL; text = more) {
        *size += fread(text + *size, 1, room - *size, file);
        if (ferror(file)) {
            free(text);
            usage(path, strerror(errno));
        }
        if (*size < room || room >= most)
            return text;
        room *= 2;
        more = realloc(text, room);
        if (more == NULL)
            free(text);
    }
    bench_die(BENCH_EXIT_MACHINE, "no memory for %s", path);
}

static void
load(const char *path)
{
    const bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    size_t size;
    char *text;

    if (file == NULL)
        usage(path, strerror(errno));
    text = read_all(file, path, &size);
    if (!standard)
        fclose(file);
    bench_page_load(&page, standard ? "stdin" : path, text, size);
}

/* ----------------------------------------------------------------------------------------- writing */

static bool
write_all(int fd, const bench_text *text)
{
    size_t done = 0;
    ssize_t count;

    while (done < text->size) {
        count = write(fd, text->bytes + done, text->size - done);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return false;
        done += (size_t)count;
    }
    return true;
}

_Noreturn static void
cannot_write(const char *path)
{
    bench_die(BENCH_EXIT_MACHINE, "cannot write %s: %s", path, strerror(errno));
}

static void
write_in_place(const char *path, const bench_text *text)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);

    if (fd < 0)
        usage(path, strerror(errno));
    if (!write_all(fd, text) || close(fd) != 0)
        cannot_write(path);
}

static void
write_and_rename(const char *path, const bench_text *text)
{
    char name[PATH_MAX];
    const mode_t mask = umask(0);
    int fd;

    umask(mask);
    if (snprintf(name, sizeof name, "%s.XXXXXX", path) >= (int)sizeof name)
        usage(path, strerror(ENAMETOOLONG));
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        usage(path, strerror(errno));
    if (!write_all(fd, text) || fchmod(fd, 0666 & ~mask) != 0 || close(fd) != 0 ||
        rename(name, path) != 0) {
        const int error = errno;

        unlink(name);
        errno = error;
        cannot_write(path);
    }
}

/* An argument in the wrong place must not cost a measurement. */
static void
refuse_input(const page_request *request, const struct stat *output)
{
    struct stat input;
    int i;

    for (i = 0; i < request->file_count; i++)
        if (stat(request->files[i], &input) == 0 && input.st_dev == output->st_dev &&
            input.st_ino == output->st_ino)
            usage(request->output, "the page would take the place of a file that it is made from");
}

static void
write_page(const page_request *request, const bench_text *text)
{
    char resolved[PATH_MAX]; /* a link stays one: what it leads to is replaced */
    struct stat there;

    if (strcmp(request->output, "-") == 0) {
        if (!write_all(STDOUT_FILENO, text))
            cannot_write("the page to stdout");
        return;
    }
    if (stat(request->output, &there) != 0 || realpath(request->output, resolved) == NULL) {
        write_and_rename(request->output, text);
        return;
    }
    refuse_input(request, &there);
    if (S_ISREG(there.st_mode))
        write_and_rename(resolved, text);
    else
        write_in_place(resolved, text);
}

/* ---------------------------------------------------------------------------------------- the page */

static void
build(bench_text *to)
{
    bench_text_put(to, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                       "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
                       "<meta name=\"generator\" content=\"ringbench " RBR_VERSION "\"/>\n<title>");
    bench_text_escaped(to, page.title);
    bench_text_add(to, "</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n",
                   bench_page_style);
    bench_page_head(to, &page);
    bench_page_latency(to, &page);
    bench_page_throughput(to, &page);
    bench_page_bars(to, &page);
    bench_page_tables(to, &page);
    bench_text_put(to, "</main>\n</body>\n</html>\n");
}

int
bench_report_page(int argc, char **argv)
{
    page_request request;
    bench_text text = {0};
    int i;

    parse(&request, argc, argv);
    page.title = request.title;
    for (i = 0; i < request.file_count; i++)
        load(request.files[i]);
    bench_page_relate(&page);
    build(&text);
    write_page(&request, &text);
    bench_text_free(&text);
    return 0;
}
