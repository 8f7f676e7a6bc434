/* Text between UTF-8 and JavaScript strings, total in both directions: what is not valid becomes U+FFFD. */
#include "shim.h"

/*
 * The length of the valid sequence at p, or minus the number of bytes that one U+FFFD replaces (the "maximal
 * subpart" of the WHATWG encoding standard).
 */
static int sequence(const uint8_t *p, const uint8_t *end) {
  uint8_t b = *p;
  if (b < 0x80) return 1;
  int need;
  uint8_t low = 0x80, high = 0xBF;
  if (b >= 0xC2 && b <= 0xDF) need = 1;
  else if (b >= 0xE0 && b <= 0xEF) {
    need = 2;
    if (b == 0xE0) low = 0xA0;
    if (b == 0xED) high = 0x9F;
  } else if (b >= 0xF0 && b <= 0xF4) {
    need = 3;
    if (b == 0xF0) low = 0x90;
    if (b == 0xF4) high = 0x8F;
  } else return -1;
  int n = 1;
  for (; need; need--, n++) {
    if (p + n == end || p[n] < low || p[n] > high) return -n;
    low = 0x80;
    high = 0xBF;
  }
  return n;
}

static const uint8_t *first_invalid(const uint8_t *p, const uint8_t *end) {
  while (p < end) {
    /* Most text is ASCII: eight bytes at a time. */
    uint64_t word;
    while (end - p >= 8 && (memcpy(&word, p, 8), !(word & 0x8080808080808080ull))) p += 8;
    if (p == end) break;
    int n = sequence(p, end);
    if (n < 0) return p;
    p += n;
  }
  return NULL;
}

JSValue text_decode(const uint8_t *bytes, size_t length) {
  const uint8_t *end = bytes + length, *bad = first_invalid(bytes, end);
  if (!bad) return JS_NewStringLen(ctx, (const char *)bytes, length);
  /* Each replaced byte becomes three at most. */
  uint8_t *out = malloc((bad - bytes) + 3 * (end - bad) + 1), *q = out;
  if (!out) return JS_ThrowOutOfMemory(ctx);
  for (const uint8_t *p = bytes; p < end;) {
    int n = sequence(p, end);
    if (n > 0) {
      memcpy(q, p, n);
      q += n;
      p += n;
    } else {
      memcpy(q, "\xEF\xBF\xBD", 3);
      q += 3;
      p -= n;
    }
  }
  JSValue s = JS_NewStringLen(ctx, (char *)out, q - out);
  free(out);
  return s;
}

char *text_encode(JSValueConst string, size_t *length) {
  const char *s = JS_ToCStringLen(ctx, length, string);
  if (!s) return NULL;
  char *out = malloc(*length + 1);
  if (out) {
    memcpy(out, s, *length);
    out[*length] = 0;
    /* QuickJS writes a lone surrogate as three bytes, ED A0…BF xx. */
    for (char *p = out, *end = out + *length; (p = memchr(p, 0xED, end - p)); p++)
      if (end - p >= 3 && (uint8_t)p[1] >= 0xA0) memcpy(p, "\xEF\xBF\xBD", 3);
  } else {
    JS_ThrowOutOfMemory(ctx);
  }
  JS_FreeCString(ctx, s);
  return out;
}

static void *buffer_realloc(JSRuntime *r, void *opaque, void *p, size_t n) {
  if (n) return realloc(p, n);
  free(p);
  return NULL;
}

/* An ArrayBuffer that owns a block from malloc(). */
JSValue new_buffer(uint8_t *bytes, size_t length) {
  return JS_NewArrayBuffer(ctx, bytes, length, 0, buffer_realloc, NULL, false);
}

/*
 * The bytes of a Uint8Array or an ArrayBuffer; false with an exception otherwise. A null pointer is no error: the
 * buffer of the linear memory starts at address 0.
 */
bool get_bytes(JSValueConst value, uint8_t **bytes, size_t *length) {
  *bytes = JS_GetTypedArrayType(value) >= 0 ? JS_GetUint8Array(ctx, length, value)
                                            : JS_GetArrayBuffer(ctx, length, value);
  return !JS_HasException(ctx);
}

FN(utf8_encode) {
  size_t n;
  char *bytes = text_encode(argv[0], &n);
  return bytes ? new_buffer((uint8_t *)bytes, n) : JS_EXCEPTION;
}

FN(utf8_decode) {
  size_t n;
  uint8_t *bytes;
  if (!get_bytes(argv[0], &bytes, &n)) return JS_EXCEPTION;
  return text_decode(bytes, n);
}

FN(utf8_valid) {
  size_t n;
  uint8_t *bytes;
  if (!get_bytes(argv[0], &bytes, &n)) return JS_EXCEPTION;
  return JS_NewBool(c, !first_invalid(bytes, bytes + n));
}

int text_init(JSValueConst h) {
  define(h, "utf8Encode", utf8_encode, 1);
  define(h, "utf8Decode", utf8_decode, 1);
  define(h, "utf8Valid", utf8_valid, 1);
  return 0;
}
