/*
 * Pyodide's glue in C.
 *
 * What Python needs of JavaScript, Pyodide asks small JavaScript functions for: to call a function takes fifteen of them. Here
 * are those that are called most. The main module calls them directly (`taipan_wasm::references`), with handles and with
 * addresses of Python objects, and they do what the JavaScript of the same name does. What they do not do themselves, they leave
 * to it: before `enable` has told them what they need to know, and for all that is rare.
 *
 * In Pyodide, see `src/core/`: `jslib.c`, `jsproxy.c`, `pyproxy.c`, `js2python.js`, `python2js.c`.
 */
#include "shim.h"

#define MAIN(name) __attribute__((import_module("env"), import_name(#name)))

/* CPython's and Pyodide's, from the main module. */
MAIN(PyLong_FromLong) void *PyLong_FromLong(long);
MAIN(PyLong_FromDouble) void *PyLong_FromDouble(double);
MAIN(PyFloat_FromDouble) void *PyFloat_FromDouble(double);
MAIN(PyUnicode_New) void *PyUnicode_New(int length, uint32_t max);
MAIN(PyUnicode_Data) void *PyUnicode_Data(void *);
MAIN(_js2python_none) void *js2python_none(void);
MAIN(_js2python_null) void *js2python_null(void);
MAIN(_js2python_true) void *js2python_true(void);
MAIN(_js2python_false) void *js2python_false(void);
MAIN(JsProxy_create) void *JsProxy_create(int);
MAIN(_pyproxy_apply) int pyproxy_apply(void *callable, int args, int count, int names, int named);
MAIN(PyList_New) void *PyList_New(int);
MAIN(PyList_SetItem) int PyList_SetItem(void *, int, void *);
MAIN(PyDict_New) void *PyDict_New(void);
MAIN(PyDict_SetItem) int PyDict_SetItem(void *, void *, void *);
MAIN(Py_IncRef) void Py_IncRef(void *);
MAIN(Py_DecRef) void Py_DecRef(void *);
MAIN(PyErr_GetRaisedException) void *PyErr_GetRaisedException(void);
MAIN(PyErr_SetRaisedException) void PyErr_SetRaisedException(void *);
MAIN(PyErr_SetString) void PyErr_SetString(void *type, const char *);
MAIN(PyEval_GetBuiltins) void *PyEval_GetBuiltins(void);
MAIN(PyDict_GetItemString) void *PyDict_GetItemString(void *, const char *);
MAIN(emscripten_stack_get_free) uint32_t emscripten_stack_get_free(void);

/* Patched into quickjs.c: a string's characters, for as long as what is returned lives. */
JSValue taipan_string(JSContext *ctx, JSValueConst v, const void **characters, uint32_t *length, bool *wide);

/* ---- what JavaScript tells us at the end of Pyodide's start ---- */
static bool enabled;
/* `Module.novalue`, `Module.handle_js_error`, and the prototypes of all PyProxys. */
static JSValue no_value = JS_UNDEFINED, on_error = JS_UNDEFINED, prototypes[2] = {JS_UNDEFINED, JS_UNDEFINED};
/* The handler of PyProxys, `pythonexc2js`, what is left to do with a PyProxy that Python has returned, and `API.fatal_error`. */
static JSValue handler = JS_UNDEFINED, throw_python = JS_UNDEFINED, on_result = JS_UNDEFINED, on_fatal = JS_UNDEFINED;
static JSValue empty_array = JS_UNDEFINED;
static JSValue map_class = JS_UNDEFINED, object_prototype = JS_UNDEFINED;
static JSAtom then, get, set, delete_, push, next, has, includes, length, size, name, message, stack, constructor;
static JSAtom tag_, iterator, async_iterator, dispose, async_dispose;
static JSAtom attrs, shared, props, ptr, capture_this, is_bound;

/* ---- JavaScript's own ---- */
enum {
#define NATIVE(name, ...) JS_##name,
#include "natives.h"
#undef NATIVE
  COUNT
};

static int slots[COUNT];

static const char *const names[] = {
#define NATIVE(name, ...) #name,
#include "natives.h"
#undef NATIVE
};

/* The main module's import `name` is in the slot. */
void natives_bound(const char *name, int slot) {
  for (int i = 0; i < COUNT; i++)
    if (!strcmp(names[i], name)) slots[i] = slot;
}

/* Has JavaScript do it; arguments in, result out at `values`. */
static uint64_t leave_to_js(int native, uint64_t *values) {
  int status = engine_dispatch(slots[native], values);
  if (status != CALL_OK) host_throw(status, values);
  return values[0];
}
#define CELL(x) _Generic((x), double: cell_of_double, default: cell_of_int)(x)
static inline uint64_t cell_of_int(int x) { return (uint32_t)x; }
static inline uint64_t cell_of_double(double x) {
  uint64_t cell;
  memcpy(&cell, &x, 8);
  return cell;
}
#define LEAVE(native, ...) ((int)leave_to_js(JS_##native, (uint64_t[]){__VA_ARGS__}))
#define LEAVE1(native, a) LEAVE(native, CELL(a))
#define LEAVE2(native, a, b) LEAVE(native, CELL(a), CELL(b))
#define LEAVE3(native, a, b, c) LEAVE(native, CELL(a), CELL(b), CELL(c))
#define LEAVE4(native, a, b, c, d) LEAVE(native, CELL(a), CELL(b), CELL(c), CELL(d))

void natives_fatal(JSValueConst exception) {
  if (enabled) JS_FreeValue(ctx, JS_Call(ctx, on_fatal, JS_UNDEFINED, 1, &exception));
}

/* The exception that is pending in JavaScript becomes Python's. */
static void raise_in_python(void) {
  JSValue e = JS_GetException(ctx);
  JSValue r = JS_Call(ctx, on_error, JS_UNDEFINED, 1, (JSValueConst *)&e);
  JS_FreeValue(ctx, e);
  if (JS_IsException(r)) {
    /* A fatal error of the interpreter's, which nobody may catch. */
    uint64_t value;
    int status = engine_failed(&value);
    host_throw(status, &value);
  }
  JS_FreeValue(ctx, r);
}

/* A result as the glue gives it: a handle, or the mark for "Python has an exception". */
static int result_of(JSValue v) {
  /* Where null is that mark, a null becomes undefined. */
  if (JS_IsNull(v) && h_failed == H_NULL) return H_UNDEFINED;
  if (!JS_IsException(v)) return handle_take(v);
  raise_in_python();
  return h_failed;
}

int native_JsvNoValue_Check(int v) {
  JSValueConst value = handle_peek(v);
  if (!JS_IsObject(value)) return 0;
  if (!enabled) return LEAVE1(JsvNoValue_Check, v);
  return JS_VALUE_GET_PTR(value) == JS_VALUE_GET_PTR(no_value);
}

/* ---- numbers and strings ---- */
int native_JsvNum_fromInt(int x) { return handle_take(JS_NewInt32(ctx, x)); }
int native_JsvNum_fromDouble(double x) { return handle_take(JS_NewNumber(ctx, x)); }
int native_JsvNum_toInt(int v) {
  JSValueConst value = handle_peek(v);
  return JS_VALUE_GET_TAG(value) == JS_TAG_INT ? JS_VALUE_GET_INT(value) : LEAVE1(JsvNum_toInt, v);
}

int native_JsvUTF8ToString(const char *text) {
  return text ? result_of(text_decode((const uint8_t *)text, strlen(text))) : LEAVE1(JsvUTF8ToString, 0);
}

int native__python2js_ascii(const char *text, int length) { return result_of(JS_NewStringLen(ctx, text, length)); }

static int from_units(uint16_t *units, int length) {
  JSValue v = units ? JS_NewStringUTF16(ctx, units, length) : JS_ThrowOutOfMemory(ctx);
  free(units);
  return result_of(v);
}

int native__python2js_ucs1(const uint8_t *text, int length) {
  uint16_t *units = malloc((size_t)length * 2 + 2);
  for (int i = 0; units && i < length; i++) units[i] = text[i];
  return from_units(units, length);
}
int native__python2js_ucs2(const uint16_t *text, int length) {
  return result_of(JS_NewStringUTF16(ctx, text, length));
}
int native__python2js_ucs4(const uint32_t *text, int length) {
  uint16_t *units = malloc((size_t)length * 4 + 2);
  int n = 0;
  for (int i = 0; units && i < length; i++) {
    uint32_t c = text[i];
    if (c > 0xFFFF) {
      c -= 0x10000;
      units[n++] = 0xD800 + (c >> 10);
      c = 0xDC00 + (c & 0x3FF);
    }
    units[n++] = c;
  }
  return from_units(units, n);
}

/* ---- arrays and objects ---- */
int native_JsvArray_New(void) { return result_of(handles_array()); }
int native_JsvObject_New(void) { return result_of(JS_NewObject(ctx)); }

/* Of a simple array; -1 for anything else. */
static int array_length(JSValueConst v) {
  JSValue *values;
  uint32_t count;
  return taipan_fast_array(v, &values, &count) && count < INT32_MAX ? (int)count : -1;
}

int native_JsvArray_Push(int array, int v) {
  JSValueConst target = handle_peek(array);
  int length = array_length(target);
  if (length < 0 && !enabled) return LEAVE2(JsvArray_Push, array, v);
  /* The glue's would let the exception through C, which ends the interpreter: `append` to a frozen array did. */
  JSValueConst item = handle_peek(v);
  JSValue r = JS_EXCEPTION;
  if (length < 0) r = JS_Invoke(ctx, target, push, 1, &item);
  else if (JS_SetPropertyInt64(ctx, target, length, JS_DupValue(ctx, item)) >= 0) r = JS_NewInt32(ctx, length + 1);
  if (!JS_IsException(r)) return to_int(r);
  raise_in_python();
  return -1;
}

int native_JsvArray_Get(int array, int index) {
  JSValue *values;
  uint32_t count;
  if (!taipan_fast_array(handle_peek(array), &values, &count) || (uint32_t)index >= count)
    return LEAVE2(JsvArray_Get, array, index);
  return result_of(JS_DupValue(ctx, values[index]));
}

int native_JsvArray_Check(int v) {
  JSValueConst value = handle_peek(v);
  if (!JS_IsObject(value)) return 0;
  return JS_IsArray(value) || LEAVE1(JsvArray_Check, v);
}

int native_JsvObject_SetAttr(int object, int name, int v) {
  JSAtom atom = JS_ValueToAtom(ctx, handle_peek(name));
  int status = atom == JS_ATOM_NULL
                   ? -1
                   : JS_SetProperty(ctx, handle_peek(object), atom, JS_DupValue(ctx, handle_peek(v)));
  JS_FreeAtom(ctx, atom);
  if (status >= 0) return 0;
  raise_in_python();
  return -1;
}

int native_JsProxy_GetAttr_js(int object, const char *key) {
  size_t length = strlen(key);
  JSValueConst target = handle_peek(object);
  /* Names with underscores at the end can mean a reserved word without one. */
  if (!enabled || !length || key[length - 1] == '_' || !JS_IsObject(target))
    return LEAVE2(JsProxy_GetAttr_js, object, (int)key);
  JSAtom atom = JS_NewAtomLen(ctx, key, length);
  JSValue v = JS_GetProperty(ctx, target, atom);
  int has = JS_IsUndefined(v) ? JS_HasProperty(ctx, target, atom) : 1;
  JS_FreeAtom(ctx, atom);
  if (has < 0) v = JS_EXCEPTION;
  return has ? result_of(v) : h_failed;
}

/* ---- Maps ---- */
int native_JsvMap_New(void) { return result_of(JS_CallConstructor(ctx, map_class, 0, NULL)); }

/* Calls a method for its effect: 0, or -1 with Python's exception. */
static int invoke(int object, JSAtom method, int count, JSValueConst *args) {
  JSValue r = JS_Invoke(ctx, handle_peek(object), method, count, args);
  if (JS_IsException(r)) {
    raise_in_python();
    return -1;
  }
  JS_FreeValue(ctx, r);
  return 0;
}

int native_JsvMap_Set(int map, int key, int v) {
  JSValueConst entry[2] = {handle_peek(key), handle_peek(v)};
  return invoke(map, set, 2, entry);
}

/* A Map of the glue's own that no other code sees: nothing can go wrong with it. */
int native___hiwire_deduplicate_get(int map, int key) {
  JSValueConst k = handle_peek(key);
  JSValue v = JS_Invoke(ctx, handle_peek(map), get, 1, &k);
  int number = JS_VALUE_GET_TAG(v) == JS_TAG_INT ? JS_VALUE_GET_INT(v) : 0;
  JS_FreeValue(ctx, v);
  return number;
}
void native___hiwire_deduplicate_set(int map, int key, int number) {
  JSValueConst entry[2] = {handle_peek(key), JS_NewInt32(ctx, number)};
  (void)invoke(map, set, 2, entry);
}
void native___hiwire_deduplicate_delete(int map, int key) {
  JSValueConst k = handle_peek(key);
  (void)invoke(map, delete_, 1, &k);
}

/* ---- conversions' caches: a Map from addresses of Python objects ---- */
void native__python2js_handle_postprocess_list(int list, int cache) {
  if (array_length(handle_peek(list))) (void)LEAVE2(_python2js_handle_postprocess_list, list, cache);
}

/* Of Python's stack, what there must be for one more level of a conversion and all that it calls. */
enum { STACK_RESERVE = 64 << 10 };

/* `_python2js` begins with this call, and goes as deep as what it converts. */
int native__python2js_cache_lookup(int cache, int object) {
  if (emscripten_stack_get_free() < STACK_RESERVE) {
    PyErr_SetString(PyDict_GetItemString(PyEval_GetBuiltins(), "RecursionError"),
                    "maximum recursion depth exceeded while converting to a JavaScript object");
    return h_failed;
  }
  JSValue key = JS_NewInt32(ctx, object);
  JSValue v = JS_Invoke(ctx, handle_peek(cache), get, 1, (JSValueConst *)&key);
  if (JS_IsException(v)) {
    JS_FreeValue(ctx, JS_GetException(ctx));
    return LEAVE2(_python2js_cache_lookup, cache, object);
  }
  if (JS_IsObject(v)) return handle_take(v);
  JS_FreeValue(ctx, v);
  return h_failed;
}

int native__python2js_add_to_cache(int cache, int object, int v) {
  JSValueConst entry[2] = {JS_NewInt32(ctx, object), handle_peek(v)};
  return invoke(cache, set, 2, entry);
}

/* ---- calls ---- */
int native_JsvFunction_Check(int v) { return JS_IsFunction(ctx, handle_peek(v)); }

static int too_deep(void) {
  JS_ThrowRangeError(ctx, "Maximum call stack size exceeded");
  return result_of(JS_EXCEPTION);
}

int native_JsvFunction_CallBound(int function, int self, int list) {
  JSValue *args;
  uint32_t count;
  /* The list was made for this call: nobody changes it meanwhile. */
  if (!enabled || !taipan_fast_array(handle_peek(list), &args, &count))
    return LEAVE3(JsvFunction_CallBound, function, self, list);
  if (calls_too_deep()) return too_deep();
  return result_of(JS_Call(ctx, handle_peek(function), handle_peek(self), count, (JSValueConst *)args));
}

int native_JsvFunction_Call_OneArg(int function, int v) {
  if (!enabled) return LEAVE2(JsvFunction_Call_OneArg, function, v);
  if (calls_too_deep()) return too_deep();
  JSValueConst arg = handle_peek(v);
  return result_of(JS_Call(ctx, handle_peek(function), JS_UNDEFINED, 1, &arg));
}

static int call_method(int object, int name, int count, JSValueConst *args) {
  if (calls_too_deep()) return too_deep();
  JSAtom atom = JS_ValueToAtom(ctx, handle_peek(name));
  JSValue r = atom == JS_ATOM_NULL ? JS_EXCEPTION : JS_Invoke(ctx, handle_peek(object), atom, count, args);
  JS_FreeAtom(ctx, atom);
  return result_of(r);
}

int native_JsvObject_CallMethod_NoArgs(int object, int name) {
  return enabled ? call_method(object, name, 0, NULL) : LEAVE2(JsvObject_CallMethod_NoArgs, object, name);
}
int native_JsvObject_CallMethod_OneArg(int object, int name, int v) {
  JSValueConst arg = handle_peek(v);
  return enabled ? call_method(object, name, 1, &arg) : LEAVE3(JsvObject_CallMethod_OneArg, object, name, v);
}
int native_JsvObject_CallMethod_TwoArgs(int object, int name, int v, int w) {
  JSValueConst args[2] = {handle_peek(v), handle_peek(w)};
  return enabled ? call_method(object, name, 2, args) : LEAVE4(JsvObject_CallMethod_TwoArgs, object, name, v, w);
}

/* ---- what a value is ---- */
/* Looks a property up as a test does that fails rather than throws. */
static JSValue quiet_property(JSValueConst v, JSAtom name) {
  JSValue property = JS_GetProperty(ctx, v, name);
  if (!JS_IsException(property)) return property;
  JS_FreeValue(ctx, JS_GetException(ctx));
  return JS_UNDEFINED;
}

static bool has_method(JSValueConst v, JSAtom name) {
  JSValue method = quiet_property(v, name);
  bool is = JS_IsFunction(ctx, method);
  JS_FreeValue(ctx, method);
  return is;
}

int native_JsvPromise_Check(int v) {
  JSValueConst value = handle_peek(v);
  if (!JS_IsObject(value)) return 0;
  return has_method(value, then);
}

static int has_tag(JSValueConst value, const char *wanted) {
  if (!JS_IsObject(value)) return 0;
  JSValue tag = quiet_property(value, tag_);
  bool is = false;
  if (JS_IsString(tag)) {
    const char *text = JS_ToCString(ctx, tag);
    is = text && !strcmp(text, wanted);
    JS_FreeCString(ctx, text);
  }
  JS_FreeValue(ctx, tag);
  return is;
}
int native_JsvGenerator_Check(int v) { return has_tag(handle_peek(v), "Generator"); }
int native_JsvAsyncGenerator_Check(int v) { return has_tag(handle_peek(v), "AsyncGenerator"); }

/* Chains of prototypes that are longer are none of PyProxys, whatever else they are. */
enum { LONGEST_CHAIN = 8 };

static bool is_pyproxy(JSValueConst value) {
  if (!JS_IsObject(value)) return false;
  JSValue at = JS_DupValue(ctx, value);
  bool is = false;
  for (int i = 0; i < LONGEST_CHAIN && JS_IsObject(at) && !is; i++) {
    JSValue next = JS_GetPrototype(ctx, at);
    JS_FreeValue(ctx, at);
    at = next;
    if (JS_IsException(at)) {
      JS_FreeValue(ctx, JS_GetException(ctx));
      return false;
    }
    for (int k = 0; k < 2; k++)
      is |= JS_IsObject(at) && JS_VALUE_GET_PTR(at) == JS_VALUE_GET_PTR(prototypes[k]);
  }
  JS_FreeValue(ctx, at);
  return is;
}

int native_pyproxy_Check(int v) {
  if (!JS_IsObject(handle_peek(v))) return 0;
  return enabled ? is_pyproxy(handle_peek(v)) : LEAVE1(pyproxy_Check, v);
}

int native_is_comlink_proxy(int v) { return 0; }

/* The abilities of a JsProxy; `jsproxy.c` has the same list. */
enum {
  IS_ITERABLE = 1 << 0, IS_ITERATOR = 1 << 1, HAS_LENGTH = 1 << 2, HAS_GET = 1 << 3, HAS_SET = 1 << 4, HAS_HAS = 1 << 5,
  HAS_INCLUDES = 1 << 6, HAS_DISPOSE = 1 << 7, HAS_ASYNC_DISPOSE = 1 << 8, IS_AWAITABLE = 1 << 9, IS_BUFFER = 1 << 10,
  IS_CALLABLE = 1 << 11, IS_ARRAY = 1 << 12, IS_ARRAY_LIKE = 1 << 13, IS_ASYNC_ITERABLE = 1 << 17, IS_GENERATOR = 1 << 18,
  IS_ASYNC_GENERATOR = 1 << 19, IS_ASYNC_ITERATOR = 1 << 20, IS_ERROR = 1 << 21, IS_JSON_DICT = 1 << 22,
  IS_JSON_SEQUENCE = 1 << 23
};

static bool has_own(JSValueConst v, JSAtom name) { return JS_GetOwnProperty(ctx, NULL, v, name) > 0; }

static bool has_property(JSValueConst v, JSAtom name) {
  int has = JS_HasProperty(ctx, v, name);
  if (has < 0) JS_FreeValue(ctx, JS_GetException(ctx));
  return has > 0;
}

int native_JsProxy_compute_typeflags(int v, int is_json) {
  JSValueConst o = handle_peek(v);
  /* Buffers, proxies of either kind and what is none of these are JavaScript's. */
  if (!enabled || !JS_IsObject(o) || JS_IsProxy(o) || JS_IsArrayBuffer(o) || JS_GetTypedArrayType(o) >= 0 ||
      has_tag(o, "ArrayBuffer") || has_tag(o, "DataView") || is_pyproxy(o))
    return LEAVE2(JsProxy_compute_typeflags, v, is_json);
  bool is_array = JS_IsArray(o), is_function = JS_IsFunction(ctx, o);
  bool has_length = is_array || (!is_function && has_property(o, length));
  bool iterates = has_method(o, iterator), async = has_method(o, async_iterator), steps = has_method(o, next);
  int flags = 0;
#define FLAG(flag, condition) \
  if (condition) flags |= flag
  FLAG(IS_CALLABLE, is_function);
  FLAG(IS_AWAITABLE, has_method(o, then));
  FLAG(IS_ITERABLE, iterates);
  FLAG(IS_ASYNC_ITERABLE, async);
  FLAG(IS_ITERATOR, steps && (iterates || !async));
  FLAG(IS_ASYNC_ITERATOR, steps && (!iterates || async));
  FLAG(HAS_LENGTH, has_length || has_property(o, size));
  FLAG(HAS_GET, has_method(o, get));
  FLAG(HAS_SET, has_method(o, set));
  FLAG(HAS_HAS, has_method(o, has));
  FLAG(HAS_INCLUDES, has_method(o, includes));
  if (async_dispose != JS_ATOM_NULL) {
    FLAG(HAS_DISPOSE, dispose != JS_ATOM_NULL && has_method(o, dispose));
    FLAG(HAS_ASYNC_DISPOSE, has_method(o, async_dispose));
  }
  FLAG(IS_ARRAY, is_array);
  FLAG(IS_ARRAY_LIKE, !is_array && has_length && iterates && !(flags & IS_ITERATOR));
  FLAG(IS_GENERATOR, has_tag(o, "Generator"));
  FLAG(IS_ASYNC_GENERATOR, has_tag(o, "AsyncGenerator"));
  if (!is_function && has_property(o, name) && has_property(o, message)) {
    bool is_error = has_property(o, stack);
    if (!is_error) return LEAVE2(JsProxy_compute_typeflags, v, is_json);
    flags |= IS_ERROR;
  }
  FLAG(IS_JSON_SEQUENCE, is_json && flags & (IS_ARRAY | IS_ARRAY_LIKE | IS_ITERATOR));
  FLAG(IS_JSON_DICT,
       is_json && !(flags & (IS_ARRAY | IS_ARRAY_LIKE | IS_BUFFER | IS_ITERATOR | IS_CALLABLE | IS_ERROR)));
#undef FLAG
  return flags;
}

void native_destroy_proxies(int proxies, int message) {
  if (array_length(handle_peek(proxies))) (void)LEAVE2(destroy_proxies, proxies, message);
}

/* ---- to Python ---- */
static void *narrow_to_python(const uint8_t *from, uint32_t length) {
  uint8_t most = 0;
  for (uint32_t i = 0; i < length; i++) most |= from[i];
  void *text = PyUnicode_New(length, most > 0x7F ? 0xFF : 0x7F);
  if (text) memcpy(PyUnicode_Data(text), from, length);
  return text;
}

static void *wide_to_python(const uint16_t *from, uint32_t length) {
  uint32_t most = 0;
#define IS_PAIR(i) ((from[i] & 0xFC00) == 0xD800 && (i) + 1 < length && (from[(i) + 1] & 0xFC00) == 0xDC00)
  uint32_t count = 0;
  for (uint32_t i = 0; i < length; i++, count++) {
    if (IS_PAIR(i)) {
      most = 0x10FFFF;
      i++;
    } else {
      most |= from[i];
    }
  }
  if (most > 0xFF && most <= 0xFFFF) most = 0xFFFF;
  void *text = PyUnicode_New(count, most);
  if (!text) return NULL;
  void *to = PyUnicode_Data(text);
  for (uint32_t i = 0, k = 0; i < length; i++, k++) {
    if (most > 0xFFFF) {
      uint32_t c = from[i];
      if (IS_PAIR(i)) {
        c = ((c & 0x3FF) << 10) + (from[i + 1] & 0x3FF) + 0x10000;
        i++;
      }
      ((uint32_t *)to)[k] = c;
    } else if (most > 0xFF) {
      ((uint16_t *)to)[k] = from[i];
    } else {
      ((uint8_t *)to)[k] = from[i];
    }
  }
#undef IS_PAIR
  return text;
}

static void *string_to_python(JSValueConst v) {
  const void *characters;
  uint32_t length;
  bool wide;
  JSValue held = taipan_string(ctx, v, &characters, &length, &wide);
  if (JS_IsException(held)) {
    raise_in_python();
    return NULL;
  }
  void *text = wide ? wide_to_python(characters, length) : narrow_to_python(characters, length);
  JS_FreeValue(ctx, held);
  return text;
}

static const double MAX_SAFE = 9007199254740991.0;

/* A new reference, or NULL with Python's exception; `*is` says whether the value has an immutable type. */
static void *immutable_to_python(JSValueConst v, bool *is) {
  *is = true;
  switch (JS_VALUE_GET_NORM_TAG(v)) {
  case JS_TAG_INT: return PyLong_FromLong(JS_VALUE_GET_INT(v));
  case JS_TAG_FLOAT64: {
    double x = JS_VALUE_GET_FLOAT64(v);
    bool is_integer = x >= -MAX_SAFE && x <= MAX_SAFE && x == (double)(int64_t)x;
    return is_integer ? PyLong_FromDouble(x) : PyFloat_FromDouble(x);
  }
  case JS_TAG_STRING:
  case JS_TAG_STRING_ROPE: return string_to_python(v);
  case JS_TAG_BOOL: return JS_VALUE_GET_BOOL(v) ? js2python_true() : js2python_false();
  case JS_TAG_NULL: return js2python_null();
  case JS_TAG_UNDEFINED: return js2python_none();
  }
  *is = false;
  return NULL;
}

void *native_js2python_js(int v) {
  JSValueConst value = handle_peek(v);
  bool is;
  void *object = immutable_to_python(value, &is);
  if (is) return object;
  /* Big integers, symbols and proxies of Python objects are JavaScript's. */
  if (!enabled || !JS_IsObject(value) || is_pyproxy(value)) return (void *)LEAVE1(js2python_js, v);
  return JsProxy_create(v);
}

void *native_js2python_immutable_js(int v) {
  JSValueConst value = handle_peek(v);
  bool is;
  void *object = immutable_to_python(value, &is);
  if (is) return object;
  return enabled && JS_IsObject(value) && !is_pyproxy(value) ? NULL : (void *)LEAVE1(js2python_immutable_js, v);
}

/* ---- deep conversion to Python: arrays and plain objects, as JSON has them ---- */
/* Containers that were met, by their addresses: a hash table without gaps, at most half full. */
typedef struct {
  struct {
    void *js, *py;
  } *entries;
  uint32_t count, room;
} Seen;

static void **seen_place(Seen *seen, void *js) {
  uint32_t i = ((uint32_t)(uintptr_t)js >> 3) * 2654435769u;
  for (;; i++) {
    i &= seen->room - 1;
    if (!seen->entries[i].js || seen->entries[i].js == js) break;
  }
  seen->entries[i].js = js;
  return &seen->entries[i].py;
}

static bool seen_add(Seen *seen, void *js, void *py) {
  if (seen->count * 2 >= seen->room) {
    Seen grown = {calloc(seen->room ? seen->room * 2 : 16, sizeof *seen->entries), seen->count,
                  seen->room ? seen->room * 2 : 16};
    if (!grown.entries) return false;
    for (uint32_t i = 0; i < seen->room; i++)
      if (seen->entries[i].js) *seen_place(&grown, seen->entries[i].js) = seen->entries[i].py;
    free(seen->entries);
    *seen = grown;
  }
  *seen_place(seen, js) = py;
  seen->count++;
  return true;
}

static void *seen_get(Seen *seen, void *js) {
  if (!seen->room) return NULL;
  uint32_t i = ((uint32_t)(uintptr_t)js >> 3) * 2654435769u;
  for (;; i++) {
    i &= seen->room - 1;
    if (!seen->entries[i].js) return NULL;
    if (seen->entries[i].js == js) return seen->entries[i].py;
  }
}

/* Deeper ones are left to JavaScript, which knows when its stack ends. */
enum { DEEPEST = 100 };

/* What a conversion comes to beside an object: Python has an exception, or JavaScript must do all of it. */
enum { FAILED, NOT_OURS };

typedef struct {
  Seen seen;
  int why;
} Conversion;

static void *convert(Conversion *c, JSValueConst v, int depth, int level);

static void *convert_array(Conversion *c, JSValueConst v, int depth, int level) {
  int length = array_length(v);
  if (length < 0) {
    c->why = NOT_OURS;
    return NULL;
  }
  void *list = PyList_New(length);
  if (!list) return NULL;
  if (!seen_add(&c->seen, JS_VALUE_GET_PTR(v), list)) goto not_ours;
  for (int i = 0; i < length; i++) {
    JSValue item = JS_GetPropertyInt64(ctx, v, i);
    if (JS_IsException(item)) {
      raise_in_python();
      goto failed;
    }
    void *object = convert(c, item, depth, level);
    JS_FreeValue(ctx, item);
    /* Takes the object over. */
    if (!object || PyList_SetItem(list, i, object)) goto failed;
  }
  return list;
not_ours:
  c->why = NOT_OURS;
failed:
  Py_DecRef(list);
  return NULL;
}

static void *convert_entry(Conversion *c, void *dict, JSValueConst v, JSAtom key, int depth, int level) {
  JSPropertyDescriptor d;
  int found = JS_GetOwnProperty(ctx, &d, v, key);
  if (found <= 0) return NULL;
  bool is_plain = !(d.flags & JS_PROP_GETSET);
  JSValue name = JS_AtomToString(ctx, key);
  void *py_key = is_plain ? string_to_python(name) : NULL;
  void *object = py_key ? convert(c, d.value, depth, level) : NULL;
  if (!is_plain) c->why = NOT_OURS;
  if (object && PyDict_SetItem(dict, py_key, object)) {
    Py_DecRef(object);
    object = NULL;
  }
  if (py_key) Py_DecRef(py_key);
  JS_FreeValue(ctx, name);
  JS_FreeValue(ctx, d.value);
  JS_FreeValue(ctx, d.getter);
  JS_FreeValue(ctx, d.setter);
  return object;
}

static void *convert_object(Conversion *c, JSValueConst v, int depth, int level) {
  void *dict = PyDict_New();
  if (!dict) return NULL;
  JSPropertyEnum *keys = NULL;
  uint32_t count = 0;
  bool ok = seen_add(&c->seen, JS_VALUE_GET_PTR(v), dict) &&
            !JS_GetOwnPropertyNames(ctx, &keys, &count, v, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY);
  if (!ok) c->why = NOT_OURS;
  for (uint32_t i = 0; ok && i < count; i++) {
    void *object = convert_entry(c, dict, v, keys[i].atom, depth, level);
    if (object) Py_DecRef(object);
    else ok = false;
  }
  JS_FreePropertyEnum(ctx, keys, count);
  if (ok) return dict;
  Py_DecRef(dict);
  return NULL;
}

/* Whether it is an object of no class but Object, with nothing that says otherwise. */
static bool is_plain_object(JSValueConst v) {
  if (JS_IsProxy(v) || JS_IsArray(v) || JS_IsFunction(ctx, v)) return false;
  JSValue prototype = JS_GetPrototype(ctx, v);
  bool is = JS_IsObject(prototype) && JS_VALUE_GET_PTR(prototype) == JS_VALUE_GET_PTR(object_prototype);
  JS_FreeValue(ctx, prototype);
  return is && !has_own(v, constructor) && !has_property(v, tag_);
}

/* A new reference, or NULL for the reason `c->why`. Negative depths are without end. */
static void *convert(Conversion *c, JSValueConst v, int depth, int level) {
  bool is;
  void *object = immutable_to_python(v, &is);
  if (is) return object;
  if (!JS_IsObject(v) || level > DEEPEST) goto not_ours;
  if (!depth) {
    if (is_pyproxy(v)) goto not_ours;
    uint32_t top = handles_top();
    object = JsProxy_create(handle_take(JS_DupValue(ctx, v)));
    handles_release(top);
    return object;
  }
  object = seen_get(&c->seen, JS_VALUE_GET_PTR(v));
  if (object) {
    Py_IncRef(object);
    return object;
  }
  if (JS_IsArray(v)) return convert_array(c, v, depth - 1, level + 1);
  if (is_plain_object(v)) return convert_object(c, v, depth - 1, level + 1);
not_ours:
  c->why = NOT_OURS;
  return NULL;
}

void *native_js2python_convert(int v, int depth, int converter) {
  if (enabled) {
    Conversion c = {0};
    void *object = convert(&c, handle_peek(v), depth, 0);
    free(c.seen.entries);
    if (object || c.why == FAILED) return object;
  }
  return (void *)LEAVE3(js2python_convert, v, depth, converter);
}

/* ---- JavaScript calls Python ---- */
static bool truth(JSValueConst object, JSAtom name) {
  JSValue v = JS_GetProperty(ctx, object, name);
  bool is = JS_ToBool(ctx, v) != 0;
  JS_FreeValue(ctx, v);
  return is;
}

/* The address of the Python object behind a PyProxy's target; 0 for one that is bound, destroyed, or none. */
static int callee(JSValueConst target) {
  int address = 0;
  JSValue both = JS_GetProperty(ctx, target, attrs);
  JSValue how = JS_GetProperty(ctx, both, props), what = JS_GetProperty(ctx, both, shared);
  if (JS_IsObject(how) && JS_IsObject(what) && !truth(how, capture_this) && !truth(how, is_bound)) {
    JSValue p = JS_GetProperty(ctx, what, ptr);
    if (JS_VALUE_GET_TAG(p) == JS_TAG_INT) address = JS_VALUE_GET_INT(p);
    JS_FreeValue(ctx, p);
  }
  JS_FreeValue(ctx, how);
  JS_FreeValue(ctx, what);
  JS_FreeValue(ctx, both);
  return address;
}

bool taipan_call_proxy(JSContext *c, JSValueConst target, JSValueConst with, int argc, JSValueConst *argv, JSValue *ret) {
  if (!enabled || JS_VALUE_GET_PTR(with) != JS_VALUE_GET_PTR(handler)) return false;
  int object = callee(target);
  if (!object || !calls_enter()) return false;
  uint32_t top = handles_top();
  JSValue list = handles_array();
  for (int i = 0; i < argc; i++) JS_SetPropertyUint32(c, list, i, JS_DupValue(c, argv[i]));
  int args = handle_take(list), names = handle_take(JS_DupValue(c, empty_array));
  int result = pyproxy_apply((void *)object, args, argc, names, 0);
  calls_leave();
  *ret = result == h_failed ? JS_UNDEFINED : JS_DupValue(c, handle_peek(result));
  handles_release(top);
  if (result == h_failed) {
    *ret = JS_Call(c, throw_python, JS_UNDEFINED, 0, NULL);
  } else if (is_pyproxy(*ret)) {
    /* It may be a coroutine that has to be scheduled. */
    JSValueConst both[2] = {JS_NewInt32(c, object), *ret};
    JSValue r = JS_Call(c, on_result, JS_UNDEFINED, 2, both);
    JS_FreeValue(c, *ret);
    *ret = r;
  }
  return true;
}

/* ---- the table of natives ---- */
void *const natives_table[] = {
#define NATIVE(name, ...) (void *)native_##name,
#include "natives.h"
#undef NATIVE
};
const int natives_count = COUNT;

/* ---- the end of a JsProxy ---- */
/* Where `PyTypeObject` has the function that frees an object. */
enum { TP_DEALLOC = 24 };
typedef void Dealloc(void *);
static Dealloc *js_proxy_dealloc;

/*
 * Pyodide asks the type for an attribute, and up to Python 3.12 such a look-up forgets the exception that is pending, unless it
 * finds the attribute in the cache of types' attributes. The function that has raised is freed just then.
 */
static void dealloc_in_peace(void *object) {
  void *pending = PyErr_GetRaisedException();
  js_proxy_dealloc(object);
  if (pending) PyErr_SetRaisedException(pending);
}

FN(enable) {
  JSValueConst glue = argv[0];
  no_value = JS_GetPropertyStr(c, glue, "noValue");
  on_error = JS_GetPropertyStr(c, glue, "onError");
  prototypes[0] = JS_GetPropertyStr(c, glue, "proxy");
  prototypes[1] = JS_GetPropertyStr(c, glue, "callable");
  handler = JS_GetPropertyStr(c, glue, "handler");
  throw_python = JS_GetPropertyStr(c, glue, "throwPython");
  on_result = JS_GetPropertyStr(c, glue, "onResult");
  on_fatal = JS_GetPropertyStr(c, glue, "onFatal");
  JSValue symbol = JS_GetPropertyStr(c, glue, "attrs");
  attrs = JS_ValueToAtom(c, symbol);
  JS_FreeValue(c, symbol);
  empty_array = JS_NewArray(c);
  JSValue type = JS_GetPropertyStr(c, glue, "forgetfulType");
  int address = 0;
  if (!JS_ToInt32(c, &address, type) && address) {
    Dealloc **field = (Dealloc **)(uintptr_t)((uint32_t)address + TP_DEALLOC);
    js_proxy_dealloc = *field;
    *field = dealloc_in_peace;
  }
  JS_FreeValue(c, type);
  enabled = true;
  return JS_UNDEFINED;
}

static JSAtom symbol_atom(JSValueConst symbol, const char *name) {
  JSValue v = JS_GetPropertyStr(ctx, symbol, name);
  JSAtom atom = JS_IsSymbol(v) ? JS_ValueToAtom(ctx, v) : JS_ATOM_NULL;
  JS_FreeValue(ctx, v);
  return atom;
}

int natives_init(JSValueConst h) {
  static const struct {
    JSAtom *atom;
    const char *text;
  } texts[] = {
      {&then, "then"}, {&get, "get"}, {&set, "set"}, {&delete_, "delete"}, {&push, "push"}, {&next, "next"}, {&has, "has"},
      {&includes, "includes"}, {&length, "length"}, {&size, "size"}, {&name, "name"}, {&message, "message"},
      {&stack, "stack"}, {&constructor, "constructor"}, {&shared, "shared"}, {&props, "props"}, {&ptr, "ptr"},
      {&capture_this, "captureThis"}, {&is_bound, "isBound"},
  };
  for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) *texts[i].atom = JS_NewAtom(ctx, texts[i].text);
  JSValue global = JS_GetGlobalObject(ctx), symbol = JS_GetPropertyStr(ctx, global, "Symbol");
  tag_ = symbol_atom(symbol, "toStringTag");
  iterator = symbol_atom(symbol, "iterator");
  async_iterator = symbol_atom(symbol, "asyncIterator");
  dispose = symbol_atom(symbol, "dispose");
  async_dispose = symbol_atom(symbol, "asyncDispose");
  map_class = JS_GetPropertyStr(ctx, global, "Map");
  JSValue object = JS_NewObject(ctx);
  object_prototype = JS_GetPrototype(ctx, object);
  JS_FreeValue(ctx, object);
  JS_FreeValue(ctx, symbol);
  JS_FreeValue(ctx, global);
  define(h, "enableNatives", enable, 1);
  return 0;
}
