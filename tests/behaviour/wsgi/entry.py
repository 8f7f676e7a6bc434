"""A WSGI application without a framework."""

import asyncio
import contextvars
import hashlib
import json
import sys

from pyodide.ffi import run_sync
from workers import wsgi

number = contextvars.ContextVar("number", default=0)


class Parts:
    """A response body that says when it is closed."""

    def __init__(self, parts):
        self._parts = iter(parts)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._parts)

    def close(self):
        print("closed")


def app(environ, start_response):
    return globals()[environ["PATH_INFO"].split("/")[1] or "root"](environ, start_response)


def environ(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_TYPE", "SERVER_PROTOCOL", "REMOTE_ADDR", "HTTP_X_A", "wsgi.url_scheme")
    shown = {name: environ.get(name) for name in names}
    shown["ports"] = environ["REMOTE_PORT"].isdigit() and environ["SERVER_PORT"].isdigit()
    shown["env"] = environ["workers.env"].NAME
    print("to the errors", file=environ["wsgi.errors"])
    return [json.dumps(shown).encode()]


def echo(environ, start_response):
    start_response("200 OK", [])
    return Parts(iter(lambda: environ["wsgi.input"].read(100_000), b""))


def lines(environ, start_response):
    start_response("201 Made", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    source = environ["wsgi.input"]
    return [json.dumps([source.readline().decode(), source.read(3).decode(), [line.decode() for line in source]]).encode()]


def digest(environ, start_response):
    digest, size = hashlib.sha256(), 0
    while chunk := environ["wsgi.input"].read(1 << 16):
        digest.update(chunk)
        size += len(chunk)
    start_response("200 OK", [])
    return [str(size).encode()]


def written(environ, start_response):
    write = start_response("200 OK", [])
    write(b"written, ")
    write(b"twice, ")
    return Parts([b"and ", b"given"])


def live(environ, start_response):
    """Writes while it runs: the client that has the first part says what the second shall be."""
    write = start_response("200 OK", [])
    write(b"first ")
    write(environ["wsgi.input"].read(6))
    return iter([b"", b" third"])


def unread(environ, start_response):
    """Writes more than its client reads."""
    write = start_response("200 OK", [])
    try:
        for _ in range(10_000):
            write(b"x" * 65536)
    except ConnectionResetError as error:
        print("write() failed:", type(error).__name__)
        raise
    return []


def generated(environ, start_response):
    """Writes in a generator, which has not given anything yet."""
    start_response("200 OK", [])(b"written, ")
    yield b"given"


def written_broken(environ, start_response):
    write = start_response("200 OK", [])
    write(b"part")
    try:
        start_response("500 Sorry", [], (ValueError, ValueError("too late"), None))
    except ValueError as error:
        print("raised again:", error)
        raise


def bad_close(environ, start_response):
    start_response("200 OK", [("content-length", "2")])

    class Body(list):
        def close(self):
            raise ValueError("close() failed")

    return Body([b"ok"])


def sent_file(environ, start_response):
    with open("/tmp/sent", "wb") as file:
        file.write(bytes(range(251)) * 4000)
    start_response("200 OK", [("content-length", "1004000")])
    return environ["wsgi.file_wrapper"](open("/tmp/sent", "rb"), 1000)


def late(environ, start_response):
    """Says its status with the first part that is not empty."""
    yield b""
    start_response("202 Accepted", [])
    yield b"late"


def slow(environ, start_response):
    start_response("200 OK", [])

    def parts():
        for i in range(3):
            run_sync(asyncio.sleep(0.02))
            yield f"{i} ".encode()

    return parts()


def context(environ, start_response):
    """A body that ends what the application has begun."""
    start_response("200 OK", [])
    token = number.set(7)

    def parts():
        yield f"{number.get()} "
        yield f"{number.get()}"
        number.reset(token)

    return (part.encode() for part in parts())


def recovered(environ, start_response):
    start_response("200 OK", [])
    try:
        raise ValueError("before the head is sent")
    except ValueError:
        start_response("503 Service Unavailable", [], sys.exc_info())
        return [b"sorry"]


def failing(environ, start_response):
    raise ValueError("a failing application")


def broken(environ, start_response):
    start_response("200 OK", [])

    def parts():
        yield b"part"
        raise ValueError("in the middle")

    return Parts(parts())


def partial(environ, start_response):
    """Reads a little, or nothing, of what the client sends."""
    head = environ["wsgi.input"].read(int(environ["QUERY_STRING"]))
    start_response("200 OK", [])
    return [str(list(head)).encode()]


def endless(environ, start_response):
    """For a client that leaves."""
    start_response("200 OK", [])

    try:
        while True:
            yield b"x" * 65536
            run_sync(asyncio.sleep(0.01))
    finally:
        print("the endless body was closed")


def silent(environ, start_response):
    return [b"no status"]


def empty(environ, start_response):
    start_response("204 No Content", [])
    return Parts([])


Default = wsgi.entrypoint(app)
