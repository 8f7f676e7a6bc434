import js
from workers import BindingError, Response, WorkerEntrypoint, env


async def check_binding() -> None:
    response = await env.ASSETS.fetch("https://any.host/app.js")
    assert response.status == 200, response.status
    assert response.headers["content-type"] == "text/javascript; charset=utf-8"
    assert await response.text() == "console.log('plain')\n"
    assert (await env.ASSETS.fetch("https://x/app.js", headers={"accept-encoding": "br"})).headers.get(
        "content-encoding"
    ) is None
    # Redirects are followed, unless somebody else is to see them.
    page = await env.ASSETS.fetch("https://x/about.html")
    assert page.status == 200 and await page.text() == "about\n" and page.url == "https://x/about"
    assert (await env.ASSETS.fetch("https://x/about.html", redirect="manual")).status == 307
    missing = await env.ASSETS.fetch("https://x/none")
    assert missing.status == 404 and await missing.text() == "not found\n"
    assert (await env.ASSETS.fetch("https://x/app.js", method="POST", body="x")).status == 405
    for path in ("/../entry.py", "/%2e%2e/entry.py", "/..%2fentry.py", "/_headers"):
        assert (await env.ASSETS.fetch("https://x" + path)).status == 404, path
    try:
        await env.ASSETS.fetch("not a URL")
    except (BindingError, TypeError, ValueError) as error:
        assert "URL" in str(error), error
    else:
        raise AssertionError("it was a URL")
    js_answer = await js.eval("(env) => env.ASSETS.fetch('https://x/app.js').then(r => r.text())")(js_env())
    assert js_answer == "console.log('plain')\n"


def js_env():
    from workers._runtime import js_env

    return js_env


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/", 3)[3]
        if path == "api/binding":
            await check_binding()
            return Response("ok")
        if path == "api/sync":
            return Response(str(env.ASSETS.sync.fetch("https://x/app.js").status))
        if path.startswith("api/through/"):
            return await env.ASSETS.fetch("https://x/" + path.removeprefix("api/through/"))
        if path.startswith("api/pass"):
            return await env.ASSETS.fetch(request)
        return Response(f"worker: {request.method} /{path}")
