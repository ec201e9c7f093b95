/* SPDX-License-Identifier: MIT */
/*
 * frame_copy.c - private copies of large frames that stand in memory which another process writes.
 *
 * A copy lies in an Array, and so do the arrays in it. Once the user has let go of them all, the next
 * copy takes that memory: new memory costs several times what a copy does.
 */
#include "tensor.h"

/* Memory for a copy of `bytes`, a new reference: what nobody else holds any more, or new. */
static ArrayObject *
holder_for(core_state *state, frame_copies *copies, uint64_t bytes)
{
    tensor as = {.of = {.dtype = RBR_DTYPE_U8, .itemsize = 1}, .rank = 1};
    ArrayObject *made, *old;
    int i, place = 0;

    for (i = 0; i < FRAME_COPIES; i++) {
        old = copies->holders[i];
        if (old == NULL || Py_REFCNT((PyObject *)old) == 1)
            place = i;
        if (old != NULL && Py_REFCNT((PyObject *)old) == 1 && old->bytes >= bytes)
            return (ArrayObject *)Py_NewRef((PyObject *)old);
    }
    as.shape[0] = (int64_t)bytes;
    as.strides[0] = 1;
    made = array_new(state, NULL, bytes, 0, &as);
    if (made == NULL)
        return NULL;
    old = copies->holders[place];
    copies->holders[place] = (ArrayObject *)Py_NewRef((PyObject *)made);
    Py_XDECREF((PyObject *)old);
    return made;
}

rbr_status
frame_copy_large(core_state *state, frame_copies *copies, uint64_t room, const void *frame,
                 uint64_t bytes, rbr_message **out, ArrayObject **holder, rbr_error *error)
{
    rbr_status status;

    *holder = holder_for(state, copies, RBR_MESSAGE_HEAD + room);
    if (*holder == NULL) {
        PyErr_Clear();
        return RBR_NO_MEMORY;
    }
    Py_BEGIN_ALLOW_THREADS
    status = rbr_message_copy(out, frame, bytes, (*holder)->memory, error);
    Py_END_ALLOW_THREADS
    return status;
}

void
frame_copies_clear(frame_copies *copies)
{
    int i;

    for (i = 0; i < FRAME_COPIES; i++)
        Py_CLEAR(copies->holders[i]);
}
