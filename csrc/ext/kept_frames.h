/* SPDX-License-Identifier: MIT */
/*
 * kept_frames.h - private to publisher_type.c: packed frames that nobody has taken yet, first in, first
 * out. All of it with the GIL.
 */
#ifndef RBR_EXT_KEPT_FRAMES_H
#define RBR_EXT_KEPT_FRAMES_H

#include "ext.h"

/* Made before its frame is published, so that nothing can fail after it: PyMem_Malloc. */
typedef struct kept_frame {
    PyObject *bytes;
    struct kept_frame *next;
} kept_frame;

typedef struct kept_frames {
    kept_frame *first, **last;
    uint64_t bytes;
} kept_frames;

void kept_frames_init(kept_frames *self);
/* Takes over the node and the reference. */
void kept_frames_push(kept_frames *self, kept_frame *node, PyObject *bytes);
/* A new reference; NULL, without an exception: there is none. */
PyObject *kept_frames_pop(kept_frames *self);
void kept_frames_clear(kept_frames *self);

#endif
