/* SPDX-License-Identifier: MIT */
/*
 * packed.c - frames that are no message of a channel: what a plot shows, and what is written beside.
 *
 * Each is a Frame whose body is a Callback: id is its number, args and kwargs are its values. So it is
 * built, verified and decoded as a call is, and holds what a call may hold, but for what stays in a
 * process.
 */
#include "packed.h"

#include "tensor.h"

int
packed_encode(value_encoder *encoder, uint64_t number, uint64_t parent, PyObject *const *args,
              Py_ssize_t count, PyObject *names, uint32_t *size)
{
    const rbr_shape *shape = &rbr_shape_frame_parent;
    const uint32_t root = rbr_build_table(&encoder->build, 0, shape);

    if (root == 0) {
        PyErr_NoMemory();
        return -1;
    }
    rbr_build_u64(&encoder->build, root, shape, RBR_FRAME__ID, number);
    rbr_build_u64(&encoder->build, root, shape, RBR_FRAME__PARENT, parent);
    rbr_build_u8(&encoder->build, root, shape, RBR_FRAME__BODY_TYPE, RBR_BODY_CALLBACK);
    if (call_encode_callback(encoder, rbr_build_slot(root, shape, RBR_FRAME__BODY), 0, args, count,
                             names) < 0)
        return -1;
    *size = rbr_build_finish(&encoder->build);
    if (*size == 0) {
        PyErr_NoMemory();
        return -1;
    }
    return 0;
}

PyObject *
packed_decode(value_decoder *decoder)
{
    uint8_t type;
    const rbr_table body = rbr_message_body(decoder->message, &type);
    PyObject *both, *named, *result = NULL;

    if (type != RBR_BODY_CALLBACK)
        return value_bad(decoder, "a frame that holds no values of a plot");
    both = event_decode_arguments(decoder, body, RBR_CALLBACK__ARGS, RBR_CALLBACK__KWARGS);
    if (both == NULL)
        return NULL;
    named = PyTuple_GetItem(both, 1);
    named = named != Py_None ? Py_NewRef(named) : PyDict_New();
    if (named != NULL)
        result = Py_BuildValue("KKON", (unsigned long long)rbr_message_id(decoder->message),
                               (unsigned long long)rbr_message_parent(decoder->message),
                               PyTuple_GetItem(both, 0), named);
    Py_DECREF(both);
    return result;
}

PyObject *
packed_pack(PyObject *module, PyObject *args)
{
    core_state *state = PyModule_GetState(module);
    unsigned long long number, parent;
    PyObject *values, *named, **all, *names, *result = NULL;
    value_encoder encoder;
    uint32_t size;

    if (!PyArg_ParseTuple(args, "KKO!O!:pack", &number, &parent, &PyTuple_Type, &values,
                          &PyDict_Type, &named) ||
        function_spread(values, named, &all, &names) < 0)
        return NULL;
    if (value_encoder_start_alone(&encoder, state, NULL, 0) == 0) {
        if (packed_encode(&encoder, number, parent, all, PyTuple_Size(values), names, &size) == 0)
            result = PyBytes_FromStringAndSize((const char *)encoder.build.base, (Py_ssize_t)size);
        value_encoder_stop(&encoder);
    }
    function_gather(values, all, names);
    return result;
}

PyObject *
packed_unpack(PyObject *module, PyObject *bytes)
{
    value_decoder decoder = {.state = PyModule_GetState(module), .copy = true};
    rbr_error error = {.status = RBR_OK};
    rbr_message *message = NULL;
    PyObject *result = NULL;
    rbr_status status;
    Py_buffer view;

    if (PyObject_GetBuffer(bytes, &view, PyBUF_SIMPLE) < 0)
        return NULL;
    status = rbr_message_copy(&message, view.buf, (uint64_t)view.len, NULL, &error);
    PyBuffer_Release(&view);
    if (status != RBR_OK)
        return core_raise(decoder.state, status, &error, "unpacking a frame");
    decoder.message = message;
    result = packed_decode(&decoder);
    rbr_message_free(message);
    return result;
}
