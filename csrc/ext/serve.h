/* SPDX-License-Identifier: MIT */
/*
 * serve.h - private to serve_*.c: what runs a peer's calls, and what it keeps between two of them.
 */
#ifndef RBR_EXT_SERVE_H
#define RBR_EXT_SERVE_H

#include "ext.h"

/* A generator that the host reads from. It is parked between two items while as many are under way as
 * the host gave credit for, or more bytes than this. */
#define STREAM_BYTES_MAX (UINT64_C(64) << 20)
#define STREAM_CREDIT_MAX 1024u

/* What the newest item of a stream is offered in. */
typedef struct offering {
    rbr_block *block; /* the buffer that the host knows; NULL: none yet */
    rbr_latest_writer writer;
    bool under_way;     /* a word that there is something newer; its credit has not come back */
    uint64_t announced; /* items made when that was sent */
} offering;

typedef struct stream {
    uint64_t id;
    PyObject *iterator;
    bool keep;
    bool busy; /* its code runs, or its item's: a nested request must not enter it, nor end it */
    bool closing;        /* it was to be closed meanwhile */
    unsigned depth;      /* of nested calls, where it is read */
    uint64_t index;      /* items made */
    offering *latest;    /* its newest item wins, and it is never parked; NULL: not so */
    uint32_t credit;     /* items that may be under way */
    uint32_t under_way;  /* of them; with `latest` always none */
    uint64_t bytes;      /* of those under way */
    uint64_t *sizes;     /* of the items under way, a ring of `credit` */
    struct stream *next; /* in the server's list */
} stream;

/* A callback whose answer nobody waits for, until it comes. */
typedef struct notice {
    rbr_pending pending;
    uint64_t call; /* that the callback came with */
    struct notice *next;
} notice;

/* The loop, and threads of the worker that call back: these may still wait when serve() has returned.
 * Whoever is inside, from serve_enter to serve_leave, keeps it and its channel; the last one out ends
 * it. All of it needs the GIL, and what is not in the list of notices belongs to who took it out. */
typedef struct server {
    ChannelObject *channel; /* entered, until the end */
    unsigned users;
    PyObject *table;     /* exports.ExportTable: load, bind, describe, iterate */
    PyObject *functions; /* its list, by function id */
    unsigned long thread; /* which runs the calls; of a lane: which did so last */
    uint64_t running;     /* the call that it runs; 0: none */
    uint64_t requests;    /* taken so far */
    uint32_t function;    /* of the call that began last; NO_FUNCTION: it was none of a module */
    uint64_t callback_ns; /* how long a callback may take; RBR_FOREVER */
    bool served;          /* for an application's client */
    bool waits;           /* a call waits for a callback of it, on its thread */
    bool interrupted;     /* Ctrl-C has hit a call: it means this process */
    stream *streams;     /* whoever made an item last stands last */
    PyObject *kept;      /* dict: number -> object that stays */
    PyObject *kept_for;  /* dict: number -> id of the call whose message gave it to the host */
    PyObject *kept_ids;  /* dict: id(object) -> how many numbers it has */
    uint64_t last_kept;
    PyObject *calling;   /* set: ids of the calls that run and have callbacks */
    notice *notices, *last_notice;
    unsigned notice_count;
    unsigned depth; /* of calls that wait for callbacks, one within the other, on the main thread */
} server;

#define NO_FUNCTION UINT32_MAX

/* serve_loop.c */
server *server_new(ChannelObject *channel, PyObject *table);
/* Nothing more is run: what was kept for the peer goes on this thread, whoever stays. */
void server_end(server *self);
/* NULL with an exception: its loop has ended. */
server *serve_enter(ChannelObject *channel);
void serve_leave(server *self);
/* Serves one more request, or lets a stream make an item. May free the message, and sets it to NULL then. */
int serve_one(server *self, rbr_message **message);

/* serve_running.c */
/* From now on, until the second is called with what it gave, this thread runs calls of that server. */
server *serve_enter_thread(server *self);
void serve_leave_thread(server *before);
/* What runs calls on this thread, or in this worker; NULL: nothing. */
server *serve_here(const core_state *state);
/* Ends the call `id` as its cancel asks for. -1 with an exception. */
int serve_interrupt(const server *self);
/* Marks a call as running for the watcher and for the SIGINT handler; gives the one that ran before.
 * From the moment it is cleared, right after the user's code, no cancel can hit another. That code is
 * the function, and then what the values of its answer run while they are encoded. */
uint64_t serve_set_running(server *self, uint64_t id);
/* Goes back to `before`, which waits one level above. -1 when that was interrupted meanwhile. */
int serve_run_again(server *self, uint64_t before);
/* The same for a call that begins: -1 when it was cancelled before. */
int serve_begin(server *self, uint64_t id);
/* Which name of an object that stays may be asked for. False with an exception. */
bool serve_is_reachable(const server *self, const char *name, uint32_t size);
/* Its values could not be encoded: where it was interrupted meanwhile, Cancelled instead of what their
 * code made of that. */
void serve_raise_cancelled(server *self, uint64_t id);
/* The user's code of the call `id` has run: its answer may go, which nothing interrupts. Idempotent. */
void serve_ran(server *self, uint64_t id);
/* The call `id` is over: answered (status 0), or what was raised is its answer. `before` goes on. */
int serve_over(server *self, uint64_t id, uint64_t before, int status);
/* Runs one request and answers it. May free the message, and sets it to NULL then. -1: the channel is
 * of no more use, or the call that waits was interrupted meanwhile. */
int serve_request(server *self, rbr_message **message);

/* serve_stream.c */
/* From now on the result of the call `id` is read item by item; takes no reference. flags: the
 * call's. -1 with an exception. */
int stream_start(server *self, uint64_t id, PyObject *result, uint32_t credit, uint32_t flags);
/* Whether a stream could make an item now: while calls wait for callbacks, one that is read within the
 * innermost of these. */
bool stream_is_ready(const server *self);
/* Lets the next such stream make one. -1: the channel is of no more use, or the call that waits was
 * interrupted meanwhile. */
int stream_step(server *self);
void stream_credit(server *self, uint64_t id, uint32_t items);
int stream_close(server *self, uint64_t id); /* -1: as stream_step */
void stream_drop_all(server *self);
/* A call waits no longer: what is still read was read within those that do. */
void stream_leave(server *self);

/* serve_latest.c: of a stream with `latest`. */
offering *latest_new(void);
void latest_free(offering *self);
/* Offers the item, and counts it. -1 with an exception. */
int latest_offer(server *self, stream *from, PyObject *item);
/* The host hears of what it has not heard of: its credit came back, or nothing follows. */
void latest_tell(server *self, stream *from);

/* serve_handle.c */
/* id: of a call that the host has ended before it took all of its answers; 0: no call. */
void serve_release(server *self, uint64_t id, rbr_table body);
int serve_attribute(server *self, const rbr_message *message, rbr_table body);

/* serve_callback.c */
void serve_callbacks_end(server *self, uint64_t id);
void notice_drop_all(server *self);
/* Tells of those that were answered with an error. Never waits. */
void notices_look(server *self);

/* serve_answer.c: what goes back beside results. */
/* The result of a call, which has run then. keep: it stays where it was made. */
int serve_answer_call(server *self, uint64_t id, PyObject *value, bool keep);
/* Writes the frame of an item; an exception: -1. */
int serve_build_item(value_encoder *encoder, server *self, const stream *from, PyObject *value);
/* *bytes: of the frame and its blocks. */
int serve_answer_item(server *self, const stream *from, PyObject *value, uint64_t *bytes);
/* With the exception that is set, which is taken, or with none. */
int serve_answer_end(server *self, const stream *from);
int serve_answer_method(server *self, uint64_t id, PyObject *described);

#endif
