import asyncio
from http import HTTPMethod
from urllib.parse import urlsplit

import workers
from workers import Blob, File, FormData, Request, Response, WorkerEntrypoint, env, import_from_javascript, patch_env
from workers import python_from_rpc, python_to_rpc, wait_until
from workers import asgi

at_import = env.GREETING


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    assert scope["type"] == "http"
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    headers = [(b"content-type", b"text/plain"), (b"x-path", scope["path"].encode()), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]
    await send({"type": "http.response.start", "status": 201, "headers": headers})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" ", "more_body": True})
    await send({"type": "http.response.body", "body": body})


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = urlsplit(request.url).path
        if path.startswith("/asgi"):
            return await asgi.fetch(app, request, self.env, self.ctx)
        match path:
            case "/":
                return Response(f"{workers.__file__.rsplit('/', 2)[0]} {at_import} {self.env.GREETING} {env.NESTED.list[1]}")
            case "/echo":
                assert request.method is HTTPMethod.POST
                return Response(await request.text(), status=202, headers={"x-sent": request.headers["x-sent"]})
            case "/json":
                return Response.json({"got": await request.json()})
            case "/bytes":
                return Response(await request.bytes(), headers=[("content-type", "application/octet-stream")])
            case "/form":
                form = await request.form_data()
                return Response.from_json({key: form.get_all(key) for key in ("name", "tag")})
            case "/make-form":
                form = FormData({"a": "1"})
                form.append("a", "2")
                form["file"] = File([b"data"], filename="f.txt", content_type="text/plain")
                back = await Response(form).form_data()
                file = back["file"]
                return Response.json([back.get_all("a"), file.name, await file.text()])
            case "/blob":
                blob = Blob(["ab", b"cd"], content_type="text/x")
                return Response.json([blob.size, blob.content_type, await blob.text(), await blob.slice(1, 3).text()])
            case "/redirect":
                return Response.redirect("http://example.com/there", 307)
            case "/request":
                made = Request("http://example.com/a", method=HTTPMethod.PUT, body="x", headers={"a": "b"})
                return Response.json([made.method, made.url, made.headers["a"], await made.text()])
            case "/wait":
                async def later():
                    await asyncio.sleep(0.01)
                    print("waited for")

                wait_until(later())
                self.ctx.waitUntil(later())
                return Response("first")
            case "/patched":
                # An env that was there before remembers what it has given.
                with patch_env(GREETING="patched"):
                    inside = workers.env.GREETING
                return Response(f"{inside} {workers.env.GREETING}")
            case "/rpc":
                value = {"a": [1, None, "x"], "b": {"c": b"bytes"}}
                back = python_from_rpc(python_to_rpc(value))
                return Response.json([back["a"], bytes(back.b.c).decode()])
            case "/modules":
                platform = import_from_javascript("cloudflare:workers")
                steps = import_from_javascript("python_modules/workers/workflows.js")
                try:
                    import_from_javascript("nowhere.js")
                except ImportError as error:
                    missing = "nowhere.js" in str(error)
                return Response.json([platform.env.GREETING, callable(steps.wrapWorkflowStep), missing])
            case "/none":
                return None
            case "/fails":
                raise LookupError("in a handler of the SDK's")
        return Response("not found", status=404)
