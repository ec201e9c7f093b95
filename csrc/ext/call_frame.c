/* SPDX-License-Identifier: MIT */
/*
 * call_frame.c - the parts of a request's frame, and waiting for its answer.
 */
#include "ext.h"

int
call_encode_text(value_encoder *encoder, uint32_t slot, PyObject *text)
{
    Py_ssize_t size;
    const char *bytes = PyUnicode_AsUTF8AndSize(text, &size);

    if (bytes == NULL)
        return -1;
    if (rbr_build_string(&encoder->build, slot, bytes, (uint32_t)size) == 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

int
call_encode_args(value_encoder *encoder, uint32_t slot, PyObject *const *args, Py_ssize_t count)
{
    const value_path root = {.root = "args", .index = -1};
    const uint32_t first = rbr_build_vector(&encoder->build, slot, (uint32_t)count, 4, 4);
    Py_ssize_t i;

    if (first == 0) {
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < count; i++) {
        const value_path path = {.parent = &root, .index = i};

        if (value_encode(encoder, args[i], first + 4 * (uint32_t)i, &path) < 0)
            return -1;
    }
    return 0;
}

int
call_encode_kwargs(value_encoder *encoder, uint32_t slot, PyObject *names, PyObject *const *values)
{
    const value_path root = {.root = "kwargs", .index = -1};
    const Py_ssize_t count = PyTuple_Size(names);
    const uint32_t first = rbr_build_vector(&encoder->build, slot, (uint32_t)count, 4, 4);
    Py_ssize_t i;

    if (first == 0) {
        PyErr_NoMemory();
        return -1;
    }
    encoder->tables += (uint32_t)count;
    for (i = 0; i < count; i++) {
        PyObject *name = PyTuple_GetItem(names, i);
        const value_path path = {.parent = &root, .key = name, .index = -1};
        const uint32_t pair = rbr_build_table(&encoder->build, first + 4 * (uint32_t)i,
                                              &rbr_shape_keyval);

        if (pair == 0) {
            PyErr_NoMemory();
            return -1;
        }
        if (call_encode_text(encoder, rbr_build_slot(pair, &rbr_shape_keyval, RBR_KEY_VAL__K),
                             name) < 0)
            return PyErr_ExceptionMatches(PyExc_UnicodeEncodeError)
                       ? value_refuse(encoder, &path, "a name with a lone surrogate is not text")
                       : -1;
        if (value_encode(encoder, values[i],
                         rbr_build_slot(pair, &rbr_shape_keyval, RBR_KEY_VAL__V), &path) < 0)
            return -1;
    }
    return 0;
}

int
call_encode_callback(value_encoder *encoder, uint32_t slot, uint64_t index, PyObject *const *args,
                     Py_ssize_t count, PyObject *names)
{
    rbr_shape shape;
    uint32_t table;

    rbr_shape_make(&shape, &rbr_desc_callback,
                   RBR_BIT(RBR_CALLBACK__ID) | RBR_BIT(RBR_CALLBACK__ARGS) |
                       (names != NULL ? RBR_BIT(RBR_CALLBACK__KWARGS) : 0));
    table = rbr_build_table_once(&encoder->build, slot, &shape);
    if (table == 0) {
        PyErr_NoMemory();
        return -1;
    }
    rbr_build_u64(&encoder->build, table, &shape, RBR_CALLBACK__ID, index);
    if (call_encode_args(encoder, rbr_build_slot(table, &shape, RBR_CALLBACK__ARGS), args, count) <
        0)
        return -1;
    if (names == NULL)
        return 0;
    return call_encode_kwargs(encoder, rbr_build_slot(table, &shape, RBR_CALLBACK__KWARGS), names,
                              args + count);
}

static const rbr_shape *
frame_shape(const value_encoder *encoder)
{
    return encoder->parent != 0 ? &rbr_shape_frame_parent : &rbr_shape_frame;
}

uint32_t
call_start_frame(value_encoder *encoder, uint8_t body, uint32_t *slot)
{
    const rbr_shape *shape;
    uint32_t root;

    if (encoder->parent == 0 && call_parent_of(encoder->channel, &encoder->parent) < 0)
        return 0;
    shape = frame_shape(encoder);
    root = rbr_build_table(&encoder->build, 0, shape);
    if (root == 0) {
        PyErr_NoMemory();
        return 0;
    }
    if (encoder->parent != 0)
        rbr_build_u64(&encoder->build, root, shape, RBR_FRAME__PARENT, encoder->parent);
    rbr_build_u8(&encoder->build, root, shape, RBR_FRAME__BODY_TYPE, body);
    *slot = rbr_build_slot(root, shape, RBR_FRAME__BODY);
    return root;
}

void
call_set_id(value_encoder *encoder, uint32_t root, uint64_t id)
{
    rbr_build_u64(&encoder->build, root, frame_shape(encoder), RBR_FRAME__ID, id);
}

/* What came was dealt with: may the wait go on? Else an exception is set. There may be more to come
 * without end, and a wait that finds something looks neither at the clock nor for signals, and keeps
 * the GIL. */
static bool
waits_on(ChannelObject *channel, uint64_t deadline_ns, const char *doing)
{
    Py_BEGIN_ALLOW_THREADS
    Py_END_ALLOW_THREADS
    if (PyErr_CheckSignals() < 0)
        return false;
    if (deadline_ns == RBR_FOREVER || rbr_now_ns() < deadline_ns)
        return true;
    channel_raise(channel, RBR_TIMED_OUT, NULL, doing);
    return false;
}

/* Sends and waits, and answers on this thread what comes for the call meanwhile. */
static rbr_message *
exchange(ChannelObject *channel, value_encoder *encoder, rbr_pending *pending, call_made *made,
         uint32_t size, uint64_t deadline_ns, const char *doing)
{
    const uint64_t id = made->id;
    const event_hand hand = {channel, id, encoder->callbacks, encoder->callbacks_on,
                             &made->last_handle};
    rbr_message *answer = NULL;

    encoder->callbacks = NULL;
    if (channel_send(channel, encoder, size, deadline_ns, doing) == 0) {
        value_encoder_stop(encoder); /* the buffer is free for the next call */
        answer = channel_wait(channel, pending, id, deadline_ns, doing);
    }
    while (answer != NULL && !event_is_answer(answer)) {
        const int result = event_handle(&hand, answer);

        rbr_message_free(answer);
        answer = NULL;
        if (result == 0 && waits_on(channel, deadline_ns, doing))
            answer = channel_wait(channel, pending, id, deadline_ns, doing);
        else /* nobody waits any more; or a callback has raised what is not for the other side */
            rbr_channel_cancel(channel->channel, id, true);
    }
    Py_XDECREF(hand.callbacks);
    return answer;
}

rbr_message *
call_exchange(ChannelObject *channel, value_encoder *encoder, uint32_t root, call_made *made,
              uint64_t deadline_ns, const char *doing)
{
    const uint32_t size = rbr_build_finish(&encoder->build);
    rbr_message *answer;
    rbr_pending pending;

    *made = (call_made){.id = 0};
    if (size == 0) {
        PyErr_NoMemory();
        return NULL;
    }
    made->id = rbr_pending_begin(&pending, channel->channel);
    call_set_id(encoder, root, made->id);
    answer = exchange(channel, encoder, &pending, made, size, deadline_ns, doing);
    rbr_pending_end(&pending);
    if (answer == NULL)
        small_frame_ended(channel, made->id, made->last_handle);
    return answer;
}
