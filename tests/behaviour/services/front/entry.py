import asyncio
import traceback
from datetime import datetime

import js
from pyodide.ffi import create_proxy
from workers import BindingError, RemoteError, Request, Response, RpcStub, RpcTarget, WorkerEntrypoint, env, import_from_javascript


async def fetches():
    response = await env.BACK.fetch("https://back/echo", method="PUT", body="hello")
    assert (response.status, await response.text()) == (200, "hello")
    assert response.headers["x-method"] == "PUT" and response.headers["x-props"] == "{}"
    assert await (await env.BACK.fetch("https://back/upper", method="POST", body="a b c")).text() == "A B C"
    assert (await env.BACK.fetch("https://back/none")).status == 404
    assert await (await env.BACK.fetch("https://back/file.txt")).text() == "an asset of the other Worker\n"
    assert (await env.BACK.fetch("https://back/moved", redirect="manual")).status == 302
    assert (await env.BACK.fetch("https://back/moved")).url == "https://back/echo"
    assert await (await env.ADMIN.fetch("https://x/")).text() == "admin: {'role': 'boss'}"
    for call, said in [
        (env.BACK.fetch("https://back/fails"), "the Worker back failed"),
        (env.ABSENT.fetch("https://x/"), "no Worker of this name runs here: nowhere; there are: back, front"),
        (env.MISSING.fetch("https://x/"), "no entrypoint 'Missing'"),
    ]:
        try:
            await call
        except BindingError as error:
            assert said in str(error) and error.binding in str(error), error
        else:
            raise AssertionError(said)


async def values():
    assert await env.BACK.add(1, b=2, c=3) == 6
    assert await env.BACK.add("a", "b", c="c") == "abc"
    for value in [
        None, True, 0, -1.5, 2**40, "", "ä\x00", b"", b"\x00\xff", [], {}, {"a": [1, {"b": None}]}, {1, 2},
        datetime(2026, 1, 2, 3, 4, 5), [b"1", b"22"], "x" * 100_000, b"x" * 300_000,
    ]:
        result = await env.BACK.same(value)
        assert result == value and type(result) is not type(None) or value is None, value
    assert await env.BACK.kinds({"a": b"1"}) == "{'a': b'1'}"
    assert await env.ADMIN.who() == {"role": "boss"}


async def errors():
    async def raised(call):
        try:
            await call
        except Exception as error:
            return error
        raise AssertionError("nothing was raised")

    error = await raised(env.BACK.fail("value"))
    assert type(error) is ValueError and error.args == ("what", 3), error
    assert error.__notes__ == ["raised by env.BACK.fail()"]
    error = await raised(env.BACK.fail("key"))
    assert type(error) is KeyError and error.args == ("absent",), error
    error = await raised(env.BACK.fail("own"))
    assert type(error) is RemoteError and (error.name, error.binding, str(error)) == ("Refused", "BACK", "Refused: not today")
    for name in ("_private", "__init__", "attribute", "nothing", "fetch_", "queue", "env"):
        if name.startswith("_"):
            error = await raised(env.BACK._ask((name,), (), {}))
        else:
            error = await raised(getattr(env.BACK, name)())
        assert isinstance(error, TypeError) and f"no method {name!r}" in str(error), (name, error)
    error = await raised(env.ABSENT.anything())
    assert "no Worker of this name" in str(error), error
    error = await raised(env.MISSING.anything())
    assert "no entrypoint 'Missing'" in str(error), error
    error = await raised(env.BACK.add())
    assert type(error) is TypeError and "missing 1 required" in str(error), error
    for value, said in [(object(), "object"), ((1, 2), "tuple"), (env.BACK, "Service"), (env.BACK.add, "RpcMember"), ({1: 2}, "str, not int")]:
        error = await raised(env.BACK.same(value))
        assert type(error) is TypeError and said in str(error), error
    # JavaScript's word for what is beyond a limit.
    error = await raised(env.BACK.each([1], js.eval("() => { throw new RangeError('too much') }")))
    assert type(error) is ValueError and error.args == ("too much",), error


async def callbacks():
    seen = []

    async def double(value):
        seen.append(value)
        return {"twice": value * 2}

    assert await env.BACK.each([1, "a", b"b"], double) == [{"twice": 2}, {"twice": "aa"}, {"twice": b"bb"}]
    assert seen == [1, "a", b"b"]

    def fails(value):
        raise LookupError(f"no {value}")

    try:
        await env.BACK.each([1], fails)
    except LookupError as error:
        assert str(error) == "no 1"
    else:
        raise AssertionError("it did not fail")
    counter = await env.BACK.counter(5)
    assert counter["start"] == 5
    assert [await counter["next"](), await counter["next"](10)] == [6, 16]
    other = await env.BACK.counter(100)
    assert await other["next"]() == 101 and await counter["next"]() == 17


async def fails(call, kind, said):
    try:
        await call
    except kind as error:
        assert said in str(error), error
    else:
        raise AssertionError(f"no error: {said}")


async def targets():
    counter = await env.BACK.make("one")
    assert type(counter) is RpcStub
    assert await counter.increment() == 1 and await counter.increment(5, times=2) == 11
    assert await counter.value == 11
    assert await counter.labels.name == "one"
    labels = await counter.labels
    assert labels["name"] == "one" and await labels["reset"]() is None and await counter.value == 0
    # A member of a member, and the object itself once more.
    assert await counter.twin.increment(3) == 3 and await counter.value == 0
    assert await counter.labels.reset() is None
    same = await counter.itself()
    assert await same.increment(2) == 2 and await counter.value == 2
    method = await counter.increment
    assert await method(1) == 3
    await fails(counter.fail(), LookupError, "nothing to count")
    for member in ("_secret", "step", "absent", "dispose", "name"):
        await fails(counter._ask((member,), (), {}), TypeError, f"Counter has no method or property {member!r} that another Worker could use")
    await fails(counter.value(), TypeError, "value of Counter is a property, not a method")
    assert counter.sync.value.get() == 3 and counter.sync.increment(4) == 7


async def properties():
    assert await env.BACK.version == {"major": 1} and await env.BACK.later == "later"
    assert env.BACK.sync.version.get() == {"major": 1}
    await fails(until(env.BACK.attribute), TypeError, "no method or property 'attribute' that another Worker could use")
    assert await env.BACK.version.major == 1
    await fails(until(env.BACK.version.minor), TypeError, "Object has no method or property \"minor\" that another Worker could use")
    await fails(env.BACK.version(), TypeError, "no method 'version' that another Worker could call")


async def until(awaitable):
    return await awaitable


async def came(name):
    for _ in range(300):
        if name in await env.BACK.disposed():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"never disposed of: {name}")


async def disposal():
    counter = await env.BACK.make("held twice")
    copy = counter.dup()
    counter.dispose()
    counter.dispose()
    await fails(counter.increment(), Exception, "The stub has been disposed of")
    try:
        counter.dup()
    except Exception as error:
        assert "The stub has been disposed of" in str(error), error
    assert await copy.increment() == 1
    assert "held twice" not in await env.BACK.disposed()
    with copy:
        assert await copy.increment() == 2
    await came("held twice")
    with await env.BACK.make("in a block") as counter:
        await counter.increment()
    await came("in a block")
    # Nobody has it any more, which needs no collector to be found out.
    await env.BACK.make("forgotten")
    await came("forgotten")
    async with env.BACK.pair("both") as pair:
        assert await pair["first"].increment() == 1
    await came("both 1")
    await came("both 2")


async def pipelining():
    # Each of these crosses once, in this order: the second is with the other Worker while the first still waits there.
    counter = env.BACK.slowly("piped")
    first, second = counter.increment(2), counter.increment(3)
    assert await asyncio.gather(first, second) == [2, 5]
    assert await env.BACK.made() == ["slowly began", "slowly ended"]
    # The result itself is had as well, and asked from then on.
    same = await counter
    assert await same.increment() == 6 and await counter.value == 6
    assert await env.BACK.slowly("chained").twin.increment(4) == 4
    assert await env.BACK.slowly("deep").itself().itself().increment(times=7) == 7
    assert await env.BACK.pair("in data").first.increment(8) == 8
    assert await env.BACK.adder(5)(37) == 42
    assert await env.BACK.slowly("of a stub").labels.name == "of a stub"
    # A chain is a coroutine like others.
    assert await asyncio.create_task(env.BACK.slowly("task").increment()) == 1
    assert await asyncio.wait_for(env.BACK.slowly("waited").increment(), 10) == 1
    task = asyncio.create_task(env.BACK.add(env.BACK, 1))
    await fails(task, TypeError, "Service")
    task = asyncio.ensure_future(env.BACK.forever().increment())
    await asyncio.sleep(0.05)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    # What is asked of what fails, fails likewise, and so does what is asked of what is no object.
    await fails(env.BACK.fail("value").anything().more, ValueError, "what")
    await fails(env.BACK.add(1, 2).increment(), TypeError, "Number has no method or property \"increment\"")
    await fails(env.BACK.slowly("private")._ask(("_secret",), (), {}), TypeError, "'_secret'")
    await fails(env.MISSING.anything().more(), Exception, "no entrypoint 'Missing'")
    await fails(env.ABSENT.anything().more(), Exception, "no Worker of this name")
    await fails(env.BACK.add(env.BACK.version, 1), TypeError, "RpcMember")
    await fails(env.BACK.add(env.BACK.make("x"), 1), TypeError, "RpcPromise")
    # Nothing is kept for them, here or there.
    for name in ("chained", "deep", "of a stub", "task", "waited"):
        await came(name)


async def broken():
    """Says when the other isolate is gone."""
    counter, told = await env.BACK.make("broken"), asyncio.get_running_loop().create_future()
    counter.on_rpc_broken(told.set_result)
    unheard = await env.BACK.make("unheard")
    unheard.on_rpc_broken(lambda error: told.set_exception(error))
    unheard.dispose()
    await fails(env.BACK.die(), Exception, "the Worker back failed")
    error = await asyncio.wait_for(told, 60)
    assert "nothing can be asked any more" in str(error), error
    await fails(counter.increment(), Exception, "is not there any more")
    late = asyncio.get_running_loop().create_future()
    counter.on_rpc_broken(late.set_result)
    assert "the Worker that has it is gone" in str(await asyncio.wait_for(late, 60))


async def flat():
    """Results that nobody has any more leave nothing behind, here and there."""
    await run_javascript("flat")


class Mine(RpcTarget):
    def __init__(self):
        self.count = 0
        self.is_disposed = False

    async def increment(self, by=1):
        self.count += by
        return self.count

    def dispose(self):
        self.is_disposed = True


async def arguments():
    """What a call is given is good until it has returned, unless it is kept."""
    mine = Mine()
    assert await env.BACK.borrow(mine) == 10
    await fails(env.BACK.use_kept(), Exception, "an argument of a call that has returned, which only its dup() outlives")
    for _ in range(300):
        if mine.is_disposed:
            break
        await asyncio.sleep(0.01)
    assert mine.is_disposed
    mine = Mine()
    assert await env.BACK.borrow(mine, keep=True) == 10
    assert await env.BACK.use_kept() == 11 and mine.count == 11 and not mine.is_disposed
    await env.BACK.drop_kept()
    for _ in range(300):
        if mine.is_disposed:
            break
        await asyncio.sleep(0.01)
    assert mine.is_disposed
    await env.BACK.keep_function(lambda value: value * 2)
    assert await env.BACK.call_kept(21) == 42
    # By way of another Worker and back, also when that is a third one's.
    mine = Mine()
    given = await env.BACK.pass_on(mine)
    assert await given["again"].increment() == 1 and mine.count == 1
    assert await given["own"].value == 5
    there = await env.BACK.make("passed on")
    again = (await env.BACK.pass_on(there))["again"]
    there.dispose()
    assert await again.increment(7) == 7
    assert await env.BACK.borrow(again) == 17
    again.dispose()
    await came("passed on")


async def sockets():
    response = await env.BACK.fetch("https://back/socket", headers={"upgrade": "websocket"})
    assert response.status == 101 and response.headers["x-from"] == "back"
    socket = response.js_object.webSocket
    heard, closed = [], asyncio.get_running_loop().create_future()
    socket.addEventListener("message", create_proxy(lambda event: heard.append(event.data)))
    socket.addEventListener("close", create_proxy(lambda event: closed.set_result((event.code, event.reason, event.wasClean))))
    socket.accept()
    for text in ("a", "b" * 100_000):
        socket.send(text)
    for _ in range(500):
        socket.send("x" * 1000)
    socket.send("bye")
    assert await closed == (4002, "done", True)
    assert heard == ["A", "B" * 100_000, *["X" * 1000] * 500, "good"], (len(heard), heard[-1:])
    await fails(env.BACK.fetch("https://back/none", headers={"upgrade": "websocket"}), BindingError, "the Worker back answered with status 404 instead of a WebSocket")


async def streams():
    async def pieces():
        for i in range(50):
            yield bytes(1000 + i)

    assert await env.BACK.total(pieces()) == 50 * 1000 + 49 * 25
    assert sum([len(piece) async for piece in await env.BACK.stream(100)]) == 100_000
    taken = 0
    async for piece in await env.BACK.endless():
        taken += len(piece)
        if taken >= 10_000:
            break
    response = await env.BACK.page(Request("https://x/", method="POST", headers={"x-a": "b"}, body="text"))
    assert (response.status, await response.text()) == (201, "POST b text")


def blocking():
    assert env.BACK.sync.add(1, 2) == 3
    assert env.BACK.sync.fetch("https://back/none").status == 404
    try:
        env.BACK.sync.fail("own")
    except RemoteError as error:
        assert error.name == "Refused"


async def depth():
    # Each Worker calls the other until there are too many calls in one another.
    try:
        await env.BACK.bounce(100)
    except Exception as error:
        assert "Workers call each other too deeply" in str(error), error
    else:
        raise AssertionError("it went on for ever")
    assert await env.BACK.bounce(6) == "landed"


async def run_javascript(name):
    from workers._runtime import js_env

    await getattr(import_from_javascript("from.mjs"), name)(js_env)


async def from_javascript():
    await run_javascript("run")


async def queue():
    await env.JOBS.send({"for": "the other"})
    for _ in range(200):
        jobs = await env.BACK.jobs()
        if jobs:
            return jobs
        await js.scheduler.wait(20)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = request.url.split("/")[3]
        if name.startswith("encoded"):
            return await self.env.BACK.fetch(f"https://back/{name}")
        try:
            result = globals()[name]()
            result = await result if result is not None else None
        except Exception:
            return Response(traceback.format_exc(), status=500)
        return Response.json(result) if result is not None else Response("ok")

    async def bounce(self, n):
        return "landed" if n == 0 else await self.env.BACK.bounce(n - 1)
