/* The way in from Python that needs no ctypes, whose code and objects have left the caches by the time a photo comes.
 *
 * Built where Python's headers are; without them the library is the same, and ctypes calls it. */

#ifndef DARKROOM_ENTRY
#define DARKROOM_ENTRY

#if __has_include(<Python.h>)

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "network.h"

/* run(network, photos, answers, count): buffers of bytes and of floats, of `count` photos; raises where one does not
 * lie in one piece. */
static PyObject *entry_run(PyObject *module, PyObject *const *given, Py_ssize_t count_given) {
    Py_buffer photos, answers;
    if (count_given != 4) return PyErr_Format(PyExc_TypeError, "run takes 4 arguments, not %zd", count_given);
    Network *network = PyLong_AsVoidPtr(given[0]);
    const int64_t count = PyLong_AsLongLong(given[3]);
    if (PyErr_Occurred()) return 0;
    if (!network || count < 1) return PyErr_Format(PyExc_ValueError, "there is no network, or no photo");
    if (PyObject_GetBuffer(given[1], &photos, PyBUF_SIMPLE)) return 0;
    if (PyObject_GetBuffer(given[2], &answers, PyBUF_WRITABLE)) {
        PyBuffer_Release(&photos);
        return 0;
    }
    Py_BEGIN_ALLOW_THREADS;
    darkroom_network_run(network, photos.buf, answers.buf, count, photos.len / count, answers.len / 4 / count);
    Py_END_ALLOW_THREADS;
    PyBuffer_Release(&answers);
    PyBuffer_Release(&photos);
    Py_RETURN_NONE;
}

static PyMethodDef ENTRIES[] = {{"run", (PyCFunction)(void (*)(void))entry_run, METH_FASTCALL, 0}, {0, 0, 0, 0}};

static struct PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, "_native", 0, -1, ENTRIES, 0, 0, 0, 0};

PyMODINIT_FUNC PyInit__native(void) { return PyModule_Create(&MODULE); }

#endif
#endif
