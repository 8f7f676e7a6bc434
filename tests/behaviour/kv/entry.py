import asyncio
import hashlib
import io
import json
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import js
from cases import named, raises
from workers import BindingError, KVNamespace, Response, WorkerEntrypoint, env, import_from_javascript

try:
    env.KV.sync.get("k")
    AT_IMPORT = "it was allowed"
except BindingError as error:
    AT_IMPORT = str(error)


async def types(kv):
    assert isinstance(kv, KVNamespace) and repr(kv) == "<KVNamespace env.KV>"
    assert await kv.get("missing") is None
    await kv.put("text", "héllo\n\0")
    assert await kv.get("text") == "héllo\n\0"
    assert await kv.get("text", "text") == await kv.get("text", type="text") == "héllo\n\0"
    data = bytes(range(256))
    for value in (data, bytearray(data), memoryview(data), io.BytesIO(data), js.Uint8Array.new(list(data))):
        await kv.put("bytes", value)
        assert await kv.get("bytes", "bytes") == data == await kv.get("bytes", {"type": "arrayBuffer"})
    await kv.put("empty", "")
    assert await kv.get("empty") == "" and await kv.get("empty", "bytes") == b""
    await kv.put("json", {"a": [1, None, {"b": "é"}]})
    value = await kv.get("json", "json")
    assert value == {"a": [1, None, {"b": "é"}]} and value.a[2].b == "é"
    assert json.loads(await kv.get("json")) == value
    await kv.put("list", [1, 2])
    assert await kv.get("list", type="json") == [1, 2]
    assert await kv.get(["text", "missing", "list"]) == {"text": "héllo\n\0", "missing": None, "list": "[1,2]"}
    assert await kv.get(["list", "missing"], "json") == {"list": [1, 2], "missing": None}
    await kv.delete("text")
    await kv.delete(["list", "missing"])
    assert await kv.get(["text", "list"]) == {"text": None, "list": None}
    assert await env.OTHER.get("json") is None


async def metadata(kv):
    assert await kv.getWithMetadata("missing") == {"value": None, "metadata": None, "cacheStatus": None}
    await kv.put("m", "line 1\nline 2", {"metadata": {"tags": ["x"], "é": None}})
    found = await kv.getWithMetadata("m")
    assert found.value == "line 1\nline 2" and found.metadata == {"tags": ["x"], "é": None}
    await kv.put("m", "[1]", metadata=7)
    assert (await kv.get_with_metadata("m", "json"))["value"] == [1]
    found = await kv.getWithMetadata("m", "bytes")
    assert (found.value, found.metadata) == (b"[1]", 7)
    many = await kv.getWithMetadata(["m", "missing"])
    assert many == {"m": {"value": "[1]", "metadata": 7}, "missing": {"value": None, "metadata": None}}
    await kv.put("m", "plain")
    assert (await kv.getWithMetadata("m")).metadata is None


async def lists(kv):
    names = [f"list/{i:02}" for i in range(25)]
    await asyncio.gather(*(kv.put(name, name, metadata={"n": name}) for name in names))
    page = await kv.list({"prefix": "list/", "limit": 10})
    assert [key.name for key in page["keys"]] == names[:10] and not page.list_complete
    page = await kv.list(prefix="list/", limit=100, cursor=page.cursor)
    assert [key.name for key in page["keys"]] == names[10:] and page.list_complete and "cursor" not in page
    assert page["keys"][0].metadata == {"n": "list/10"} and "expiration" not in page["keys"][0]
    assert [name async for name in kv.keys("list/1")] == names[10:20]
    assert (await kv.list(prefix="nothing"))["keys"] == []
    await raises(BindingError, "the limit of a list is from 1 to 1000", kv.list(limit=0))
    await raises(BindingError, "the cursor is none that a list gave", kv.list(cursor="!"))


async def endings(kv):
    await kv.put("ttl", "1", {"expirationTtl": 60})
    await kv.put("delta", "1", expiration_ttl=timedelta(hours=1))
    soon = datetime.now(UTC) + timedelta(minutes=5)
    await kv.put("at", "1", expiration=soon)
    await kv.put("seconds", "1", {"expiration": int(soon.timestamp())})
    ends = {key.name: key.get("expiration") for key in (await kv.list())["keys"]}
    assert ends["at"] == ends["seconds"] == int(soon.timestamp())
    assert 3500 < ends["delta"] - datetime.now(UTC).timestamp() < 3700
    error = await raises(BindingError, "expirationTtl is at least 60 seconds, not 59", kv.put("k", "v", expiration_ttl=59))
    assert (error.binding, error.key) == ("KV", "k") and str(error).startswith("env.KV.put('k'): ")
    await raises(BindingError, "at least 60 seconds from now", kv.put("k", "v", {"expiration": 1}))
    await raises(TypeError, "A time is a number of seconds, not str", kv.put("k", "v", expiration="soon"))


async def limits(kv):
    await kv.put("k" * 512, "")
    await raises(BindingError, "the key is too long: 513 > 512 bytes", kv.put("k" * 513, ""))
    await raises(BindingError, "a key is not empty", kv.get(""))
    await raises(BindingError, "1027 > 1024 bytes of JSON", kv.put("k", "", metadata="x" * 1025))
    await raises(BindingError, "too many keys at once: 101 > 100", kv.get(["k"] * 101))
    await raises(TypeError, "A key is a str, not int", kv.get(1))
    await raises(TypeError, "not float", kv.put("k", 1.5))
    await raises(TypeError, "put() has no option 'ttl'", kv.put("k", "v", {"ttl": 1}))
    await raises(ValueError, "not 'blob'", kv.get("k", "blob"))
    await raises(TypeError, "get() has no option 'typ'; there are: type, cache_ttl", kv.get("k", typ="json"))
    await raises(ValueError, "cacheTtl is at least 30 seconds, not 29", kv.get("k", {"cacheTtl": 29}))
    assert await kv.get("k", cache_ttl=30) is None
    await raises(TypeError, "list() has no option 'prefx'", kv.list({"prefx": "a"}))
    await raises(TypeError, "The limit of a list is an int, not str", kv.list(limit="1"))
    await raises(TypeError, "The prefix of a list is a str, not bytes", kv.list(prefix=b"a"))
    await raises(ValueError, "A time is a number of seconds, not nan", kv.put("k", "v", expiration_ttl=float("nan")))
    await raises(TypeError, "env.KV.put('k'): the metadata cannot be JSON: ", kv.put("k", "v", metadata={1}))
    await raises(TypeError, "env.KV.put('k'): the value cannot be JSON: ", kv.put("k", [object()]))

    async def endless():
        while True:
            yield b"x" * 1_000_000

    await raises(BindingError, "the value is too large: more than 26214400 bytes", kv.put("k", endless()))
    await kv.put("brackets", "[[")
    error = await raises(ValueError, "Expecting value", kv.get("brackets", "json"))
    assert error.__notes__ == ["The value that env.KV.get('brackets') has found is not JSON"]


async def sync(kv):
    assert kv.sync.put("sync", "1", metadata={"a": 1}) is None
    assert kv.sync.get("sync") == "1" and kv.sync.get("sync", "json") == 1
    assert kv.sync.getWithMetadata("sync").metadata == {"a": 1}
    assert [key.name for key in kv.sync.list(prefix="sync")["keys"]] == ["sync"]
    assert [*kv.sync.keys("sync")] == ["sync"]
    assert b"".join(kv.sync.get("sync", "stream")) == b"1"
    kv.sync.delete("sync")
    assert kv.sync.get("sync") is None


async def on_the_spot(kv):
    await kv.put("flag", "0")
    for n in range(200):
        assert await kv.get("flag") == str(n)
        await kv.put("flag", str(n + 1))
    assert [await kv.get("absent") for _ in range(200)] == [None] * 200

    # Whoever asks and asks lets others go on all the same.
    async def put():
        await kv.put("flag", "set")

    other = asyncio.ensure_future(put())
    while await kv.get("flag") != "set":
        pass
    await other
    # As JavaScript has strings: a pair of surrogates is a character, and a lone one is none.
    await kv.put("\ud83d\ude00", "\ud83d\ude00 \ud800")
    assert await kv.get("\N{GRINNING FACE}") == await kv.get("\ud83d\ude00") == "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"
    assert await kv.get(["\ud83d\ude00"], "text") == {"\ud83d\ude00": "\N{GRINNING FACE} \N{REPLACEMENT CHARACTER}"}


async def from_javascript(kv):
    there = import_from_javascript("cloudflare:workers").env.KV
    await there.put("js", "[1]")
    assert await there.get("js") == "[1]" and (await there.get("js", "json")).to_py() == [1]
    assert (await there.get("js", "arrayBuffer")).to_bytes() == b"[1]"
    listed = (await there.list()).to_py()
    assert {"name": "js"} in listed["keys"] and listed["list_complete"] is True
    stream = js.Response.new("streamed").body
    await there.put("js-stream", stream)
    assert await js.Response.new(await there.get("js-stream", "stream")).text() == "streamed"
    found = (await there.get(js.JSON.parse('["js", "no"]'), "json")).to_py()
    assert found["js"] == [1] and found["no"] in (None, js.JSON.parse("null"))


async def imports(kv):
    assert "env.KV is a binding, which module scope cannot use" in AT_IMPORT, AT_IMPORT
    assert "Use it in a handler" in AT_IMPORT


TESTS = named(types, metadata, lists, endings, limits, sync, on_the_spot, from_javascript, imports)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).path[1:]
        kv = self.env.KV
        if name == "large":
            if request.method == "PUT":
                await kv.put("large", request.js_object.body)
                return Response("put")
            return Response(await kv.get("large", "stream"))
        if name == "digest":
            digest = hashlib.sha256()
            async for chunk in await kv.get("large", "stream"):
                digest.update(chunk)
            return Response(digest.hexdigest())
        if name == "after":
            return Response.json([await kv.get("js"), await kv.get("large", "bytes") is not None])
        await TESTS[name](kv)
        return Response("ok")
