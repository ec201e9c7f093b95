/* SPDX-License-Identifier: MIT */
/*
 * channel_wait.c - waiting without the GIL, in slices, so that Ctrl-C is heard.
 *
 * Each wait tries first with the GIL, for as long as a quick answer takes; then it lets go of it.
 */
#include "ext.h"

bool
deadline_from_timeout(PyObject *timeout, uint64_t *deadline_ns)
{
    double seconds;

    *deadline_ns = RBR_FOREVER;
    if (timeout == NULL || timeout == Py_None)
        return true;
    seconds = PyFloat_AsDouble(timeout);
    if (seconds == -1.0 && PyErr_Occurred())
        return false;
    if (!(seconds >= 0)) {
        PyErr_Format(PyExc_ValueError, "a timeout cannot be negative or NaN, as %R is", timeout);
        return false;
    }
    if (seconds < 1e9) /* longer is for ever */
        *deadline_ns = rbr_now_ns() + (uint64_t)(seconds * 1e9);
    return true;
}

uint64_t
channel_slice_end(const core_state *state, uint64_t deadline_ns)
{
    const uint64_t look_ns =
        rbr_now_ns() + (state != NULL && channel_has_idle(state) ? IDLE_SLICE_NS : SIGNAL_LOOK_NS);

    return deadline_ns < look_ns ? deadline_ns : look_ns;
}

int
channel_slice_over(const core_state *state, rbr_status status, uint64_t deadline_ns)
{
    if (status != RBR_INTERRUPTED && status != RBR_TIMED_OUT && status != RBR_AGAIN)
        return 0;
    if (PyErr_CheckSignals() < 0)
        return -1;
    if (state != NULL && channel_has_idle(state)) {
        PyObject *done = PyObject_CallObject(state->idle, NULL);

        Py_XDECREF(done);
        if (done == NULL)
            return -1;
    }
    return status == RBR_TIMED_OUT && rbr_now_ns() >= deadline_ns ? 0 : 1;
}

int
channel_send(ChannelObject *self, value_encoder *encoder, uint32_t size, uint64_t deadline_ns,
             const char *doing)
{
    rbr_channel *channel = self->channel;
    rbr_error error = {.status = RBR_OK};
    rbr_status status = rbr_channel_send(channel, encoder->build.base, size, encoder->blocks,
                                         encoder->block_count, 0, &error);
    int more = 1;

    if (status == RBR_OK)
        return 0;
    while (more == 1 && (more = channel_slice_over(NULL, status, deadline_ns)) == 1) {
        const uint64_t until = channel_slice_end(NULL, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_send(channel, encoder->build.base, size, encoder->blocks,
                                  encoder->block_count, until, &error);
        Py_END_ALLOW_THREADS
    }
    if (more == 0 && status == RBR_OK)
        return 0;
    channel_raise(self, status, error.status == status ? &error : NULL, doing);
    return -1;
}

int
channel_post(ChannelObject *self, value_encoder *encoder, uint32_t size, uint64_t id,
             uint64_t deadline_ns, const char *doing)
{
    rbr_channel *channel = self->channel;
    rbr_error error = {.status = RBR_OK};
    rbr_status status = rbr_channel_post(channel, encoder->build.base, size, encoder->blocks,
                                         encoder->block_count, id, 0, &error);
    int more = 1;

    if (status == RBR_OK)
        return 0;
    if (status == RBR_AGAIN && deadline_ns == 0) {
        PyErr_Format(self->state->busy,
                     "%s cannot be sent now: the calls that %U has not taken yet fill this "
                     "process's outbox, and an event loop's thread must not wait; await some first",
                     doing, self->title);
        return -1;
    }
    while (more == 1 && (more = channel_slice_over(NULL, status, deadline_ns)) == 1) {
        const uint64_t until = channel_slice_end(NULL, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_post(channel, encoder->build.base, size, encoder->blocks,
                                  encoder->block_count, id, until, &error);
        Py_END_ALLOW_THREADS
    }
    if (more == 0 && status == RBR_OK)
        return 0;
    channel_raise(self, status, error.status == status ? &error : NULL, doing);
    return -1;
}

uint64_t
channel_answer_deadline(const ChannelObject *self)
{
    return self->served && !self->host ? rbr_now_ns() + PATIENCE_NS : RBR_FOREVER;
}

rbr_status
channel_next(ChannelObject *self, rbr_pending *pending, uint64_t deadline_ns, rbr_message **message)
{
    rbr_status status = rbr_pending_wait(pending, message, GIL_SPIN_NS, 0);
    uint64_t spin_ns = RBR_FOREVER; /* once: a long call is not spun for at each look */
    int more = 1;

    while (status != RBR_OK && (more = channel_slice_over(self->state, status, deadline_ns)) == 1) {
        const uint64_t until = channel_slice_end(self->state, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_pending_wait(pending, message, spin_ns, until);
        Py_END_ALLOW_THREADS
        spin_ns = 0;
    }
    return more < 0 ? RBR_INTERRUPTED : status;
}

rbr_message *
channel_wait(ChannelObject *self, rbr_pending *pending, uint64_t id, uint64_t deadline_ns,
             const char *doing)
{
    rbr_message *message = NULL;
    const rbr_status status = channel_next(self, pending, deadline_ns, &message);

    if (status == RBR_OK)
        return message;
    if (status == RBR_INTERRUPTED || status == RBR_TIMED_OUT) /* nobody waits for it any more */
        rbr_channel_cancel(self->channel, id, true);
    return channel_raise(self, status, NULL, doing);
}

rbr_block *
channel_allocate(ChannelObject *self, uint64_t bytes, uint64_t deadline_ns)
{
    rbr_channel *channel = channel_enter(self);
    rbr_error error = {.status = RBR_OK};
    rbr_block *block = NULL;
    rbr_status status;
    int more = 1;

    if (channel == NULL)
        return NULL;
    status = rbr_block_allocate(&block, channel, bytes, 0, &error);
    while (status != RBR_OK && more == 1 &&
           (more = channel_slice_over(NULL, status, deadline_ns)) == 1) {
        const uint64_t until = channel_slice_end(NULL, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_block_allocate(&block, channel, bytes, until, &error);
        Py_END_ALLOW_THREADS
    }
    if (status != RBR_OK)
        channel_raise(self, status, error.status == status ? &error : NULL,
                      status == RBR_DEAD ? NULL : "an allocation");
    channel_leave(self);
    return status == RBR_OK ? block : NULL;
}
