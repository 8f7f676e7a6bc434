// Exceptions of C++ that unwind frames of their own, of ctypes and of Python.
#define EXPORT extern "C" __attribute__((visibility("default")))

typedef int (*Callback)(int);

struct Guard {
  int *count;
  ~Guard() { ++*count; }
};

static int deep(int depth, int *unwound) {
  Guard guard{unwound};
  if (depth == 0) throw 42;
  return deep(depth - 1, unwound) + 1;
}

EXPORT int returns(int n) { return n; }

// 42000 and how many destructors ran.
EXPORT int caught(int depth) {
  int unwound = 0;
  try {
    return deep(depth, &unwound);
  } catch (int thrown) {
    return thrown * 1000 + unwound;
  }
}

// The same through a handler for another type, and one that throws it on.
EXPORT int rethrown(int depth) {
  int unwound = 0;
  try {
    try {
      return deep(depth, &unwound);
    } catch (const char *) {
      return -1;
    } catch (...) {
      unwound += 100;
      throw;
    }
  } catch (int thrown) {
    return thrown * 1000 + unwound;
  }
}

// Throws what the callback gives, when that is negative.
EXPORT int throws_result(Callback callback, int n) {
  int unwound = 0;
  try {
    Guard guard{&unwound};
    int result = callback(n);
    if (result < 0) throw result;
    return result;
  } catch (int thrown) {
    return thrown * 1000 - unwound;
  }
}

// Nobody catches it in here.
EXPORT int uncaught(int n) {
  if (n > 0) throw n;
  return n;
}

// Catches what `uncaught` throws in a call that went out to Python and came back.
EXPORT int catches_all(Callback callback, int n) {
  try {
    return callback(n);
  } catch (int thrown) {
    return 7000 + thrown;
  } catch (...) {
    return -1;
  }
}
