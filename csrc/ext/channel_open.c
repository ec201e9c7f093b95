/* SPDX-License-Identifier: MIT */
/*
 * channel_open.c - the four ways in which a Channel begins.
 *
 *   Channel(...)      a host's end, to a child that it has started
 *   Channel.join      that child's end
 *   Channel.connect   a client's end, to an application that runs already
 *   Channel.accept    that application's end
 *
 * Each owns the socket that it is given from there on, also when it raises.
 */
#include "ext.h"

#include <string.h>
#include <unistd.h>

static ChannelObject *
channel_new_empty(core_state *state, const char *kind, const char *name)
{
    ChannelObject *self = PyObject_GC_New(ChannelObject, state->channel_type);

    if (self == NULL)
        return NULL;
    self->state = state;
    self->channel = NULL;
    self->users = 0;
    self->closing = false;
    self->host = self->served = false;
    self->server = NULL;
    self->coroutines = false;
    self->retired = NULL;
    self->pickle = false;
    self->scratch = NULL;
    self->scratch_bytes = 0;
    self->owner = Py_NewRef(Py_None);
    self->readers = NULL;
    self->weakrefs = NULL;
    self->name = PyUnicode_FromString(name);
    self->title = PyUnicode_FromFormat("%s %s", kind, name);
    PyObject_GC_Track((PyObject *)self);
    if (self->name == NULL || self->title == NULL)
        Py_CLEAR(self);
    return self;
}

/* What opening has come to; takes the reference. */
static PyObject *
opened(ChannelObject *self, rbr_status status, const rbr_error *error, const char *doing,
       bool pickle)
{
    if (status != RBR_OK) {
        channel_raise(self, status, error, doing);
        Py_CLEAR(self);
    } else if (pickle) {
        rbr_channel_allow_pickle(self->channel);
    }
    return (PyObject *)self;
}

/* --------------------------------------------------------------------------------- the host's end */

static void
close_fds(int socket, int out, int err)
{
    close(socket);
    if (out >= 0)
        close(out);
    if (err >= 0)
        close(err);
}

PyObject *
channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"socket",     "pid",         "stdout", "stderr", "name",
                               "ring_bytes", "arena_bytes", "memory", "pickle", NULL};
    core_state *state = core_state_of_type(type);
    rbr_channel_options options = {.spin_ns = -1};
    int socket, pid, out, err, memory = 0, pickle = 0;
    unsigned long long arena_bytes = 0;
    unsigned int ring_bytes = 0;
    const char *name = NULL;
    ChannelObject *self;
    rbr_error error;
    rbr_status status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iiii|$sIKip:Channel", keywords, &socket, &pid,
                                     &out, &err, &name, &ring_bytes, &arena_bytes, &memory,
                                     &pickle))
        return NULL;
    if (name == NULL) {
        PyErr_SetString(PyExc_TypeError, "Channel() needs the keyword name");
        return NULL;
    }
    self = channel_new_empty(state, "worker", name);
    if (self == NULL) {
        close_fds(socket, out, err);
        return NULL;
    }
    self->host = true;
    options.name = name;
    options.ring_bytes = ring_bytes;
    options.arena_limit = arena_bytes;
    options.memory = (enum rbr_memory)memory;
    Py_BEGIN_ALLOW_THREADS
    status = rbr_channel_open_host(&self->channel, socket, pid, out, err, &options, &error);
    Py_END_ALLOW_THREADS
    return opened(self, status, &error, "starting the channel", pickle != 0);
}

PyObject *
channel_connect(PyObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"socket", "name", "ring_bytes", "arena_bytes", "pickle", NULL};
    rbr_channel_options options = {.name = "", .kind = "application", .spin_ns = -1};
    unsigned long long arena_bytes = 0;
    unsigned int ring_bytes = 0;
    int socket, pickle = 0;
    ChannelObject *self;
    rbr_error error;
    rbr_status status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|$sIKp:connect", keywords, &socket,
                                     &options.name, &ring_bytes, &arena_bytes, &pickle))
        return NULL;
    self = channel_new_empty(core_state_of_type((PyTypeObject *)type), options.kind, options.name);
    if (self == NULL) {
        close(socket);
        return NULL;
    }
    self->host = self->served = true;
    options.ring_bytes = ring_bytes;
    options.arena_limit = arena_bytes;
    Py_BEGIN_ALLOW_THREADS
    status = rbr_channel_open_client(&self->channel, socket, &options, &error);
    Py_END_ALLOW_THREADS
    return opened(self, status, &error, "connecting", pickle != 0);
}

/* ------------------------------------------------------------------------------- the worker's end */

/* What this process says of itself. */
typedef struct introduction {
    char version[32], abi[16];
    PyObject *path; /* bytes; NULL: it does not know where it is */
} introduction;

static void
introduce(introduction *self)
{
    PyObject *executable = PySys_GetObject("executable"); /* borrowed */

    self->path = NULL;
    if (executable != NULL && PyUnicode_Check(executable))
        self->path = PyUnicode_EncodeFSDefault(executable);
    PyErr_Clear();
    PyOS_snprintf(self->version, sizeof self->version, "%.*s", (int)strcspn(Py_GetVersion(), " "),
                  Py_GetVersion());
    PyOS_snprintf(self->abi, sizeof self->abi, "cp%d%d", PY_MAJOR_VERSION, PY_MINOR_VERSION);
}

static const char *
path_of(const introduction *self)
{
    return self->path != NULL ? PyBytes_AsString(self->path) : "";
}

/* Class methods, so that they know their module's state. */
PyObject *
channel_join(PyObject *type, PyObject *args)
{
    introduction us;
    ChannelObject *self;
    rbr_error error;
    rbr_status status;
    const char *version = NULL, *abi = NULL, *executable = NULL;
    PyObject *told = NULL;
    int socket, pickle = 0;

    if (!PyArg_ParseTuple(args, "i|pO:join", &socket, &pickle, &told) ||
        (told != NULL && told != Py_None &&
         !PyArg_Parse(told, "(sss):join", &version, &abi, &executable)))
        return NULL;
    self = channel_new_empty(core_state_of_type((PyTypeObject *)type), "worker", "worker");
    if (self == NULL)
        return NULL;
    introduce(&us);
    status = rbr_channel_open_worker(&self->channel, socket, version != NULL ? version : us.version,
                                     abi != NULL ? abi : us.abi,
                                     executable != NULL ? executable : path_of(&us), &error);
    Py_XDECREF(us.path);
    return opened(self, status, &error, "joining the channel", pickle != 0);
}

PyObject *
channel_accept(PyObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"socket", "name", "arena_bytes", "pickle", NULL};
    rbr_channel_options options = {.name = "", .kind = "client"};
    unsigned long long arena_bytes = 0;
    introduction us;
    ChannelObject *self;
    rbr_error error;
    rbr_status status;
    int socket, pickle = 0;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i|$sKp:accept", keywords, &socket,
                                     &options.name, &arena_bytes, &pickle))
        return NULL;
    self = channel_new_empty(core_state_of_type((PyTypeObject *)type), options.kind, options.name);
    if (self == NULL) {
        close(socket);
        return NULL;
    }
    self->served = true;
    options.arena_limit = arena_bytes;
    introduce(&us);
    status = rbr_channel_open_served(&self->channel, socket, us.version, us.abi, path_of(&us),
                                     &options, &error);
    Py_XDECREF(us.path);
    return opened(self, status, &error, "accepting a client", pickle != 0);
}
