/* SPDX-License-Identifier: MIT */
/*
 * serve_stream.c - generators that the host reads from, item by item.
 *
 *   Call with credit -> iterator -> StreamItem ... StreamItem -> StreamEnd
 *                          ^ parked while `credit` items are under way; StreamCredit brings it back
 *                          ^ StreamClose: its close(), so that `finally` runs, then StreamEnd
 *
 * One whose newest item wins is never parked, see serve_latest.c.
 *
 * Several streams take turns, and other calls run between two items. While a call waits for a
 * callback, only those streams go on that are read in there: where they were begun, or where credit
 * comes from.
 */
#include "serve.h"

#include <signal.h>

static stream *
stream_find(const server *self, uint64_t id)
{
    stream *found = self->streams;

    while (found != NULL && found->id != id)
        found = found->next;
    return found;
}

static void
stream_unlink(server *self, const stream *gone)
{
    stream **link = &self->streams;

    while (*link != NULL && *link != gone)
        link = &(*link)->next;
    if (*link != NULL)
        *link = gone->next;
}

static void
stream_append(server *self, stream *last)
{
    stream **link = &self->streams;

    while (*link != NULL)
        link = &(*link)->next;
    last->next = NULL;
    *link = last;
}

static void
stream_free(stream *self)
{
    Py_XDECREF(self->iterator);
    latest_free(self->latest);
    PyMem_Free(self->sizes);
    PyMem_Free(self);
}

void
stream_drop_all(server *self)
{
    while (self->streams != NULL) {
        stream *first = self->streams;

        self->streams = first->next;
        stream_free(first); /* a generator's `finally` runs */
    }
}

int
stream_start(server *self, uint64_t id, PyObject *result, uint32_t credit, uint32_t flags)
{
    const bool latest = (flags & CALL_LATEST) != 0;
    stream *made = PyMem_Calloc(1, sizeof *made);

    if (made == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    made->id = id;
    made->keep = (flags & CALL_KEEP) != 0 && !latest;
    made->depth = self->depth;
    made->credit = credit < STREAM_CREDIT_MAX ? credit : STREAM_CREDIT_MAX;
    made->sizes = PyMem_Calloc(made->credit, sizeof *made->sizes);
    made->latest = latest ? latest_new() : NULL;
    if (made->sizes == NULL || (latest && made->latest == NULL))
        PyErr_NoMemory();
    else
        made->iterator = PyObject_CallMethod(self->table, "iterate", "O", result);
    if (made->iterator == NULL) {
        stream_free(made);
        return -1;
    }
    stream_append(self, made);
    return 0;
}

/* ---------------------------------------------------------------------------------------- steps */

static bool
may_go_on(const server *self, const stream *each)
{
    return !each->busy && each->depth >= self->depth && each->under_way < each->credit &&
           each->bytes < STREAM_BYTES_MAX;
}

void
stream_leave(server *self)
{
    stream *each;

    for (each = self->streams; each != NULL; each = each->next)
        if (each->depth > self->depth)
            each->depth = self->depth;
}

bool
stream_is_ready(const server *self)
{
    const stream *each = self->streams;

    while (each != NULL && !may_go_on(self, each))
        each = each->next;
    return each != NULL;
}

/* The stream is over, with the exception that is set or none. */
static int
finish(server *self, stream *over)
{
    int result;

    stream_unlink(self, over);
    serve_callbacks_end(self, over->id);
    if (over->latest != NULL)
        latest_tell(self, over);
    rbr_channel_progress_end(self->channel->channel, over->id);
    result = serve_answer_end(self, over);
    stream_free(over);
    return result;
}

/* An exception: -1. */
static int
send_item(server *self, stream *from, PyObject *item)
{
    uint64_t bytes = 0;

    if (from->latest != NULL)
        return latest_offer(self, from, item);
    if (serve_answer_item(self, from, item, &bytes) < 0)
        return -1;
    from->sizes[from->index++ % from->credit] = bytes;
    from->under_way++;
    from->bytes += bytes;
    return 0;
}

/* 1: an item was made, 0: no more come, -1 with an exception. */
static int
make_item(server *self, stream *from)
{
    PyObject *item = serve_begin(self, from->id) == 0 ? PyIter_Next(from->iterator) : NULL;
    int result = 1;

    if (item == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!from->closing && send_item(self, from, item) < 0) {
        serve_raise_cancelled(self, from->id);
        result = -1;
    }
    Py_DECREF(item);
    return result;
}

/* Runs its `finally`; an exception that is set stays, unless that raises another one. */
static void
close_iterator(server *self, stream *closed)
{
    PyObject *type, *value, *traceback, *close, *done = NULL;

    PyErr_Fetch(&type, &value, &traceback);
    closed->busy = true; /* asking for the method may run its code, too */
    serve_set_running(self, closed->id);
    close = PyObject_GetAttrString(closed->iterator, "close");
    if (close != NULL)
        done = PyObject_CallObject(close, NULL);
    else
        PyErr_Clear(); /* an iterator that is no generator */
    serve_set_running(self, 0);
    Py_XDECREF(close);
    Py_XDECREF(done);
    if (PyErr_Occurred()) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    } else {
        PyErr_Restore(type, value, traceback);
    }
}

static int
close_now(server *self, stream *closed)
{
    close_iterator(self, closed);
    return finish(self, closed);
}

int
stream_step(server *self)
{
    const uint64_t before = self->running;
    stream *from = self->streams;
    int made, result = 0;

    while (!may_go_on(self, from))
        from = from->next;
    stream_unlink(self, from); /* to the end of the line */
    stream_append(self, from);
    from->busy = true; /* until nothing of its item is left: that has code of its own */
    made = make_item(self, from);
    from->busy = false;
    serve_set_running(self, 0);
    if (made < 0 && rbr_channel_state(self->channel->channel, NULL) != RBR_OK)
        result = -1;
    else if (made < 0 || from->closing) /* one that has raised by itself has ended: nothing runs */
        result = close_now(self, from);
    else if (made == 0)
        result = finish(self, from);
    return result < 0 ? result : serve_run_again(self, before);
}

void
stream_credit(server *self, uint64_t id, uint32_t items)
{
    stream *to = stream_find(self, id);

    if (to != NULL && to->depth < self->depth)
        to->depth = self->depth; /* begun outside, and read within a callback */
    if (to != NULL && to->latest != NULL) {
        latest_tell(self, to);
        return;
    }
    for (; to != NULL && items > 0 && to->under_way > 0; items--) {
        to->bytes -= to->sizes[(to->index - to->under_way) % to->credit];
        to->under_way--;
    }
}

int
stream_close(server *self, uint64_t id)
{
    const uint64_t before = self->running;
    stream *closed = stream_find(self, id);
    int result;

    if (closed == NULL)
        return 0; /* it was over already */
    if (closed->busy) {
        closed->closing = true; /* by a callback of its own, or of its item's */
        return 0;
    }
    result = close_now(self, closed);
    return result < 0 ? result : serve_run_again(self, before);
}
