/* SPDX-License-Identifier: MIT */
/*
 * module.c - the module `_core`: its state, its types, its functions.
 *
 * Multi-phase init; all state is in the module, so that each (sub)interpreter has its own.
 */
#include "ext.h"

static PyModuleDef core_module;

core_state *
core_state_of_type(PyTypeObject *type)
{
    return PyType_GetModuleState(type);
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

    if (find_errors(state) < 0)
        return -1;
    state->channel_type = add_type(module, &channel_type_spec);
    state->function_type = add_type(module, &function_type_spec);
    state->array_type = add_type(module, &array_type_spec);
    if (state->channel_type == NULL || state->function_type == NULL || state->array_type == NULL) {
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
    Py_VISIT(state->function_type);
    Py_VISIT(state->array_type);
    Py_VISIT(state->ringbridge_error);
    Py_VISIT(state->worker_start_failed);
    Py_VISIT(state->worker_died);
    Py_VISIT(state->cannot_cross);
    Py_VISIT(state->call_timeout);
    Py_VISIT(state->arena_full);
    Py_VISIT(state->protocol_error);
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
    Py_CLEAR(state->function_type);
    Py_CLEAR(state->array_type);
    Py_CLEAR(state->ringbridge_error);
    Py_CLEAR(state->worker_start_failed);
    Py_CLEAR(state->worker_died);
    Py_CLEAR(state->cannot_cross);
    Py_CLEAR(state->call_timeout);
    Py_CLEAR(state->arena_full);
    Py_CLEAR(state->protocol_error);
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
     PyDoc_STR("serve(channel, functions, load)\n--\n\n"
               "Runs the calls that arrive, one after another, until the peer closes or dies.")},
    {"cancelled", (PyCFunction)(void (*)(void))serve_cancelled, METH_FASTCALL,
     PyDoc_STR("cancelled(channel, call_id)\n--\n\nWhether the host asked to cancel this call.")},
    {"current_call", serve_current_call, METH_NOARGS,
     PyDoc_STR("current_call()\n--\n\nThe id of the call that this process runs now; 0: none.")},
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
