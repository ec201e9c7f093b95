/* SPDX-License-Identifier: MIT */
/*
 * function_type.c - Function: a remote function. Calling it is the hot path of the host.
 *
 *   encode into a buffer of its own -> register the call -> copy to the ring -> wait -> decode
 *
 * The frame is encoded before the call is registered, so that whatever Python code the encoding
 * runs can make calls itself.
 */
#include "ext.h"

#include <stddef.h>
#include <string.h>

typedef struct FunctionObject {
    PyObject_HEAD
#ifndef Py_LIMITED_API
    vectorcallfunc vectorcall;
#endif
    ChannelObject *channel;
    uint32_t id;
    bool copy;
    PyObject *name;    /* "terrain.hillshade" */
    PyObject *timeout; /* float seconds, or None */
    PyObject *label;   /* str, or None */
    PyObject *title;   /* name and label, for messages */
    PyObject *doc, *signature;
    PyObject *weakrefs;
} FunctionObject;

static const char *
function_name(const FunctionObject *self)
{
    const char *name = PyUnicode_AsUTF8AndSize(self->title, NULL);

    if (name != NULL)
        return name;
    PyErr_Clear();
    return "a function";
}

/* -------------------------------------------------------------------------------------- encoding */

/* Which way the frame's Call table looks: the common case has a constant shape. */
static const rbr_shape *
call_shape(const FunctionObject *self, Py_ssize_t keywords, uint64_t deadline_ns, rbr_shape *made)
{
    uint32_t fields = RBR_BIT(RBR_CALL__FUNCTION) | RBR_BIT(RBR_CALL__ARGS);

    if (keywords == 0 && deadline_ns == RBR_FOREVER && self->label == Py_None)
        return &rbr_shape_call;
    if (keywords > 0)
        fields |= RBR_BIT(RBR_CALL__KWARGS);
    if (deadline_ns != RBR_FOREVER)
        fields |= RBR_BIT(RBR_CALL__DEADLINE_MS);
    if (self->label != Py_None)
        fields |= RBR_BIT(RBR_CALL__LABEL);
    rbr_shape_make(made, &rbr_desc_call, fields);
    return made;
}

/* Returns the Frame table's position, 0 with an exception. */
static uint32_t
encode_call(FunctionObject *self, value_encoder *encoder, PyObject *const *args, Py_ssize_t count,
            PyObject *names, uint64_t deadline_ns)
{
    const Py_ssize_t keywords = names != NULL ? PyTuple_Size(names) : 0;
    rbr_builder *build = &encoder->build;
    rbr_shape made;
    const rbr_shape *shape = call_shape(self, keywords, deadline_ns, &made);
    uint32_t slot, call;
    const uint32_t root = call_start_frame(encoder, RBR_BODY_CALL, &slot);

    if (root == 0)
        return 0;
    call = shape == &made ? rbr_build_table_once(build, slot, shape)
                          : rbr_build_table(build, slot, shape);
    if (call == 0) {
        PyErr_NoMemory();
        return 0;
    }
    rbr_build_u32(build, call, shape, RBR_CALL__FUNCTION, self->id);
    if (deadline_ns != RBR_FOREVER) {
        const uint64_t now = rbr_now_ns();
        const uint64_t left_ms = deadline_ns > now ? (deadline_ns - now) / 1000000 + 1 : 1;

        rbr_build_u32(build, call, shape, RBR_CALL__DEADLINE_MS,
                      left_ms < UINT32_MAX ? (uint32_t)left_ms : UINT32_MAX);
    }
    if (self->label != Py_None &&
        call_encode_text(encoder, rbr_build_slot(call, shape, RBR_CALL__LABEL), self->label) < 0)
        return 0;
    if (call_encode_args(encoder, rbr_build_slot(call, shape, RBR_CALL__ARGS), args, count) < 0)
        return 0;
    if (keywords > 0 && call_encode_kwargs(encoder, rbr_build_slot(call, shape, RBR_CALL__KWARGS),
                                           names, args + count) < 0)
        return 0;
    return root;
}

/* --------------------------------------------------------------------------------------- calling */

static PyObject *
decode_answer(ChannelObject *channel, const rbr_message *message, bool copy)
{
    value_decoder decoder = {
        .state = channel->state, .message = message, .copy = copy, .pickle = channel->pickle};
    uint8_t type;
    const rbr_table body = rbr_message_body(message, &type);

    if (type == RBR_BODY_RESULT) {
        PyObject *result = value_decode_field(&decoder, body, RBR_RESULT__VALUE);

        if (result == NULL)
            value_decode_place(&decoder, "result", NULL, -1);
        return result;
    }
    if (type == RBR_BODY_ERROR)
        return channel_raise_remote(channel, message, body);
    PyErr_Format(channel->state->protocol_error, "an answer is of kind %d", (int)type);
    return NULL;
}

static PyObject *
function_call(FunctionObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    ChannelObject *channel = self->channel;
    value_encoder encoder;
    rbr_message *answer = NULL;
    PyObject *result = NULL;
    uint64_t deadline_ns;
    uint32_t root;

    if (!deadline_from_timeout(self->timeout, &deadline_ns) || channel_enter_alive(channel) == NULL)
        return NULL;
    if (value_encoder_start(&encoder, channel, deadline_ns) == 0) {
        root = encode_call(self, &encoder, args, count, names, deadline_ns);
        if (root != 0)
            answer = call_exchange(channel, &encoder, root, deadline_ns, function_name(self));
        value_encoder_stop(&encoder);
    }
    if (answer != NULL) {
        result = decode_answer(channel, answer, self->copy);
        rbr_message_free(answer);
    }
    channel_leave(channel);
    return result;
}

#ifndef Py_LIMITED_API
static PyObject *
function_vectorcall(PyObject *self, PyObject *const *args, size_t count, PyObject *names)
{
    return function_call((FunctionObject *)self, args, PyVectorcall_NARGS(count), names);
}
#else
static PyObject *
function_tp_call(PyObject *self, PyObject *args, PyObject *kwargs)
{
    const Py_ssize_t count = PyTuple_Size(args);
    const Py_ssize_t keywords = kwargs != NULL ? PyDict_Size(kwargs) : 0;
    PyObject **all = PyMem_Malloc((size_t)(count + keywords + 1) * sizeof *all);
    PyObject *names = keywords > 0 ? PyTuple_New(keywords) : NULL;
    PyObject *key, *value, *result = NULL;
    Py_ssize_t i, position = 0;

    if (all == NULL || (keywords > 0 && names == NULL)) {
        PyErr_NoMemory();
        goto done;
    }
    for (i = 0; i < count; i++)
        all[i] = PyTuple_GetItem(args, i);
    for (; i < count + keywords && PyDict_Next(kwargs, &position, &key, &value); i++) {
        PyTuple_SetItem(names, i - count, Py_NewRef(key));
        all[i] = value;
    }
    result = function_call((FunctionObject *)self, all, count, names);
done:
    PyMem_Free(all);
    Py_XDECREF(names);
    return result;
}
#endif

/* ---------------------------------------------------------------------------------- the object */

static FunctionObject *
function_alloc(core_state *state, ChannelObject *channel)
{
    FunctionObject *self = PyObject_GC_New(FunctionObject, state->function_type);

    if (self == NULL)
        return NULL;
#ifndef Py_LIMITED_API
    self->vectorcall = function_vectorcall;
#endif
    self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
    self->id = 0;
    self->copy = false;
    self->name = Py_NewRef(Py_None);
    self->timeout = Py_NewRef(Py_None);
    self->label = Py_NewRef(Py_None);
    self->title = Py_NewRef(Py_None);
    self->doc = Py_NewRef(Py_None);
    self->signature = Py_NewRef(Py_None);
    self->weakrefs = NULL;
    PyObject_GC_Track((PyObject *)self);
    return self;
}

static void
put(PyObject **to, PyObject *value)
{
    PyObject *old = *to;

    *to = Py_NewRef(value);
    Py_DECREF(old);
}

static PyObject *
titled(FunctionObject *self)
{
    PyObject *title = self->label == Py_None
                          ? Py_NewRef(self->name)
                          : PyUnicode_FromFormat("%U [%U]", self->name, self->label);

    if (title == NULL) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    Py_DECREF(self->title);
    self->title = title;
    return (PyObject *)self;
}

static bool
check_options(PyObject *timeout, PyObject *label)
{
    uint64_t ignored;

    if (!deadline_from_timeout(timeout, &ignored))
        return false;
    if (timeout != Py_None && PyFloat_AsDouble(timeout) == 0.0) {
        PyErr_SetString(PyExc_ValueError, "a call's timeout must be more than 0 seconds, or None");
        return false;
    }
    if (label != Py_None && !PyUnicode_Check(label)) {
        PyErr_Format(PyExc_TypeError, "label must be a str or None, not %R", label);
        return false;
    }
    return true;
}

static PyObject *
function_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"channel", "id",   "name",  "doc", "signature",
                               "timeout", "copy", "label", NULL};
    core_state *state = core_state_of_type(type);
    PyObject *name, *doc = Py_None, *signature = Py_None, *timeout = Py_None, *label = Py_None;
    PyObject *channel;
    unsigned int id;
    int copy = 0;
    FunctionObject *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!IU|$OOOpO:Function", keywords,
                                     state->channel_type, &channel, &id, &name, &doc, &signature,
                                     &timeout, &copy, &label) ||
        !check_options(timeout, label))
        return NULL;
    self = function_alloc(state, (ChannelObject *)channel);
    if (self == NULL)
        return NULL;
    self->id = id;
    self->copy = copy != 0;
    put(&self->name, name);
    put(&self->doc, doc);
    put(&self->signature, signature);
    put(&self->timeout, timeout);
    put(&self->label, label);
    return titled(self);
}

static PyObject *
function_options(FunctionObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"timeout", "copy", "label", NULL};
    PyObject *timeout = self->timeout, *label = self->label;
    int copy = self->copy;
    FunctionObject *other;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OpO:options", keywords, &timeout, &copy,
                                     &label) ||
        !check_options(timeout, label))
        return NULL;
    other = function_alloc(self->channel->state, self->channel);
    if (other == NULL)
        return NULL;
    other->id = self->id;
    other->copy = copy != 0;
    put(&other->name, self->name);
    put(&other->doc, self->doc);
    put(&other->signature, self->signature);
    put(&other->timeout, timeout);
    put(&other->label, label);
    return titled(other);
}

static int
function_traverse(FunctionObject *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->channel);
    Py_VISIT(self->timeout);
    Py_VISIT(self->signature);
    return 0;
}

static void
function_dealloc(FunctionObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyObject_GC_UnTrack((PyObject *)self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    Py_DECREF((PyObject *)self->channel);
    Py_DECREF(self->name);
    Py_DECREF(self->timeout);
    Py_DECREF(self->label);
    Py_DECREF(self->title);
    Py_DECREF(self->doc);
    Py_DECREF(self->signature);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *
function_repr(FunctionObject *self)
{
    return PyUnicode_FromFormat("<remote function %U on worker %U>", self->title,
                                self->channel->name);
}

static PyObject *
get_qualname(FunctionObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->name);
}

/* "terrain.hillshade": part 0 is what stands before the last dot, part 1 what stands after it. */
static PyObject *
get_name_part(FunctionObject *self, void *part)
{
    const Py_ssize_t length = PyUnicode_GetLength(self->name);
    const Py_ssize_t dot = PyUnicode_FindChar(self->name, '.', 0, length, -1);

    if (dot < 0)
        return part != NULL ? Py_NewRef(self->name) : PyUnicode_FromString("");
    return part != NULL ? PyUnicode_Substring(self->name, dot + 1, length)
                        : PyUnicode_Substring(self->name, 0, dot);
}

static PyObject *
get_doc(FunctionObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->doc);
}

static PyObject *
get_signature(FunctionObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->signature);
}

/* What inspect.signature asks for first. Parsed in Python, on demand: nobody calls this often. */
static PyObject *
get_parsed_signature(FunctionObject *self, void *unused)
{
    PyObject *module, *result = NULL;

    (void)unused;
    if (!PyUnicode_Check(self->signature)) {
        PyErr_SetString(PyExc_AttributeError, "__signature__");
        return NULL;
    }
    module = PyImport_ImportModule("ringbridge.signatures");
    if (module != NULL)
        result = PyObject_CallMethod(module, "parse", "O", self->signature);
    Py_XDECREF(module);
    return result;
}

/* A descriptor that binds nothing: it makes inspect.isroutine true, so that help() and IDEs show a
 * remote function as a function. */
static PyObject *
function_descr_get(PyObject *self, PyObject *object, PyObject *type)
{
    (void)object;
    (void)type;
    return Py_NewRef(self);
}

static PyGetSetDef function_getset[] = {
    {"__signature__", (getter)get_parsed_signature, NULL, NULL, NULL},
    {"__name__", (getter)get_name_part, NULL, NULL, (void *)1},
    {"__module__", (getter)get_name_part, NULL, NULL, NULL},
    {"__qualname__", (getter)get_qualname, NULL, NULL, NULL},
    {"__doc__", (getter)get_doc, NULL, NULL, NULL},
    {"__text_signature__", (getter)get_signature, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyMethodDef function_methods[] = {
    {"options", (PyCFunction)(void (*)(void))function_options, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("options($self, *, timeout=..., copy=..., label=...)\n--\n\n"
               "The same function with these options: seconds to wait for a result (None: no\n"
               "limit), results as private copies, a label for messages.")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef function_members[] = {
#ifndef Py_LIMITED_API
    {"__vectorcalloffset__", T_PYSSIZET, offsetof(FunctionObject, vectorcall), READONLY, NULL},
#endif
    {"__weaklistoffset__", T_PYSSIZET, offsetof(FunctionObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot function_slots[] = {
    {Py_tp_new, (void *)function_new},
    {Py_tp_dealloc, (void *)function_dealloc},
    {Py_tp_traverse, (void *)function_traverse},
    {Py_tp_repr, (void *)function_repr},
    {Py_tp_descr_get, (void *)function_descr_get},
#ifndef Py_LIMITED_API
    {Py_tp_call, (void *)PyVectorcall_Call},
#else
    {Py_tp_call, (void *)function_tp_call},
#endif
    {Py_tp_methods, function_methods},
    {Py_tp_members, function_members},
    {Py_tp_getset, function_getset},
    {0, NULL},
};

#ifdef Py_LIMITED_API
#define FUNCTION_CALL_FLAG 0
#else
#define FUNCTION_CALL_FLAG Py_TPFLAGS_HAVE_VECTORCALL
#endif

PyType_Spec function_type_spec = {
    .name = "ringbridge._core.Function",
    .basicsize = sizeof(FunctionObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | FUNCTION_CALL_FLAG | RBR_TPFLAGS_IMMUTABLE,
    .slots = function_slots,
};
