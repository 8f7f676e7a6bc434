/* The engine's life: start, scripts, events, and the loop that runs a turn. */
#include <malloc.h>

#include "shim.h"

JSRuntime *rt;
JSContext *ctx;
static JSValue memory_buffer = JS_UNDEFINED;
static JSValue on_event = JS_UNDEFINED, run_due = JS_UNDEFINED, next_due = JS_UNDEFINED, on_rejection = JS_UNDEFINED;

int32_t to_int(JSValueConst value) {
  int32_t x = 0;
  JS_ToInt32(ctx, &x, value);
  return x;
}

void define(JSValueConst object, const char *name, JSCFunction *function, int length) {
  JS_SetPropertyStr(ctx, object, name, JS_NewCFunction(ctx, function, name, length));
}

/* Last resort: an exception that has nowhere to go. */
void report_exception(void) {
  JSValue e = JS_GetException(ctx);
  JSValue stack = JS_GetPropertyStr(ctx, e, "stack");
  JSValueConst parts[2] = {e, stack};
  for (int i = 0; i < 2; i++) {
    if (JS_IsUndefined(parts[i])) continue;
    size_t n;
    char *text = text_encode(parts[i], &n);
    if (text) host_log(4, text, n);
    else JS_FreeValue(ctx, JS_GetException(ctx));
    free(text);
  }
  JS_FreeValue(ctx, stack);
  JS_FreeValue(ctx, e);
}

/* ---- rejections without a handler: collected during a turn, reported at its end ---- */
typedef struct {
  JSValue promise, reason;
} Rejection;
static Rejection *rejections;
static int rejection_count, rejection_room;

static void rejection_tracker(JSContext *c, JSValueConst promise, JSValueConst reason, bool handled, void *opaque) {
  if (handled) {
    for (int i = 0; i < rejection_count; i++)
      if (JS_VALUE_GET_PTR(rejections[i].promise) == JS_VALUE_GET_PTR(promise)) {
        JS_FreeValue(c, rejections[i].promise);
        JS_FreeValue(c, rejections[i].reason);
        rejections[i] = rejections[--rejection_count];
        return;
      }
    return;
  }
  if (rejection_count == rejection_room) {
    Rejection *grown = realloc(rejections, (rejection_room + 32) * sizeof *grown);
    if (!grown) return;
    rejections = grown;
    rejection_room += 32;
  }
  rejections[rejection_count++] = (Rejection){JS_DupValue(c, promise), JS_DupValue(c, reason)};
}

static void report_rejections(void) {
  while (rejection_count) {
    Rejection r = rejections[--rejection_count];
    JSValue v = JS_Call(ctx, on_rejection, JS_UNDEFINED, 1, (JSValueConst *)&r.reason);
    if (JS_IsException(v)) report_exception();
    JS_FreeValue(ctx, v);
    JS_FreeValue(ctx, r.promise);
    JS_FreeValue(ctx, r.reason);
  }
}

/* ---- events and turns ---- */
/* Runs one promise job; false when there was none. */
static bool run_job(void) {
  JSContext *c;
  int r = JS_ExecutePendingJob(rt, &c);
  if (r < 0) report_exception();
  return r != 0;
}

enum { EVENT_COMPLETE, EVENT_FAILED, EVENT_FETCH, EVENT_DISCONNECTED };

uint32_t cause;
EXPORT(engine_cause) uint32_t *engine_cause(void) { return &cause; }

static void deliver(int kind, int id, const uint8_t *bytes, uint32_t length) {
  if (kind <= EVENT_FAILED) {
    if (ops_complete_python(id, kind == EVENT_FAILED, bytes, length)) return;
  } else {
    /* What other kinds are about is a request, or nothing. */
    cause = id;
    if (kind == EVENT_FETCH && python_event(kind, id, bytes, length)) return;
    /* Of this JavaScript has to know as well. */
    if (kind == EVENT_DISCONNECTED) python_event(kind, id, bytes, length);
  }
  if (kind == EVENT_FAILED) {
    JSValue error = error_from_message(bytes, length);
    ops_complete(id, error, true);
    JS_FreeValue(ctx, error);
    return;
  }
  JSValue fields = message_decode(bytes, length);
  if (JS_IsException(fields)) {
    report_exception();
  } else if (kind == EVENT_COMPLETE) {
    ops_complete(id, fields, false);
  } else {
    JSValue args[3] = {JS_NewInt32(ctx, kind), JS_NewInt32(ctx, id), fields};
    JSValue r = JS_Call(ctx, on_event, JS_UNDEFINED, 3, (JSValueConst *)args);
    if (JS_IsException(r)) report_exception();
    JS_FreeValue(ctx, r);
  }
  JS_FreeValue(ctx, fields);
}

/* The block is ours to free. Each event is a task of its own: what the one before it has set off comes first. */
EXPORT(engine_event) void engine_event(int kind, int id, uint8_t *bytes, uint32_t length) {
  while (run_job()) {}
  deliver(kind, id, bytes, length);
  free(bytes);
}

/* Whether JavaScript has timers. Most turns of a Worker in Python have nothing to do with it, and do not call it. */
static bool has_timers;

/* Runs one due timer; false when there was none. */
static bool run_timer(void) {
  double clock = host_now(1);
  /* Both in turn, so that neither keeps the other waiting. */
  bool python = python_run(clock);
  if (!has_timers) return python;
  JSValue now = JS_NewFloat64(ctx, clock);
  JSValue r = JS_Call(ctx, run_due, JS_UNDEFINED, 1, (JSValueConst *)&now);
  if (JS_IsException(r)) {
    report_exception();
    return true;
  }
  return JS_ToBool(ctx, r) || python;
}

/* When the next timer is due, in monotonic ms; -1 when there is none. */
static double next_timer(void) {
  double at = -1, python = python_due();
  if (!has_timers) return python;
  JSValue r = JS_Call(ctx, next_due, JS_UNDEFINED, 0, NULL);
  if (JS_IsException(r)) report_exception();
  else if (JS_IsUndefined(r)) has_timers = false;
  else JS_ToFloat64(ctx, &at, r);
  JS_FreeValue(ctx, r);
  return at < 0 || (python >= 0 && python < at) ? python : at;
}

EXPORT(engine_run) double engine_run(void) {
  do {
    while (run_job()) {}
    report_rejections();
  } while (run_timer());
  return next_timer();
}

static bool run_until_settled(JSValueConst promise) {
  while (JS_PromiseState(ctx, promise) == JS_PROMISE_PENDING) {
    if (run_job() || run_timer()) continue;
    double at = next_timer();
    if (at < 0 && !engine_outstanding_ops()) return false;
    int kind, id;
    Block out = {0};
    if (host_wait(at, &kind, &id, &out)) deliver(kind, id, out.bytes, out.length);
    free(out.bytes);
  }
  /* Others wait for the same value: a proxy of Python's is destroyed once it has been given to whom it was made for. */
  while (run_job()) {}
  return true;
}

/* ---- modules: the host's files, then what JavaScript finds ---- */
static JSValue on_module = JS_UNDEFINED;

/* Relative names are paths from the folder of the module that imports. */
static char *normalize(JSContext *c, const char *base, const char *name, void *opaque) {
  if (strncmp(name, "./", 2) && strncmp(name, "../", 3)) return js_strdup(c, name);
  const char *end = strrchr(base, '/');
  size_t length = end ? end - base : 0;
  char *path = js_malloc(c, length + strlen(name) + 2);
  if (!path) return NULL;
  memcpy(path, base, length);
  while (*name) {
    size_t n = 0;
    while (name[n] && name[n] != '/') n++;
    if (n == 2 && name[0] == '.' && name[1] == '.') {
      while (length && path[--length] != '/') {}
    } else if (n && !(n == 1 && *name == '.')) {
      path[length++] = '/';
      memcpy(path + length, name, n);
      length += n;
    }
    name += n + (name[n] == '/');
  }
  path[length] = 0;
  return path;
}

/* The text of a module, to be freed, and what else it is given. */
static char *module_text(JSContext *c, const char *name, size_t *length, JSValue *platform) {
  Block file = {0};
  if (host_read_file(name, strlen(name), &file)) {
    char *text = realloc(file.bytes, file.length + 1);
    *length = file.length;
    if (!text) free(file.bytes);
    return text;
  }
  JSValue argument = JS_NewString(c, name);
  JSValue found = JS_Call(c, on_module, JS_UNDEFINED, 1, (JSValueConst *)&argument);
  JS_FreeValue(c, argument);
  char *text = NULL;
  if (JS_IsObject(found)) {
    JSValue source = JS_GetPropertyUint32(c, found, 0);
    *platform = JS_GetPropertyUint32(c, found, 1);
    char *bytes = text_encode(source, length);
    text = bytes ? realloc(bytes, *length + 1) : NULL;
    if (bytes && !text) free(bytes);
    JS_FreeValue(c, source);
  } else if (!JS_IsException(found)) {
    JS_ThrowReferenceError(c, "there is no module '%s'", name);
  }
  JS_FreeValue(c, found);
  return text;
}

static JSModuleDef *load_module(JSContext *c, const char *name, void *opaque) {
  size_t length = 0;
  JSValue platform = JS_UNDEFINED;
  char *text = module_text(c, name, &length, &platform);
  if (!text) {
    JS_FreeValue(c, platform);
    if (!JS_HasException(c)) JS_ThrowOutOfMemory(c);
    return NULL;
  }
  text[length] = 0;
  JSValue f = JS_Eval(c, text, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
  free(text);
  if (JS_IsException(f)) {
    JS_FreeValue(c, platform);
    return NULL;
  }
  JSModuleDef *m = JS_VALUE_GET_PTR(f);
  JSValue meta = JS_GetImportMeta(c, m);
  JS_SetPropertyStr(c, meta, "url", JS_NewString(c, name));
  if (JS_IsUndefined(platform)) JS_FreeValue(c, platform);
  else JS_SetPropertyStr(c, meta, "platform", platform);
  JS_FreeValue(c, meta);
  JS_FreeValue(c, f);
  return m;
}

/* ---- the rest of the host object ---- */
FN(now) { return JS_NewFloat64(c, host_now(to_int(argv[0]))); }
FN(log_line) {
  size_t n;
  char *text = text_encode(argv[1], &n);
  if (!text) return JS_EXCEPTION;
  host_log(to_int(argv[0]), text, n);
  free(text);
  return JS_UNDEFINED;
}
FN(random_bytes) {
  size_t n;
  uint8_t *bytes;
  if (!get_bytes(argv[0], &bytes, &n)) return JS_EXCEPTION;
  host_random(bytes, n);
  return JS_UNDEFINED;
}
FN(read_file) {
  size_t n;
  char *path = text_encode(argv[0], &n);
  if (!path) return JS_EXCEPTION;
  Block out = {0};
  int found = host_read_file(path, n, &out);
  free(path);
  return found ? new_buffer(out.bytes, out.length) : JS_UNDEFINED;
}
/* Where an ArrayBuffer's bytes from an offset on are; false with an exception when it does not have so many. */
static bool place_in(JSContext *c, JSValueConst buffer, JSValueConst offset, JSValueConst length, uint8_t **at, uint32_t *size) {
  size_t room;
  if (!get_bytes(buffer, at, &room)) return false;
  uint32_t from = to_int(offset);
  *size = to_int(length);
  if (from > room || *size > room - from) {
    JS_ThrowRangeError(c, "outside of the buffer");
    return false;
  }
  *at += from;
  return true;
}
FN(read_at) {
  uint8_t *at;
  uint32_t size;
  double position;
  if (!place_in(c, argv[3], argv[4], argv[5], &at, &size) || JS_ToFloat64(c, &position, argv[2])) return JS_EXCEPTION;
  size_t n;
  char *path = text_encode(argv[1], &n);
  if (!path) return JS_EXCEPTION;
  int64_t count = host_read_at(to_int(argv[0]), path, n, position, at, size);
  free(path);
  return JS_NewInt64(c, count);
}
FN(map_at) {
  double position;
  if (JS_ToFloat64(c, &position, argv[2])) return JS_EXCEPTION;
  size_t n;
  char *path = text_encode(argv[1], &n);
  if (!path) return JS_EXCEPTION;
  uint32_t at = to_int(argv[3]), size = to_int(argv[4]);
  uint32_t count = host_map_at(to_int(argv[0]), path, n, position, (void *)(uintptr_t)at, size);
  free(path);
  return JS_NewUint32(c, count);
}
FN(op_number) {
  size_t n;
  char *name = text_encode(argv[0], &n);
  if (!name) return JS_EXCEPTION;
  int number = host_op_number(name, n);
  JSValue r = number >= 0 ? JS_NewInt32(c, number) : JS_ThrowReferenceError(c, "the host has no operation '%s'", name);
  free(name);
  return r;
}
FN(set_on_event) {
  on_event = JS_DupValue(c, argv[0]);
  return JS_UNDEFINED;
}
FN(set_on_timers) {
  run_due = JS_DupValue(c, argv[0]);
  next_due = JS_DupValue(c, argv[1]);
  return JS_UNDEFINED;
}
FN(await_timers) {
  has_timers = true;
  return JS_UNDEFINED;
}
FN(set_on_rejection) {
  on_rejection = JS_DupValue(c, argv[0]);
  return JS_UNDEFINED;
}
FN(set_on_module) {
  on_module = JS_DupValue(c, argv[0]);
  return JS_UNDEFINED;
}
FN(wait_until_settled) {
  uint32_t before = cause;
  void *thread = python_enter_main();
  bool settled = run_until_settled(argv[0]);
  python_leave_main(thread);
  cause = before;
  return JS_NewBool(c, settled);
}
FN(get_cause) { return JS_NewUint32(c, cause); }
FN(set_cause) {
  cause = to_int(argv[0]);
  return JS_UNDEFINED;
}
FN(promise_state) { return JS_NewInt32(c, JS_PromiseState(c, argv[0])); }
FN(promise_result) { return JS_PromiseResult(c, argv[0]); }
FN(immortalize) {
  heap_immortalize(to_int(argv[0]), (void *)to_int(argv[1]), to_int(argv[2]));
  return JS_UNDEFINED;
}
FN(freeze_objects) {
  handles_drop_arrays();
  taipan_freeze_objects(rt);
  heap_plug();
  return JS_UNDEFINED;
}
FN(start_python) { return python_init() ? JS_UNDEFINED : JS_ThrowPlainError(c, "_taipan cannot be made"); }
FN(plug_heap) {
  heap_plug();
  return JS_UNDEFINED;
}
FN(get_memory_buffer) { return JS_DupValue(c, memory_buffer); }
FN(booted) {
  size_t n = 0;
  char *report = JS_IsString(argv[0]) ? text_encode(argv[0], &n) : NULL;
  host_booted(report ? report : "", n);
  free(report);
  return JS_UNDEFINED;
}
FN(leave) {
  size_t n;
  char *reason = text_encode(argv[1], &n);
  host_exit(to_int(argv[0]), reason ? reason : "", reason ? n : 0);
}

/* ---- start ---- */
static void *m_calloc(void *o, size_t n, size_t size) { return calloc(n, size); }
static void *m_malloc(void *o, size_t n) { return malloc(n); }
static void m_free(void *o, void *p) { free(p); }
static void *m_realloc(void *o, void *p, size_t n) { return realloc(p, n); }
/* The real one: QuickJS paces its garbage collection by it. */
static size_t m_usable(const void *p) { return malloc_usable_size((void *)p); }

EXPORT(engine_init) int engine_init(int stack) {
  static const JSMallocFunctions functions = {m_calloc, m_malloc, m_free, m_realloc, m_usable};
  rt = JS_NewRuntime2(&functions, NULL);
  if (!rt) return 1;
  JS_SetMaxStackSize(rt, stack);
  JS_SetGCThreshold(rt, 8 << 20);
  JS_SetModuleLoaderFunc(rt, normalize, load_module, NULL);
  JS_SetHostPromiseRejectionTracker(rt, rejection_tracker, NULL);
  ctx = JS_NewContext(rt);
  if (!ctx) return 2;
  memory_buffer = taipan_new_memory_buffer(ctx, __builtin_wasm_memory_size(0) * 65536u);
  JSValue global = JS_GetGlobalObject(ctx), h = JS_NewObject(ctx);
  define(h, "now", now, 1);
  define(h, "log", log_line, 2);
  define(h, "random", random_bytes, 1);
  define(h, "readFile", read_file, 1);
  define(h, "readAt", read_at, 6);
  define(h, "mapAt", map_at, 5);
  define(h, "opNumber", op_number, 1);
  define(h, "onEvent", set_on_event, 1);
  define(h, "onTimers", set_on_timers, 2);
  define(h, "awaitTimers", await_timers, 0);
  define(h, "onUnhandledRejection", set_on_rejection, 1);
  define(h, "onModule", set_on_module, 1);
  define(h, "promiseState", promise_state, 1);
  define(h, "promiseResult", promise_result, 1);
  define(h, "runUntilSettled", wait_until_settled, 1);
  define(h, "cause", get_cause, 0);
  define(h, "setCause", set_cause, 1);
  define(h, "immortalize", immortalize, 3);
  define(h, "freezeObjects", freeze_objects, 0);
  define(h, "plugHeap", plug_heap, 0);
  define(h, "startPython", start_python, 0);
  define(h, "memoryBuffer", get_memory_buffer, 0);
  define(h, "booted", booted, 1);
  define(h, "exit", leave, 2);
  int failed = text_init(h) || ops_init(h) || wasm_init(h) || natives_init(h);
  /* The bundle takes it from here and deletes the name. */
  JS_SetPropertyStr(ctx, global, "__taipan_host", h);
  JS_FreeValue(ctx, global);
  return failed ? 3 : 0;
}

EXPORT(engine_memory_grown) void engine_memory_grown(void) {
  if (ctx) taipan_grow_memory_buffer(memory_buffer, __builtin_wasm_memory_size(0) * 65536u);
}

EXPORT(engine_collect) void engine_collect(void) { JS_RunGC(rt); }

EXPORT(engine_seed_random) void engine_seed_random(uint64_t seed) { taipan_seed_random(ctx, seed); }

/* Runs a script; 0, or 1 after the exception was logged. The blocks are ours to free. */
EXPORT(engine_eval) int engine_eval(char *source, uint32_t length, char *name) {
  JSValue r = JS_Eval(ctx, source, length, name, JS_EVAL_TYPE_GLOBAL);
  free(source);
  free(name);
  bool threw = JS_IsException(r);
  if (threw) report_exception();
  JS_FreeValue(ctx, r);
  return threw;
}
