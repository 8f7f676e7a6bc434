/*
 * Handles: how WebAssembly holds JavaScript values.
 *
 * An `externref` on the WebAssembly side is a host object around a number of this table. Entry i of the table holds
 * one counted reference; the host gives the number back through engine_free_handles once its object was collected.
 * The commonest values need no entry.
 */
#include "shim.h"

static JSValue *entries;
static int *next_free;
static int count, capacity, first_free = -1, live;
static JSValue error_marker = JS_UNDEFINED;

int handle_new(JSValueConst v) {
  switch (JS_VALUE_GET_TAG(v)) {
  case JS_TAG_NULL: return H_NULL;
  case JS_TAG_UNDEFINED: return H_UNDEFINED;
  case JS_TAG_BOOL: return JS_VALUE_GET_BOOL(v) ? H_TRUE : H_FALSE;
  case JS_TAG_SYMBOL:
    if (JS_VALUE_GET_TAG(error_marker) == JS_TAG_SYMBOL && JS_VALUE_GET_PTR(v) == JS_VALUE_GET_PTR(error_marker))
      return H_ERROR;
  }
  int i = first_free;
  if (i >= 0) {
    first_free = next_free[i];
  } else {
    if (count == capacity) {
      int n = capacity ? capacity * 2 : 1024;
      JSValue *e = realloc(entries, n * sizeof *e);
      if (e) entries = e;
      int *f = realloc(next_free, n * sizeof *f);
      if (f) next_free = f;
      if (!e || !f) host_exit(1, "out of memory for JavaScript handles", 36);
      capacity = n;
    }
    i = count++;
  }
  entries[i] = JS_DupValue(ctx, v);
  live++;
  return i + H_FIRST;
}

JSValue handle_get(int handle) {
  switch (handle) {
  case H_NULL: return JS_NULL;
  case H_UNDEFINED: return JS_UNDEFINED;
  case H_TRUE: return JS_TRUE;
  case H_FALSE: return JS_FALSE;
  case H_ERROR: return JS_DupValue(ctx, error_marker);
  }
  unsigned i = (unsigned)(handle - H_FIRST);
  if (i >= (unsigned)count) return JS_UNDEFINED;
  return JS_DupValue(ctx, entries[i]);
}

void handles_set_error_marker(JSValueConst marker) { error_marker = JS_DupValue(ctx, marker); }

EXPORT(engine_free_handles) void engine_free_handles(const int *handles, int n) {
  for (int k = 0; k < n; k++) {
    int i = handles[k] - H_FIRST;
    if (i < 0 || i >= count) continue;
    JSValue v = entries[i];
    entries[i] = JS_UNDEFINED;
    next_free[i] = first_free;
    first_free = i;
    live--;
    JS_FreeValue(ctx, v);
  }
}

EXPORT(engine_live_handles) int engine_live_handles(void) { return live; }
