/* SPDX-License-Identifier: MIT */
/*
 * value.h - Python values to and from the wire: what the rest of the extension may call. What the
 * value files share among themselves is in values.h and tensor.h. Included by ext.h.
 */
#ifndef RBR_EXT_VALUE_H
#define RBR_EXT_VALUE_H

/* Where in the arguments we are, for CannotCross: a chain on the C stack. */
typedef struct value_path {
    const struct value_path *parent;
    const char *root; /* "args", "kwargs", "result"; at the first link only */
    PyObject *key;    /* borrowed; NULL: use index */
    Py_ssize_t index; /* -1: no subscript */
} value_path;

/* One frame being built. Encoding can run Python code, so each encode has a buffer of its own. */
struct value_encoder {
    rbr_builder build; /* its context is this encoder */
    core_state *state;
    ChannelObject *channel; /* NULL: the frame is for no channel, and holds all that is in it */
    bool pickle;            /* pickles may be encoded: the channel's */
    uint64_t deadline_ns;
    uint8_t *slot;     /* memory that is not ours, where the frame begins; or NULL */
    bool all_inline; /* no block holds a payload: the frame may be overwritten, and never sent */
    rbr_block **blocks; /* referred to by the frame; a reference each */
    size_t block_count, block_room;
    rbr_block *blocks_few[4];
    int depth;
    uint32_t tables; /* in the frame so far; who writes many others (KeyVal) adds them */
    uint64_t parent; /* the call that the frame is made in; 0: none, or not asked yet */
    bool takes_callables; /* they cross as callbacks */
    PyObject *callbacks; /* a list of them; NULL: none so far */
    PyObject *kept; /* a list of numbers of objects that stay, given in this frame; NULL: none */
    PyObject *callbacks_on; /* borrowed: the executor that runs them, or None: who waits */
};

/* deadline_ns: for waiting until the peer has mapped new memory. */
int value_encoder_start(value_encoder *self, ChannelObject *channel, uint64_t deadline_ns);
/* The same for a frame that holds all its payloads, built in a slot of `room` bytes which is written
 * and never read. What does not fit goes on elsewhere: build.base is the slot no more then. NULL, 0:
 * elsewhere from the beginning. */
int value_encoder_start_in(value_encoder *self, ChannelObject *channel, void *slot, uint64_t room);
/* The same without a channel: nothing that stays in a process, or is called back, can be in it. -1 with
 * MemoryError. */
int value_encoder_start_alone(value_encoder *self, core_state *state, void *slot, uint64_t room);
/* Writes a table Value and points `slot` at it. -1 with an exception (CannotCross names the path,
 * MemoryError, ArenaFull, or what the value's own code raised). */
int value_encode(value_encoder *self, PyObject *value, uint32_t slot, const value_path *path);
/* Raises CannotCross "<path>: <text>"; returns -1. */
int value_refuse(value_encoder *self, const value_path *path, const char *format, ...);
/* Writes a Value that names an object that stays here by a number that is new, and taken back with the
 * frame when that is not sent. -1 with an exception. */
int value_encode_handle(value_encoder *self, uint64_t number, PyObject *name, uint32_t slot,
                        const value_path *path);
/* The frame has gone, for this call: the numbers in it are the other side's to release. */
void value_encoder_sent(value_encoder *self, uint64_t call);
/* Gives back the buffer, the block references and what has not been sent. Idempotent after start. */
void value_encoder_stop(value_encoder *self);

typedef struct value_decoder {
    core_state *state;
    ChannelObject *channel; /* for handles and callbacks; NULL: there are none here */
    const rbr_message *message;
    struct ArrayObject *holder; /* in whose memory the frame lies; NULL: arrays cannot stay there */
    bool copy; /* arrays become private copies, no block stays held */
    bool pickle; /* pickles may be decoded: the channel's */
    uint64_t last_handle; /* the largest number of those that came; 0: none */
    PyObject **handles; /* where a list of those made is wanted, NULL in it so far; or NULL */
    bool placed; /* a place stands in the CannotCross that is raised */
    int depth;
} value_decoder;

/* A new reference, NULL with an exception (ProtocolError for what the verifier cannot see). */
PyObject *value_decode(value_decoder *self, rbr_table value);

/* frame_copy.c: private copies of large frames that stand in memory which another process writes. Their
 * memory is used again: of the one that is read, the one before, and one to spare. */
#define FRAME_COPIES 3
typedef struct frame_copies {
    struct ArrayObject *holders[FRAME_COPIES]; /* NULL: none */
} frame_copies;

/* Copies without the GIL, then verifies; room: the largest that may follow. *holder: the memory that
 * the message lies in, a new reference, also on failure where it is not NULL. */
rbr_status frame_copy_large(core_state *state, frame_copies *copies, uint64_t room,
                            const void *frame, uint64_t bytes, rbr_message **out,
                            struct ArrayObject **holder, rbr_error *error);
void frame_copies_clear(frame_copies *copies);

/* Decoding has raised: if it was CannotCross, puts this link before its text. Each container does so
 * on the way out, innermost first; the root is "args", "kwargs" or "result". */
void value_decode_place(value_decoder *self, const char *root, PyObject *key, Py_ssize_t index);

/* Decodes the required child `field` of `table`; a missing one is a ProtocolError. */
PyObject *value_decode_field(value_decoder *self, rbr_table table, uint32_t field);

/* Raises ProtocolError, with what was raised before as its reason; returns NULL. */
PyObject *value_bad(value_decoder *self, const char *what);

/* --------------------------------------------------------------------------------------- Array */

/* An Array over a new block of the channel's arena, wrapped as numpy.ndarray where numpy is to be
 * had, else as a memoryview. shape: int or sequence of ints, dtype: what numpy.dtype takes, or
 * without numpy a name of a plain dtype ("float32") or its array-interface code ("<f4"). */
PyObject *array_empty(ChannelObject *channel, PyObject *shape, PyObject *dtype);

/* Frees the warm encode buffer: for Channel's dealloc. */
void value_scratch_free(ChannelObject *channel);

#endif
