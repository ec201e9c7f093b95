/* SPDX-License-Identifier: MIT */
/*
 * channel_object.h - Channel, and how the other files use one and wait on it. Included by ext.h.
 */
#ifndef RBR_EXT_CHANNEL_OBJECT_H
#define RBR_EXT_CHANNEL_OBJECT_H

typedef struct ChannelObject {
    PyObject_HEAD
    core_state *state;
    rbr_channel *channel; /* NULL once closed and left by the last user */
    int users; /* threads inside channel_enter ... channel_leave */
    bool closing;
    bool pickle; /* both sides have agreed to pickled values */
    bool host; /* not the worker's end */
    bool served; /* the peers are an application and its client */
    struct server *server; /* what runs the peer's calls; NULL: nothing */
    bool coroutines; /* answer its callbacks: Python knows which of them runs, see context.c */
    PyObject *name; /* str */
    PyObject *title; /* str, what the peer is, and its name: for messages */
    PyObject *retired; /* str: why no call begins here any more; NULL: they do */
    PyObject *owner; /* () -> who sees to the process, or None; or None: nobody */
    PyObject *readers; /* who takes from its inboxes: of readers.py; until close() */
    PyObject *weakrefs;
    uint8_t *scratch; /* one encode buffer kept warm; NULL while somebody uses it */
    uint32_t scratch_bytes;
} ChannelObject;

/* The channel to use until channel_leave, NULL with an exception when it is closed. While anybody is
 * inside, close() only marks it: nobody's memory is unmapped under him. */
rbr_channel *channel_enter(ChannelObject *self);
/* The same, and NULL with the reason when the peer has ended already, or is to be replaced. */
rbr_channel *channel_enter_alive(ChannelObject *self);
void channel_leave(ChannelObject *self);

/* The deadline for a timeout in seconds (None: never). false with an exception. */
bool deadline_from_timeout(PyObject *timeout, uint64_t *deadline_ns);

/* channel_open.c: how one begins. */
PyObject *channel_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
PyObject *channel_join(PyObject *type, PyObject *args);
PyObject *channel_connect(PyObject *type, PyObject *args, PyObject *kwargs);
PyObject *channel_accept(PyObject *type, PyObject *args, PyObject *kwargs);

/* channel_process.c: methods of Channel. */
PyObject *channel_kill(ChannelObject *self, PyObject *args);
PyObject *channel_wait_end(ChannelObject *self, PyObject *timeout);
PyObject *channel_read_output(ChannelObject *self, PyObject *timeout);
PyObject *channel_error_tail(ChannelObject *self, PyObject *unused);

/* Raises what a status is outside of any channel; returns NULL. `doing` is for the message. */
void *core_raise(core_state *state, rbr_status status, const rbr_error *err, const char *doing);

/* Sends a finished frame; waits without the GIL. `doing` is for the message. -1 with an exception. */
int channel_send(ChannelObject *self, value_encoder *encoder, uint32_t size, uint64_t deadline_ns,
                 const char *doing);
/* The same, posted: it never waits for room. A call (id is not 0) for which there is no room even in this
 * process waits until the deadline; 0: raises Busy. */
int channel_post(ChannelObject *self, value_encoder *encoder, uint32_t size, uint64_t id,
                 uint64_t deadline_ns, const char *doing);
/* The next message for a pending call: spins a moment with the GIL, then lets go of it and runs signal
 * handlers. RBR_INTERRUPTED: one of them has raised, and its exception is set. */
rbr_status channel_next(ChannelObject *self, rbr_pending *pending, uint64_t deadline_ns,
                        rbr_message **message);
/* Until when an answer may wait for the peer. */
uint64_t channel_answer_deadline(const ChannelObject *self);
/* Waits so for the answer to a call of ours. NULL with an exception; on a timeout or an exception of
 * a handler the peer is asked to cancel the call. */
rbr_message *channel_wait(ChannelObject *self, rbr_pending *pending, uint64_t id,
                          uint64_t deadline_ns, const char *doing);
/* Raises what an Error body says; always NULL. */
void *channel_raise_remote(ChannelObject *self, const rbr_message *message, rbr_table body);

/* The next moment to let Python's signal handlers run, and `idle` (state NULL: not that one); then, 1 to go on waiting, 0 when the status is
 * what counts, -1 when a handler raised. */
/* Whether this thread has something to do while it waits. */
bool channel_has_idle(const core_state *state);
uint64_t channel_slice_end(const core_state *state, uint64_t deadline_ns);
int channel_slice_over(const core_state *state, rbr_status status, uint64_t deadline_ns);

/* How long a waiter spins with the GIL, and how long it waits without it before it lets Python's
 * signal handlers run (a handler's signal may have come to another thread). */
#define GIL_SPIN_NS UINT64_C(2000)
#define SIGNAL_LOOK_NS UINT64_C(50000000)
/* ... and before the thread that has something to do while it waits does that. */
#define IDLE_SLICE_NS UINT64_C(2000000)
/* How long an application waits for a client that has to map new memory before a result can go there. */
#define PATIENCE_NS UINT64_C(2000000000)

/* A block of our arena; waits without the GIL, runs signal handlers. NULL with an exception set
 * (ArenaFull, WorkerDied, KeyboardInterrupt ...). */
rbr_block *channel_allocate(ChannelObject *self, uint64_t bytes, uint64_t deadline_ns);

/* Sets the exception for a status that is not RBR_OK; returns NULL. err may be NULL. */
void *channel_raise(ChannelObject *self, rbr_status status, const rbr_error *err,
                    const char *doing);

/* The same for a channel that was closed, or retired: whose Worker has gone on without it. */
void *channel_raise_closed(ChannelObject *self);

#endif
