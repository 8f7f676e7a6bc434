"""Calls an ASGI application in process, in the sandbox and in CPython."""

from time import perf_counter

# Long beside the clock's resolution, short beside a time slice of the machine's other work.
SECONDS = 0.1


async def call(app, method, path, query):
    """Sends a request without a body; gives status, headers and body of the response."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
    }
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    await app(scope, receive, send)
    start, *chunks = sent
    return start["status"], start["headers"], b"".join(chunk.get("body", b"") for chunk in chunks)


async def measure(app):
    """Nanoseconds that the application takes for a request."""
    count = 10
    while True:
        start = perf_counter()
        for _ in range(count):
            status, _, body = await call(app, "GET", "/items/12", "name=bolt")
        took = perf_counter() - start
        if status != 200 or b"bolt" not in body:
            raise RuntimeError(f"the application answered {status}: {body!r}")
        if took >= SECONDS:
            return took / count * 1e9
        count = min(count * 100, int(count * SECONDS * 1.2 / max(took, 1e-6)) + 1)
