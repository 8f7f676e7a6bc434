// What surrounds a handler: env, waitUntil, concurrency, output, hanging, and what is left behind.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker, skip } from "./harness.mjs";

const IMPORTS = "import asyncio\nfrom workers import *\n";
const worker = (source, options) => Worker.start({ "entry.py": IMPORTS + source }, options);

test("env", { skip }, async () => {
  const env = { NAME: "text", COUNT: 3, FLAG: true, NONE: null, NESTED: { list: ["x", { deep: 1 }] }, items: "shadowed?" };
  const w = await worker(
    `
from workers import env as top
assert top.NAME == "text"

class Default(WorkerEntrypoint):
    def fetch(self, request):
        env = self.env
        assert env is top and type(env.NAME) is str and env.COUNT == 3 and env.FLAG is True and env.NONE is None
        assert isinstance(env.NESTED, dict) and env.NESTED["list"][1].deep == 1 and env.NESTED.list[0] == "x"
        assert env.items == "shadowed?" and "NAME" in env and env["NAME"] == "text" and sorted(env) == dir(env)
        assert not hasattr(env, "MISSING") and getattr(env, "MISSING", 5) == 5 and "text" not in repr(env)
        with patch_env(NAME="patched", NEW=1):
            assert env.NAME == "patched" and env.NEW == 1
        assert env.NAME == "text" and not hasattr(env, "NEW")
        try:
            env.NAME = "x"
        except AttributeError:
            pass
        else:
            raise AssertionError
        module = import_from_javascript("cloudflare:workers")
        assert module.env.NAME == "text"
        return Response(env.NAMF if request.url.endswith("close") else env.MISSING)
`,
    { env }
  );
  const { failure } = await w.fetch("/");
  assert.match(failure.message, /^env has no variable or binding 'MISSING': there are: COUNT, FLAG, NAME, NESTED, NONE, items;/);
  assert.match((await w.fetch("/close")).failure.message, /did you mean 'NAME'\?/);
});

test("waitUntil goes on after the response, and its failures are reported", { skip }, async () => {
  const w = await worker(`
from pyodide.code import run_js

async def work(fail):
    await asyncio.sleep(0.02)
    if fail:
        raise RuntimeError("work failed")
    print("work done")
    wait_until(more())

async def more():
    await asyncio.sleep(0.01)
    print("more done")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "": self.ctx.waitUntil(work(False))
            case "fail": self.ctx.wait_until(work(True))
            case "task": wait_until(asyncio.create_task(more()))
            case "promise": waitUntil(run_js("new Promise(r => setTimeout(r, 10))"))
            case "rejected": waitUntil(run_js("Promise.reject(new Error('no'))"))
            case "wrong": waitUntil(5)
        self.ctx.passThroughOnException()
        return Response("answered")
`);
  const id = w.send("/");
  const request = w.host.of(id);
  assert.equal(request.status, 200);
  assert.equal(request.ended, false);
  assert.deepEqual(w.pending(), []);
  await w.finished(id);
  assert.deepEqual(w.output, ["work done", "more done"]);
  assert.equal((await w.fetch("/fail")).text, "answered");
  assert.equal(w.errors[0], "Exception in waitUntil:");
  assert.match(w.errors.join("\n"), /File "entry.py", line 9, in work[^]*RuntimeError: work failed$/);
  assert.equal((await w.fetch("/task")).text, "answered");
  assert.deepEqual(w.output.slice(2), ["more done"]);
  assert.equal((await w.fetch("/promise")).text, "answered");
  w.errors.length = 0;
  assert.equal((await w.fetch("/rejected")).text, "answered");
  assert.match(w.errors.join("\n"), /JsException: Error: no/);
  assert.match((await w.fetch("/wrong")).failure.message, /waitUntil takes a coroutine, future or promise, not int/);
});

test("requests interleave, each with a task and a context of its own", { skip }, async () => {
  const w = await worker(`
import contextvars
name = contextvars.ContextVar("name", default="nobody")
tasks = set()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        assert name.get() == "nobody"
        name.set(request.url)
        task = asyncio.current_task()
        assert task not in tasks
        tasks.add(task)
        async with asyncio.timeout(5):
            await asyncio.sleep(0.2)
        assert name.get() == request.url and asyncio.current_task() is task
        return Response(request.url)
`);
  const started = performance.now();
  const ids = Array.from({ length: 50 }, (_, i) => w.send(`/${i}`));
  assert.equal(w.pending().length, 50);
  const texts = await Promise.all(ids.map(async id => (await w.finished(id)).text));
  assert.deepEqual(texts, Array.from({ length: 50 }, (_, i) => `http://localhost/${i}`));
  // One after the other they take ten seconds.
  assert.ok(performance.now() - started < 5000);
});

test("print and logging", { skip }, async () => {
  const w = await worker(`
import logging, sys
logger = logging.getLogger("worker")

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        print("printed äöü 🐍")
        print("to stderr", file=sys.stderr)
        logger.debug("hidden")
        logger.info("told")
        logger.warning("warned")
        print("no newline", end="")
        if request.url.endswith("/configured"):
            logging.basicConfig(level=logging.DEBUG, format="%(message)s")
            logger.debug("shown")
        return Response("x")
`);
  await w.fetch("/");
  assert.deepEqual(w.output, ["printed äöü 🐍", "no newline"]);
  assert.deepEqual(w.errors, ["to stderr", "INFO worker: told", "WARNING worker: warned"]);
  w.errors.length = 0;
  await w.fetch("/configured");
  assert.deepEqual(w.errors.slice(-1), ["shown"]);
});

test("a handler that can never go on says where it waits", { skip }, async () => {
  const w = await worker(`
async def inner():
    await asyncio.Future()

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        try:
            await inner()
        finally:
            print("cleaned up")
`);
  const id = w.send("/");
  assert.deepEqual(w.pending(), [id]);
  w.runtime.failHung(id);
  const { failure } = await w.finished(id);
  assert.equal(failure.kind, "hung");
  assert.match(failure.message, /^Default\.fetch waits for something that can never happen/);
  assert.deepEqual(failure.frames.map(f => [f.function, f.line]), [["fetch", 10], ["inner", 5]]);
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.deepEqual(w.output, ["cleaned up"]);
  assert.deepEqual(w.pending(), []);
});

test("decorators compose", { skip }, async () => {
  const w = await worker(
    `
from functools import wraps

def loud(function):
    @wraps(function)
    async def wrapper(*args):
        response = await function(*args)
        return Response((await response.text()).upper())
    return wrapper

@loud
@handler
async def on_fetch(request, env):
    return Response(f"{type(request).__name__} {env.NAME}")
`,
    { globalHandlers: true, env: { NAME: "v" } }
  );
  assert.equal((await w.fetch("/")).text, "REQUEST V");
});

test("values across RPC", { skip }, async () => {
  const w = await worker(`
import datetime
import js
from pyodide.code import run_js
from pyodide.ffi import jsnull

class Default(WorkerEntrypoint):
    def fetch(self, request):
        js_json = lambda value: js.JSON.stringify(python_to_rpc(value))
        assert js_json({"a": [1, None, {"b": "c"}], "t": True}) == '{"a":[1,null,{"b":"c"}],"t":true}'
        assert python_to_rpc(None) is jsnull
        when = datetime.datetime(2026, 1, 2, 3, 4, 5)
        assert python_from_rpc(python_to_rpc(when)) == when
        assert python_to_rpc(ValueError("v")).message == "v"
        assert python_from_rpc(run_js("({a: [1, null, {b: new Map([['k', new Set([1])]])}], u: undefined})")) == {
            "a": [1, None, {"b": {"k": {1}}}], "u": None}
        assert python_from_rpc(run_js("({a: {b: 1}})")).a.b == 1
        assert python_from_rpc(run_js("new Uint8Array([1, 2])")) == b"\\x01\\x02"
        assert isinstance(python_from_rpc(js.Response.new("x")), Response)
        assert isinstance(python_from_rpc(js.Request.new("http://h/")), Request)
        for wrong in ((1,), bytearray(b"x"), asyncio.Future(), {1: 2}, object()):
            try:
                python_to_rpc(wrong)
            except TypeError:
                continue
            raise AssertionError(wrong)
        return Response("ok")
`);
  const { text, failure } = await w.fetch("/");
  assert.equal(failure, null, failure?.text);
  assert.equal(text, "ok");
});

test("a thousand requests leave nothing behind", { skip }, async () => {
  const w = await worker(`
import gc, sys

def count():
    gc.collect()
    return len(gc.get_objects())

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        match request.url.rsplit("/", 1)[1]:
            case "text": return Response("x", headers={"a": "b"})
            case "bytes": return Response(await request.bytes())
            case "wait":
                await asyncio.sleep(0)
                self.ctx.waitUntil(asyncio.sleep(0))
                return Response(request.headers["x"])
            case "fail": raise ValueError
            case "js": return Response("x").js_object
        return Response(str(count()))
`);
  const { py } = w;
  const round = async times => {
    for (let i = 0; i < times; i++) {
      await w.fetch("/text");
      await w.fetch("/bytes", { method: "POST", body: "body" });
      await w.fetch("/wait", { headers: { x: "y" } });
      await w.fetch("/fail");
      await w.fetch("/js");
    }
  };
  await round(5);
  const proxies = () => py._module.pyproxy_alloc_map?.size ?? 0;
  py._module.enable_pyproxy_allocation_tracing();
  const before = [Number((await w.fetch("/count")).text), proxies()];
  await round(200);
  // Once-callables of the event loop die with their call; give the last ones their turn.
  await new Promise(resolve => setTimeout(resolve, 20));
  const after = [Number((await w.fetch("/count")).text), proxies()];
  py._module.disable_pyproxy_allocation_tracing();
  assert.ok(after[0] - before[0] < 50, `Python objects: ${before[0]} → ${after[0]}`);
  assert.ok(after[1] - before[1] < 10, `proxies: ${before[1]} → ${after[1]}`);
  assert.deepEqual(w.pending(), []);
});

test("work and bodies that can never end are given up", { skip }, async () => {
  const w = await worker(`
from pyodide.code import run_js

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/body"):
            return Response(run_js("new ReadableStream({})"))
        self.ctx.waitUntil(asyncio.Future())
        return Response("answered")
`);
  const { error } = console;
  const logged = [];
  console.error = (...args) => logged.push(args.join(" "));
  try {
    for (const path of ["/", "/body"]) {
      const id = w.send(path);
      assert.equal(w.host.of(id).ended, false);
      w.runtime.failHung(id);
      assert.equal((await w.finished(id)).status, 200);
    }
  } finally {
    console.error = error;
  }
  assert.match(w.errors[0], /Work given to waitUntil waits for something/);
});

test("a Worker that replaces sys.stdout", { skip }, async () => {
  const w = await worker(`
import sys

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        saved, sys.stdout = sys.stdout, None
        if request.url.endswith("/back"):
            sys.stdout = sys.__stdout__
        return Response("x")
`);
  assert.equal((await w.fetch("/")).text, "x");
  assert.equal((await w.fetch("/back")).text, "x");
});
