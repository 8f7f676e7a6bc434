import asyncio
import gzip
import hashlib
import hmac

import js
from js import CompressionStream, HTMLRewriter, Object, Request, crypto
from js import Response as JsResponse
from pyodide.ffi import create_proxy, to_js
from workers import Response, WorkerEntrypoint


def js_object(**members):
    return to_js(members, dict_converter=Object.fromEntries)


class Links:
    """Handlers of an element as methods of an object, one of them asynchronous."""

    def __init__(self):
        self.seen = []

    async def element(self, element):
        await asyncio.sleep(0)
        self.seen.append(element.getAttribute("href"))
        element.setAttribute("href", "https://example.com/")

    def text(self, chunk):
        if chunk.text:
            chunk.replace(chunk.text.upper())


class End:
    def end(self, end):
        end.append("<!-- by Python -->", js_object(html=True))


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return await getattr(self, request.url.rsplit("/", 1)[1])()

    async def html(self):
        links = Links()
        page = JsResponse.new("<p><a href='/x'>link</a></p>")
        rewriter = HTMLRewriter.new().on("a", create_proxy(links)).onDocument(create_proxy(End()))
        return Response(f"{await rewriter.transform(page).text()} {links.seen}")

    async def crypto(self):
        algorithm = js_object(name="HMAC", hash="SHA-256")
        key = await crypto.subtle.importKey("raw", to_js(b"key"), algorithm, False, to_js(["sign"]))
        tag = (await crypto.subtle.sign("HMAC", key, to_js(b"data"))).to_bytes()
        # A dict as it comes without a converter.
        digest = (await crypto.subtle.digest(to_js({"name": "SHA-512"}), to_js(b"data"))).to_bytes()
        return Response.json(
            {
                "hmac": tag == hmac.digest(b"key", b"data", "sha256"),
                "digest": digest == hashlib.sha512(b"data").digest(),
            }
        )

    async def compression(self):
        stream = JsResponse.new("some text " * 1000).body.pipeThrough(CompressionStream.new("gzip"))
        data = (await JsResponse.new(stream).arrayBuffer()).to_bytes()
        return Response(f"{len(data) < 200} {gzip.decompress(data)[:9].decode()}")

    async def cache(self):
        cache, url = js.caches.default, "http://cached/"
        await cache.put(url, JsResponse.new("kept", headers=js_object(**{"cache-control": "max-age=60", "etag": '"1"'})))
        found = await cache.match(url)
        part = await cache.match(Request.new(url, headers=js_object(range="bytes=1-2")))
        same = await cache.match(Request.new(url, headers=js_object(**{"if-none-match": '"1"'})))
        await cache.put("http://secret/", JsResponse.new("no", headers=js_object(**{"cache-control": "private"})))
        named = await js.caches.open("other")
        return Response.json(
            {
                "found": [await found.text(), found.headers.get("cf-cache-status")],
                "part": [part.status, await part.text(), part.headers.get("content-range")],
                "same": same.status,
                "others": [str(await named.match(url)), str(await cache.match("http://secret/"))],
            }
        )

    async def version(self):
        return Response("v1")

    async def cached(self):
        found = await js.caches.default.match("http://cached/")
        return Response(await found.text() if found else "nothing")

    async def forget(self):
        return Response.json([await js.caches.default.delete("http://cached/") for _ in range(2)])
