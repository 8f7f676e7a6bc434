import asyncio
import json
import warnings
from pathlib import Path
from urllib.parse import urlsplit

import js
from pyodide.code import run_js
from pyodide.ffi import create_proxy, run_sync, to_js
from pyodide.http import HttpStatusError, open_url, pyfetch, pyxhr
from workers import Request, Response, WorkerEntrypoint, fetch

CASES = run_js((Path(__file__).parent / "cases.js").read_text())


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        _, kind, name = f"{url.path}/".split("/")[:3]
        env = self.env
        if kind == "js":
            places = {
                "up": env.UPSTREAM,
                "tls": env.UPSTREAM_TLS,
                "untrusted": env.UPSTREAM_UNTRUSTED,
                "bad": env.UPSTREAM_BAD,
                "self": f"{url.scheme}://{url.netloc}",
            }
            result = await getattr(CASES, name)(to_js(places, dict_converter=js.Object.fromEntries))
            return Response(js.JSON.stringify(result), headers={"content-type": "application/json"})
        if kind == "py":
            return Response.json(await globals()[f"case_{name}"](*(env.UPSTREAM, env.UPSTREAM_BAD)[: 1 + (name == "errors")]))
        if kind == "pass":
            # What the host passes on, and what goes through here because it was touched.
            path = request.url.split("/pass/", 1)[1].split("/", 1)[1]
            options = {"encodeResponseBody": "manual"} if name == "raw" else {}
            response = await js.fetch(f"{env.UPSTREAM}/{path}", to_js(options, dict_converter=js.Object.fromEntries))
            if name == "again":
                # What came decoded is encoded when the Worker asks for it, like everything else.
                response = js.Response.new(response.body, response)
                response.headers.set("content-encoding", "gzip")
                return response
            if name == "body":
                return js.Response.new(response.body, response)
            if name == "python":
                return await fetch(f"{env.UPSTREAM}/{path}")
            if name == "cloned":
                response.clone()
            return response
        if kind == "upload":
            # Likewise, in the other direction.
            there, incoming = f"{env.UPSTREAM}/{url.query or 'echo'}", request.js_object
            if name == "cloned":
                incoming.clone()
            options = {"method": "POST", "body": incoming.body} if name != "whole" else {}
            if name == "read":
                await incoming.body.getReader().read()
            elif name == "wrapped":
                options["body"] = js.Request.new("http://x/", incoming).body
            elif name == "aborted":
                options["signal"] = js.AbortSignal.abort()
            elif name == "back":
                response = js.Response.new(incoming.body)
                if encoding := url.query:
                    response.headers.set("content-encoding", encoding)
                return response
            elif name == "python":
                return await fetch(there, method="POST", body=request.body)
            target = incoming if name == "whole" else there
            if name == "whole":
                target = js.Request.new(there, incoming)
            try:
                response = await js.fetch(target, to_js(options, dict_converter=js.Object.fromEntries))
            except Exception as error:
                return Response(f"{error}; {incoming.bodyUsed}")
            if not incoming.bodyUsed:
                return Response("the body passes for unused")
            return response
        if kind == "many":
            for i in range(1200):
                try:
                    (await js.fetch(f"{env.UPSTREAM}/status/204"))
                except Exception as error:
                    return Response(f"{i}: {error}")
            return Response("no limit")
        if kind == "socket":
            client, server = js.Object.values(js.WebSocketPair.new())
            server.accept()
            server.addEventListener("message", create_proxy(lambda event: server.send(event.data)))
            return js.Response.new(None, to_js({"status": 101, "webSocket": client}, dict_converter=js.Object.fromEntries))
        return Response("not found", status=404)


async def case_workers(up):
    response = await fetch(f"{up}/echo", method="POST", body="from Python", headers={"User-Agent": "python", "x": "1"})
    seen = json.loads(await response.text())
    headers = dict(seen["headers"])
    made = await fetch(Request(f"{up}/echo", method="PUT", body=b"bytes"))
    return [response.status, seen["body"], headers["user-agent"], headers["x"], (await made.json())["method"]]


async def case_pyfetch(up):
    response = await pyfetch(f"{up}/bytes/10")
    text = await (await pyfetch(f"{up}/encoded/gzip")).string()
    missing = await pyfetch(f"{up}/status/500")
    return [response.status, list(await response.bytes()), len(text), missing.ok]


async def case_pages(up):
    """What Pyodide does by a page's XMLHttpRequest."""
    text = open_url(f"{up}/encoded/gzip").read()
    seen = pyxhr.post(f"{up}/echo", json={"a": 1}, params={"q": "x y"}, headers={"User-Agent": "pyxhr"}, auth=("user", "word")).json()
    headers = dict(seen["headers"])
    got = pyxhr.get(f"{up}/bytes/3")
    try:
        pyxhr.put(f"{up}/status/404").raise_for_status()
    except HttpStatusError as error:
        status = error.status
    try:
        pyxhr.get("http://127.0.0.1:1/")
    except pyxhr.XHRNetworkError as error:
        failed = str(error)
    sent = [seen["method"], seen["body"], headers["content-type"], headers["user-agent"], headers["authorization"]]
    return [len(text), sent, [got.status_code, got.ok, got.content.hex(), got.headers["content-length"], got.url == f"{up}/bytes/3"], status, failed, hasattr(js, "XMLHttpRequest")]


async def case_upload(up):
    async def chunks():
        for i in range(3):
            yield f"chunk {i};".encode()
            await asyncio.sleep(0)

    seen = await (await fetch(f"{up}/echo", method="POST", body=chunks())).json()
    plain = await (await fetch(f"{up}/repeat", method="POST", body=(bytes([i]) * 1000 for i in range(100)))).bytes()
    return [seen["body"], dict(seen["headers"]).get("transfer-encoding"), len(plain)]


async def case_download(up):
    response = await fetch(f"{up}/drip/4/5")
    parts = []
    async for chunk in response.body:
        parts.append(bytes(chunk.to_py()).decode().strip())
    return parts


async def case_errors(up, bad):
    results = []
    for url in ["http://127.0.0.1:1/", "nonsense", "ftp://host/"]:
        try:
            await fetch(url)
        except Exception as error:
            results.append(f"{type(error).__mro__[-3].__name__} {type(error).__name__}: {error}")
    bodies = [f"{bad}/truncated", f"{up}/lie/gzip"]
    for url in bodies:
        try:
            await (await fetch(url)).text()
        except OSError as error:
            results.append(f"{type(error).__name__}: {error}")
    controller = js.AbortController.new()
    response = await fetch(f"{up}/never/body", signal=controller.signal)
    asyncio.get_running_loop().call_later(0.02, controller.abort)
    try:
        await response.text()
    except Exception as error:
        results.append(type(error).__name__)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        await fetch(f"{up}/status/204", json={}, cache="no-store")
        results.append([f"{warning.message} ({Path(warning.filename).name})" for warning in caught])
    try:
        await fetch(f"{up}/never/head", signal=js.AbortSignal.timeout(20))
    except Exception as error:
        results.append(f"{type(error).__name__}")
    return results


async def case_cancel(up):
    task = asyncio.create_task(fetch(f"{up}/never/head"))
    await asyncio.sleep(0.02)
    task.cancel()
    try:
        async with asyncio.timeout(0.05):
            await fetch(f"{up}/never/head")
    except TimeoutError:
        timed_out = True
    return [timed_out, task.cancelled()]


async def case_blocking(up):
    return run_sync(run_sync(fetch(f"{up}/bytes/3")).bytes()).hex()
