/* SPDX-License-Identifier: MIT */
/*
 * packed.h - private to packed.c, publisher_type.c and subscriber_type.c: frames that are no message
 * of a channel. They hold a number, a parent, values and named values, and all payloads.
 */
#ifndef RBR_EXT_PACKED_H
#define RBR_EXT_PACKED_H

#include "ext.h"

/* Writes one, and its size to *size; named values follow the others, as in a vectorcall. -1 with an
 * exception. */
int packed_encode(value_encoder *encoder, uint64_t number, uint64_t parent, PyObject *const *args,
                  Py_ssize_t count, PyObject *names, uint32_t *size);
/* (number, parent, values, named): a new reference, NULL with ProtocolError where the frame is none. */
PyObject *packed_decode(value_decoder *decoder);

/* Functions of the module. */
PyObject *packed_pack(PyObject *module, PyObject *args);
PyObject *packed_unpack(PyObject *module, PyObject *bytes);

#endif
