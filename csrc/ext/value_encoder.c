/* SPDX-License-Identifier: MIT */
/*
 * value_encoder.c - the buffer that a frame is built in, and how a value is refused.
 *
 * The buffer is the channel's warm one, or a new one when that is in use: an encode may run Python
 * code that sends something itself. Or it is a slot in shared memory, until that is too small.
 */
#include "values.h"

/* Lets no other thread run: who writes may hold pointers into Python objects. */
static bool
encoder_grow(rbr_builder *build, uint32_t wanted)
{
    const value_encoder *self = build->context;
    const bool leaves_slot = self->slot != NULL && build->base == self->slot;
    uint64_t room = (uint64_t)build->capacity * 2;
    uint8_t *base;

    if (room < wanted)
        room = wanted;
    if (room > RBR_FRAME_BYTES_MAX)
        room = RBR_FRAME_BYTES_MAX;
    base = PyMem_Realloc(leaves_slot ? NULL : build->base, (size_t)room);
    if (base == NULL)
        return false;
    if (leaves_slot)
        memcpy(base, self->slot, build->used);
    build->base = base;
    build->capacity = (uint32_t)room;
    return true;
}

static void
start_building(value_encoder *self, core_state *state, ChannelObject *channel, uint8_t *base,
               uint32_t room)
{
    self->state = state;
    self->channel = channel;
    self->pickle = channel != NULL && channel->pickle;
    self->deadline_ns = RBR_FOREVER;
    self->slot = NULL;
    self->all_inline = false;
    self->blocks = self->blocks_few;
    self->block_count = 0;
    self->block_room = sizeof self->blocks_few / sizeof *self->blocks_few;
    self->depth = 0;
    self->tables = VALUE_TABLES_SPARE;
    self->parent = 0;
    self->takes_callables = false;
    self->callbacks = NULL;
    self->kept = NULL;
    self->callbacks_on = Py_None;
    rbr_build_start(&self->build, base, room, encoder_grow, self);
}

int
value_encoder_start(value_encoder *self, ChannelObject *channel, uint64_t deadline_ns)
{
    uint8_t *base = channel->scratch;
    uint32_t room = channel->scratch_bytes;

    if (base == NULL) {
        room = SCRATCH_BYTES_FIRST;
        base = PyMem_Malloc(room);
        if (base == NULL) {
            self->build.base = NULL;
            self->callbacks = self->kept = NULL;
            self->block_count = self->block_room = 0;
            PyErr_NoMemory();
            return -1;
        }
    }
    channel->scratch = NULL;
    start_building(self, channel->state, channel, base, room);
    self->deadline_ns = deadline_ns;
    return 0;
}

static void
start_in_slot(value_encoder *self, core_state *state, ChannelObject *channel, void *slot,
              uint64_t room)
{
    start_building(self, state, channel, slot,
                   room < RBR_FRAME_BYTES_MAX ? (uint32_t)room : RBR_FRAME_BYTES_MAX);
    self->slot = slot;
}

int
value_encoder_start_in(value_encoder *self, ChannelObject *channel, void *slot, uint64_t room)
{
    if (slot == NULL) {
        if (value_encoder_start(self, channel, RBR_FOREVER) < 0)
            return -1;
    } else {
        start_in_slot(self, channel->state, channel, slot, room);
    }
    self->all_inline = true;
    return 0;
}

int
value_encoder_start_alone(value_encoder *self, core_state *state, void *slot, uint64_t room)
{
    uint8_t *base;

    if (slot != NULL) {
        start_in_slot(self, state, NULL, slot, room);
    } else {
        base = PyMem_Malloc(SCRATCH_BYTES_FIRST);
        if (base == NULL) {
            PyErr_NoMemory();
            return -1;
        }
        start_building(self, state, NULL, base, SCRATCH_BYTES_FIRST);
    }
    self->all_inline = true;
    return 0;
}

void
value_encoder_sent(value_encoder *self, uint64_t call)
{
    if (self->kept != NULL)
        serve_given(self->channel->server, call, self->kept);
    Py_CLEAR(self->kept);
}

void
value_encoder_stop(value_encoder *self)
{
    ChannelObject *channel = self->channel;
    size_t i;

    Py_CLEAR(self->callbacks);
    if (self->kept != NULL)
        serve_take_back(channel->server, self->kept);
    Py_CLEAR(self->kept);
    if (self->build.base == NULL)
        return;
    for (i = 0; i < self->block_count; i++)
        rbr_block_release(self->blocks[i]);
    self->block_count = 0;
    if (self->blocks != self->blocks_few)
        PyMem_Free(self->blocks);
    self->blocks = self->blocks_few;
    if (self->slot != NULL && self->build.base == self->slot) {
        /* not ours */
    } else if (channel != NULL && channel->scratch == NULL &&
               self->build.capacity <= SCRATCH_BYTES_KEPT) {
        channel->scratch = self->build.base;
        channel->scratch_bytes = self->build.capacity;
    } else {
        PyMem_Free(self->build.base);
    }
    self->build.base = NULL;
}

void
value_scratch_free(ChannelObject *channel)
{
    PyMem_Free(channel->scratch);
    channel->scratch = NULL;
    channel->scratch_bytes = 0;
}

int
value_add_block(value_encoder *self, rbr_block *block)
{
    const size_t room = self->block_room * 2;
    rbr_block **blocks = self->blocks;

    if (self->block_count == self->block_room) {
        blocks = blocks == self->blocks_few ? NULL : blocks;
        blocks = PyMem_Realloc(blocks, room * sizeof *blocks);
        if (blocks == NULL) {
            rbr_block_release(block);
            PyErr_NoMemory();
            return -1;
        }
        if (self->blocks == self->blocks_few)
            memcpy(blocks, self->blocks_few, sizeof self->blocks_few);
        self->blocks = blocks;
        self->block_room = room;
    }
    blocks[self->block_count++] = block;
    return 0;
}

int
value_built(value_encoder *self, const value_path *path)
{
    if (self->build.status == RBR_OK)
        return 0;
    if (self->build.status == RBR_TOO_BIG && self->all_inline)
        return value_refuse(self, path,
                            "an item would exceed %u MiB, the most where the newest one wins",
                            RBR_FRAME_BYTES_MAX >> 20);
    if (self->build.status == RBR_TOO_BIG)
        return value_refuse(self, path,
                            "the message would exceed %u MiB; send large data as arrays",
                            RBR_FRAME_BYTES_MAX >> 20);
    PyErr_NoMemory();
    return -1;
}

/* Writes the kind into a new table, or says why there is none. */
static inline uint32_t
table_made(value_encoder *self, uint32_t table, const rbr_shape *shape, uint8_t kind,
           const value_path *path)
{
    if (table == 0) {
        value_built(self, path);
        return 0;
    }
    if (++self->tables > RBR_TABLES_MAX) {
        value_refuse(self, path,
                     "more than %d values in one message; send arrays, lists of one type (each "
                     "counts as one), or a text such as JSON",
                     RBR_TABLES_MAX);
        return 0;
    }
    self->build.base[rbr_build_slot(table, shape, RBR_VALUE__KIND)] = kind;
    return table;
}

uint32_t
value_table(value_encoder *self, uint32_t slot, const rbr_shape *shape, uint8_t kind,
            const value_path *path)
{
    return table_made(self, rbr_build_table(&self->build, slot, shape), shape, kind, path);
}

uint32_t
value_table_once(value_encoder *self, uint32_t slot, const rbr_shape *shape, uint8_t kind,
                 const value_path *path)
{
    return table_made(self, rbr_build_table_once(&self->build, slot, shape), shape, kind, path);
}

/* ------------------------------------------------------------------------------------ refusals */

/* Paths are as deep as values may be, and a little for the roots. */
#define PATH_LINKS_MAX (RBR_DEPTH_MAX + 4)
#define KEY_TEXT_MAX "40"

PyObject *
value_link_text(const value_path *link)
{
    PyObject *text;
    const char *root = link->root != NULL ? link->root : "";

    if (link->key == NULL && link->index < 0)
        return PyUnicode_FromString(root);
    if (link->key == NULL)
        return PyUnicode_FromFormat("%s[%zd]", root, link->index);
    text = PyUnicode_FromFormat("%s[%." KEY_TEXT_MAX "R]", root, link->key);
    if (text == NULL) { /* its repr raised */
        PyErr_Clear();
        text = PyUnicode_FromFormat("%s[?]", root);
    }
    return text;
}

static PyObject *
path_text(const value_path *path)
{
    const value_path *links[PATH_LINKS_MAX];
    PyObject *text = PyUnicode_FromString("");
    int count = 0;

    for (; path != NULL && count < PATH_LINKS_MAX; path = path->parent)
        links[count++] = path;
    while (text != NULL && count > 0) {
        PyObject *more = value_link_text(links[--count]);
        if (more == NULL)
            Py_CLEAR(text);
        else
            PyUnicode_AppendAndDel(&text, more);
    }
    return text;
}

int
value_refuse(value_encoder *self, const value_path *path, const char *format, ...)
{
    PyObject *where, *what;
    va_list args;

    PyErr_Clear();
    where = path_text(path);
    va_start(args, format);
    what = where != NULL ? PyUnicode_FromFormatV(format, args) : NULL;
    va_end(args);
    if (what != NULL)
        PyErr_Format(self->state->cannot_cross, "%U: %U", where, what);
    Py_XDECREF(where);
    Py_XDECREF(what);
    return -1;
}

/* "module.Name", "Name" for a builtin. */
static PyObject *
type_text(PyTypeObject *type)
{
    PyObject *module = PyObject_GetAttrString((PyObject *)type, "__module__");
    PyObject *name = PyObject_GetAttrString((PyObject *)type, "__qualname__");
    PyObject *text = NULL;

    if (module != NULL && name != NULL && PyUnicode_Check(module)) {
        if (PyUnicode_CompareWithASCIIString(module, "builtins") == 0)
            text = Py_NewRef(name);
        else
            text = PyUnicode_FromFormat("%U.%S", module, name);
    }
    if (text == NULL) {
        PyErr_Clear();
        text = PyUnicode_FromString("(unnamed)");
    }
    Py_XDECREF(module);
    Py_XDECREF(name);
    return text;
}

/* The builtin that a type extends, as one writes it. */
static const char *
extended_builtin(PyTypeObject *type)
{
    static const struct {
        PyTypeObject *type;
        const char *name;
    } builtins[] = {
        {&PyLong_Type, "int"},
        {&PyFloat_Type, "float"},
        {&PyComplex_Type, "complex"},
        {&PyUnicode_Type, "str"},
        {&PyBytes_Type, "bytes"},
        {&PyByteArray_Type, "bytearray"},
        {&PyTuple_Type, "tuple"},
        {&PyList_Type, "list"},
        {&PyDict_Type, "dict"},
        {&PySet_Type, "set"},
        {&PyFrozenSet_Type, "frozenset"},
    };
    size_t i;

    for (i = 0; i < sizeof builtins / sizeof *builtins; i++)
        if (PyType_IsSubtype(type, builtins[i].type))
            return builtins[i].name;
    return NULL;
}

/* Whether it is, or is in, what a function gives to the host: that could stay here. */
static bool
is_given(const value_encoder *self, const value_path *path)
{
    while (path->parent != NULL)
        path = path->parent;
    return self->channel != NULL && !self->channel->host &&
           (strcmp(path->root, "result") == 0 || strcmp(path->root, "item") == 0);
}

int
value_refuse_type(value_encoder *self, const value_path *path, PyObject *value)
{
    PyTypeObject *type = Py_TYPE(value);
    const numpy_bridge *numpy = self->state->numpy;
    const char *builtin = extended_builtin(type);
    const char *advice = "send its parts as plain values: numbers, str, list, dict, arrays";
    const bool given = is_given(self, path);
    PyObject *name = type_text(type);

    if (name == NULL)
        return -1;
    if (numpy != NULL && PyType_IsSubtype(type, numpy->ndarray))
        advice = "a subclass of numpy.ndarray; convert it with numpy.array(...)";
    else if (PyObject_HasAttrString((PyObject *)type, "to_numpy"))
        advice = "convert it with .to_numpy()";
    else if (PyCallable_Check(value))
        advice = "functions and classes stay where they are; send what they return";
    else if (PyIter_Check(value) || PyObject_HasAttrString((PyObject *)type, "__aiter__"))
        advice = given ? "call the function with .stream(...)"
                       : "send what it yields, as list(...)";
    else if (PyObject_HasAttrString((PyObject *)type, "__await__"))
        advice = "await it, and send what that gives";
    if (builtin != NULL)
        value_refuse(self, path,
                     "a value of type %U, a subclass of %s, cannot cross; convert it with %s(...)",
                     name, builtin, builtin);
    else
        value_refuse(self, path, "a value of type %U cannot cross; %s%s", name, advice,
                     given ? "; a Worker's function can keep it there: .options(keep=True)" : "");
    Py_DECREF(name);
    return -1;
}
