/* SPDX-License-Identifier: MIT */
/*
 * serve_running.c - which call runs, on which thread, and how a cancel ends it.
 *
 * A worker runs its calls on its main thread, and threads that these start ask for the call as well. An
 * application has a server for each lane of each client. They take turns on its main thread, one within
 * the other where a call waits or opens a dialog: a chain on that thread's stack.
 */
#include "serve.h"

#include <signal.h>

static _Thread_local server *innermost;

server *
serve_enter_thread(server *self)
{
    server *before = innermost;

    self->thread = PyThread_get_thread_ident();
    innermost = self;
    return before;
}

void
serve_leave_thread(server *before)
{
    innermost = before;
}

server *
serve_here(const core_state *state)
{
    /* Another interpreter may have this thread, too. */
    server *here = innermost != NULL && innermost->channel->state == state ? innermost
                                                                           : state->server;

    if (here != NULL && rbr_channel_state(here->channel->channel, NULL) == RBR_FORKED)
        return NULL; /* a forked child runs no calls */
    return here;
}

uint64_t
serve_set_running(server *self, uint64_t id)
{
    const uint64_t before = self->running;

    self->running = id;
    rbr_channel_set_running(self->channel->channel, self->depth, id);
    return before;
}

int
serve_run_again(server *self, uint64_t before)
{
    if (self->running != 0)
        serve_set_running(self, 0);
    if (before == 0)
        return 0;
    self->running = before; /* it runs one level above this one, where it waits */
    rbr_channel_set_running(self->channel->channel, self->depth - 1, before);
    if (rbr_channel_cancelled(self->channel->channel, before) == 2)
        return serve_interrupt(self); /* it came while another call ran on top of this one */
    return PyErr_CheckSignals();
}

/* An application's SIGINT is its own: nobody sends it one. */
static void
raise_cancelled(void)
{
    PyObject *errors = PyImport_ImportModule("ringbridge.errors"), *error = NULL;

    if (errors != NULL)
        error = PyObject_CallMethod(errors, "cancelled_by_host", NULL);
    if (error != NULL)
        PyErr_SetObject((PyObject *)Py_TYPE(error), error);
    Py_XDECREF(error);
    Py_XDECREF(errors);
}

int
serve_interrupt(const server *self)
{
    if (self->served) {
        raise_cancelled();
        return -1;
    }
    raise(SIGINT); /* its handler raises Cancelled */
    return PyErr_CheckSignals();
}

int
serve_begin(server *self, uint64_t id)
{
    serve_set_running(self, id);
    if (rbr_channel_cancelled(self->channel->channel, id))
        return serve_interrupt(self);
    return PyErr_CheckSignals();
}

void
serve_raise_cancelled(server *self, uint64_t id)
{
    PyObject *type, *value, *traceback;

    if (rbr_channel_cancelled(self->channel->channel, id) != 2)
        return;
    PyErr_Fetch(&type, &value, &traceback);
    if (serve_interrupt(self) < 0) {
        Py_XDECREF(type);
        Py_XDECREF(value);
        Py_XDECREF(traceback);
    } else {
        PyErr_Restore(type, value, traceback);
    }
}

void
serve_ran(server *self, uint64_t id)
{
    if (self->running != id)
        return;
    serve_set_running(self, 0);
    rbr_channel_progress_end(self->channel->channel, id);
}

int
serve_over(server *self, uint64_t id, uint64_t before, int status)
{
    serve_ran(self, id);
    if (status < 0 && self->served && PyErr_ExceptionMatches(PyExc_KeyboardInterrupt))
        self->interrupted = true;
    if (status < 0 && rbr_channel_state(self->channel->channel, NULL) == RBR_OK)
        status = serve_answer_error(self->channel, id);
    return status < 0 ? status : serve_run_again(self, before);
}

static _Thread_local bool has_idle; /* this thread does state->idle */

bool
channel_has_idle(const core_state *state)
{
    return has_idle && state->idle != NULL;
}

PyObject *
serve_on_idle(PyObject *module, PyObject *function)
{
    core_state *state = PyModule_GetState(module);
    PyObject *before = state->idle;

    has_idle = function != Py_None;
    if (!has_idle) /* others may go on with theirs */
        Py_RETURN_NONE;
    state->idle = Py_NewRef(function);
    Py_XDECREF(before);
    Py_RETURN_NONE;
}

PyObject *
serve_run_idle(PyObject *module, PyObject *unused)
{
    const core_state *state = PyModule_GetState(module);
    PyObject *done;

    (void)unused;
    if (!channel_has_idle(state))
        Py_RETURN_FALSE;
    done = PyObject_CallObject(state->idle, NULL);
    if (done == NULL)
        return NULL;
    Py_DECREF(done);
    Py_RETURN_TRUE;
}
