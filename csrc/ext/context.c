/* SPDX-License-Identifier: MIT */
/*
 * context.c - in which calls this thread runs callbacks: a chain on its stack.
 *
 * The host calls the worker, which calls the host back, which calls the worker again: that last call
 * must run while the first one waits. Its frame names its parent, the call whose callback made it.
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
