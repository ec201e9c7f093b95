/* SPDX-License-Identifier: MIT */
/*
 * serve_loop.c - serve(): the worker's loop, on its main thread.
 *
 *   receive -> decode -> call -> encode -> send, one call after another; between two of them streams
 *   make their next items
 *
 * Whatever a call does, its caller gets an answer and the loop goes on: exceptions of every kind,
 * sys.exit and results that cannot cross become Error frames. A forked child that comes back from
 * user code ends here, because the rings are its parent's.
 */
#include "serve.h"

#include <unistd.h>

/* An idle loop lets Python's signal handlers run this often: a signal that came just before the
 * sleep does not interrupt it. It looks at the ring as often by itself. */
#define IDLE_LOOK_NS UINT64_C(100000000)
/* ... while callbacks are under way that nobody waits for. */
#define NOTICES_LOOK_NS UINT64_C(10000000)

/* ----------------------------------------------------------------------------------------- calls */

/* The arguments of a Call: positional ones, then keyword values; *names: tuple or NULL. */
typedef struct arguments {
    PyObject **values;
    PyObject *few[9];
    uint32_t positional, count;
    PyObject *names;
} arguments;

static void
arguments_clear(arguments *self)
{
    uint32_t i;

    for (i = 0; i < self->count; i++)
        Py_DECREF(self->values[i]);
    if (self->values != self->few)
        PyMem_Free(self->values);
    Py_XDECREF(self->names);
}

static int
decode_keyword(value_decoder *decoder, arguments *self, rbr_table pair, uint32_t index)
{
    uint32_t size;
    const char *key = rbr_get_string(pair, RBR_KEY_VAL__K, &size);
    PyObject *name = PyUnicode_DecodeUTF8(key, (Py_ssize_t)size, NULL);
    PyObject *value;

    if (name == NULL)
        return -1;
    PyTuple_SetItem(self->names, (Py_ssize_t)index, name);
    value = value_decode_field(decoder, pair, RBR_KEY_VAL__V);
    if (value == NULL) {
        value_decode_place(decoder, "kwargs", name, -1);
        return -1;
    }
    self->values[self->count++] = value;
    return 0;
}

static int
decode_arguments(value_decoder *decoder, rbr_table call, arguments *self)
{
    uint32_t keywords, i;
    const uint8_t *args = rbr_get_vector(call, RBR_CALL__ARGS, &self->positional);
    const uint8_t *kwargs = rbr_get_vector(call, RBR_CALL__KWARGS, &keywords);

    self->count = 0;
    self->names = NULL;
    self->values = self->few;
    if (self->positional + keywords > sizeof self->few / sizeof *self->few)
        self->values = PyMem_Malloc((size_t)(self->positional + keywords) * sizeof *self->values);
    if (self->values == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    for (i = 0; i < self->positional; i++) {
        PyObject *value = value_decode(decoder, rbr_vector_table(args, i));

        if (value == NULL) {
            value_decode_place(decoder, "args", NULL, i);
            return -1;
        }
        self->values[self->count++] = value;
    }
    if (keywords > 0 && (self->names = PyTuple_New((Py_ssize_t)keywords)) == NULL)
        return -1;
    for (i = 0; i < keywords; i++)
        if (decode_keyword(decoder, self, rbr_vector_table(kwargs, i), i) < 0)
            return -1;
    return 0;
}

static PyObject *
call_function(PyObject *function, const arguments *with)
{
#ifndef Py_LIMITED_API
    return PyObject_Vectorcall(function, with->values, with->positional, with->names);
#else
    PyObject *args = PyTuple_New((Py_ssize_t)with->positional);
    PyObject *kwargs = with->names != NULL ? PyDict_New() : NULL;
    PyObject *result = NULL;
    uint32_t i;

    for (i = 0; args != NULL && i < with->positional; i++)
        PyTuple_SetItem(args, (Py_ssize_t)i, Py_NewRef(with->values[i]));
    for (; kwargs != NULL && i < with->count; i++)
        PyDict_SetItem(kwargs, PyTuple_GetItem(with->names, (Py_ssize_t)(i - with->positional)),
                       with->values[i]);
    if (args != NULL && (with->names == NULL || kwargs != NULL))
        result = PyObject_Call(function, args, kwargs);
    Py_XDECREF(args);
    Py_XDECREF(kwargs);
    return result;
#endif
}

/* What a Call calls; a new reference. */
static PyObject *
callee(server *self, rbr_table call)
{
    const uint64_t handle = rbr_get_u64(call, RBR_CALL__HANDLE, 0);
    PyObject *object, *function;
    const char *name;
    uint32_t size;

    if (handle == 0) /* a new reference: a reload may take it off the list while it runs */
        return serve_function(self, rbr_get_u32(call, RBR_CALL__FUNCTION, 0));
    name = rbr_get_string(call, RBR_CALL__TARGET, &size);
    if (!serve_is_reachable(self, name != NULL ? name : "", name != NULL ? size : 0))
        return NULL;
    object = serve_kept(self, handle);
    if (object == NULL)
        return NULL;
    function = PyObject_CallMethod(self->table, "bind", "Os#", object, name != NULL ? name : "",
                                   name != NULL ? (Py_ssize_t)size : 0);
    Py_DECREF(object);
    return function;
}

static PyObject *
run_call(server *self, rbr_message **message, rbr_table call, PyObject *function)
{
    value_decoder decoder = {.state = self->channel->state,
                             .channel = self->channel,
                             .message = *message,
                             .pickle = self->channel->pickle};
    PyObject *result = NULL;
    arguments with;

    if (decode_arguments(&decoder, call, &with) == 0) {
        /* From here on the arguments alone hold their blocks: they go back before the answer goes,
         * so that the host's next call finds their memory free. */
        rbr_message_free(*message);
        *message = NULL;
        result = call_function(function, &with);
    }
    arguments_clear(&with);
    return result;
}

static int
on_call(server *self, rbr_message **message, rbr_table call)
{
    const uint64_t id = rbr_message_id(*message), before = self->running;
    const uint32_t credit = rbr_get_u32(call, RBR_CALL__CREDIT, 0);
    const uint32_t flags = rbr_get_u32(call, RBR_CALL__FLAGS, 0);
    PyObject *function = NULL, *result = NULL;
    int status = -1;
    bool keep;

    self->function = rbr_get_u64(call, RBR_CALL__HANDLE, 0) != 0
                         ? NO_FUNCTION
                         : rbr_get_u32(call, RBR_CALL__FUNCTION, 0);
    if (serve_begin(self, id) == 0)
        function = callee(self, call);
    if (function != NULL)
        result = run_call(self, message, call, function);
    if (result != NULL && credit > 0) {
        status = stream_start(self, id, result, credit, flags);
    } else if (result != NULL) {
        keep = (flags & CALL_KEEP) != 0 || PyType_Check(function); /* an instance stays */
        status = serve_answer_call(self, id, result, keep);
    }
    Py_XDECREF(result);
    Py_XDECREF(function);
    if (status == 0 && credit > 0) /* it goes on, item by item */
        return serve_run_again(self, before);
    serve_callbacks_end(self, id);
    return serve_over(self, id, before, status);
}

/* ---------------------------------------------------------------------------------------- loads */

static int
on_load(server *self, const rbr_message *message, rbr_table body)
{
    const uint64_t id = rbr_message_id(message), before = self->running;
    uint32_t size;
    const char *name = rbr_get_string(body, RBR_LOAD__MODULE, &size);
    PyObject *loaded = NULL;
    int status = -1;

    if (serve_begin(self, id) == 0)
        loaded = PyObject_CallMethod(self->table, "load", "s#O", name, (Py_ssize_t)size,
                                     rbr_get_u8(body, RBR_LOAD__RELOAD, 0) ? Py_True : Py_False);
    serve_ran(self, id);
    if (loaded != NULL) {
        status = serve_answer_loaded(self->channel, id, loaded);
        Py_DECREF(loaded);
    }
    return serve_over(self, id, before, status);
}

/* --------------------------------------------------------------------------------------- the loop */

/* The next request; waits for it unless a stream has work. NULL without an exception: there is none now
 * (*over: none will come, the host is done with us). */
static rbr_message *
next_request(server *self, bool *over)
{
    rbr_channel *channel = self->channel->channel;
    const bool wait = !stream_is_ready(self);
    rbr_message *message = NULL;
    rbr_status status = rbr_channel_receive(channel, &message, wait ? GIL_SPIN_NS : 0, 0);
    uint64_t spin_ns = RBR_FOREVER; /* once: an idle worker would else spin at each look */

    while (wait && (status == RBR_AGAIN || status == RBR_TIMED_OUT || status == RBR_INTERRUPTED)) {
        const uint64_t look_ns = self->notices != NULL ? NOTICES_LOOK_NS
                                 : self->served        ? RBR_FOREVER / 2
                                                       : IDLE_LOOK_NS;
        const uint64_t until = rbr_now_ns() + look_ns;

        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_receive(channel, &message, spin_ns, until);
        Py_END_ALLOW_THREADS
        spin_ns = 0;
        notices_look(self);
        if (PyErr_CheckSignals() < 0)
            break;
    }
    if (PyErr_Occurred()) {
        rbr_message_free(message);
        return NULL;
    }
    if (status == RBR_BROKEN || status == RBR_NO_MEMORY)
        channel_raise(self->channel, status, NULL, "receiving");
    *over = status != RBR_OK && status != RBR_AGAIN && status != RBR_TIMED_OUT &&
            status != RBR_INTERRUPTED;
    return status == RBR_OK ? message : NULL;
}

int
serve_request(server *self, rbr_message **message)
{
    const uint64_t id = rbr_message_id(*message);
    uint8_t type;
    const rbr_table body = rbr_message_body(*message, &type);

    switch (type) {
    case RBR_BODY_CALL:
        return on_call(self, message, body);
    case RBR_BODY_LOAD:
        return on_load(self, *message, body);
    case RBR_BODY_ATTRIBUTE:
        return serve_attribute(self, *message, body);
    case RBR_BODY_RELEASE:
        serve_release(self, id, body);
        return 0;
    case RBR_BODY_STREAM_CREDIT:
        stream_credit(self, id, rbr_get_u32(body, RBR_STREAM_CREDIT__ITEMS, 0));
        return 0;
    case RBR_BODY_STREAM_CLOSE:
        return stream_close(self, id);
    default:
        PyErr_Format(self->channel->state->protocol_error,
                     "this worker does not know requests of kind %d", (int)type);
        return serve_answer_error(self->channel, id);
    }
}

static void
end_if_forked(server *self)
{
    if (self->served)
        return; /* not ours to end: its fork finds the channel unusable */
    if (rbr_channel_state(self->channel->channel, NULL) == RBR_FORKED)
        _exit(PyErr_Occurred() ? 1 : 0); /* user code forked, and its child came back */
}

int
serve_one(server *self, rbr_message **message)
{
    int status = 0;

    if (*message != NULL) {
        self->requests++;
        status = serve_request(self, message);
        rbr_message_free(*message);
        *message = NULL;
        end_if_forked(self);
    }
    if (status == 0 && stream_is_ready(self)) {
        status = stream_step(self);
        end_if_forked(self);
    }
    return status;
}

static void
run(server *self)
{
    bool over = false;

    while (!over) {
        rbr_message *message = next_request(self, &over);

        if (PyErr_Occurred() || over || serve_one(self, &message) < 0)
            return;
    }
}

server *
server_new(ChannelObject *channel, PyObject *table)
{
    server *self = PyMem_Calloc(1, sizeof *self);

    if (self == NULL)
        return (server *)PyErr_NoMemory();
    if (channel_enter(channel) == NULL) {
        PyMem_Free(self);
        return NULL;
    }
    self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
    self->users = 1;
    self->served = channel->served;
    self->callback_ns = RBR_FOREVER;
    self->thread = PyThread_get_thread_ident();
    channel->server = self;
    self->table = Py_NewRef(table);
    self->functions = PyObject_GetAttrString(table, "functions");
    self->kept = PyDict_New();
    self->kept_for = PyDict_New();
    self->kept_ids = PyDict_New();
    self->calling = PySet_New(NULL);
    if (self->functions != NULL && self->kept != NULL && self->kept_for != NULL &&
        self->kept_ids != NULL && self->calling != NULL)
        return self;
    serve_leave(self);
    return NULL;
}

server *
serve_enter(ChannelObject *channel)
{
    if (channel->server == NULL)
        PyErr_SetString(channel->state->ringbridge_error,
                        "who this callback belongs to is not there any more");
    else
        channel->server->users++;
    return channel->server;
}

void
serve_leave(server *self)
{
    ChannelObject *channel = self->channel;

    if (--self->users > 0)
        return;
    if (channel->server == self)
        channel->server = NULL;
    notice_drop_all(self);
    Py_XDECREF(self->table);
    Py_XDECREF(self->functions);
    Py_XDECREF(self->kept);
    Py_XDECREF(self->kept_for);
    Py_XDECREF(self->kept_ids);
    Py_XDECREF(self->calling);
    PyMem_Free(self);
    channel_leave(channel);
    Py_DECREF((PyObject *)channel);
}

void
server_end(server *self)
{
    PyObject *type, *value, *traceback;

    if (self->channel->state->server == self)
        self->channel->state->server = NULL;
    self->channel->server = NULL;
    PyErr_Fetch(&type, &value, &traceback);
    stream_drop_all(self);
    PyDict_Clear(self->kept);
    PyDict_Clear(self->kept_for);
    PyDict_Clear(self->kept_ids);
    serve_leave(self);
    PyErr_Restore(type, value, traceback);
}

PyObject *
serve_loop(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    core_state *state = PyModule_GetState(module);
    server *self, *before;
    bool host_died;

    if (count != 2 || !Py_IS_TYPE(args[0], state->channel_type)) {
        PyErr_SetString(PyExc_TypeError, "serve(channel: Channel, table: ExportTable)");
        return NULL;
    }
    self = server_new((ChannelObject *)args[0], args[1]);
    if (self == NULL)
        return NULL;
    if (!self->served)
        state->server = self;
    before = serve_enter_thread(self);
    rbr_channel_set_running(self->channel->channel, 0, 0); /* this thread runs the calls */
    run(self);
    host_died = rbr_channel_state(self->channel->channel, NULL) == RBR_DEAD;
    serve_leave_thread(before);
    server_end(self);
    if (PyErr_Occurred() && !host_died)
        return NULL;
    PyErr_Clear();
    Py_RETURN_NONE;
}
