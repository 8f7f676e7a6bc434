// setjmp and longjmp, within C and over frames of Python.
#define EXPORT __attribute__((visibility("default")))

// As Emscripten's.
typedef struct {
  unsigned long state[40];
} jmp_buf[1];
int setjmp(jmp_buf);
_Noreturn void longjmp(jmp_buf, int);

typedef int (*Callback)(int);

static jmp_buf inner, outer;

__attribute__((noinline)) static void jump_from(int depth) {
  if (depth == 0) longjmp(inner, 77);
  jump_from(depth - 1);
}

EXPORT int jumps(int depth) {
  volatile int local = 1;
  int result = setjmp(inner);
  if (result) return result * 10 + local;
  local = 2;
  jump_from(depth);
  return -1;
}

EXPORT int jumps_again(int times) {
  volatile int count = 0;
  setjmp(inner);
  if (count < times) {
    count++;
    longjmp(inner, 1);
  }
  return count;
}

EXPORT int lands(Callback callback, int n) {
  int result = setjmp(outer);
  return result ? 5000 + result : callback(n);
}

EXPORT int leaps(int n) { longjmp(outer, n); }
