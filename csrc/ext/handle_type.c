/* SPDX-License-Identifier: MIT */
/*
 * handle_type.c - Handle: an object that stays in the worker, as the host holds it.
 *
 * The base of ringbridge.objects.RemoteObject, which is what users see: here are only the number, and
 * the release when the last reference goes. Whatever a user may ask of the object is an attribute over
 * there, so this type has no methods: attribute() and set_attribute() are the module's functions.
 */
#include "ext.h"

#include <stddef.h>

PyObject *
handle_make(ChannelObject *channel, uint64_t id, PyObject *name)
{
    core_state *state = channel->state;
    PyObject *type = foreign_function(state, FOREIGN_OBJECTS, "RemoteObject");
    HandleObject *self = NULL;

    if (type == NULL)
        return NULL;
    if (PyType_Check(type) && PyType_IsSubtype((PyTypeObject *)type, state->handle_type))
        self = (HandleObject *)PyType_GenericAlloc((PyTypeObject *)type, 0);
    else
        PyErr_SetString(PyExc_TypeError, "RemoteObject is no Handle");
    Py_DECREF(type);
    if (self == NULL)
        return NULL;
    self->channel = (ChannelObject *)Py_NewRef((PyObject *)channel);
    self->id = id;
    self->name = Py_NewRef(name);
    return (PyObject *)self;
}

void
handles_disown(PyObject *handles)
{
    Py_ssize_t i;

    for (i = 0; handles != NULL && i < PyList_Size(handles); i++)
        ((HandleObject *)PyList_GetItem(handles, i))->id = 0;
}

static int
handle_traverse(HandleObject *self, visitproc visit, void *arg)
{
    Py_VISIT((PyObject *)Py_TYPE((PyObject *)self));
    Py_VISIT((PyObject *)self->channel);
    return 0;
}

static void
handle_dealloc(HandleObject *self)
{
    PyTypeObject *type = Py_TYPE((PyObject *)self);

    PyObject_GC_UnTrack((PyObject *)self);
    if (self->weakrefs != NULL)
        PyObject_ClearWeakRefs((PyObject *)self);
    if (self->channel != NULL && self->id != 0)
        small_frame_release(self->channel, 0, self->id);
    Py_XDECREF((PyObject *)self->channel);
    Py_XDECREF(self->name);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(self);
    Py_DECREF(type);
}

bool
handle_is_here(const HandleObject *self)
{
    const ChannelObject *channel = self->channel;

    if (channel->channel != NULL && !channel->closing &&
        rbr_channel_state(channel->channel, NULL) == RBR_OK)
        return true;
    PyErr_Format(channel->state->worker_died,
                 "this %U is gone: it lived in a process of %U that has ended; make another",
                 self->name, channel->title);
    return false;
}

/* ------------------------------------------------------------------------------------ attributes */

static uint32_t
encode_attribute(value_encoder *encoder, const HandleObject *handle, PyObject *name, PyObject *set)
{
    const value_path path = {.root = "value", .index = -1};
    rbr_shape shape;
    uint32_t slot, table;
    const uint32_t root = call_start_frame(encoder, RBR_BODY_ATTRIBUTE, &slot);

    if (root == 0)
        return 0;
    rbr_shape_make(&shape, &rbr_desc_attribute,
                   RBR_BIT(RBR_ATTRIBUTE__HANDLE) | RBR_BIT(RBR_ATTRIBUTE__NAME) |
                       (set != NULL ? RBR_BIT(RBR_ATTRIBUTE__SET) : 0));
    table = rbr_build_table_once(&encoder->build, slot, &shape);
    if (table == 0) {
        PyErr_NoMemory();
        return 0;
    }
    rbr_build_u64(&encoder->build, table, &shape, RBR_ATTRIBUTE__HANDLE, handle->id);
    if (call_encode_text(encoder, rbr_build_slot(table, &shape, RBR_ATTRIBUTE__NAME), name) < 0)
        return 0;
    if (set != NULL &&
        value_encode(encoder, set, rbr_build_slot(table, &shape, RBR_ATTRIBUTE__SET), &path) < 0)
        return 0;
    return root;
}

static rbr_message *
ask(const HandleObject *handle, PyObject *name, PyObject *set)
{
    ChannelObject *channel = handle->channel;
    rbr_message *answer = NULL;
    value_encoder encoder;
    uint32_t root;
    call_made made;

    if (value_encoder_start(&encoder, channel, RBR_FOREVER) < 0)
        return NULL;
    root = encode_attribute(&encoder, handle, name, set);
    if (root != 0)
        answer = call_exchange(channel, &encoder, root, &made, RBR_FOREVER, "an attribute");
    value_encoder_stop(&encoder);
    return answer;
}

static HandleObject *
handle_from(PyObject *module, PyObject *object)
{
    core_state *state = PyModule_GetState(module);

    if (PyObject_TypeCheck(object, state->handle_type))
        return (HandleObject *)object;
    PyErr_SetString(PyExc_TypeError, "not a Handle");
    return NULL;
}

PyObject *
handle_attribute(PyObject *module, PyObject *args)
{
    PyObject *object, *name, *result = NULL;
    HandleObject *handle;
    rbr_message *answer;
    uint8_t type;
    rbr_table body;

    if (!PyArg_ParseTuple(args, "OU:attribute", &object, &name) ||
        (handle = handle_from(module, object)) == NULL || !handle_is_here(handle) ||
        channel_enter(handle->channel) == NULL)
        return NULL;
    answer = ask(handle, name, NULL);
    if (answer != NULL) {
        body = rbr_message_body(answer, &type);
        if (type == RBR_BODY_LOADED) { /* it is a method: how it looks */
            result = load_decode_functions(body);
            result = result != NULL ? Py_BuildValue("ON", Py_True, result) : NULL;
        } else {
            result = call_decode_answer(handle->channel, answer, false);
            result = result != NULL ? Py_BuildValue("ON", Py_False, result) : NULL;
        }
        rbr_message_free(answer);
    }
    channel_leave(handle->channel);
    return result;
}

PyObject *
handle_set_attribute(PyObject *module, PyObject *args)
{
    PyObject *object, *name, *value, *result = NULL;
    HandleObject *handle;
    rbr_message *answer;

    if (!PyArg_ParseTuple(args, "OUO:set_attribute", &object, &name, &value) ||
        (handle = handle_from(module, object)) == NULL || !handle_is_here(handle) ||
        channel_enter(handle->channel) == NULL)
        return NULL;
    answer = ask(handle, name, value);
    if (answer != NULL) {
        result = call_decode_answer(handle->channel, answer, false);
        rbr_message_free(answer);
    }
    channel_leave(handle->channel);
    return result;
}

PyObject *
handle_about(PyObject *module, PyObject *object)
{
    HandleObject *handle = handle_from(module, object);

    if (handle == NULL)
        return NULL;
    return Py_BuildValue("OKO", (PyObject *)handle->channel, (unsigned long long)handle->id,
                         handle->name);
}

static PyMemberDef handle_members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(HandleObject, weakrefs), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

static PyType_Slot handle_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("An object that stays in the worker.")},
    {Py_tp_new, (void *)type_without_new},
    {Py_tp_dealloc, (void *)handle_dealloc},
    {Py_tp_traverse, (void *)handle_traverse},
    {Py_tp_members, handle_members},
    {0, NULL},
};

PyType_Spec handle_type_spec = {
    .name = "ringbridge._core.Handle",
    .basicsize = sizeof(HandleObject),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_BASETYPE,
    .slots = handle_slots,
};
