"""Calls applications as a server does."""

import io
from urllib.parse import urlsplit

from workers import Response


def wsgi(app, request, body):
    url = urlsplit(request.url)
    begun = []
    environ = {
        "REQUEST_METHOD": request.method.value,
        "SCRIPT_NAME": "",
        "PATH_INFO": url.path,
        "QUERY_STRING": url.query,
        "SERVER_NAME": url.hostname,
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": request.headers.get("content-type") or "",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    content = b"".join(app(environ, lambda status, headers, error=None: begun.append((status, headers))))
    status, headers = begun[0]
    return Response(content, int(status.split()[0]), headers=headers)


async def asgi(app, request, body):
    url = urlsplit(request.url)
    sent = []

    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": request.method.value,
        "scheme": "http",
        "path": url.path,
        "raw_path": url.path.encode(),
        "root_path": "",
        "query_string": url.query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in request.headers.items()],
        "client": ("127.0.0.1", 1),
        "server": (url.hostname, 80),
    }
    await app(scope, receive, send)
    headers = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Response(b"".join(message["body"] for message in sent[1:]), sent[0]["status"], headers=headers)
