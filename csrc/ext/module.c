/* SPDX-License-Identifier: MIT */
/*
 * module.c - the module `_core`: its state, its types, its functions.
 *
 * Multi-phase init; all state is in the module, so that each (sub)interpreter has its own.
 */
#include "packed.h"

static PyModuleDef core_module;

core_state *
core_state_of_type(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
}

PyObject *
type_without_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    PyErr_Format(PyExc_TypeError, "%R objects cannot be made by hand", (PyObject *)type);
    return NULL;
}

static PyTypeObject *
add_type(PyObject *module, PyType_Spec *spec)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, NULL);

    if (type != NULL && PyModule_AddType(module, (PyTypeObject *)type) < 0)
        Py_CLEAR(type);
    return (PyTypeObject *)type;
}

static int
find_errors(core_state *state)
{
    const struct {
        PyObject **to;
        const char *name;
    } wanted[] = {
        {&state->ringbridge_error, "RingbridgeError"},
        {&state->worker_start_failed, "WorkerStartFailed"},
        {&state->worker_died, "WorkerDied"},
        {&state->cannot_cross, "CannotCross"},
        {&state->call_timeout, "CallTimeout"},
        {&state->arena_full, "ArenaFull"},
        {&state->protocol_error, "ProtocolError"},
        {&state->busy, "Busy"},
        {&state->error_from_wire, "from_wire"},
        {&state->error_to_wire, "to_wire"},
    };
    PyObject *errors = PyImport_ImportModule("ringbridge.errors");
    size_t i;

    if (errors == NULL)
        return -1;
    for (i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        *wanted[i].to = PyObject_GetAttrString(errors, wanted[i].name);
        if (*wanted[i].to == NULL)
            break;
    }
    Py_DECREF(errors);
    return i == sizeof wanted / sizeof wanted[0] ? 0 : -1;
}

static int
core_exec(PyObject *module)
{
    core_state *state = PyModule_GetState(module);
    const struct {
        PyTypeObject **to;
        PyType_Spec *spec;
    } types[] = {
        {&state->channel_type, &channel_type_spec},
        {&state->target_type, &target_type_spec},
        {&state->function_type, &function_type_spec},
        {&state->array_type, &array_type_spec},
        {&state->call_type, &call_type_spec},
        {&state->inbox_type, &inbox_type_spec},
        {&state->handle_type, &handle_type_spec},
        {&state->lane_type, &lane_type_spec},
        {&state->publisher_type, &publisher_type_spec},
        {&state->subscriber_type, &subscriber_type_spec},
        {&state->passage_type, &passage_type_spec},
    };
    size_t i;

    if (find_errors(state) < 0)
        return -1;
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        *types[i].to = add_type(module, types[i].spec);
        if (*types[i].to != NULL)
            continue;
        if (!PyErr_Occurred()) /* CPython 3.11 does not say when there is no room for its name */
            PyErr_NoMemory();
        return -1;
    }
    return PyModule_AddStringConstant(module, "VERSION", RBR_VERSION);
}

static int
core_traverse(PyObject *module, visitproc visit, void *arg)
{
    core_state *state = PyModule_GetState(module);
    size_t i;

    if (state == NULL)
        return 0;
    Py_VISIT(state->channel_type);
    Py_VISIT(state->target_type);
    Py_VISIT(state->function_type);
    Py_VISIT(state->handle_type);
    Py_VISIT(state->lane_type);
    Py_VISIT(state->idle);
    Py_VISIT(state->inbox_type);
    Py_VISIT(state->call_type);
    Py_VISIT(state->array_type);
    Py_VISIT(state->publisher_type);
    Py_VISIT(state->subscriber_type);
    Py_VISIT(state->passage_type);
    Py_VISIT(state->ringbridge_error);
    Py_VISIT(state->worker_start_failed);
    Py_VISIT(state->worker_died);
    Py_VISIT(state->cannot_cross);
    Py_VISIT(state->call_timeout);
    Py_VISIT(state->arena_full);
    Py_VISIT(state->protocol_error);
    Py_VISIT(state->busy);
    Py_VISIT(state->error_from_wire);
    Py_VISIT(state->error_to_wire);
    for (i = 0; i < sizeof state->cold_types / sizeof state->cold_types[0]; i++)
        Py_VISIT(state->cold_types[i]);
    for (i = 0; i < FOREIGN_COUNT; i++)
        Py_VISIT(state->foreign[i]);
    return numpy_bridge_traverse(state, visit, arg);
}

static int
core_clear(PyObject *module)
{
    core_state *state = PyModule_GetState(module);
    size_t i;

    if (state == NULL)
        return 0;
    Py_CLEAR(state->channel_type);
    Py_CLEAR(state->target_type);
    Py_CLEAR(state->function_type);
    Py_CLEAR(state->handle_type);
    Py_CLEAR(state->lane_type);
    Py_CLEAR(state->idle);
    Py_CLEAR(state->inbox_type);
    Py_CLEAR(state->call_type);
    Py_CLEAR(state->array_type);
    Py_CLEAR(state->publisher_type);
    Py_CLEAR(state->subscriber_type);
    Py_CLEAR(state->passage_type);
    Py_CLEAR(state->ringbridge_error);
    Py_CLEAR(state->worker_start_failed);
    Py_CLEAR(state->worker_died);
    Py_CLEAR(state->cannot_cross);
    Py_CLEAR(state->call_timeout);
    Py_CLEAR(state->arena_full);
    Py_CLEAR(state->protocol_error);
    Py_CLEAR(state->busy);
    Py_CLEAR(state->error_from_wire);
    Py_CLEAR(state->error_to_wire);
    for (i = 0; i < sizeof state->cold_types / sizeof state->cold_types[0]; i++)
        Py_CLEAR(state->cold_types[i]);
    for (i = 0; i < FOREIGN_COUNT; i++)
        Py_CLEAR(state->foreign[i]);
    numpy_bridge_clear(state);
    return 0;
}

static void
core_free(void *module)
{
    core_clear(module);
}

static PyMethodDef core_functions[] = {
    {"serve", (PyCFunction)(void (*)(void))serve_loop, METH_FASTCALL,
     PyDoc_STR("serve(channel, table)\n--\n\n"
               "Runs the calls that arrive, one after another, until the peer closes or dies.")},
    {"cancelled", (PyCFunction)(void (*)(void))serve_cancelled, METH_FASTCALL,
     PyDoc_STR("cancelled(channel, call_id)\n--\n\nWhether the host asked to cancel this call.")},
    {"interrupt_heard", serve_interrupt_heard, METH_NOARGS,
     PyDoc_STR("interrupt_heard()\n--\n\nThe handler of SIGINT runs: it need not come again.")},
    {"current_call", serve_current_call, METH_NOARGS,
     PyDoc_STR("current_call()\n--\n\nThe id of the call that this process runs now; 0: none.")},
    {"progress", (PyCFunction)(void (*)(void))serve_progress, METH_FASTCALL,
     PyDoc_STR("progress(channel, call_id, done, total, fraction, text)\n--\n\n"
               "Tells what a call has come to; whether the host asked to cancel it.")},
    {"log", (PyCFunction)(void (*)(void))serve_log, METH_FASTCALL,
     PyDoc_STR("log(channel, call_id, level, logger, text)\n--\n\n"
               "Sends a log record of a call; False when that has ended.")},
    {"spin", lanes_spin, METH_O,
     PyDoc_STR("spin(lanes)\n--\n\n"
               "Waits about as long as a wake-up takes; whether one of the lanes has something.")},
    {"on_idle", serve_on_idle, METH_O,
     PyDoc_STR("on_idle(function)\n--\n\n"
               "What this thread does while it waits here for another process; None: nothing.")},
    {"run_idle", serve_run_idle, METH_NOARGS,
     PyDoc_STR("run_idle()\n--\n\nDoes that now; False: this thread has nothing to do.")},
    {"current_channel", serve_current_channel, METH_NOARGS,
     PyDoc_STR("current_channel()\n--\n\nThe channel that this call came through; None: no call.")},
    {"call_back", serve_call_back, METH_VARARGS,
     PyDoc_STR("call_back(held, call, index, name, args, kwargs, wait)\n--\n\n"
               "In a worker: calls a function that came with a call; not waiting gives None.")},
    {"run_callback", event_run_callback, METH_VARARGS,
     PyDoc_STR("run_callback(channel, call, request, callable, args, kwargs)\n--\n\n"
               "Runs a callback of that call on this thread, and answers it.")},
    {"attribute", handle_attribute, METH_VARARGS,
     PyDoc_STR("attribute(handle, name)\n--\n\n"
               "Of an object over there: (False, value) or (True, how a method looks).")},
    {"set_attribute", handle_set_attribute, METH_VARARGS,
     PyDoc_STR("set_attribute(handle, name, value)\n--\n\nOf an object over there.")},
    {"pack", packed_pack, METH_VARARGS,
     PyDoc_STR("pack(number, parent, values, named, /)\n--\n\nA frame of no channel, as bytes.")},
    {"unpack", packed_unpack, METH_O,
     PyDoc_STR("unpack(frame, /)\n--\n\n"
               "(number, parent, values, named) of a packed frame; its arrays are copies.")},
    {"about", handle_about, METH_O,
     PyDoc_STR("about(handle)\n--\n\nIts channel, its number, its type's name.")},
    {NULL, NULL, 0, NULL},
};

/* What 3.12 has asked for since: a module that may be imported in interpreters with a GIL of their
 * own. The headers of older versions, and those of the limited API, do not know it. */
#define SLOT_MULTIPLE_INTERPRETERS 3
#define PER_INTERPRETER_GIL ((void *)2)

static PyModuleDef_Slot core_slots[] = {
    {SLOT_MULTIPLE_INTERPRETERS, PER_INTERPRETER_GIL}, /* left out before 3.12: PyInit__core */
    {Py_mod_exec, (void *)core_exec},
    {0, NULL},
};

static PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "ringbridge._core",
    .m_doc = PyDoc_STR("The C extension: channels, remote functions, the worker's loop."),
    .m_size = sizeof(core_state),
    .m_methods = core_functions,
    .m_slots = core_slots,
    .m_traverse = core_traverse,
    .m_clear = core_clear,
    .m_free = core_free,
};

PyMODINIT_FUNC
PyInit__core(void)
{
#ifdef Py_LIMITED_API
    const unsigned long version = Py_Version; /* what runs us decides, not the headers */
#else
    const unsigned long version = PY_VERSION_HEX;
#endif

    /* An older one refuses a slot that it does not know. It has but one GIL, so nobody reads this
     * meanwhile; from 3.12 on, when interpreters import at the same time, nothing is written. */
    if (version < 0x030C0000)
        core_module.m_slots = core_slots + 1;
    return PyModuleDef_Init(&core_module);
}
