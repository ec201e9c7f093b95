/* SPDX-License-Identifier: MIT */
/*
 * call.h - what calls, loads and the worker's loop call of each other. Included by ext.h.
 */
#ifndef RBR_EXT_CALL_H
#define RBR_EXT_CALL_H

/* call_frame.c: the Frame table with its body's type set; gives the body's slot. 0 with an
 * exception. */
uint32_t call_start_frame(value_encoder *encoder, uint8_t body, uint32_t *slot);
/* Writes a str into a slot. -1 with an exception. */
int call_encode_text(value_encoder *encoder, uint32_t slot, PyObject *text);
/* Writes the vectors Call.args and Call.kwargs into their slots. -1 with an exception. */
int call_encode_args(value_encoder *encoder, uint32_t slot, PyObject *const *args,
                     Py_ssize_t count);
int call_encode_kwargs(value_encoder *encoder, uint32_t slot, PyObject *names,
                       PyObject *const *values);
/* Sends the finished frame whose table stands at `root` and waits for the answer. */
rbr_message *call_exchange(ChannelObject *channel, value_encoder *encoder, uint32_t root,
                           uint64_t deadline_ns, const char *doing);

/* Answers to the request `id`. -1: not sent, with an exception. The error is the current exception,
 * which is taken; loaded is what serve's `load` returned. */
int serve_answer_result(ChannelObject *channel, uint64_t id, PyObject *value);
int serve_answer_error(ChannelObject *channel, uint64_t id);
int serve_answer_loaded(ChannelObject *channel, uint64_t id, PyObject *loaded);

/* channel.load(module, reload, timeout). */
PyObject *channel_load(ChannelObject *self, PyObject *const *args, Py_ssize_t count);

/* The module's functions for the worker; serve_loop.c. */
PyObject *serve_loop(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *serve_cancelled(PyObject *module, PyObject *const *args, Py_ssize_t count);
PyObject *serve_current_call(PyObject *module, PyObject *unused);

#endif
