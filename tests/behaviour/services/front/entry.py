import traceback
from datetime import datetime

import js
from workers import BindingError, RemoteError, Request, Response, WorkerEntrypoint, env


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
            error = await raised(env.BACK._call(name, (), {}))
        else:
            error = await raised(getattr(env.BACK, name)())
        assert isinstance(error, TypeError) and f"no method {name!r}" in str(error), (name, error)
    error = await raised(env.ABSENT.anything())
    assert "no Worker of this name" in str(error), error
    error = await raised(env.MISSING.anything())
    assert "no entrypoint 'Missing'" in str(error), error
    error = await raised(env.BACK.add())
    assert type(error) is TypeError and "missing 1 required" in str(error), error
    error = await raised(env.BACK.same(object()))
    assert type(error) is TypeError, error


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


async def from_javascript():
    from workers._runtime import js_env

    await js.eval("""async env => {
        const same = (a, b) => { if (JSON.stringify(a) !== JSON.stringify(b)) throw new Error(`${JSON.stringify(a)}`); };
        same(await env.BACK.add(1, 2), 3);
        same(await env.BACK.each([1, 2], n => n * 10), [10, 20]);
        same(await (await env.BACK.fetch("https://back/echo", { method: "POST", body: "js" })).text(), "js");
        const map = await env.BACK.same(new Map([["a", new Date(5)]]));
        same(map.a?.getTime?.() ?? map.get("a").getTime(), 5);
        await env.BACK.fail("key").then(() => { throw new Error("no error") }, e => same(e.name, "KeyError"));
    }""")(js_env)


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
        try:
            result = globals()[name]()
            result = await result if result is not None else None
        except Exception:
            return Response(traceback.format_exc(), status=500)
        return Response.json(result) if result is not None else Response("ok")

    async def bounce(self, n):
        return "landed" if n == 0 else await self.env.BACK.bounce(n - 1)
