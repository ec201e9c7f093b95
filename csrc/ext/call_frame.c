/* SPDX-License-Identifier: MIT */
/*
 * call_frame.c - what every request of the host has in common: its Frame, and waiting for the
 * answer.
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

uint32_t
call_start_frame(value_encoder *encoder, uint8_t body, uint32_t *slot)
{
    const uint32_t root = rbr_build_table(&encoder->build, 0, &rbr_shape_frame);

    if (root == 0) {
        PyErr_NoMemory();
        return 0;
    }
    rbr_build_u8(&encoder->build, root, &rbr_shape_frame, RBR_FRAME__BODY_TYPE, body);
    *slot = rbr_build_slot(root, &rbr_shape_frame, RBR_FRAME__BODY);
    return root;
}

rbr_message *
call_exchange(ChannelObject *channel, value_encoder *encoder, uint32_t root, uint64_t deadline_ns,
              const char *doing)
{
    const uint32_t size = rbr_build_finish(&encoder->build);
    rbr_message *answer = NULL;
    rbr_pending pending;
    uint64_t id;

    if (size == 0) {
        PyErr_NoMemory();
        return NULL;
    }
    id = rbr_pending_begin(&pending, channel->channel);
    rbr_build_u64(&encoder->build, root, &rbr_shape_frame, RBR_FRAME__ID, id);
    if (channel_send(channel, encoder, size, deadline_ns, doing) == 0) {
        value_encoder_stop(encoder); /* the buffer is free for the next call */
        answer = channel_wait(channel, &pending, id, deadline_ns, doing);
    }
    rbr_pending_end(&pending);
    return answer;
}
