/* SPDX-License-Identifier: MIT */
/*
 * subscriber_type.c - Subscriber: a viewer's end of a plot: the newest frame, as a verified copy.
 *
 *   take() -> a frame, or nothing -> arm() -> poll(fileno()) -> forget() -> take()
 *
 * By one thread at a time; another is told, and nobody's memory is unmapped under him.
 */
#include "packed.h"

#include "ringbridge_publication.h"
#include "tensor.h"

#include <stddef.h>

typedef struct SubscriberObject {
    PyObject_HEAD
    core_state *state;
    rbr_subscription subscription; /* base NULL: closed */
    frame_copies copies;
    bool taking; /* a thread is in take(), perhaps without the GIL */
} SubscriberObject;

static PyObject *
subscriber_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"memory", "reader", "wait", NULL};
    rbr_error error = {.status = RBR_OK};
    SubscriberObject *self;
    unsigned int reader;
    int memory, wait;
    rbr_status status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "iIi:Subscriber", keywords, &memory, &reader,
                                     &wait))
        return NULL;
    self = (SubscriberObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->state = core_state_of_type(type);
    status = rbr_subscription_open(&self->subscription, memory, reader, wait, &error);
    if (status == RBR_OK)
        return (PyObject *)self;
    core_raise(self->state, status, &error, "joining a plot");
    Py_DECREF((PyObject *)self);
    return NULL;
}

static int
subscriber_traverse(SubscriberObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    (void)arg; /* what it holds holds nothing */
    return 0;
}

static void
subscriber_dealloc(SubscriberObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    rbr_subscription_close(&self->subscription);
    frame_copies_clear(&self->copies);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

static bool
is_usable(const SubscriberObject *self)
{
    if (self->taking)
        PyErr_SetString(PyExc_RuntimeError, "another thread takes a frame of this subscriber");
    else if (self->subscription.base == NULL)
        PyErr_SetString(self->state->ringbridge_error, "this subscriber is closed");
    else
        return true;
    return false;
}

/* A verified copy of the newest frame; *holder: the memory that it lies in, or NULL. */
static rbr_status
take_copy(SubscriberObject *self, rbr_message **out, ArrayObject **holder, rbr_error *error)
{
    rbr_latest_reader *const reader = &self->subscription.reader;
    const void *frame;
    uint64_t bytes, sequence;
    rbr_status status = rbr_latest_take(reader, &frame, &bytes, &sequence);

    if (status != RBR_OK)
        return status;
    if (bytes < COPY_NOGIL_BYTES_MIN) {
        status = rbr_message_copy(out, frame, bytes, NULL, error);
    } else {
        self->taking = true;
        status = frame_copy_large(self->state, &self->copies, reader->room, frame, bytes, out,
                                  holder, error);
        self->taking = false;
    }
    rbr_latest_release(reader);
    return status;
}

static PyObject *
subscriber_take(SubscriberObject *self, PyObject *unused)
{
    value_decoder decoder = {.state = self->state};
    rbr_error error = {.status = RBR_OK};
    rbr_message *message = NULL;
    PyObject *frame = NULL;
    rbr_status status;

    (void)unused;
    if (!is_usable(self))
        return NULL;
    status = take_copy(self, &message, &decoder.holder, &error);
    decoder.message = message;
    if (status == RBR_OK)
        frame = packed_decode(&decoder);
    else if (status == RBR_AGAIN)
        frame = Py_NewRef(Py_None);
    else
        core_raise(self->state, status, error.status != RBR_OK ? &error : NULL, "taking a frame");
    if (decoder.holder != NULL)
        Py_DECREF((PyObject *)decoder.holder);
    else
        rbr_message_free(message);
    return frame;
}

static PyObject *
subscriber_arm(SubscriberObject *self, PyObject *unused)
{
    (void)unused;
    if (!is_usable(self))
        return NULL;
    return PyBool_FromLong(rbr_latest_wait(&self->subscription.reader));
}

static PyObject *
subscriber_fileno(SubscriberObject *self, PyObject *unused)
{
    (void)unused;
    return is_usable(self) ? PyLong_FromLong(self->subscription.wait) : NULL;
}

static PyObject *
subscriber_forget(SubscriberObject *self, PyObject *unused)
{
    (void)unused;
    if (!is_usable(self))
        return NULL;
    return PyBool_FromLong(rbr_subscription_heard(&self->subscription));
}

static PyObject *
subscriber_close(SubscriberObject *self, PyObject *unused)
{
    (void)unused;
    if (self->subscription.base != NULL && !is_usable(self))
        return NULL;
    rbr_subscription_close(&self->subscription);
    Py_RETURN_NONE;
}

static PyMethodDef subscriber_methods[] = {
    {"take", (PyCFunction)subscriber_take, METH_NOARGS,
     PyDoc_STR("take($self, /)\n--\n\n"
               "(number, parent, values, named) of the newest frame; None: it was taken before.")},
    {"arm", (PyCFunction)subscriber_arm, METH_NOARGS,
     PyDoc_STR("arm($self, /)\n--\n\n"
               "Makes fileno() readable at the next frame; False: there is one to take already.")},
    {"fileno", (PyCFunction)subscriber_fileno, METH_NOARGS,
     PyDoc_STR("fileno($self, /)\n--\n\nWhat to poll while it is armed.")},
    {"forget", (PyCFunction)subscriber_forget, METH_NOARGS,
     PyDoc_STR("forget($self, /)\n--\n\n"
               "Makes fileno() not readable; False: it stays so, do not poll it any more.")},
    {"close", (PyCFunction)subscriber_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\nFrames that were taken stay. Idempotent.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot subscriber_slots[] = {
    {Py_tp_doc,
     (void *)PyDoc_STR("Subscriber(memory, reader, wait)\n--\n\n"
                       "A viewer's end of a plot; owns both descriptors, also when it raises.")},
    {Py_tp_new, (void *)subscriber_new},
    {Py_tp_dealloc, (void *)subscriber_dealloc},
    {Py_tp_traverse, (void *)subscriber_traverse},
    {Py_tp_methods, subscriber_methods},
    {0, NULL},
};

PyType_Spec subscriber_type_spec = {
    .name = "ringbridge._core.Subscriber",
    .basicsize = sizeof(SubscriberObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = subscriber_slots,
};
