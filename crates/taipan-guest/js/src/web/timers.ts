/**
 * Timers and immediates. The turn loop calls `runDue` until it says false and drains microtasks in between, so each
 * callback is a task of its own.
 *
 * Timers wait in a binary heap ordered by (time, sequence). Every entry knows its place, so cancelling does not
 * search. Immediates are a queue: Python's event loop makes one for every `call_soon`. Heap and queue are merged by
 * (time, sequence) too, so neither starves the other.
 */
import { reportError } from "./console";
import { host } from "./host";

interface Task {
  readonly id: number;
  callback: ((...args: unknown[]) => unknown) | undefined;
  readonly args: readonly unknown[];
  /** Monotonic milliseconds. */
  at: number;
  sequence: number;
  /** Place in the heap; −1 for what is not in it. */
  index: number;
  /** The immediate after this one. */
  next: Task | undefined;
  /** Milliseconds; −1 for what runs once. */
  readonly interval: number;
  /** The request that made it. */
  readonly cause: number;
}

const heap: Task[] = [];
const byId = new Map<number, Task>();
// A linked list: a loop that always has an immediate pending never gets to empty it.
let firstImmediate: Task | undefined;
let lastImmediate: Task | undefined;
let lastId = 0;
let lastSequence = 0;
/** When the current task began: the time of immediates, cheaper than asking the host for each. */
let turn = 0;
/** Whether the turn loop knows that there are tasks. As long as it does not, it asks nothing here. */
let isAwaited = false;

function awaitTasks(): void {
  if (isAwaited) return;
  isAwaited = true;
  turn = host.now(1);
  host.awaitTimers();
}

const before = (a: Task, b: Task) => a.at < b.at || (a.at === b.at && a.sequence < b.sequence);

function place(task: Task, index: number): void {
  heap[index] = task;
  task.index = index;
}

function siftUp(task: Task): void {
  let i = task.index;
  while (i > 0) {
    const parent = heap[(i - 1) >> 1] as Task;
    if (!before(task, parent)) break;
    place(parent, i);
    i = (i - 1) >> 1;
  }
  place(task, i);
}

function siftDown(task: Task): void {
  let i = task.index;
  for (;;) {
    let child = heap[2 * i + 1];
    if (!child) break;
    const right = heap[2 * i + 2];
    if (right && before(right, child)) child = right;
    if (!before(child, task)) break;
    const next = child.index;
    place(child, i);
    i = next;
  }
  place(task, i);
}

function schedule(task: Task): void {
  place(task, heap.length);
  siftUp(task);
}

function unschedule(task: Task): void {
  const last = heap.pop() as Task;
  const index = task.index;
  task.index = -1;
  if (last === task) return;
  place(last, index);
  siftUp(last);
  siftDown(last);
}

function nextImmediate(): Task | undefined {
  while (firstImmediate && !firstImmediate.callback) firstImmediate = firstImmediate.next;
  if (!firstImmediate) lastImmediate = undefined;
  return firstImmediate;
}

/** The next task, whether it is due or not. */
function next(): Task | undefined {
  const timer = heap[0];
  const immediate = nextImmediate();
  return timer && (!immediate || before(timer, immediate)) ? timer : (immediate ?? timer);
}

/** Runs the first task that is due at `now` (monotonic milliseconds); false when none is. */
export function runDue(now: number): boolean {
  turn = now;
  const task = next();
  if (!task || task.at > now) return false;
  const { callback } = task;
  if (task.index < 0) {
    firstImmediate = task.next;
    if (!firstImmediate) lastImmediate = undefined;
    byId.delete(task.id);
  } else if (task.interval < 0) {
    unschedule(task);
    byId.delete(task.id);
  } else {
    // Not drifting with the callback's run time, and never catching up with what was missed.
    task.at = Math.max(task.at + task.interval, now);
    // An interval of 0 is due again at the next millisecond, or a turn would never end.
    if (task.at <= now) task.at = now + 1;
    task.sequence = ++lastSequence;
    siftDown(task);
  }
  host.setCause(task.cause);
  try {
    callback?.(...task.args);
  } catch (error) {
    reportError(error);
  }
  return true;
}

/** When the next task is due, in monotonic milliseconds. When there is none, the turn loop asks no more until there is one. */
export function nextDue(): number | undefined {
  const at = next()?.at;
  isAwaited = at !== undefined;
  return at;
}

type Callback = (...args: unknown[]) => unknown;

/** Web IDL's `long`, with negative delays as none. */
function milliseconds(delay: unknown): number {
  return Math.max(0, Number(delay) | 0);
}

function checked(callback: unknown): Callback {
  if (typeof callback !== "function") throw new TypeError("The callback is not a function");
  return callback as Callback;
}

function start(callback: unknown, delay: number, interval: number, args: readonly unknown[]): number {
  const task: Task = {
    id: ++lastId,
    callback: checked(callback),
    args,
    at: host.now(1) + delay,
    sequence: ++lastSequence,
    index: -1,
    next: undefined,
    interval,
    cause: host.cause(),
  };
  byId.set(task.id, task);
  schedule(task);
  awaitTasks();
  return task.id;
}

export function setTimeout(callback: Callback, delay: unknown = 0, ...args: unknown[]): number {
  return start(callback, milliseconds(delay), -1, args);
}

export function setInterval(callback: Callback, delay: unknown = 0, ...args: unknown[]): number {
  const interval = milliseconds(delay);
  return start(callback, interval, interval, args);
}

export function setImmediate(callback: Callback, ...args: unknown[]): number {
  awaitTasks();
  const task: Task = {
    id: ++lastId,
    callback: checked(callback),
    args,
    at: turn,
    sequence: ++lastSequence,
    index: -1,
    next: undefined,
    interval: -1,
    cause: host.cause(),
  };
  byId.set(task.id, task);
  if (lastImmediate) lastImmediate.next = task;
  else firstImmediate = task;
  lastImmediate = task;
  return task.id;
}

function clear(id: unknown): void {
  const task = byId.get(Number(id));
  if (!task) return;
  byId.delete(task.id);
  task.callback = undefined;
  if (task.index >= 0) unschedule(task);
}

export function clearTimeout(id: unknown = undefined): void {
  clear(id);
}
export function clearInterval(id: unknown = undefined): void {
  clear(id);
}
export function clearImmediate(id: unknown = undefined): void {
  clear(id);
}

const resolved = Promise.resolve();

export function queueMicrotask(callback: () => unknown): void {
  const job = checked(callback);
  void resolved.then(() => {
    try {
      job();
    } catch (error) {
      reportError(error);
    }
  });
}
