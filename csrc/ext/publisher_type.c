/* SPDX-License-Identifier: MIT */
/*
 * publisher_type.c - Publisher: the computation's end of a plot.
 *
 *   update(values) -> a frame, built in a slot of the publication -> published: the newest
 *                  -> too large for the slot: the publication moves
 *                  -> to be kept: also a frame for take_kept()
 *
 * Nothing here waits for a viewer. Threads that update take turns (`turn`), which is held over the
 * encoding, and so over Python code of the values; who would wait for himself is told.
 *
 * A frame is published, counted and queued in one turn, and no Python code runs between: whatever
 * interrupts who updates, the frames to be kept are taken in the order of their numbers, and all of
 * them. That is why a byte to `wake` tells of them, and of moves, and no function is called.
 */
#include "kept_frames.h"
#include "packed.h"

#include "ringbridge_publication.h"

#include <fcntl.h>
#include <pythread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INTERRUPTIBLE = 1 };

typedef struct PublisherObject {
    PyObject_HEAD
    core_state *state;
    rbr_publication *publication; /* NULL once freed */
    bool closed;
    PyThread_type_lock turn;
    unsigned long writer; /* the thread that has the turn; 0: none */
    uint64_t number;      /* of the newest frame; 0: none so far */
    uint64_t kept;        /* how many of these were to be kept */
    kept_frames waiting;  /* those that nobody has taken */
    int wake; /* a socket of ours; -1 once closed */
} PublisherObject;

static PyObject *
publisher_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *keywords[] = {"wake", NULL};
    rbr_error error = {.status = RBR_OK};
    PublisherObject *self;
    rbr_status status;
    int wake;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "i:Publisher", keywords, &wake))
        return NULL;
    wake = fcntl(wake, F_DUPFD_CLOEXEC, 3);
    if (wake < 0)
        return PyErr_SetFromErrno(PyExc_OSError);
    self = (PublisherObject *)((allocfunc)PyType_GetSlot(type, Py_tp_alloc))(type, 0);
    if (self == NULL) {
        close(wake);
        return NULL;
    }
    self->state = core_state_of_type(type);
    self->wake = wake;
    kept_frames_init(&self->waiting);
    self->turn = PyThread_allocate_lock();
    status = self->turn != NULL ? rbr_publication_new(&self->publication, &error) : RBR_NO_MEMORY;
    if (status == RBR_OK)
        return (PyObject *)self;
    core_raise(self->state, status, &error, "making a plot");
    Py_DECREF((PyObject *)self);
    return NULL;
}

static void
drop_wake(PublisherObject *self)
{
    if (self->wake >= 0)
        close(self->wake);
    self->wake = -1;
}

static void
publisher_dealloc(PublisherObject *self)
{
    PyTypeObject *type = Py_TYPE(self);

    kept_frames_clear(&self->waiting);
    rbr_publication_free(self->publication);
    drop_wake(self);
    if (self->turn != NULL)
        PyThread_free_lock(self->turn);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))((PyObject *)self);
    Py_DECREF(type);
}

/* There is something to take, or the memory has moved. A full socket is readable anyhow. */
static void
nudge(const PublisherObject *self)
{
    send(self->wake, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---------------------------------------------------------------------------------------- turns */

static bool
is_open(const PublisherObject *self)
{
    if (self->closed)
        PyErr_SetString(self->state->ringbridge_error, "this plot is closed");
    return !self->closed;
}

/* False with the exception of a signal's handler: another thread's update may take for ever. */
static bool
wait_for_turn(PublisherObject *self)
{
    PyLockStatus status;

    do {
        Py_BEGIN_ALLOW_THREADS
        status = PyThread_acquire_lock_timed(self->turn, -1, INTERRUPTIBLE);
        Py_END_ALLOW_THREADS
        if (status != PY_LOCK_ACQUIRED && PyErr_CheckSignals() < 0)
            return false;
    } while (status != PY_LOCK_ACQUIRED);
    return true;
}

/* The turn, until `leave`; false with an exception. */
static bool
enter(PublisherObject *self)
{
    const unsigned long thread = PyThread_get_thread_ident();
    rbr_error error;

    if (!is_open(self))
        return false;
    /* First: in a forked child nobody ends the turn of a thread that was its parent's. */
    if (rbr_publication_check(self->publication, &error) != RBR_OK) {
        core_raise(self->state, error.status, &error, "updating a plot");
        return false;
    }
    if (!PyThread_acquire_lock(self->turn, NOWAIT_LOCK)) {
        if (self->writer == thread) {
            PyErr_SetString(PyExc_RuntimeError,
                            "update() within an update() of the same plot, which has not ended: by "
                            "a value's own code, or by a signal's handler");
            return false;
        }
        if (!wait_for_turn(self))
            return false;
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

/* Python's exception, or a status that is none. */
static rbr_status
publish(PublisherObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names,
        kept_frame *keep, rbr_error *error)
{
    const uint64_t kept = self->kept + (keep != NULL);
    PyObject *bytes = NULL;
    value_encoder encoder;
    bool moved = false;
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
        const void *const frame = encoder.build.base;

        if (keep != NULL)
            bytes = PyBytes_FromStringAndSize(frame, (Py_ssize_t)size);
        if (PyErr_Occurred()) {
            status = RBR_OK;
        } else if (frame == slot) {
            status = rbr_publication_publish(self->publication, size);
        } else {
            Py_BEGIN_ALLOW_THREADS /* new memory may take a while */
            status = publish_copy(self, frame, size, slot, room, &moved, error);
            Py_END_ALLOW_THREADS
        }
        if (status == RBR_OK && !PyErr_Occurred()) {
            self->number++;
            self->kept = kept;
            if (keep != NULL)
                kept_frames_push(&self->waiting, keep, Py_NewRef(bytes));
        }
        if (moved || keep != NULL)
            nudge(self);
    }
    Py_XDECREF(bytes);
    value_encoder_stop(&encoder);
    return status;
}

/* The number; NULL with an exception: then nothing was published. */
static PyObject *
update(PublisherObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names,
       kept_frame *keep)
{
    rbr_error error = {.status = RBR_OK};
    rbr_status status;
    uint64_t number;

    if (!enter(self)) {
        PyMem_Free(keep);
        return NULL;
    }
    number = self->number + 1;
    status = publish(self, args, count, names, keep, &error);
    if (self->number != number)
        PyMem_Free(keep);
    leave(self);
    if (status != RBR_OK)
        core_raise(self->state, status, error.status != RBR_OK ? &error : NULL, "updating a plot");
    return PyErr_Occurred() ? NULL : PyLong_FromUnsignedLongLong(number);
}

static PyObject *
publisher_update(PublisherObject *self, PyObject *const *args, Py_ssize_t count, PyObject *names)
{
    return update(self, args, count, names, NULL);
}

static PyObject *
publisher_update_kept(PublisherObject *self, PyObject *const *args, Py_ssize_t count,
                      PyObject *names)
{
    kept_frame *const keep = PyMem_Malloc(sizeof *keep);

    return keep != NULL ? update(self, args, count, names, keep) : PyErr_NoMemory();
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
        if (moved)
            nudge(self);
        if (status != RBR_OK)
            core_raise(self->state, status, error.status != RBR_OK ? &error : NULL,
                       "publishing a frame");
    }
    PyBuffer_Release(&view);
    return PyErr_Occurred() ? NULL : Py_NewRef(Py_None);
}

static PyObject *
publisher_keep(PublisherObject *self, PyObject *frame)
{
    kept_frame *keep;

    if (!PyBytes_Check(frame))
        return PyErr_Format(PyExc_TypeError, "a packed frame is bytes");
    keep = PyMem_Malloc(sizeof *keep);
    if (keep == NULL)
        return PyErr_NoMemory();
    kept_frames_push(&self->waiting, keep, Py_NewRef(frame));
    nudge(self);
    Py_RETURN_NONE;
}

static PyObject *
publisher_take_kept(PublisherObject *self, PyObject *unused)
{
    PyObject *const bytes = kept_frames_pop(&self->waiting);

    (void)unused;
    return bytes != NULL ? bytes : Py_NewRef(Py_None);
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

/* An update that another thread is in goes on, maybe for ever, and nobody waits for it: then the memory
 * goes with the object. */
static PyObject *
publisher_close(PublisherObject *self, PyObject *unused)
{
    rbr_error error;

    (void)unused;
    if (self->closed)
        Py_RETURN_NONE;
    if (rbr_publication_check(self->publication, &error) != RBR_OK)
        return core_raise(self->state, error.status, &error, "closing a plot");
    self->closed = true;
    drop_wake(self);
    if (PyThread_acquire_lock(self->turn, NOWAIT_LOCK)) {
        rbr_publication_free(self->publication);
        self->publication = NULL;
        PyThread_release_lock(self->turn);
    }
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

static PyObject *
publisher_get_kept_bytes(PublisherObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromUnsignedLongLong(self->waiting.bytes);
}

static PyObject *
publisher_get_moves(PublisherObject *self, void *unused)
{
    (void)unused;
    if (!is_open(self))
        return NULL;
    return PyLong_FromUnsignedLongLong(rbr_publication_moves(self->publication));
}

static PyGetSetDef publisher_getset[] = {
    {"number", (getter)publisher_get_number, NULL,
     PyDoc_STR("How many frames have been published by update."), NULL},
    {"kept", (getter)publisher_get_kept, NULL, PyDoc_STR("How many of these by update_kept."),
     NULL},
    {"kept_bytes", (getter)publisher_get_kept_bytes, NULL,
     PyDoc_STR("Bytes of those that take_kept has not taken."), NULL},
    {"moves", (getter)publisher_get_moves, NULL,
     PyDoc_STR("How often the memory has moved: each reader is to be added anew then."), NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

#define FAST(function) (PyCFunction)(void (*)(void))(function), METH_FASTCALL | METH_KEYWORDS

static PyMethodDef publisher_methods[] = {
    {"update", FAST(publisher_update),
     PyDoc_STR("update($self, /, *values, **named)\n--\n\n"
               "Makes these the newest frame, and returns its number. Waits for no reader.")},
    {"update_kept", FAST(publisher_update_kept),
     PyDoc_STR("update_kept($self, /, *values, **named)\n--\n\n"
               "The same; the packed frame is for take_kept as well.")},
    {"republish", (PyCFunction)publisher_republish, METH_O,
     PyDoc_STR("republish($self, frame, /)\n--\n\nMakes a frame that another publisher packed the "
               "newest.")},
    {"keep", (PyCFunction)publisher_keep, METH_O,
     PyDoc_STR("keep($self, frame, /)\n--\n\nHas take_kept give it, too.")},
    {"take_kept", (PyCFunction)publisher_take_kept, METH_NOARGS,
     PyDoc_STR(
         "take_kept($self, /)\n--\n\nThe next packed frame to be kept; None: there is none.")},
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
    {Py_tp_doc, (void *)PyDoc_STR("Publisher(wake)\n--\n\nThe computation's end of a plot.")},
    {Py_tp_new, (void *)publisher_new},
    {Py_tp_dealloc, (void *)publisher_dealloc},
    {Py_tp_methods, publisher_methods},
    {Py_tp_getset, publisher_getset},
    {0, NULL},
};

PyType_Spec publisher_type_spec = {
    .name = "ringbridge._core.Publisher",
    .basicsize = sizeof(PublisherObject),
    .flags = Py_TPFLAGS_DEFAULT | RBR_TPFLAGS_IMMUTABLE,
    .slots = publisher_slots,
};
