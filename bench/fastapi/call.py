"""Calls an ASGI application in process, as `entry.py` and `first_request.py` both do."""


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
