/* SPDX-License-Identifier: MIT */
/*
 * context.c - in which calls this thread runs callbacks: a chain on its stack.
 *
 * The host calls the worker, which calls the host back, which calls the worker again: that last call
 * must run while the first one waits. Its frame names its parent, the call whose callback made it.
 *
 * Coroutines that answer callbacks take turns on one thread: theirs stands in a context variable, which
 * ringbridge.answering has.
 */
#include "ext.h"

static _Thread_local call_context *innermost;

void
call_context_push(call_context *self, const ChannelObject *channel, uint64_t call)
{
    *self = (call_context){.channel = channel, .call = call, .before = innermost};
    innermost = self;
}

void
call_context_pop(call_context *self)
{
    innermost = self->before;
}

uint64_t
call_context_of(const ChannelObject *channel)
{
    const call_context *context = innermost;

    while (context != NULL && context->channel != channel)
        context = context->before;
    return context != NULL ? context->call : 0;
}

int
call_parent_of(ChannelObject *channel, uint64_t *parent)
{
    PyObject *parent_on, *number = NULL;

    *parent = call_context_of(channel);
    if (*parent != 0 || !channel->coroutines)
        return 0;
    parent_on = foreign_function(channel->state, FOREIGN_ANSWERING, "parent_on");
    if (parent_on != NULL)
        number = PyObject_CallFunctionObjArgs(parent_on, (PyObject *)channel, NULL);
    if (number != NULL)
        *parent = PyLong_AsUnsignedLongLong(number);
    Py_XDECREF(parent_on);
    Py_XDECREF(number);
    if (!PyErr_Occurred())
        return 0;
    *parent = 0;
    return -1;
}
