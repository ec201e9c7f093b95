/* SPDX-License-Identifier: MIT */
/*
 * function_type.c - Function: a remote function, as a Python object. function_call.c calls it.
 *
 *   Function --+
 *   Function --+--> Target --> Channel        copies made by options() share the Target
 */
#include "ext.h"

#include <stddef.h>
#include <string.h>

static FunctionObject *
function_alloc(core_state *state, TargetObject *target)
{
    FunctionObject *self = PyObject_GC_New(FunctionObject, state->function_type);

    if (self == NULL)
        return NULL;
#ifndef Py_LIMITED_API
    self->vectorcall = function_vectorcall;
#endif
    self->target = (TargetObject *)Py_NewRef((PyObject *)target);
    self->copy = self->keep = self->latest = false;
    self->handle = Py_NewRef(Py_None);
    self->method = Py_NewRef(Py_None);
    self->callbacks_on = Py_NewRef(Py_None);
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
    PyObject *name = self->target->name;
    PyObject *title = self->label == Py_None ? Py_NewRef(name)
                                             : PyUnicode_FromFormat("%U [%U]", name, self->label);

    if (title == NULL) {
        Py_DECREF((PyObject *)self);
        return NULL;
    }
    Py_DECREF(self->title);
    self->title = title;
    return (PyObject *)self;
}

/* The options that function_new and options() share. */
typedef struct function_wishes {
    PyObject *timeout, *label, *callbacks_on;
    int copy, keep, latest;
} function_wishes;

static bool
check_wishes(const function_wishes *wishes)
{
    uint64_t ignored;

    if (!deadline_from_timeout(wishes->timeout, &ignored))
        return false;
    if (wishes->timeout != Py_None && PyFloat_AsDouble(wishes->timeout) == 0.0) {
        PyErr_SetString(PyExc_ValueError, "a call's timeout must be more than 0 seconds, or None");
        return false;
    }
    if (wishes->label != Py_None && !PyUnicode_Check(wishes->label)) {
        PyErr_Format(PyExc_TypeError, "label must be a str or None, not %R", wishes->label);
        return false;
    }
    if (wishes->callbacks_on != Py_None &&
        !PyObject_HasAttrString(wishes->callbacks_on, "submit")) {
        PyErr_Format(PyExc_TypeError,
                     "callbacks_on must be an executor (with a submit method) or None, not %R",
                     wishes->callbacks_on);
        return false;
    }
    if (wishes->keep && wishes->latest) {
        PyErr_SetString(PyExc_ValueError,
                        "keep and latest exclude each other: nobody would release the objects of "
                        "items that are dropped");
        return false;
    }
    return true;
}

static PyObject *
wished(FunctionObject *self, const function_wishes *wishes)
{
    self->copy = wishes->copy != 0;
    self->keep = wishes->keep != 0;
    self->latest = wishes->latest != 0;
    put(&self->timeout, wishes->timeout);
    put(&self->label, wishes->label);
    put(&self->callbacks_on, wishes->callbacks_on);
    return titled(self);
}

static PyObject *
function_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"target", "doc",    "signature", "timeout", "copy",
                               "label",  "handle", "method",    NULL};
    core_state *state = core_state_of_type(type);
    function_wishes wishes = {Py_None, Py_None, Py_None, 0, 0, 0};
    PyObject *doc = Py_None, *signature = Py_None, *handle = Py_None, *method = Py_None, *target;
    FunctionObject *self;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!|$OOOpOOO:Function", keywords,
                                     state->target_type, &target, &doc, &signature, &wishes.timeout,
                                     &wishes.copy, &wishes.label, &handle, &method) ||
        !check_wishes(&wishes))
        return NULL;
    if (handle != Py_None &&
        (!PyObject_TypeCheck(handle, state->handle_type) || !PyUnicode_Check(method))) {
        PyErr_SetString(PyExc_TypeError, "a method needs a Handle and a str");
        return NULL;
    }
    self = function_alloc(state, (TargetObject *)target);
    if (self == NULL)
        return NULL;
    put(&self->doc, doc);
    put(&self->signature, signature);
    put(&self->handle, handle);
    put(&self->method, method);
    return wished(self, &wishes);
}

/* The target of the same function on the other of an application's threads. */
static TargetObject *
target_on(FunctionObject *self, PyObject *on)
{
    TargetObject *target = self->target;
    PyObject *other;

    if (on == Py_None)
        return (TargetObject *)Py_NewRef((PyObject *)target);
    if (self->handle != Py_None || !PyObject_HasAttrString(target->owner, "target_on")) {
        PyErr_SetString(PyExc_ValueError,
                        "options(on=...) is for the functions of an application's modules, as "
                        "ringbridge.connect() gives them");
        return NULL;
    }
    other = PyObject_CallMethod(target->owner, "target_on", "OO", (PyObject *)target, on);
    if (other != NULL && !Py_IS_TYPE(other, target->channel->state->target_type)) {
        PyErr_SetString(PyExc_TypeError, "target_on() must give a Target");
        Py_CLEAR(other);
    }
    return (TargetObject *)other;
}

static PyObject *
function_options(FunctionObject *self, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"timeout",      "copy",   "label", "keep",
                               "callbacks_on", "latest", "on",    NULL};
    function_wishes wishes = {self->timeout, self->label, self->callbacks_on,
                              self->copy,    self->keep,  self->latest};
    PyObject *on = Py_None;
    FunctionObject *other;
    TargetObject *target;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|$OpOpOpO:options", keywords, &wishes.timeout,
                                     &wishes.copy, &wishes.label, &wishes.keep,
                                     &wishes.callbacks_on, &wishes.latest, &on) ||
        !check_wishes(&wishes))
        return NULL;
    target = target_on(self, on);
    if (target == NULL)
        return NULL;
    other = function_alloc(self->target->channel->state, target);
    Py_DECREF((PyObject *)target);
    if (other == NULL)
        return NULL;
    put(&other->doc, self->doc);
    put(&other->signature, self->signature);
    put(&other->handle, self->handle);
    put(&other->method, self->method);
    return wished(other, &wishes);
}

/* maker(function, args, kwargs) of ringbridge.task. */
static PyObject *
with_task(FunctionObject *self, const char *maker, PyObject *args, PyObject *kwargs)
{
    PyObject *make = foreign_function(self->target->channel->state, FOREIGN_TASK, maker);
    PyObject *named = kwargs != NULL ? Py_NewRef(kwargs) : PyDict_New();
    PyObject *made = NULL;

    if (make != NULL && named != NULL)
        made = PyObject_CallFunctionObjArgs(make, (PyObject *)self, args, named, NULL);
    Py_XDECREF(make);
    Py_XDECREF(named);
    return made;
}

static PyObject *
function_submit(FunctionObject *self, PyObject *args, PyObject *kwargs)
{
    return with_task(self, "submit", args, kwargs);
}

static PyObject *
function_stream(FunctionObject *self, PyObject *args, PyObject *kwargs)
{
    return with_task(self, "stream", args, kwargs);
}

static int
function_traverse(FunctionObject *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->target);
    Py_VISIT(self->handle);
    Py_VISIT(self->callbacks_on);
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
    Py_DECREF((PyObject *)self->target);
    Py_DECREF(self->handle);
    Py_DECREF(self->method);
    Py_DECREF(self->callbacks_on);
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
    return PyUnicode_FromFormat("<remote function %U on %U>", self->title,
                                self->target->channel->title);
}

static PyObject *
get_qualname(FunctionObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->target->name);
}

/* "terrain.hillshade": part 0 is what stands before the last dot, part 1 what stands after it. */
static PyObject *
get_name_part(FunctionObject *self, void *part)
{
    PyObject *name = self->target->name;
    const Py_ssize_t length = PyUnicode_GetLength(name);
    const Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, length, -1);

    if (dot < 0)
        return part != NULL ? Py_NewRef(name) : PyUnicode_FromString("");
    return part != NULL ? PyUnicode_Substring(name, dot + 1, length)
                        : PyUnicode_Substring(name, 0, dot);
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
    {"submit", (PyCFunction)(void (*)(void))function_submit, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("submit($self, /, *args, **kwargs)\n--\n\n"
               "Calls it without waiting: a Task, which is a concurrent.futures.Future and can be\n"
               "awaited.")},
    {"stream", (PyCFunction)(void (*)(void))function_stream, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("stream($self, /, *args, **kwargs)\n--\n\n"
               "Calls it, and gives what it yields, item by item: for `for` and `async for`.")},
    {"start", (PyCFunction)(void (*)(void))call_start, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("start($self, args, kwargs, *, inbox=None, credit=0, may_wait=True, parent=0,\n"
               "      owner=None)\n--\n\nCalls it without waiting: a Call.")},
    {"options", (PyCFunction)(void (*)(void))function_options, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("options($self, *, timeout=..., copy=..., label=..., keep=..., callbacks_on=...,\n"
               "        latest=..., on=...)\n--\n\n"
               "The same function with these options: seconds to wait for a result (None: no\n"
               "limit), results as private copies, a label for messages, results that stay over\n"
               "there, the executor for its callbacks, streams whose newest item wins, and on\n"
               "which of an application's threads it runs ('main', 'thread').")},
    {NULL, NULL, 0, NULL},
};

static PyMemberDef function_members[] = {
    {"_callbacks_on", T_OBJECT, offsetof(FunctionObject, callbacks_on), READONLY, NULL},
    {"_target", T_OBJECT, offsetof(FunctionObject, target), READONLY, NULL},
    {"_timeout", T_OBJECT, offsetof(FunctionObject, timeout), READONLY, NULL},
    {"_title", T_OBJECT, offsetof(FunctionObject, title), READONLY, NULL},
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
