/*
 * Handles: how WebAssembly holds JavaScript values.
 *
 * Modules are rewritten so that an `externref` is a number. A small integer and the commonest values are numbers that say
 * what they are; any other value has a place on a stack of counted references. Each function of WebAssembly that lets values
 * come to be on the stack lets go of them when it returns (`taipan_wasm::references`), and so does each call out of
 * JavaScript. Values that live longer are in tables of references, which are here as well.
 */
#include "shim.h"

/*
 * 0 is null; odd numbers are integers; even ones from FIRST on are places on the stack. The others are constants.
 */
enum { TRUE = 6, FALSE = 8, FIRST = 16 };
enum { INT_MAX_INLINE = (1 << 30) - 1, INT_MIN_INLINE = -(1 << 30) };

/* A stack this large is not kept when it is empty. */
enum { LARGE = 1 << 16 };

static JSValue *values;
static uint32_t room;
static JSValue error_marker = JS_UNDEFINED;

static void release(uint32_t top);
static int keep(int handle, uint32_t top);
static int table_get(int index, int table);
static void table_set(int index, int handle, int table);
static int table_grow(int handle, int by, int table);
static int table_size(int table);

/* What rewritten modules know of us; `taipan_wasm::references::layout`. */
static struct {
  uint32_t top;
  void (*release)(uint32_t);
  int (*keep)(int, uint32_t);
  int (*table_get)(int, int);
  void (*table_set)(int, int, int);
  int (*table_grow)(int, int, int);
  int (*table_size)(int);
  void *natives[64];
} layout = {0, release, keep, table_get, table_set, table_grow, table_size};

EXPORT(engine_references) void *engine_references(void) {
  memcpy(layout.natives, natives_table, natives_count * sizeof *natives_table);
  return &layout;
}

uint32_t handles_top(void) { return layout.top; }

static bool is_place(int handle) { return !(handle & 1) && (unsigned)handle >= FIRST; }
static uint32_t place_of(int handle) { return ((unsigned)handle - FIRST) / 2; }

static int push(JSValue v) {
  if (layout.top == room) {
    uint32_t n = room ? room * 2 : 256;
    JSValue *grown = realloc(values, n * sizeof *grown);
    if (!grown) host_exit(1, "out of memory for JavaScript handles", 36);
    values = grown;
    room = n;
  }
  values[layout.top] = v;
  return FIRST + 2 * layout.top++;
}

int handle_take(JSValue v) {
  switch (JS_VALUE_GET_TAG(v)) {
  case JS_TAG_NULL: return H_NULL;
  case JS_TAG_UNDEFINED: return H_UNDEFINED;
  case JS_TAG_BOOL: return JS_VALUE_GET_BOOL(v) ? TRUE : FALSE;
  case JS_TAG_INT: {
    int32_t x = JS_VALUE_GET_INT(v);
    if (x >= INT_MIN_INLINE && x <= INT_MAX_INLINE) return (int)((unsigned)x << 1 | 1);
    break;
  }
  case JS_TAG_SYMBOL:
    if (JS_VALUE_GET_TAG(error_marker) == JS_TAG_SYMBOL && JS_VALUE_GET_PTR(v) == JS_VALUE_GET_PTR(error_marker)) {
      JS_FreeValue(ctx, v);
      return H_ERROR;
    }
  }
  return push(v);
}

JSValueConst handle_peek(int handle) {
  if (handle & 1) return JS_NewInt32(ctx, handle >> 1);
  switch (handle) {
  case H_NULL: return JS_NULL;
  case H_UNDEFINED: return JS_UNDEFINED;
  case TRUE: return JS_TRUE;
  case FALSE: return JS_FALSE;
  case H_ERROR: return error_marker;
  }
  uint32_t i = place_of(handle);
  return i < layout.top ? values[i] : JS_UNDEFINED;
}

int h_failed = H_NULL;

void handles_set_error_marker(JSValueConst marker) {
  error_marker = JS_DupValue(ctx, marker);
  h_failed = H_ERROR;
}

/* Arrays that a call was over with: the next takes them. */
enum { SPARES = 4 };
static JSValue spares[SPARES];
static int spare_count;

JSValue handles_array(void) { return spare_count ? spares[--spare_count] : JS_NewArray(ctx); }

void handles_drop_arrays(void) {
  while (spare_count) JS_FreeValue(ctx, spares[--spare_count]);
}

static void let_go(JSValue v) {
  if (spare_count < SPARES && JS_IsObject(v) && taipan_empty_array(ctx, v)) spares[spare_count++] = v;
  else JS_FreeValue(ctx, v);
}

static void release(uint32_t top) {
  while (layout.top > top) let_go(values[--layout.top]);
  if (!layout.top && room > LARGE) {
    free(values);
    values = NULL;
    room = 0;
  }
}

void handles_release(uint32_t top) {
  if (layout.top != top) release(top);
}

/* Releases all places from `top` on but that of the handle, which moves there; one below it belongs to somebody else. */
static int keep(int handle, uint32_t top) {
  if (!is_place(handle) || place_of(handle) < top || place_of(handle) >= layout.top) {
    release(top);
    return handle;
  }
  JSValue v = values[place_of(handle)];
  values[place_of(handle)] = JS_UNDEFINED;
  release(top);
  return push(v);
}

/* ---- tables ---- */
/* Of one module; Pyodide has two. */
enum { TABLES = 4 };
static struct {
  JSValue *entries;
  int size;
} tables[TABLES];

static bool is_entry(int index, int table) {
  return (unsigned)table < TABLES && (unsigned)index < (unsigned)tables[table].size;
}

static _Noreturn void out_of_bounds(void) {
  static const char reason[] = "out of bounds of a table of references";
  host_exit(1, reason, sizeof reason - 1);
}

static int table_get(int index, int table) {
  if (!is_entry(index, table)) out_of_bounds();
  JSValueConst v = tables[table].entries[index];
  /* What the glue asks for most. */
  if (JS_VALUE_GET_TAG(v) == JS_TAG_SYMBOL && JS_VALUE_GET_PTR(v) == JS_VALUE_GET_PTR(error_marker)) return H_ERROR;
  return handle_take(JS_DupValue(ctx, v));
}

static void table_set(int index, int handle, int table) {
  if (!is_entry(index, table)) out_of_bounds();
  JSValue old = tables[table].entries[index];
  tables[table].entries[index] = JS_DupValue(ctx, handle_peek(handle));
  JS_FreeValue(ctx, old);
}

static int table_grow(int handle, int by, int table) {
  if ((unsigned)table >= TABLES || by < 0) return -1;
  int old = tables[table].size;
  JSValue *grown = realloc(tables[table].entries, ((size_t)old + by) * sizeof *grown);
  if (!grown && old + by) return -1;
  JSValueConst v = handle_peek(handle);
  for (int i = 0; i < by; i++) grown[old + i] = JS_DupValue(ctx, v);
  tables[table].entries = grown;
  tables[table].size = old + by;
  return old;
}

static int table_size(int table) { return (unsigned)table < TABLES ? tables[table].size : 0; }
