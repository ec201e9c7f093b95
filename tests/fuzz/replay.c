/* SPDX-License-Identifier: MIT */
/*
 * replay.c - a target's main without libFuzzer: feeds it each file of the folders and files named.
 *
 *   replay_frame FOLDER|FILE...       ends with a signal at a finding; its input is named last
 */
#include "check.h"
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_MAX = 1 << 20, STUCK_SECONDS = 60 };

static void
feed(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(INPUT_MAX), *exact;
    size_t size;

    CHECK(file != NULL && bytes != NULL);
    size = fread(bytes, 1, INPUT_MAX, file);
    fclose(file);
    exact = realloc(bytes, size > 0 ? size : 1); /* so that a read past the end is seen */
    CHECK(exact != NULL);
    printf("%s\n", path);
    fflush(stdout);
    alarm(STUCK_SECONDS);
    LLVMFuzzerTestOneInput(exact, size);
    alarm(0);
    free(exact);
}

static unsigned
feed_folder(const char *folder)
{
    DIR *entries = opendir(folder);
    struct dirent *entry;
    unsigned fed = 0;
    char path[4096];

    CHECK(entries != NULL);
    while ((entry = readdir(entries)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        feed(path);
        fed++;
    }
    closedir(entries);
    return fed;
}

int
main(int argc, char **argv)
{
    unsigned fed = 0;
    int i;

    for (i = 1; i < argc; i++) {
        struct stat what;

        CHECK(stat(argv[i], &what) == 0);
        if (S_ISDIR(what.st_mode)) {
            fed += feed_folder(argv[i]);
        } else {
            feed(argv[i]);
            fed++;
        }
    }
    printf("%u inputs replayed\n", fed);
    return fed > 0 ? 0 : 1; /* a corpus that is not there would pass unseen */
}
