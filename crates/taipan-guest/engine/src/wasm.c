/*
 * WebAssembly as JavaScript sees it: functions, tables, globals and exceptions that live in the host and are numbers
 * here. The classes of the JavaScript API are made from these in `js/src/wasm/`.
 */
#include <stdio.h>

#include "shim.h"

#define MAX_ARGS 40

/* "iie:j" in a form that can be walked; kept for ever, for there are few. */
typedef struct {
  int params;
  char result;
  char param[MAX_ARGS + 1];
  char text[MAX_ARGS + 3];
} Signature;

static Signature *intern(const char *text) {
  static Signature **known;
  static int n, room;
  for (int i = 0; i < n; i++)
    if (!strcmp(known[i]->text, text)) return known[i];
  const char *colon = strchr(text, ':');
  int params = colon ? colon - text : MAX_ARGS + 1;
  if (params > MAX_ARGS) return NULL;
  if (n == room) {
    Signature **grown = realloc(known, (room + 64) * sizeof *known);
    if (!grown) return NULL;
    known = grown;
    room += 64;
  }
  Signature *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->params = params;
  s->result = colon[1] ? colon[1] : 'v';
  memcpy(s->param, text, params);
  strcpy(s->text, text);
  return known[n++] = s;
}

static JSClassID function_class, exception_class;
static JSValue exception_prototype = JS_UNDEFINED, pending_exception = JS_UNDEFINED;

/* ---- functions: an object per handle, its opaque pointer is the handle plus one ---- */
typedef struct {
  JSValue object;
  /* NULL when only WebAssembly can call it, which may have it from one module to give to another. */
  Signature *signature;
} Function;
static Function *functions;
static int function_count;

static JSValue function_object(int handle) {
  if (handle >= function_count) {
    int n = handle + 1024;
    Function *grown = realloc(functions, n * sizeof *grown);
    if (!grown) return JS_ThrowOutOfMemory(ctx);
    functions = grown;
    for (int i = function_count; i < n; i++) functions[i] = (Function){JS_UNDEFINED, NULL};
    function_count = n;
  }
  Function *f = &functions[handle];
  if (JS_IsUndefined(f->object)) {
    char text[64];
    text[host_signature(handle, text)] = 0;
    f->signature = intern(text);
    JSValue prototype = JS_GetFunctionProto(ctx);
    f->object = JS_NewObjectProtoClass(ctx, prototype, function_class);
    JS_FreeValue(ctx, prototype);
    JS_SetOpaque(f->object, (void *)(uintptr_t)(handle + 1));
  }
  return JS_DupValue(ctx, f->object);
}

static int function_handle(JSValueConst v) {
  return JS_IsObject(v) ? (int)(uintptr_t)JS_GetOpaque(v, function_class) - 1 : -1;
}

/* ---- values ---- */
static bool to_wasm(char type, JSValueConst v, uint64_t *out) {
  switch (type) {
  case 'i': {
    int32_t x;
    if (JS_VALUE_GET_TAG(v) == JS_TAG_INT) x = JS_VALUE_GET_INT(v);
    else if (JS_ToInt32(ctx, &x, v)) return false;
    *out = (uint32_t)x;
    return true;
  }
  case 'j': {
    int64_t x;
    if (JS_ToBigInt64(ctx, &x, v)) return false;
    *out = x;
    return true;
  }
  case 'd': {
    double x;
    if (JS_ToFloat64(ctx, &x, v)) return false;
    memcpy(out, &x, 8);
    return true;
  }
  case 'f': {
    double x;
    if (JS_ToFloat64(ctx, &x, v)) return false;
    float y = x;
    *out = 0;
    memcpy(out, &y, 4);
    return true;
  }
  case 'e': *out = (uint32_t)handle_take(JS_DupValue(ctx, v)); return true;
  case 'F': {
    if (JS_IsNull(v)) {
      *out = (uint32_t)-1;
      return true;
    }
    int f = function_handle(v);
    if (f < 0) {
      JS_ThrowTypeError(ctx, "not a WebAssembly function");
      return false;
    }
    *out = (uint32_t)f;
    return true;
  }
  default: JS_ThrowTypeError(ctx, "type %c cannot cross to WebAssembly", type); return false;
  }
}

static JSValue from_wasm(char type, uint64_t v) {
  switch (type) {
  case 'i': return JS_NewInt32(ctx, (int32_t)v);
  case 'j': return JS_NewBigInt64(ctx, (int64_t)v);
  case 'd': {
    double d;
    memcpy(&d, &v, 8);
    return JS_NewNumber(ctx, d);
  }
  case 'f': {
    float f;
    memcpy(&f, &v, 4);
    return JS_NewNumber(ctx, f);
  }
  case 'e': return JS_DupValue(ctx, handle_peek((int)v));
  case 'F': return (int32_t)v < 0 ? JS_NULL : function_object((int)v);
  default: return JS_UNDEFINED;
  }
}

/* ---- JavaScript calls WebAssembly ---- */
/*
 * Calls nested in one another, each of which takes some ten KiB of the host's stack. At the first bound a JavaScript
 * function that Python calls throws a RangeError, which Python catches as any other exception; the glue needs a few
 * levels more to turn it into one. At the second, the glue itself is refused, which is fatal.
 */
enum { DEPTH_FOR_CALLS = 128, DEPTH_MAX = 256 };
static int depth;
/* The frames of JavaScript that these calls came from. */
static void *callers[DEPTH_MAX];

bool taipan_is_border(const void *frame) {
  for (int i = depth; i-- > 0;)
    if (callers[i] == frame) return true;
  return false;
}

static JSValue too_deep(JSContext *c) { return JS_ThrowRangeError(c, "Maximum call stack size exceeded"); }
bool calls_too_deep(void) { return depth >= DEPTH_FOR_CALLS; }
FN(throw_too_deep) { return too_deep(c); }
static JSValue thrower = JS_UNDEFINED;

static JSValue new_exception(int exception) {
  JSValue e = JS_NewObjectProtoClass(ctx, exception_prototype, exception_class);
  if (JS_IsException(e)) host_exception_free(exception);
  else JS_SetOpaque(e, (void *)(uintptr_t)(exception + 1));
  return e;
}

int wasm_call(JSValueConst function, uint64_t *values) {
  if (depth >= DEPTH_MAX) {
    too_deep(ctx);
    pending_exception = JS_GetException(ctx);
    return CALL_JS_EXCEPTION;
  }
  void **frame = taipan_frame(rt), *innermost = *frame;
  int before = depth++;
  callers[before] = innermost;
  int answer = host_call(function_handle(function), values);
  /* An exception may have unwound frames of ours. */
  depth = before;
  *frame = innermost;
  return answer;
}

bool calls_enter(void) {
  if (depth >= DEPTH_MAX) return false;
  callers[depth++] = *taipan_frame(rt);
  return true;
}
void calls_leave(void) { depth--; }

JSValue wasm_throw(JSContext *c, int answer, const uint64_t *values) {
  switch (answer) {
  case CALL_JS_EXCEPTION: {
    JSValue e = pending_exception;
    pending_exception = JS_UNDEFINED;
    return JS_Throw(c, e);
  }
  case CALL_WASM_EXCEPTION: {
    JSValue e = new_exception((int)values[0]);
    return JS_IsException(e) ? e : JS_Throw(c, e);
  }
  default: return JS_ThrowTypeError(c, "not callable");
  }
}

static JSValue call_function(JSContext *c, JSValueConst f, JSValueConst self, int argc, JSValueConst *argv, int flags) {
  Signature *s = functions[function_handle(f)].signature;
  if (!s) return JS_ThrowTypeError(c, "function of a type that JavaScript cannot call");
  uint64_t values[MAX_ARGS + 1];
  uint32_t top = handles_top();
  for (int i = 0; i < s->params; i++)
    if (!to_wasm(s->param[i], i < argc ? argv[i] : JS_UNDEFINED, &values[i])) return JS_EXCEPTION;
  int answer = wasm_call(f, values);
  JSValue result = answer == CALL_OK ? from_wasm(s->result, values[0]) : JS_UNDEFINED;
  handles_release(top);
  return answer == CALL_OK ? result : wasm_throw(c, answer, values);
}

static void exception_finalizer(JSRuntime *r, JSValueConst v) {
  int e = (int)(uintptr_t)JS_GetOpaque(v, exception_class) - 1;
  if (e >= 0) host_exception_free(e);
}

/* An exception that nobody may catch has unwound everything: JavaScript is told, which ends the isolate. */
EXPORT(engine_fatal) void engine_fatal(void) {
  *taipan_frame(rt) = NULL;
  depth = 0;
  natives_fatal(pending_exception);
}

/* ---- WebAssembly calls JavaScript ---- */
typedef struct {
  JSValue function;
  Signature *signature;
  /* It calls its first argument: the place where nesting is bounded. */
  bool caller;
} Slot;
static Slot *slots;
static int slot_count;

/* Where the host puts arguments; nested calls stack up. */
static uint64_t argument_stack[16384];
EXPORT(engine_argument_stack) uint64_t *engine_argument_stack(void) { return argument_stack; }
EXPORT(engine_argument_room) int engine_argument_room(void) { return sizeof argument_stack / sizeof *argument_stack; }

int engine_failed(uint64_t *values) {
  JSValue e = JS_GetException(ctx);
  int exception = JS_IsObject(e) ? (int)(uintptr_t)JS_GetOpaque(e, exception_class) - 1 : -1;
  if (exception >= 0) {
    /* Goes on as what it was. The host keeps its own reference before the object can be finalized. */
    values[0] = (uint32_t)exception;
    JS_SetOpaque(e, NULL);
    JS_FreeValue(ctx, e);
    return CALL_WASM_EXCEPTION;
  }
  JS_FreeValue(ctx, pending_exception);
  pending_exception = e;
  return CALL_JS_EXCEPTION;
}

EXPORT(engine_dispatch) int engine_dispatch(int slot, uint64_t *values) {
  if (slot >= slot_count || !slots[slot].signature) return CALL_UNBOUND;
  Slot s = slots[slot];
  JSValue args[MAX_ARGS];
  for (int i = 0; i < s.signature->params; i++) args[i] = from_wasm(s.signature->param[i], values[i]);
  if (s.caller && calls_too_deep()) {
    JS_FreeValue(ctx, args[0]);
    args[0] = JS_DupValue(ctx, thrower);
  }
  JSValue r = JS_Call(ctx, s.function, JS_UNDEFINED, s.signature->params, (JSValueConst *)args);
  for (int i = 0; i < s.signature->params; i++) JS_FreeValue(ctx, args[i]);
  if (JS_IsException(r)) return engine_failed(values);
  if (s.signature->result == 'e') {
    values[0] = (uint32_t)handle_take(r);
    return CALL_OK;
  }
  bool ok = s.signature->result == 'v' || to_wasm(s.signature->result, r, values);
  JS_FreeValue(ctx, r);
  return ok ? CALL_OK : engine_failed(values);
}

static bool bind(int slot, JSValueConst function, JSValueConst signature, bool caller) {
  const char *text = JS_ToCString(ctx, signature);
  if (!text) return false;
  Signature *s = intern(text);
  JS_FreeCString(ctx, text);
  if (!s) {
    JS_ThrowTypeError(ctx, "unsupported signature");
    return false;
  }
  if (slot >= slot_count) {
    int n = slot + 256;
    Slot *grown = realloc(slots, n * sizeof *grown);
    if (!grown) {
      JS_ThrowOutOfMemory(ctx);
      return false;
    }
    slots = grown;
    memset(slots + slot_count, 0, (n - slot_count) * sizeof *slots);
    slot_count = n;
  }
  if (slots[slot].signature) JS_FreeValue(ctx, slots[slot].function);
  slots[slot] = (Slot){JS_DupValue(ctx, function), s, caller};
  return true;
}

/* ---- the host object's functions ---- */
FN(wasm_function) { return function_object(to_int(argv[0])); }
FN(wasm_function_handle) { return JS_NewInt32(c, function_handle(argv[0])); }
FN(wasm_signature) {
  char text[64];
  return JS_NewStringLen(c, text, host_signature(to_int(argv[0]), text));
}
FN(bind_import) {
  if (!bind(to_int(argv[0]), argv[1], argv[2], JS_ToBool(c, argv[3]))) return JS_EXCEPTION;
  if (argc > 4) {
    const char *name = JS_ToCString(c, argv[4]);
    if (!name) return JS_EXCEPTION;
    natives_bound(name, to_int(argv[0]));
    JS_FreeCString(c, name);
  }
  return JS_UNDEFINED;
}

FN(new_trampoline) {
  int slot = host_new_slot();
  if (!bind(slot, argv[1], argv[0], false)) return JS_EXCEPTION;
  const char *text = slots[slot].signature->text;
  return function_object(host_trampoline(text, strlen(text), slot));
}

enum { TABLE_NULL = -1, TABLE_OUT_OF_BOUNDS = -2 };
FN(table_get) {
  int f = host_table_get(to_int(argv[0]), to_int(argv[1]));
  if (f == TABLE_OUT_OF_BOUNDS) return JS_ThrowRangeError(c, "table index out of bounds");
  return f == TABLE_NULL ? JS_NULL : function_object(f);
}
FN(table_set) {
  int f = -1;
  if (!JS_IsNull(argv[2]) && (f = function_handle(argv[2])) < 0)
    return JS_ThrowTypeError(c, "table entries are null or exported WebAssembly functions");
  if (host_table_set(to_int(argv[0]), to_int(argv[1]), f)) return JS_ThrowRangeError(c, "table index out of bounds");
  return JS_UNDEFINED;
}
FN(table_size) { return JS_NewInt32(c, host_table_size(to_int(argv[0]))); }
FN(table_grow) { return JS_NewInt32(c, host_table_grow(to_int(argv[0]), to_int(argv[1]))); }

FN(global_new) {
  const char *type = JS_ToCString(c, argv[0]);
  if (!type) return JS_EXCEPTION;
  char t = *type;
  JS_FreeCString(c, type);
  uint64_t value = 0;
  if (!JS_IsUndefined(argv[2]) && !to_wasm(t, argv[2], &value)) return JS_EXCEPTION;
  return JS_NewInt32(c, host_global_new(t, JS_ToBool(c, argv[1]), &value));
}
FN(global_get) {
  uint64_t value;
  int type = host_global_get(to_int(argv[0]), &value);
  return from_wasm(type, value);
}
FN(global_set) {
  uint64_t value;
  int global = to_int(argv[0]), type = host_global_get(global, &value);
  if (!to_wasm(type, argv[1], &value)) return JS_EXCEPTION;
  if (host_global_set(global, &value)) return JS_ThrowTypeError(c, "the global is immutable");
  return JS_UNDEFINED;
}

FN(module_new) {
  size_t n;
  uint8_t *bytes;
  if (!get_bytes(argv[0], &bytes, &n)) return JS_EXCEPTION;
  Block error = {0};
  int module = host_module_new(bytes, n, &error);
  if (module >= 0) return JS_NewInt32(c, module);
  JS_ThrowPlainError(c, "%.*s", (int)error.length, (char *)error.bytes);
  free(error.bytes);
  return JS_EXCEPTION;
}
FN(wasm_query) {
  size_t n;
  char *text = text_encode(argv[0], &n);
  if (!text) return JS_EXCEPTION;
  Block out = {0};
  host_query(text, n, &out);
  free(text);
  JSValue r = text_decode(out.bytes, out.length);
  free(out.bytes);
  return r;
}

FN(exception_is) {
  int e = (int)(uintptr_t)JS_GetOpaque(argv[0], exception_class) - 1;
  return JS_NewBool(c, e >= 0 && host_exception_tag(e) == to_int(argv[1]));
}
FN(exception_arg) {
  int e = (int)(uintptr_t)JS_GetOpaque(argv[0], exception_class) - 1;
  if (e < 0 || host_exception_tag(e) != to_int(argv[1]))
    return JS_ThrowTypeError(c, "the exception does not have this tag");
  uint64_t value;
  int type = host_exception_arg(e, to_int(argv[2]), &value);
  return type ? from_wasm(type, value) : JS_ThrowRangeError(c, "the exception has no such value");
}
FN(set_exception_prototype) {
  JS_FreeValue(c, exception_prototype);
  exception_prototype = JS_DupValue(c, argv[0]);
  return JS_UNDEFINED;
}
FN(set_error_marker) {
  handles_set_error_marker(argv[0]);
  return JS_UNDEFINED;
}

int wasm_init(JSValueConst h) {
  static const JSClassDef function_def = {"WebAssemblyFunction", .call = call_function};
  static const JSClassDef exception_def = {"WebAssembly.Exception", .finalizer = exception_finalizer};
  JS_NewClassID(rt, &function_class);
  JS_NewClassID(rt, &exception_class);
  if (JS_NewClass(rt, function_class, &function_def) || JS_NewClass(rt, exception_class, &exception_def)) return 1;
  define(h, "wasmFunction", wasm_function, 1);
  define(h, "wasmFunctionHandle", wasm_function_handle, 1);
  define(h, "wasmSignature", wasm_signature, 1);
  thrower = JS_NewCFunction(ctx, throw_too_deep, "call", 0);
  define(h, "bindImport", bind_import, 4);
  define(h, "newTrampoline", new_trampoline, 2);
  define(h, "tableGet", table_get, 2);
  define(h, "tableSet", table_set, 3);
  define(h, "tableSize", table_size, 1);
  define(h, "tableGrow", table_grow, 2);
  define(h, "globalNew", global_new, 3);
  define(h, "globalGet", global_get, 1);
  define(h, "globalSet", global_set, 2);
  define(h, "moduleNew", module_new, 1);
  define(h, "wasmQuery", wasm_query, 1);
  define(h, "exceptionIs", exception_is, 2);
  define(h, "exceptionArg", exception_arg, 3);
  define(h, "setExceptionPrototype", set_exception_prototype, 1);
  define(h, "setErrorMarker", set_error_marker, 1);
  return 0;
}
