/* SPDX-License-Identifier: MIT */
/*
 * serve_loop.c - serve(): the worker's loop, on its main thread.
 *
 *   receive -> decode -> call -> encode -> send, one call after another
 *
 * Whatever a call does, its caller gets an answer and the loop goes on: exceptions of every kind,
 * sys.exit and results that cannot cross become Error frames. A forked child that comes back from
 * user code ends here, because the rings are its parent's.
 */
#include "ext.h"

#include <signal.h>
#include <unistd.h>

/* An idle loop lets Python's signal handlers run this often: a signal that came just before the
 * sleep does not interrupt it. It looks at the ring as often by itself. */
#define IDLE_LOOK_NS UINT64_C(100000000)

typedef struct server {
    ChannelObject *channel;
    PyObject *functions; /* list, by function id */
    PyObject *load;
} server;

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

static PyObject *
run_call(server *self, rbr_message **message, rbr_table call)
{
    const uint32_t id = rbr_get_u32(call, RBR_CALL__FUNCTION, 0);
    value_decoder decoder = {
        .state = self->channel->state, .message = *message, .pickle = self->channel->pickle};
    PyObject *function, *result = NULL;
    arguments with;

    if ((Py_ssize_t)id >= PyList_Size(self->functions)) {
        PyErr_Format(self->channel->state->protocol_error, "there is no function number %u", id);
        return NULL;
    }
    function = PyList_GetItem(self->functions, (Py_ssize_t)id);
    Py_INCREF(function); /* a reload may take it off the list while it runs */
    if (decode_arguments(&decoder, call, &with) == 0) {
        /* From here on the arguments alone hold their blocks: they go back before the answer goes,
         * so that the host's next call finds their memory free. */
        rbr_message_free(*message);
        *message = NULL;
        result = call_function(function, &with);
    }
    arguments_clear(&with);
    Py_DECREF(function);
    return result;
}

/* Marks the call as running for the watcher and for the SIGINT handler. From the moment it is
 * cleared, right after the user's function, no cancel can hit the next one. */
static void
set_running(server *self, uint64_t id)
{
    self->channel->state->running_call = id;
    rbr_channel_set_running(self->channel->channel, id);
}

/* -1 when it was cancelled before it began: the handler of SIGINT raises Cancelled. */
static int
begin(server *self, uint64_t id)
{
    set_running(self, id);
    if (rbr_channel_cancelled(self->channel->channel, id))
        raise(SIGINT);
    return PyErr_CheckSignals();
}

static int
on_call(server *self, rbr_message **message, rbr_table call)
{
    const uint64_t id = rbr_message_id(*message);
    PyObject *result;
    int status = -1;

    result = begin(self, id) < 0 ? NULL : run_call(self, message, call);
    set_running(self, 0);
    if (result != NULL) {
        status = serve_answer_result(self->channel, id, result);
        Py_DECREF(result);
    }
    if (status < 0 && rbr_channel_state(self->channel->channel, NULL) == RBR_OK)
        status = serve_answer_error(self->channel, id);
    return status;
}

/* ---------------------------------------------------------------------------------------- loads */

static int
on_load(server *self, const rbr_message *message, rbr_table body)
{
    const uint64_t id = rbr_message_id(message);
    uint32_t size;
    const char *name = rbr_get_string(body, RBR_LOAD__MODULE, &size);
    PyObject *loaded;
    int status = -1;

    loaded = begin(self, id) < 0 ? NULL
                                 : PyObject_CallFunction(
                                       self->load, "s#O", name, (Py_ssize_t)size,
                                       rbr_get_u8(body, RBR_LOAD__RELOAD, 0) ? Py_True : Py_False);
    set_running(self, 0);
    if (loaded != NULL) {
        status = serve_answer_loaded(self->channel, id, loaded);
        Py_DECREF(loaded);
    }
    if (status < 0 && rbr_channel_state(self->channel->channel, NULL) == RBR_OK)
        status = serve_answer_error(self->channel, id);
    return status;
}

/* --------------------------------------------------------------------------------------- the loop */

/* The next request. NULL without an exception: the host is done with us. */
static rbr_message *
next_request(server *self)
{
    rbr_channel *channel = self->channel->channel;
    rbr_message *message = NULL;
    rbr_status status = rbr_channel_receive(channel, &message, GIL_SPIN_NS, 0);
    uint64_t spin_ns = RBR_FOREVER; /* once: an idle worker would else spin at each look */

    while (status == RBR_AGAIN || status == RBR_TIMED_OUT || status == RBR_INTERRUPTED) {
        const uint64_t until = rbr_now_ns() + IDLE_LOOK_NS;

        Py_BEGIN_ALLOW_THREADS
        status = rbr_channel_receive(channel, &message, spin_ns, until);
        Py_END_ALLOW_THREADS
        spin_ns = 0;
        if (PyErr_CheckSignals() < 0)
            break;
    }
    if (PyErr_Occurred()) {
        rbr_message_free(message);
        return NULL;
    }
    if (status == RBR_BROKEN || status == RBR_NO_MEMORY)
        channel_raise(self->channel, status, NULL, "receiving");
    return status == RBR_OK ? message : NULL;
}

/* May free the message before its end, and sets it to NULL then. */
static int
on_request(server *self, rbr_message **message)
{
    uint8_t type;
    const rbr_table body = rbr_message_body(*message, &type);

    switch (type) {
    case RBR_BODY_CALL:
        return on_call(self, message, body);
    case RBR_BODY_LOAD:
        return on_load(self, *message, body);
    default:
        PyErr_Format(self->channel->state->protocol_error,
                     "this worker does not know requests of kind %d", (int)type);
        return serve_answer_error(self->channel, rbr_message_id(*message));
    }
}

PyObject *
serve_loop(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    core_state *state = PyModule_GetState(module);
    rbr_message *message;
    bool host_died;
    server self;

    if (count != 3 || !Py_IS_TYPE(args[0], state->channel_type) || !PyList_Check(args[1]) ||
        !PyCallable_Check(args[2])) {
        PyErr_SetString(PyExc_TypeError,
                        "serve(channel: Channel, functions: list, load: callable)");
        return NULL;
    }
    self = (server){(ChannelObject *)args[0], args[1], args[2]};
    if (channel_enter(self.channel) == NULL)
        return NULL;
    rbr_channel_set_running(self.channel->channel, 0); /* this thread runs the calls */
    while ((message = next_request(&self)) != NULL) {
        const int status = on_request(&self, &message);

        rbr_message_free(message);
        if (rbr_channel_state(self.channel->channel, NULL) == RBR_FORKED)
            _exit(PyErr_Occurred() ? 1 : 0); /* user code forked, and its child came back */
        if (status < 0)
            break;
    }
    host_died = rbr_channel_state(self.channel->channel, NULL) == RBR_DEAD;
    channel_leave(self.channel);
    if (PyErr_Occurred() && !host_died)
        return NULL;
    PyErr_Clear();
    Py_RETURN_NONE;
}

PyObject *
serve_current_call(PyObject *module, PyObject *unused)
{
    const core_state *state = PyModule_GetState(module);

    (void)unused;
    return PyLong_FromUnsignedLongLong(state->running_call);
}

PyObject *
serve_cancelled(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    core_state *state = PyModule_GetState(module);
    unsigned long long id;

    if (count != 2 || !Py_IS_TYPE(args[0], state->channel_type)) {
        PyErr_SetString(PyExc_TypeError, "cancelled(channel: Channel, call_id: int)");
        return NULL;
    }
    id = PyLong_AsUnsignedLongLong(args[1]);
    if (PyErr_Occurred())
        return NULL;
    return PyBool_FromLong(((ChannelObject *)args[0])->channel != NULL &&
                           rbr_channel_cancelled(((ChannelObject *)args[0])->channel, id));
}
