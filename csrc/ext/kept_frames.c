/* SPDX-License-Identifier: MIT */
/*
 * kept_frames.c - the queue of a publisher's frames that all viewers draw.
 */
#include "kept_frames.h"

void
kept_frames_init(kept_frames *self)
{
    *self = (kept_frames){.last = &self->first};
}

void
kept_frames_push(kept_frames *self, kept_frame *node, PyObject *bytes)
{
    *node = (kept_frame){.bytes = bytes};
    *self->last = node;
    self->last = &node->next;
    self->bytes += (uint64_t)PyBytes_Size(bytes);
}

PyObject *
kept_frames_pop(kept_frames *self)
{
    kept_frame *const node = self->first;
    PyObject *bytes;

    if (node == NULL)
        return NULL;
    self->first = node->next;
    if (self->first == NULL)
        self->last = &self->first;
    bytes = node->bytes;
    self->bytes -= (uint64_t)PyBytes_Size(bytes);
    PyMem_Free(node);
    return bytes;
}

void
kept_frames_clear(kept_frames *self)
{
    PyObject *bytes;

    while ((bytes = kept_frames_pop(self)) != NULL)
        Py_DECREF(bytes);
}
