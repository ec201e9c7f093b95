/* SPDX-License-Identifier: MIT */
/*
 * publisher_type.c - Publisher: the computation's end of a plot.
 *
 *   update(values) -> a frame, built in a slot of the publication -> published: the newest
 *                  -> too large for the slot: the publication moves, and on_move() tells it
 *
 * Nothing here waits for a viewer. Threads that update take turns (`turn`), which is held over the
 * encoding, and so over Python code of the values; who would wait for himself is told.
 */
#include "packed.h"

#include "ringbridge_publication.h"

#include <pythread.h>
#include <stddef.h>

typedef struct PublisherObject {
    PyObject_HEAD
    core_state *state;
    rbr_publication *publication; /* NULL once closed */
    PyThread_type_lock turn;
    unsigned long writer; /* the thread that has the turn; 0: none */
    uint64_t number;      /* of the newest frame; 0: none so far */
    uint64_t kept;        /* how many of these were to be kept */
    PyObject *on_move;    /* () -> None */
} PublisherObject;

static PyObject *
publisher_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"on_move", NULL};
    rbr_error error = {.status = RBR_OK};
    PublisherObject *self;
    PyObject *on_move;
    rbr_status status;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O:Publisher", keywords, &on_move))
        return NULL;
    self = (PublisherObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL)
        return NULL;
    self->state = core_state_of_type(type);
    self->on_move = Py_NewRef(on_move);
    self->turn = PyThread_allocate_lock();
    status = self->turn != NULL ? rbr_publication_new(&self->publication, &error) : RBR_NO_MEMORY;
    if (status == RBR_OK)
        return (PyObject *)self;
    core_raise(self->state, status, &error, "making a plot");
    Py_DECREF((PyObject *)self);
    return NULL;
}

static int
publisher_traverse(PublisherObject *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->on_move);
    return 0;
}

static int
publisher_clear(PublisherObject *self)
{
    Py_CLEAR(self->on_move);
    return 0;
}

static void
publisher_dealloc(PublisherObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    PyObject_GC_UnTrack(self);
    publisher_clear(self);
    rbr_publication_free(self->publication);
    if (self->turn != NULL)
        PyThread_free_lock(self->turn);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

/* ---------------------------------------------------------------------------------------- turns */

static bool
is_open(const PublisherObject *self)
{
    if (self->publication == NULL)
        PyErr_SetString(self->state->ringbridge_error, "this plot is closed");
    return self->publication != NULL;
}

/* The turn, until `leave`; false with an exception. */
static bool
enter(PublisherObject *self)
{
    const unsigned long thread = PyThread_get_thread_ident();

    if (!PyThread_acquire_lock(self->turn, NOWAIT_LOCK)) {
        if (self->writer == thread) {
            PyErr_SetString(PyExc_RuntimeError,
                            "update() within an update() of the same plot, which has not ended: by "
                            "a value's own code, or by a signal's handler");
            return false;
        }
        Py_BEGIN_ALLOW_THREADS
        PyThread_acquire_lock(self->turn, WAIT_LOCK);
        Py_END_ALLOW_THREADS
    }
    self->writer = thread;
    if (is_open(self))
        return true;
    self->writer = 0;
    PyThread_release_lock(self->turn);
    return false;
}

static void
leave(PublisherObject *self)
{
    self->writer = 0;
    PyThread_release_lock(self->turn);
}

/* ------------------------------------------------------------------------------------- updating */

/* A frame that stands elsewhere, into a slot that is too small for it, or not. *moved is set when the
 * publication has moved for it. */
static rbr_status
publish_copy(PublisherObject *self, const void *frame, uint32_t size, void *slot, uint64_t room,
             bool *moved, rbr_error *error)
{
    rbr_publication *const publication = self->publication;
    rbr_status status = RBR_OK;

    if (size > room) {
        status = rbr_publication_enlarge(publication, size, error);
        *moved = status == RBR_OK;
        if (status == RBR_OK)
            status = rbr_publication_claim(publication, &slot, &room, error);
    }
    if (status == RBR_OK) {
        memcpy(slot, frame, size);
        status = rbr_publication_publish(publication, size);
    }
    return status;
}

/* keep: out, the frame as bytes, where that is wanted. */
static rbr_status
publish(PublisherObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names,
        PyObject **keep, bool *moved, rbr_error *error)
{
    const uint64_t kept = self->kept + (keep != NULL);
    value_encoder encoder;
    rbr_status status;
    uint64_t room;
    uint32_t size;
    void *slot;

    status = rbr_publication_claim(self->publication, &slot, &room, error);
    if (status != RBR_OK)
        return status;
    /* A slot is written and never read, so what is to be kept is built elsewhere. */
    if (value_encoder_start_alone(&encoder, self->state, keep == NULL ? slot : NULL, room) < 0)
        return RBR_OK;
    if (packed_encode(&encoder, self->number + 1, kept, args, count, names, &size) == 0) {
        if (keep != NULL)
            *keep = PyBytes_FromStringAndSize((const char *)encoder.build.base, (Py_ssize_t)size);
        if (PyErr_Occurred()) {
            status = RBR_OK;
        } else if (encoder.build.base == slot) {
            status = rbr_publication_publish(self->publication, size);
        } else {
            const void *frame = encoder.build.base;

            Py_BEGIN_ALLOW_THREADS /* new memory may take a while */
            status = publish_copy(self, frame, size, slot, room, moved, error);
            Py_END_ALLOW_THREADS
        }
        if (status == RBR_OK && !PyErr_Occurred()) {
            self->number++;
            self->kept = kept;
        }
    }
    value_encoder_stop(&encoder);
    return status;
}

/* 0, or -1 with an exception: then nothing was published. */
static int
update(PublisherObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names,
       PyObject **keep)
{
    rbr_error error = {.status = RBR_OK};
    bool moved = false;
    rbr_status status;
    PyObject *told;

    if (!enter(self))
        return -1;
    status = publish(self, args, count, names, keep, &moved, &error);
    leave(self);
    if (status != RBR_OK)
        core_raise(self->state, status, error.status != RBR_OK ? &error : NULL, "updating a plot");
    if (moved) {
        PyObject *const raised = PyErr_Occurred() ? PyErr_GetRaisedException() : NULL;

        told = PyObject_CallObject(self->on_move, NULL);
        Py_XDECREF(told);
        if (raised != NULL) {
            PyErr_Clear();
            PyErr_SetObject((PyObject *)Py_TYPE(raised), raised);
            Py_DECREF(raised);
        }
    }
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *
publisher_update(PublisherObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    if (update(self, args, count, names, NULL) < 0)
        return NULL;
    return PyLong_FromUnsignedLongLong(self->number);
}

static PyObject *
publisher_update_kept(PublisherObject *self, PyObject *const *args, Py_ssize_t count,
                      PyObject *names)
{
    PyObject *frame = NULL;

    if (update(self, args, count, names, &frame) == 0)
        return frame;
    Py_XDECREF(frame);
    return NULL;
}

static PyObject *
publisher_republish(PublisherObject *self, PyObject *frame)
{
    rbr_error error = {.status = RBR_OK};
    bool moved = false;
    rbr_status status;
    Py_buffer view;
    uint64_t room;
    void *slot;

    if (PyObject_GetBuffer(frame, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    if (view.len > RBR_FRAME_BYTES_MAX || view.len == 0)
        PyErr_SetString(PyExc_ValueError, "that is no frame");
    else if (enter(self)) {
        Py_BEGIN_ALLOW_THREADS
        status = rbr_publication_claim(self->publication, &slot, &room, &error);
        if (status == RBR_OK)
            status = publish_copy(self, view.buf, (uint32_t)view.len, slot, room, &moved, &error);
        Py_END_ALLOW_THREADS
        leave(self);
        if (status != RBR_OK)
            core_raise(self->state, status, error.status != RBR_OK ? &error : NULL,
                       "publishing a frame");
    }
    PyBuffer_Release(&view);
    if (PyErr_Occurred())
        return NULL;
    return moved ? PyObject_CallObject(self->on_move, NULL) : Py_NewRef(Py_None);
}

/* -------------------------------------------------------------------------------------- readers */

static PyObject *
publisher_add_reader(PublisherObject *self, PyObject *unused)
{
    rbr_error error = {.status = RBR_OK};
    rbr_status status;
    uint64_t ticket;
    uint32_t reader;
    int memory, wait;

    (void)unused;
    if (!is_open(self))
        return NULL;
    status = rbr_publication_join(self->publication, &ticket, &reader, &memory, &wait, &error);
    if (status != RBR_OK)
        return core_raise(self->state, status, &error, "letting a viewer join");
    return Py_BuildValue("KiIi", (unsigned long long)ticket, memory, reader, wait);
}

static PyObject *
publisher_drop_reader(PublisherObject *self, PyObject *number)
{
    const unsigned long long ticket = PyLong_AsUnsignedLongLong(number);

    if (PyErr_Occurred())
        return NULL;
    if (self->publication != NULL)
        rbr_publication_leave(self->publication, ticket);
    Py_RETURN_NONE;
}

static PyObject *
publisher_close(PublisherObject *self, PyObject *unused)
{
    (void)unused;
    if (self->publication == NULL)
        Py_RETURN_NONE;
    if (!enter(self)) {
        if (self->publication != NULL)
            return NULL;
        PyErr_Clear(); /* closed by another thread, just now */
        Py_RETURN_NONE;
    }
    rbr_publication_free(self->publication);
    self->publication = NULL;
    leave(self);
    Py_RETURN_NONE;
}

static PyObject *
publisher_get_number(PublisherObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->number);
}

static PyObject *
publisher_get_kept(PublisherObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->kept);
}

static PyGetSetDef publisher_getset[] = {
    {"number", (getter)publisher_get_number, NULL,
     PyDoc_STR("How many frames have been published by update."), NULL},
    {"kept", (getter)publisher_get_kept, NULL, PyDoc_STR("How many of these by update_kept."),
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef publisher_methods[] = {
    {"update", FAST(publisher_update),
     PyDoc_STR("update($self, /, *values, **named)\n--\n\n"
               "Makes these the newest frame, and returns its number. Waits for no reader.")},
    {"update_kept", FAST(publisher_update_kept),
     PyDoc_STR(
         "update_kept($self, /, *values, **named)\n--\n\nThe same; returns the packed frame.")},
    {"republish", (PyCFunction)publisher_republish, METH_O,
     PyDoc_STR("republish($self, frame, /)\n--\n\nMakes a frame that another publisher packed the "
               "newest.")},
    {"add_reader", (PyCFunction)publisher_add_reader, METH_NOARGS,
     PyDoc_STR("add_reader($self, /)\n--\n\n"
               "(ticket, memory, reader, wait): all but the ticket are for its Subscriber.")},
    {"drop_reader", (PyCFunction)publisher_drop_reader, METH_O,
     PyDoc_STR(
         "drop_reader($self, ticket, /)\n--\n\nThat reader has gone; one from before a move had.")},
    {"close", (PyCFunction)publisher_close, METH_NOARGS,
     PyDoc_STR("close($self, /)\n--\n\nReaders keep what they have mapped. Idempotent.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot publisher_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("Publisher(on_move)\n--\n\nThe computation's end of a plot.")},
    {Py_tp_new, (void *)publisher_new},
    {Py_tp_dealloc, (void *)publisher_dealloc},
    {Py_tp_traverse, (void *)publisher_traverse},
    {Py_tp_clear, (void *)publisher_clear},
    {Py_tp_methods, publisher_methods},
    {Py_tp_getset, publisher_getset},
    {0, NULL},
};

PyType_Spec publisher_type_spec = {
    .name = "ringbridge._core.Publisher",
    .basicsize = sizeof(PublisherObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | RBR_TPFLAGS_IMMUTABLE,
    .slots = publisher_slots,
};
