/* SPDX-License-Identifier: MIT */
/* fuzz_frame.c - any bytes as a frame: what is accepted can be read with the accessors, whole. */
#include "check.h"
#include "flatbuf_frames.h"
#include "fuzz.h"

#include <stdlib.h>

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *frame = malloc(size > 0 ? size : 1); /* 8-aligned, as rbr_verify asks for */
    rbr_verdict found = {.refs_max = 0};
    rbr_table top;
    uint32_t i;

    CHECK(frame != NULL);
    memcpy(frame, data, size);
    if (rbr_verify(frame, (uint32_t)size, &top, &found) != RBR_OK &&
        found.defect == RBR_DEFECT_REFS) {
        found.refs_max = found.refs;
        found.ref_at = malloc(found.refs * sizeof found.ref_at[0]);
        CHECK(found.ref_at != NULL);
        CHECK(rbr_verify(frame, (uint32_t)size, &top, &found) == RBR_OK);
    }
    if (found.defect == RBR_DEFECT_NONE) {
        CHECK(walk(top) > 0);
        for (i = 0; i < found.refs; i++)
            CHECK(found.ref_at[i] <= size && size - found.ref_at[i] >= sizeof(rbr_arena_ref));
    } else {
        CHECK(found.offset <= size);
    }
    free(found.ref_at);
    free(frame);
    return 0;
}
