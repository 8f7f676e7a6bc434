/*
 * Python's own way to the host: the built-in module `_taipan`, whose functions are the operations.
 *
 * What Python asks of the host, and what the host tells it, crosses no JavaScript: messages are made of Python objects and
 * become Python objects here. Python's event loop (`python/_taipan_loop.py`) is part of a turn as JavaScript's jobs and timers
 * are: it is run when it has something to do.
 */
#include "shim.h"

#define MAIN(name) __attribute__((import_module("env"), import_name(#name)))

/* CPython's, from the main module. Objects are opaque, so that their layout does not matter. */
typedef void *Object;
MAIN(PyImport_AddModule) Object PyImport_AddModule(const char *);
MAIN(PyCFunction_NewEx) Object PyCFunction_NewEx(void *method, Object self, Object module);
MAIN(PyObject_SetAttrString) int PyObject_SetAttrString(Object, const char *, Object);
MAIN(PyUnicode_AsUTF8AndSize) const char *PyUnicode_AsUTF8AndSize(Object, int *);
MAIN(PyUnicode_DecodeUTF8) Object PyUnicode_DecodeUTF8(const char *, int, const char *);
MAIN(PyBytes_FromStringAndSize) Object PyBytes_FromStringAndSize(const char *, int);
MAIN(PyBytes_AsString) char *PyBytes_AsString(Object);
MAIN(PyBytes_Size) int PyBytes_Size(Object);
MAIN(PyObject_CheckBuffer) int PyObject_CheckBuffer(Object);
MAIN(PyObject_GetBuffer) int PyObject_GetBuffer(Object, void *, int);
MAIN(PyBuffer_Release) void PyBuffer_Release(void *);
MAIN(PyFloat_AsDouble) double PyFloat_AsDouble(Object);
MAIN(PyFloat_FromDouble) Object PyFloat_FromDouble(double);
MAIN(PyLong_FromDouble) Object PyLong_FromDouble(double);
MAIN(PyLong_FromLong) Object PyLong_FromLong(long);
MAIN(PyLong_AsLong) long PyLong_AsLong(Object);
MAIN(PyLong_AsLongLong) long long PyLong_AsLongLong(Object);
MAIN(PyLong_FromLongLong) Object PyLong_FromLongLong(long long);
MAIN(PyTuple_New) Object PyTuple_New(int);
MAIN(PyTuple_SetItem) int PyTuple_SetItem(Object, int, Object);
MAIN(PyType_GetFlags) unsigned long PyType_GetFlags(Object);
MAIN(PyErr_Occurred) Object PyErr_Occurred(void);
MAIN(PyErr_NoMemory) Object PyErr_NoMemory(void);
MAIN(PyErr_SetObject) void PyErr_SetObject(Object, Object);
MAIN(PyErr_WriteUnraisable) void PyErr_WriteUnraisable(Object);
MAIN(PyObject_Vectorcall) Object PyObject_Vectorcall(Object, Object const *, size_t, Object);
MAIN(PyThreadState_Get) void *PyThreadState_Get(void);
MAIN(PyInterpreterState_Get) void *PyInterpreterState_Get(void);
MAIN(PyThreadState_New) void *PyThreadState_New(void *);
MAIN(PyThreadState_Swap) void *PyThreadState_Swap(void *);
MAIN(PyThreadState_Clear) void PyThreadState_Clear(void *);
MAIN(PyThreadState_Delete) void PyThreadState_Delete(void *);
MAIN(_js2python_none) Object js2python_none(void);
MAIN(Py_IncRef) void Py_IncRef(Object);
MAIN(Py_DecRef) void Py_DecRef(Object);

/* As on every 32-bit CPython: a reference count, then the type. */
static inline Object type_of(Object o) { return ((Object *)o)[1]; }
enum { LONG_SUBCLASS = 1 << 24, BYTES_SUBCLASS = 1 << 27, UNICODE_SUBCLASS = 1 << 28 };

/* As in `pybuffer.h`. */
typedef struct {
  void *buf;
  Object obj;
  int len, itemsize, readonly, ndim;
  char *format;
  int *shape, *strides, *suboffsets;
  void *internal;
} Buffer;

/* What `_taipan_loop.py` has given us with `connect`. */
static Object run_loop, new_future, completed, make_error, on_event;
static Object none;
/* Python's state of the only real thread. */
static void *main_state;
/* The loop has something to do; when it will have, in monotonic ms, and -1 for never. */
static bool is_ready;
static double due = -1;

/* ---- messages ---- */
static bool put_object(Object o, bool is_typed) {
  if (o == none) return message_put(MESSAGE_NULL, "", 0);
  unsigned long flags = PyType_GetFlags(type_of(o));
  if (flags & UNICODE_SUBCLASS) {
    int n;
    const char *text = PyUnicode_AsUTF8AndSize(o, &n);
    return text && message_put(MESSAGE_STRING, text, n);
  }
  if (flags & BYTES_SUBCLASS) return message_put(MESSAGE_BYTES, PyBytes_AsString(o), PyBytes_Size(o));
  if (is_typed && flags & LONG_SUBCLASS) {
    long long i = PyLong_AsLongLong(o);
    return (i != -1 || !PyErr_Occurred()) && message_put(MESSAGE_INTEGER, &i, sizeof i);
  }
  double d = PyFloat_AsDouble(o);
  if (d != -1 || !PyErr_Occurred()) return message_put(is_typed ? MESSAGE_REAL : MESSAGE_NUMBER, &d, sizeof d);
  return false;
}

/* Anything that is bytes to Python. */
static bool put_buffer(Object o, bool *is_one) {
  unsigned long flags = PyType_GetFlags(type_of(o));
  *is_one = !(flags & (UNICODE_SUBCLASS | BYTES_SUBCLASS | LONG_SUBCLASS)) && o != none && ((void **)type_of(o))[20];
  /* A class of Python's has the table, whether there is anything in it or not. */
  *is_one = *is_one && PyObject_CheckBuffer(o);
  if (!*is_one) return false;
  Buffer view;
  if (PyObject_GetBuffer(o, &view, 0)) return false;
  bool ok = message_put(MESSAGE_BYTES, view.buf, view.len);
  PyBuffer_Release(&view);
  return ok;
}

static bool put_objects(Object const *args, int n, bool is_typed) {
  if (!message_begin(n)) return false;
  for (int i = 0; i < n; i++) {
    bool is_buffer;
    bool ok = put_buffer(args[i], &is_buffer);
    if (!(is_buffer ? ok : put_object(args[i], is_typed))) return false;
  }
  return true;
}

static Object decode(const uint8_t *bytes, uint32_t length) {
  uint32_t count = 0;
  if (length >= 4) memcpy(&count, bytes, 4);
  Object list = PyTuple_New(count);
  const uint8_t *p = bytes + 4;
  for (uint32_t i = 0; list && i < count; i++) {
    uint32_t head[2];
    memcpy(head, p, 8);
    p += 8;
    Object o;
    switch (head[0]) {
    case MESSAGE_STRING: o = PyUnicode_DecodeUTF8((const char *)p, head[1], "replace"); break;
    case MESSAGE_BYTES: o = PyBytes_FromStringAndSize((const char *)p, head[1]); break;
    case MESSAGE_NUMBER: {
      double d;
      memcpy(&d, p, 8);
      o = d == (int32_t)d ? PyLong_FromLong((long)d) : PyFloat_FromDouble(d);
      break;
    }
    case MESSAGE_INTEGER: {
      long long n;
      memcpy(&n, p, 8);
      o = PyLong_FromLongLong(n);
      break;
    }
    case MESSAGE_REAL: {
      double d;
      memcpy(&d, p, 8);
      o = PyFloat_FromDouble(d);
      break;
    }
    default: o = js2python_none();
    }
    p += head[1];
    if (!o) {
      Py_DecRef(list);
      return NULL;
    }
    PyTuple_SetItem(list, i, o);
  }
  return list;
}

/* ---- calls ---- */
/* Calls what never raises; what does all the same is reported as a destructor's exception is. */
static void call(Object f, int n, Object *args) {
  if (!f || !calls_enter()) return;
  Object r = PyObject_Vectorcall(f, args, n, NULL);
  calls_leave();
  if (r) Py_DecRef(r);
  else PyErr_WriteUnraisable(f);
}

/* The exception that a message of class and text is. */
static Object failure(const uint8_t *bytes, uint32_t length) {
  Object fields = decode(bytes, length);
  if (!fields) return NULL;
  Object error = PyObject_Vectorcall(make_error, &fields, 1, NULL);
  Py_DecRef(fields);
  return error;
}

static Object fail(const uint8_t *bytes, uint32_t length) {
  Object error = failure(bytes, length);
  if (error) {
    PyErr_SetObject(type_of(error), error);
    Py_DecRef(error);
  }
  return NULL;
}

static Object nothing(void) {
  Py_IncRef(none);
  return none;
}

/* op(number, *fields): the answer of a synchronous operation, as a tuple. */
static Object op(Object self, Object const *args, int n) {
  int number = PyLong_AsLong(args[0]);
  if (!put_objects(args + 1, n - 1, false)) return PyErr_Occurred() ? NULL : PyErr_NoMemory();
  uint32_t length;
  const uint8_t *message = message_end(&length);
  Block out = {0};
  int status = host_op(number, 0, message, length, &out);
  Object result = status == OP_FAILED ? fail(out.bytes, out.length) : decode(out.bytes, out.length);
  free(out.bytes);
  return result;
}

static Object begin(Object const *args, int n, bool is_typed) {
  int number = PyLong_AsLong(args[0]);
  if (!put_objects(args + 1, n - 1, is_typed)) return PyErr_Occurred() ? NULL : PyErr_NoMemory();
  /* Most answers of stores are there at once, and need no future. */
  int id = ops_pend_python(none);
  if (id < 0) return PyErr_NoMemory();
  uint32_t length;
  const uint8_t *message = message_end(&length);
  Block out = {0};
  int status = host_op(number, id, message, length, &out);
  if (status == OP_LATER) {
    free(out.bytes);
    Object future = PyObject_Vectorcall(new_future, NULL, 0, NULL);
    if (!future) return NULL;
    ops_set_future(id, future);
    Py_IncRef(future);
    return future;
  }
  ops_forget(id);
  Object result = status == OP_FAILED ? fail(out.bytes, out.length) : decode(out.bytes, out.length);
  free(out.bytes);
  return result;
}

/* start(number, *fields): the answer of an asynchronous operation when it is there already, else a future of it. */
static Object start(Object self, Object const *args, int n) { return begin(args, n, false); }

/* start_typed(number, *fields): the same, of an operation that tells integers and reals apart. */
static Object start_typed(Object self, Object const *args, int n) { return begin(args, n, true); }

/* wake(): the loop has something to do now. */
static Object wake(Object self, Object const *args, int n) {
  is_ready = true;
  return nothing();
}

/* wake_in(milliseconds): the loop has nothing to do before that. */
static Object wake_in(Object self, Object const *args, int n) {
  double delay = PyFloat_AsDouble(args[0]);
  due = delay < 0 ? -1 : host_now(1) + delay;
  return nothing();
}

/* op_number(name): of an operation. */
static Object op_number(Object self, Object const *args, int n) {
  int length;
  const char *name = PyUnicode_AsUTF8AndSize(args[0], &length);
  return name ? PyLong_FromLong(host_op_number(name, length)) : NULL;
}

/* log(level, line) */
static Object log_line(Object self, Object const *args, int n) {
  int length;
  const char *line = PyUnicode_AsUTF8AndSize(args[1], &length);
  if (!line) return NULL;
  host_log(PyLong_AsLong(args[0]), line, length);
  return nothing();
}

static Object get_cause(Object self, Object const *args, int n) { return PyLong_FromLong(cause); }
static Object set_cause(Object self, Object const *args, int n) {
  cause = PyLong_AsLong(args[0]);
  return nothing();
}

/* in_thread(function): calls it with a thread state of its own, as a thread that has just begun. */
static Object in_thread(Object self, Object const *args, int n) {
  void *before = PyThreadState_Get(), *own = PyThreadState_New(PyInterpreterState_Get());
  if (!own) return PyErr_NoMemory();
  PyThreadState_Swap(own);
  call(args[0], 0, NULL);
  PyThreadState_Clear(own);
  PyThreadState_Swap(before);
  PyThreadState_Delete(own);
  return nothing();
}

/* connect(run, new_future, completed, make_error, on_event) */
static Object connect(Object self, Object const *args, int n) {
  Object *slots[] = {&run_loop, &new_future, &completed, &make_error, &on_event};
  for (int i = 0; i < 5 && i < n; i++) {
    Py_IncRef(args[i]);
    *slots[i] = args[i];
  }
  return nothing();
}

/* ---- what the rest of the engine calls ---- */
void python_complete(void *future, bool failed, const uint8_t *bytes, uint32_t length) {
  /* There was no memory for a future. */
  if (future == none) return;
  Object result = failed ? failure(bytes, length) : decode(bytes, length);
  if (result) {
    Object args[3] = {future, result, PyLong_FromLong(failed)};
    call(completed, 3, args);
    Py_DecRef(args[2]);
    Py_DecRef(result);
  } else {
    PyErr_WriteUnraisable(completed);
  }
  Py_DecRef(future);
}

bool python_event(int kind, int id, const uint8_t *bytes, uint32_t length) {
  if (!on_event) return false;
  Object fields = decode(bytes, length);
  if (!fields) {
    PyErr_WriteUnraisable(on_event);
    return true;
  }
  Object args[3] = {PyLong_FromLong(kind), PyLong_FromLong(id), fields};
  call(on_event, 3, args);
  for (int i = 0; i < 3; i++) Py_DecRef(args[i]);
  return true;
}

void *python_enter_main(void) { return main_state ? PyThreadState_Swap(main_state) : NULL; }
void python_leave_main(void *before) {
  if (before) PyThreadState_Swap(before);
}

bool python_run(double now) {
  if (due >= 0 && due <= now) {
    due = -1;
    is_ready = true;
  }
  if (!is_ready) return false;
  is_ready = false;
  call(run_loop, 0, NULL);
  return true;
}

double python_due(void) { return is_ready ? 0 : due; }

/* As in `methodobject.h`. */
typedef struct {
  const char *name;
  Object (*function)(Object, Object const *, int);
  int flags;
  const char *doc;
} Method;
enum { METH_FASTCALL = 0x80 };
static Method methods[] = {
    {"op", op, METH_FASTCALL, NULL},
    {"start", start, METH_FASTCALL, NULL},
    {"start_typed", start_typed, METH_FASTCALL, NULL},
    {"op_number", op_number, METH_FASTCALL, NULL},
    {"log", log_line, METH_FASTCALL, NULL},
    {"wake", wake, METH_FASTCALL, NULL},
    {"wake_in", wake_in, METH_FASTCALL, NULL},
    {"cause", get_cause, METH_FASTCALL, NULL},
    {"set_cause", set_cause, METH_FASTCALL, NULL},
    {"in_thread", in_thread, METH_FASTCALL, NULL},
    {"connect", connect, METH_FASTCALL, NULL},
};

/* Makes the module; Python has started. */
bool python_init(void) {
  none = js2python_none();
  main_state = PyThreadState_Get();
  Object module = PyImport_AddModule("_taipan");
  if (!none || !module) return false;
  for (unsigned i = 0; i < sizeof methods / sizeof *methods; i++) {
    Object f = PyCFunction_NewEx(&methods[i], NULL, NULL);
    if (!f || PyObject_SetAttrString(module, methods[i].name, f)) return false;
    Py_DecRef(f);
  }
  return true;
}
