/* SPDX-License-Identifier: MIT */
/*
 * channel_process.c - what a Channel tells of the process at its other end, and does to it: signals,
 * its end, its output.
 */
#include "ext.h"

PyObject *
channel_kill(ChannelObject *self, PyObject *args)
{
    int signal_number, group;
    rbr_status status;
    rbr_error error = {.status = RBR_OK};

    if (!PyArg_ParseTuple(args, "ip:kill", &signal_number, &group) || channel_enter(self) == NULL)
        return NULL;
    status = rbr_channel_kill(self->channel, signal_number, group != 0, &error);
    if (status != RBR_OK && status != RBR_DEAD)
        channel_raise(self, status, &error, "sending a signal");
    channel_leave(self);
    return PyErr_Occurred() ? NULL : PyBool_FromLong(status == RBR_OK);
}

PyObject *
channel_wait_end(ChannelObject *self, PyObject *timeout)
{
    uint64_t deadline_ns;
    rbr_exit result;
    rbr_status status;
    int more = 1;

    if (!deadline_from_timeout(timeout, &deadline_ns) || channel_enter(self) == NULL)
        return NULL;
    do {
        const uint64_t until = channel_slice_end(NULL, deadline_ns);

        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_wait_end(self->channel, &result, until);
        Py_END_ALLOW_THREADS
    } while (status != RBR_OK && (more = channel_slice_over(NULL, status, deadline_ns)) == 1);
    channel_leave(self);
    if (more < 0)
        return NULL;
    if (status != RBR_OK)
        Py_RETURN_NONE;
    return Py_BuildValue("(NNiN)", PyBool_FromLong(result.known), PyBool_FromLong(result.signalled),
                         result.code, PyBool_FromLong(result.core_dumped));
}

PyObject *
channel_read_output(ChannelObject *self, PyObject *timeout)
{
    char bytes[32768];
    size_t size = sizeof bytes;
    int stream = 0;
    uint64_t dropped = 0, deadline_ns;
    rbr_status status;

    if (!deadline_from_timeout(timeout, &deadline_ns))
        return NULL;
    if (self->channel == NULL || self->closing)
        Py_RETURN_NONE;
    channel_enter(self);
    Py_BEGIN_ALLOW_THREADS
    status = rbr_channel_read_output(self->channel, bytes, &size, &stream, &dropped, deadline_ns);
    Py_END_ALLOW_THREADS
    channel_leave(self);
    if (status == RBR_CLOSED)
        Py_RETURN_NONE;
    if (status != RBR_OK)
        size = 0;
    return Py_BuildValue("(iy#K)", stream, bytes, (Py_ssize_t)size, (unsigned long long)dropped);
}

PyObject *
channel_error_tail(ChannelObject *self, PyObject *unused)
{
    char bytes[8192];
    size_t size;

    (void)unused;
    if (channel_enter(self) == NULL)
        return NULL;
    size = rbr_channel_error_tail(self->channel, bytes, sizeof bytes);
    channel_leave(self);
    return PyBytes_FromStringAndSize(bytes, (Py_ssize_t)size);
}
