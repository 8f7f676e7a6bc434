/*
 * Keeping writes together, and away from what is old.
 *
 * An isolate made from a snapshot gets its own copy of each page that it writes to. Allocators fill gaps first, so the few
 * kilobytes that a request allocates would be spread over hundreds of pages that are otherwise shared. Before a snapshot is
 * taken, therefore, every gap is given away: blocks that nobody owns and nobody frees. They cost address space and no
 * memory. CPython as Pyodide builds it has no allocator of its own, and QuickJS's arenas were detached before.
 *
 * CPython writes to every object that it uses, too, unless the object is immortal; so everything that is in a snapshot
 * becomes that. What a Worker later drops of it is not freed.
 */
#include <malloc.h>
#include <unistd.h>

#include "shim.h"

void heap_plug(void) {
  /* The last gap is the rest of the heap; blocks from there go back. */
  char *rest = (char *)sbrk(0) - mallinfo().keepcost - 64;
  for (size_t size = 256 << 10; size; size /= 2)
    for (char *block; (block = malloc(size));)
      if (block >= rest) {
        free(block);
        break;
      }
}

/* ---- Python's reference counts ---- */

typedef struct {
  int32_t references;
  void *type;
} PyObject;
typedef int (*Visit)(PyObject *object, void *argument);
typedef int (*Traverse)(PyObject *object, Visit visit, void *argument);
enum { PY_TP_TRAVERSE = 71 };
void *PyType_GetSlot(void *type, int slot);
PyObject *PyObject_GetAttr(PyObject *object, PyObject *name);
PyObject *PyUnicode_InternFromString(const char *text);
void PyErr_Clear(void);
unsigned PyType_ClearCache(void);
void PyUnstable_GC_VisitObjects(Visit visit, void *argument);

static int immortal;
static void *code_type;

/* Code holds on to objects without telling the collector. */
static const char *const part_names[] = {"co_consts", "co_names", "co_name", "co_qualname", "co_filename", "co_linetable"};
enum { PARTS = sizeof part_names / sizeof *part_names };
/* Interned: the cache of types' attributes keeps the name of each lookup, and knows it by its address. */
static PyObject *parts[PARTS];

static int keep(PyObject *object, void *argument);

static void keep_parts_of_code(PyObject *code) {
  for (int i = 0; i < PARTS; i++) {
    PyObject *part = parts[i] ? PyObject_GetAttr(code, parts[i]) : NULL;
    if (!part) {
      PyErr_Clear();
      continue;
    }
    bool is_new = part->references != immortal;
    keep(part, NULL);
    Traverse traverse = is_new ? (Traverse)PyType_GetSlot(part->type, PY_TP_TRAVERSE) : NULL;
    if (traverse) traverse(part, keep, NULL);
  }
}

static int keep(PyObject *object, void *argument) {
  if (object->references == immortal) return 0;
  object->references = immortal;
  if (object->type == code_type) keep_parts_of_code(object);
  return 0;
}

static int keep_all(PyObject *object, void *left) {
  if (!--*(int *)left) return 0;
  keep(object, NULL);
  Traverse traverse = (Traverse)PyType_GetSlot(object->type, PY_TP_TRAVERSE);
  if (traverse) traverse(object, keep, NULL);
  return 1;
}

/*
 * An object with this count is immortal: CPython (3.12 and later) then leaves its count alone. Goes through so many of the objects
 * that the collector knows; those that it leaves alone come last.
 */
void heap_immortalize(int count, void *type_of_code, int most) {
  immortal = count;
  code_type = type_of_code;
  /* It keeps names alive that nothing else knows. Each would be freed when its place is taken. */
  PyType_ClearCache();
  for (int i = 0; i < PARTS; i++) parts[i] = PyUnicode_InternFromString(part_names[i]);
  PyUnstable_GC_VisitObjects(keep_all, &most);
}
