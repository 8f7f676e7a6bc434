/*
 * Operations: what JavaScript asks of the host. The message format is described in `src/protocol.rs`.
 *
 * An asynchronous operation is a promise whose resolving functions wait in a table under the operation's id until
 * the host completes it in a later turn.
 */
#include "shim.h"

/* ---- encoding ---- */
/* One buffer serves all messages: what encodes one does not ask for an operation meanwhile. */
static uint8_t *buffer;
static uint32_t used, room;

static bool put(const void *bytes, size_t n) {
  if (n > room - used) {
    if (n > 0x7FFFFFFF - used) return false;
    uint32_t want = used + n < 512 ? 1024 : (used + n) + (used + n) / 2;
    uint8_t *grown = realloc(buffer, want);
    if (!grown) return false;
    buffer = grown;
    room = want;
  }
  memcpy(buffer + used, bytes, n);
  used += n;
  return true;
}

bool message_put(int kind, const void *bytes, size_t n) {
  uint32_t head[2] = {kind, n};
  return put(head, sizeof head) && put(bytes, n);
}

bool message_begin(uint32_t count) {
  /* Do not keep the largest body for ever. */
  if (room > 1 << 16) {
    free(buffer);
    buffer = NULL;
    room = 0;
  }
  used = 0;
  return put(&count, 4);
}

const uint8_t *message_end(uint32_t *length) {
  *length = used;
  return buffer;
}

static bool put_value(JSValueConst v) {
  switch (JS_VALUE_GET_NORM_TAG(v)) {
  case JS_TAG_NULL:
  case JS_TAG_UNDEFINED: return message_put(MESSAGE_NULL, "", 0) || (JS_ThrowOutOfMemory(ctx), false);
  case JS_TAG_BOOL:
  case JS_TAG_INT:
  case JS_TAG_FLOAT64: {
    double d;
    return !JS_ToFloat64(ctx, &d, v) && (message_put(MESSAGE_NUMBER, &d, sizeof d) || (JS_ThrowOutOfMemory(ctx), false));
  }
  case JS_TAG_OBJECT: {
    uint8_t *bytes;
    size_t n;
    return get_bytes(v, &bytes, &n) && (message_put(MESSAGE_BYTES, bytes, n) || (JS_ThrowOutOfMemory(ctx), false));
  }
  default: {
    size_t n;
    char *text = text_encode(v, &n);
    if (!text) return false;
    bool ok = message_put(MESSAGE_STRING, text, n) || (JS_ThrowOutOfMemory(ctx), false);
    free(text);
    return ok;
  }
  }
}

static bool put_message(int count, JSValueConst *fields) {
  if (!message_begin(count)) {
    JS_ThrowOutOfMemory(ctx);
    return false;
  }
  for (int i = 0; i < count; i++)
    if (!put_value(fields[i])) return false;
  return true;
}

/* ---- decoding; the host is trusted to send what it says ---- */
JSValue message_decode(const uint8_t *bytes, uint32_t length) {
  JSValue list = JS_NewArray(ctx);
  if (JS_IsException(list) || length < 4) return list;
  uint32_t count;
  memcpy(&count, bytes, 4);
  const uint8_t *p = bytes + 4;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t head[2];
    memcpy(head, p, 8);
    p += 8;
    JSValue v = JS_NULL;
    switch (head[0]) {
    case MESSAGE_STRING: v = text_decode(p, head[1]); break;
    case MESSAGE_BYTES: v = JS_NewArrayBufferCopy(ctx, p, head[1]); break;
    case MESSAGE_NUMBER: {
      double d;
      memcpy(&d, p, 8);
      v = JS_NewNumber(ctx, d);
    }
    }
    p += head[1];
    if (JS_IsException(v) || JS_DefinePropertyValueUint32(ctx, list, i, v, JS_PROP_C_W_E) < 0) {
      JS_FreeValue(ctx, list);
      return JS_EXCEPTION;
    }
  }
  return list;
}

/* A message of two fields, class and text, as an exception object. */
JSValue error_from_message(const uint8_t *bytes, uint32_t length) {
  JSValue fields = message_decode(bytes, length);
  if (JS_IsException(fields)) return JS_GetException(ctx);
  JSValue global = JS_GetGlobalObject(ctx);
  JSValue name = JS_GetPropertyUint32(ctx, fields, 0), text = JS_GetPropertyUint32(ctx, fields, 1);
  JSAtom atom = JS_ValueToAtom(ctx, name);
  JSValue class = JS_GetProperty(ctx, global, atom);
  JSValue error;
  if (JS_IsConstructor(ctx, class)) {
    error = JS_CallConstructor(ctx, class, 1, (JSValueConst *)&text);
  } else {
    /* Not a class: the name of a DOMException. */
    JSValue dom = JS_GetPropertyStr(ctx, global, "DOMException");
    JSValueConst args[2] = {text, name};
    error = JS_CallConstructor(ctx, dom, 2, args);
    JS_FreeValue(ctx, dom);
  }
  if (JS_IsException(error)) error = JS_GetException(ctx);
  JS_FreeAtom(ctx, atom);
  JS_FreeValue(ctx, class);
  JS_FreeValue(ctx, name);
  JS_FreeValue(ctx, text);
  JS_FreeValue(ctx, global);
  JS_FreeValue(ctx, fields);
  return error;
}

/* ---- the table of asynchronous operations ---- */
typedef struct {
  JSValue resolve, reject;
  /* Of Python's, which waits instead. */
  void *future;
  uint32_t cause;
  int next_free;
} Pending;
static Pending *pending;
static int pending_count, pending_capacity, pending_free = -1, outstanding;

static int pending_new(JSValue resolve, JSValue reject, void *future) {
  int i = pending_free;
  if (i >= 0) {
    pending_free = pending[i].next_free;
  } else {
    if (pending_count == pending_capacity) {
      int n = pending_capacity ? pending_capacity * 2 : 64;
      Pending *grown = realloc(pending, n * sizeof *grown);
      if (!grown) return -1;
      pending = grown;
      pending_capacity = n;
    }
    i = pending_count++;
  }
  pending[i] = (Pending){resolve, reject, future, cause, -1};
  outstanding++;
  /* Ids start at 1: 0 says "synchronous". */
  return i + 1;
}

int ops_pend_python(void *future) { return pending_new(JS_UNDEFINED, JS_UNDEFINED, future); }

void ops_set_future(int id, void *future) { pending[id - 1].future = future; }

static bool pending_take(int id, Pending *p) {
  int i = id - 1;
  if (i < 0 || i >= pending_count || (JS_IsUndefined(pending[i].resolve) && !pending[i].future)) return false;
  *p = pending[i];
  pending[i] = (Pending){JS_UNDEFINED, JS_UNDEFINED, NULL, 0, pending_free};
  pending_free = i;
  outstanding--;
  return true;
}

void ops_forget(int id) {
  Pending p;
  pending_take(id, &p);
}

bool ops_complete_python(int id, bool failed, const uint8_t *bytes, uint32_t length) {
  Pending p;
  if (id < 1 || id > pending_count || !pending[id - 1].future || !pending_take(id, &p)) return false;
  cause = p.cause;
  python_complete(p.future, failed, bytes, length);
  return true;
}

void ops_complete(int id, JSValueConst value, bool failed) {
  Pending p;
  if (!pending_take(id, &p)) return;
  cause = p.cause;
  JSValue r = JS_Call(ctx, failed ? p.reject : p.resolve, JS_UNDEFINED, 1, &value);
  if (JS_IsException(r)) report_exception();
  JS_FreeValue(ctx, r);
  JS_FreeValue(ctx, p.resolve);
  JS_FreeValue(ctx, p.reject);
}

EXPORT(engine_outstanding) int engine_outstanding_ops(void) { return outstanding; }

/* ---- what JavaScript calls ---- */
FN(op_sync) {
  if (!put_message(argc - 1, argv + 1)) return JS_EXCEPTION;
  Block out = {0};
  int status = host_op(to_int(argv[0]), 0, buffer, used, &out);
  JSValue result;
  if (status == OP_FAILED) {
    result = JS_Throw(c, error_from_message(out.bytes, out.length));
  } else {
    result = message_decode(out.bytes, out.length);
  }
  free(out.bytes);
  return result;
}

FN(op_async) {
  JSValue settle[2];
  JSValue promise = JS_NewPromiseCapability(c, settle);
  if (JS_IsException(promise)) return promise;
  if (!put_message(argc - 1, argv + 1)) {
    JS_FreeValue(c, settle[0]);
    JS_FreeValue(c, settle[1]);
    JS_FreeValue(c, promise);
    return JS_EXCEPTION;
  }
  int id = pending_new(settle[0], settle[1], NULL);
  if (id < 0) return JS_ThrowOutOfMemory(c);
  Block out = {0};
  int status = host_op(to_int(argv[0]), id, buffer, used, &out);
  if (status != OP_LATER) {
    JSValue v = status == OP_READY ? message_decode(out.bytes, out.length) : error_from_message(out.bytes, out.length);
    ops_complete(id, v, status == OP_FAILED);
    JS_FreeValue(c, v);
  }
  free(out.bytes);
  return promise;
}

int ops_init(JSValueConst h) {
  define(h, "opSync", op_sync, 1);
  define(h, "opAsync", op_async, 1);
  return 0;
}
