"""The hello Worker as an ASGI application, without a framework."""


async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("nothing to do at start")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"Hello from Python!"})
