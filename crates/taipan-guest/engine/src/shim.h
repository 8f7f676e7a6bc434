/*
 * The shim between QuickJS-ng and the host: what both of its halves share.
 *
 * QuickJS runs as a side module in Pyodide's linear memory. It meets the host in three places: JavaScript calls
 * WebAssembly functions (wasm.c), WebAssembly calls JavaScript functions (wasm.c), and JavaScript asks for
 * operations (ops.c). Values of JavaScript that WebAssembly holds are numbers, also for WebAssembly: handles
 * (handles.c), so that the whole of both heaps is in the linear memory.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "quickjs.h"

#define IMPORT(name) __attribute__((import_module("taipan"), import_name(#name)))
#define EXPORT(name) __attribute__((visibility("default"), used, export_name(#name)))
#define FN(name) static JSValue name(JSContext *c, JSValueConst self, int argc, JSValueConst *argv)

extern JSRuntime *rt;
extern JSContext *ctx;

/* handles.c */
enum { H_NULL, H_UNDEFINED = 2, H_ERROR = 4 };
/* The handle by which Pyodide's functions say "Python has an exception": of the marker, or null before there was one. */
extern int h_failed;
/* A handle for the value, which it takes over. */
int handle_take(JSValue value);
/* The value, for as long as the handle is not released. */
JSValueConst handle_peek(int handle);
/* A new array, which may be an old one. */
JSValue handles_array(void);
/* No array is kept any more for the next call. */
void handles_drop_arrays(void);
/* How many handles there are, and releasing what came after that. */
uint32_t handles_top(void);
void handles_release(uint32_t top);
void handles_set_error_marker(JSValueConst marker);

/* wasm.c */
int wasm_init(JSValueConst host_object);
/* WebAssembly calls the function in the slot: arguments in, result out at `values`. See CALL_… for the answer. */
int engine_dispatch(int slot, uint64_t *values);
/* That answer, for the exception that is pending. */
int engine_failed(uint64_t *values);
/* Calls a WebAssembly function, as JavaScript does: a CALL_… as answer. The handles among the arguments stay the caller's. */
int wasm_call(JSValueConst function, uint64_t *values);
/* Throws what the answer says, in JavaScript. */
JSValue wasm_throw(JSContext *c, int answer, const uint64_t *values);
/* Whether calls are nested so deeply that no function may be called. */
bool calls_too_deep(void);
/* Around a call of WebAssembly that does not go through the host; false when it is one too many. */
bool calls_enter(void);
void calls_leave(void);

/* natives.c */
extern void *const natives_table[];
extern const int natives_count;
int natives_init(JSValueConst host_object);
void natives_bound(const char *name, int slot);
void natives_fatal(JSValueConst exception);

/* ops.c */
int ops_init(JSValueConst host_object);
int engine_outstanding_ops(void);
void ops_complete(int id, JSValueConst value, bool failed);
/* The same for an operation of Python's; false when it is none. */
bool ops_complete_python(int id, bool failed, const uint8_t *bytes, uint32_t length);
/* Takes a future over until its operation is complete; the operation's id, or -1. */
int ops_pend_python(void *future);
void ops_set_future(int id, void *future);
/* The operation was complete at once. */
void ops_forget(int id);
/* A message, part by part; false when there is no memory. */
enum { MESSAGE_NULL, MESSAGE_STRING, MESSAGE_BYTES, MESSAGE_NUMBER, MESSAGE_INTEGER, MESSAGE_REAL };
bool message_begin(uint32_t count);
bool message_put(int kind, const void *bytes, size_t n);
const uint8_t *message_end(uint32_t *length);

/* python.c */
bool python_init(void);
/* An operation is complete; takes the future over. */
void python_complete(void *future, bool failed, const uint8_t *bytes, uint32_t length);
/* False when Python takes no events yet. */
bool python_event(int kind, int id, const uint8_t *bytes, uint32_t length);
/* Around what others do while a thread of Python's waits. */
void *python_enter_main(void);
void python_leave_main(void *before);
/* Runs Python's event loop if it has something to do. */
bool python_run(double now);
/* When it will have, in monotonic ms; -1 for never. */
double python_due(void);
/* The request whose work goes on now, 0 for none: the host charges it the CPU time. */
extern uint32_t cause;
JSValue message_decode(const uint8_t *bytes, uint32_t length);
JSValue error_from_message(const uint8_t *bytes, uint32_t length);

/* text.c */
int text_init(JSValueConst host_object);
JSValue text_decode(const uint8_t *bytes, size_t length);
/* A copy of the string as UTF-8 that is valid whatever the string holds; free() it. */
char *text_encode(JSValueConst string, size_t *length);
JSValue new_buffer(uint8_t *bytes, size_t length);
bool get_bytes(JSValueConst value, uint8_t **bytes, size_t *length);

/* heap.c */
void heap_plug(void);
void heap_immortalize(int count, void *code_type, int most);

/* main.c */
int32_t to_int(JSValueConst value);
void define(JSValueConst object, const char *name, JSCFunction *function, int length);
void report_exception(void);

/* Patched into quickjs.c: the ArrayBuffer that is the whole linear memory. */
JSValue taipan_new_memory_buffer(JSContext *ctx, size_t length);
void taipan_grow_memory_buffer(JSValueConst buffer, size_t length);
/* Patched in as well: the seed of Math.random. */
void taipan_seed_random(JSContext *ctx, uint64_t seed);
/* And: collects garbage, then exempts what is left from collection and its memory from reuse. */
void taipan_freeze_objects(JSRuntime *rt);

/* Elements of arrays, if they are simple; whether an array is now as good as new; and the innermost frame. */
bool taipan_fast_array(JSValueConst v, JSValue **values, uint32_t *count);
bool taipan_empty_array(JSContext *ctx, JSValue v);
void **taipan_frame(JSRuntime *rt);

/* The host's functions. `out` receives a block from malloc() that the caller frees. */
typedef struct {
  uint8_t *bytes;
  uint32_t length;
} Block;

/* Calls a WebAssembly function: arguments in, result out at `values`. See CALL_… for the answer. */
IMPORT(call) int host_call(int function, uint64_t *values);
enum { CALL_OK, CALL_JS_EXCEPTION, CALL_UNBOUND, CALL_WASM_EXCEPTION };
/* Throws what an answer other than CALL_OK says, through the WebAssembly that called. */
IMPORT(throw) _Noreturn void host_throw(int status, const uint64_t *values);
IMPORT(signature) int host_signature(int function, char *out);
IMPORT(trampoline) int host_trampoline(const char *signature, int length, int slot);
IMPORT(new_slot) int host_new_slot(void);
IMPORT(table_get) int host_table_get(int table, int index);
IMPORT(table_set) int host_table_set(int table, int index, int function);
IMPORT(table_grow) int host_table_grow(int table, int by);
IMPORT(table_size) int host_table_size(int table);
IMPORT(global_new) int host_global_new(int type, int mutable_, uint64_t *value);
IMPORT(global_get) int host_global_get(int global, uint64_t *value);
IMPORT(global_set) int host_global_set(int global, uint64_t *value);
/* The module's number, or -1 with a message in `error`. */
IMPORT(module_new) int host_module_new(const uint8_t *bytes, uint32_t length, Block *error);
IMPORT(query) void host_query(const char *json, uint32_t length, Block *out);
IMPORT(exception_tag) int host_exception_tag(int exception);
IMPORT(exception_arg) int host_exception_arg(int exception, int index, uint64_t *value);
IMPORT(exception_free) void host_exception_free(int exception);
IMPORT(now) double host_now(int clock);
IMPORT(log) void host_log(int level, const char *text, uint32_t length);
IMPORT(random) void host_random(void *bytes, uint32_t length);
/* 1: found. */
IMPORT(read_file) int host_read_file(const char *path, uint32_t length, Block *out);
/* A volume's file from `position` on; how many bytes were read, −1 when it cannot be. */
IMPORT(read_at) int64_t host_read_at(int volume, const char *path, uint32_t length, double position, void *to, uint32_t room);
/* The same in whole pages that are the file's own until they are written to; 0: it cannot be had that way. */
IMPORT(map_at) uint32_t host_map_at(int volume, const char *path, uint32_t length, double position, void *at, uint32_t size);
IMPORT(op_number) int host_op_number(const char *name, uint32_t length);
IMPORT(op) int host_op(int number, int id, const uint8_t *message, uint32_t length, Block *out);
enum { OP_READY, OP_LATER, OP_FAILED };
/* Blocks until something happened or the deadline (monotonic ms, negative for none) has passed. */
IMPORT(wait) int host_wait(double deadline, int *kind, int *id, Block *out);
IMPORT(booted) void host_booted(const char *report, uint32_t length);
IMPORT(exit) _Noreturn void host_exit(int kind, const char *reason, uint32_t length);
