/* SPDX-License-Identifier: MIT */
/*
 * target_type.c - Target: what a remote function is bound to.
 *
 *   Function --> Target --> Channel, id        rebind() sets both at once, also while calls are
 *                  |                           under way: each call took its own at its start
 *                  +--> owner                  asked for a live channel when this one is dead
 *
 * Bound anew when the worker's process is replaced, so that old functions go on working.
 */
#include "ext.h"

/* ------------------------------------------------------------------------------------ for a call */

/* Whether another process may stand behind the target by now, or soon: not in a forked child. */
static bool
needs_another(const ChannelObject *channel)
{
    return channel->channel == NULL || channel->closing ||
           rbr_channel_state(channel->channel, NULL) != RBR_FORKED;
}

static PyObject *
seconds_until(uint64_t deadline_ns)
{
    const uint64_t now_ns = rbr_now_ns();

    if (deadline_ns == RBR_FOREVER)
        return Py_NewRef(Py_None);
    return PyFloat_FromDouble(deadline_ns > now_ns ? (double)(deadline_ns - now_ns) / 1e9 : 0.0);
}

/* Called with what the channel has raised; true: it is dropped, as the target was bound anew. */
static bool
ask_owner(TargetObject *self, uint64_t deadline_ns)
{
    PyObject *type, *value, *traceback, *timeout, *owner, *answer = NULL;
    int revived = -1;

    PyErr_Fetch(&type, &value, &traceback);
    owner = Py_NewRef(self->owner);
    timeout = seconds_until(deadline_ns);
    if (timeout != NULL)
        answer = PyObject_CallMethod(owner, "revived", "OO", (PyObject *)self, timeout);
    if (answer != NULL)
        revived = PyObject_IsTrue(answer);
    Py_XDECREF(answer);
    Py_XDECREF(timeout);
    Py_DECREF(owner);
    if (revived == 0) {
        PyErr_Restore(type, value, traceback);
        return false;
    }
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return revived > 0;
}

static void
raise_gone(TargetObject *self)
{
    const Py_ssize_t length = PyUnicode_GetLength(self->name);
    const Py_ssize_t dot = PyUnicode_FindChar(self->name, '.', 0, length, -1);
    PyObject *module = PyUnicode_Substring(self->name, 0, dot > 0 ? dot : 0);
    PyObject *function = PyUnicode_Substring(self->name, dot + 1, length);

    if (module != NULL && function != NULL)
        PyErr_Format(PyExc_AttributeError, "module %R has no function %R any more", module,
                     function);
    Py_XDECREF(module);
    Py_XDECREF(function);
}

/* The channel could not be entered, for a reason that was raised. True: try again. */
static bool
target_moved(TargetObject *self, const ChannelObject *channel, uint64_t deadline_ns)
{
    return self->owner != Py_None && needs_another(channel) && ask_owner(self, deadline_ns);
}

ChannelObject *
target_enter(TargetObject *self, uint64_t deadline_ns, uint32_t *id)
{
    ChannelObject *channel;
    bool again;

    do {
        channel = (ChannelObject *)Py_NewRef((PyObject *)self->channel);
        *id = self->id; /* with its channel, before anybody can bind it anew */
        if (channel_enter_alive(channel) != NULL) {
            if (*id != TARGET_GONE)
                return channel;
            raise_gone(self);
            target_leave(channel);
            return NULL;
        }
        again = target_moved(self, channel, deadline_ns);
        Py_DECREF((PyObject *)channel);
    } while (again);
    return NULL;
}

void
target_leave(ChannelObject *channel)
{
    channel_leave(channel);
    Py_DECREF((PyObject *)channel);
}

/* ------------------------------------------------------------------------------------ the object */

/* None: gone. false with an exception. */
static bool
id_from(PyObject *object, uint32_t *id)
{
    unsigned long number;

    *id = TARGET_GONE;
    if (object == Py_None)
        return true;
    number = PyLong_AsUnsignedLong(object);
    if (number == (unsigned long)-1 && PyErr_Occurred())
        return false;
    if (number >= TARGET_GONE) {
        PyErr_Format(PyExc_OverflowError, "a function's id must be below 2**32 - 1, not %lu",
                     number);
        return false;
    }
    *id = (uint32_t)number;
    return true;
}

static PyObject *
target_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"channel", "id", "name", "owner", NULL};
    core_state *state = core_state_of_type(type);
    PyObject *channel, *number, *name, *owner = Py_None;
    TargetObject *self;
    uint32_t id;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O!OU|O:Target", keywords, state->channel_type,
                                     &channel, &number, &name, &owner) ||
        !id_from(number, &id))
        return NULL;
    self = PyObject_GC_New(TargetObject, state->target_type);
    if (self == NULL)
        return NULL;
    self->channel = (ChannelObject *)Py_NewRef(channel);
    self->id = id;
    self->name = Py_NewRef(name);
    self->owner = Py_NewRef(owner);
    PyObject_GC_Track((PyObject *)self);
    return (PyObject *)self;
}

static PyObject *
target_rebind(TargetObject *self, PyObject *args)
{
    const core_state *state = core_state_of_type(Py_TYPE((PyObject *)self));
    PyObject *channel, *number;
    ChannelObject *old;
    uint32_t id;

    if (!PyArg_ParseTuple(args, "O!O:rebind", state->channel_type, &channel, &number) ||
        !id_from(number, &id))
        return NULL;
    old = self->channel;
    self->channel = (ChannelObject *)Py_NewRef(channel);
    self->id = id;
    Py_DECREF((PyObject *)old); /* last: it may let go of the GIL */
    Py_RETURN_NONE;
}

static int
target_traverse(TargetObject *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->channel);
    Py_VISIT(self->owner);
    return 0;
}

/* The owner holds its targets, so this is where the circle is cut. The rest stays usable: a finaliser
 * may still call. */
static int
target_clear(TargetObject *self)
{
    PyObject *owner = self->owner;

    self->owner = Py_NewRef(Py_None);
    Py_DECREF(owner);
    return 0;
}

static void
target_dealloc(TargetObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyObject_GC_UnTrack((PyObject *)self);
    Py_DECREF((PyObject *)self->channel);
    Py_DECREF(self->name);
    Py_DECREF(self->owner);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyObject *
target_repr(TargetObject *self)
{
    return PyUnicode_FromFormat("<target %U on %U%s>", self->name, self->channel->title,
                                self->id == TARGET_GONE ? ", gone" : "");
}

static PyObject *
get_name(TargetObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->name);
}

static PyObject *
get_channel(TargetObject *self, void *unused)
{
    (void)unused;
    return Py_NewRef((PyObject *)self->channel);
}

static PyObject *
get_id(TargetObject *self, void *unused)
{
    (void)unused;
    if (self->id == TARGET_GONE)
        Py_RETURN_NONE;
    return PyLong_FromUnsignedLong(self->id);
}

static PyMethodDef target_methods[] = {
    {"rebind", (PyCFunction)target_rebind, METH_VARARGS,
     PyDoc_STR(
         "rebind($self, channel, id)\n--\n\n"
         "From the next call on it is this function there; id None: there is none any more.")},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef target_getset[] = {
    {"name", (getter)get_name, NULL, PyDoc_STR("\"terrain.hillshade\"."), NULL},
    {"channel", (getter)get_channel, NULL, PyDoc_STR("Where calls go."), NULL},
    {"id", (getter)get_id, NULL, PyDoc_STR("The function's number there; None: gone."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot target_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("What a remote function is bound to.")},
    {Py_tp_new, (void *)target_new},
    {Py_tp_dealloc, (void *)target_dealloc},
    {Py_tp_traverse, (void *)target_traverse},
    {Py_tp_clear, (void *)target_clear},
    {Py_tp_repr, (void *)target_repr},
    {Py_tp_methods, target_methods},
    {Py_tp_getset, target_getset},
    {0, NULL},
};

PyType_Spec target_type_spec = {
    .name = "ringbridge._core.Target",
    .basicsize = sizeof(TargetObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = target_slots,
};
