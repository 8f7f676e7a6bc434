import asyncio
import os
from functools import cached_property

import js
from workers import Request, Response, RpcTarget, WorkerEntrypoint

received = []
events = []
disposed = []
kept = []


class Counter(RpcTarget):
    """Passed by reference: its state stays here."""

    step = 1

    def __init__(self, name, count=0):
        self.name = name
        self._count = count

    @property
    def value(self):
        return self._count

    @cached_property
    def labels(self):
        return {"name": self.name, "reset": self.reset}

    @property
    def twin(self):
        return Counter(self.name + "'", self._count)

    async def increment(self, by=1, *, times=1):
        self._count += by * times
        return self._count

    def reset(self):
        self._count = 0

    def itself(self):
        return self

    def fail(self):
        raise LookupError("nothing to count")

    def _secret(self):
        return "secret"

    async def dispose(self):
        await asyncio.sleep(0)
        if self.name != "flat":
            disposed.append(self.name)


def js_callback(function):
    from pyodide.ffi import create_proxy

    return create_proxy(function)


class Refused(Exception):
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = "/" + request.url.split("/", 3)[3]
        if path == "/echo":
            return Response(await request.bytes(), headers={"x-method": str(request.method), "x-props": str(self.ctx.props)})
        if path.startswith("/encoded"):
            init = js.JSON.parse('{"headers": {"content-encoding": "br"}}')
            init.encodeBody = "manual" if path == "/encoded-by-itself" else "automatic"
            return js.Response.new("text " * 1000, init)
        if path == "/upper":

            async def pieces():
                async for word in request.body:
                    await asyncio.sleep(0)
                    yield bytes(word.to_py()).upper()

            return Response(pieces())
        if path == "/socket":
            assert request.headers["upgrade"] == "websocket", dict(request.headers)
            pair = js.WebSocketPair.new()
            client, server = pair.object_values()
            server.accept()

            def heard(event):
                if event.data == "bye":
                    server.send("good")
                    server.close(4002, "done")
                else:
                    server.send(event.data.upper() if isinstance(event.data, str) else event.data)

            server.addEventListener("message", js_callback(heard))
            return Response(None, status=101, web_socket=client, headers={"x-from": "back"})
        if path == "/moved":
            return Response.redirect("https://back/echo", 302)
        if path == "/fails":
            raise ValueError("the other one fails")
        return Response(f"back: {path}", status=404)

    async def queue(self, batch):
        received.extend(message.body for message in batch)

    async def jobs(self):
        return received

    def add(self, a, b=0, *, c=0):
        return a + b + c

    async def same(self, value):
        return value

    async def kinds(self, value):
        return repr(value)

    async def fail(self, how):
        if how == "key":
            return {}["absent"]
        if how == "own":
            raise Refused("not today")
        raise ValueError("what", 3)

    async def each(self, values, function):
        return [await function(value) for value in values]

    async def slowly(self, name):
        events.append("slowly began")
        await asyncio.sleep(0.02)
        events.append("slowly ended")
        return Counter(name)

    async def made(self):
        made = events[:]
        events.clear()
        return made

    def pair(self, name):
        return {"first": Counter(name + " 1"), "second": Counter(name + " 2")}

    def adder(self, to):
        return lambda value: value + to

    async def forever(self):
        await asyncio.sleep(3600)

    def die(self):
        os.abort()

    async def held(self):
        """How many objects and functions others have, and how many results are kept for them."""
        from workers import _service

        return sum(held for _, held in _service._shared.values())

    async def counter(self, start):
        count = start

        async def next(by=1):
            nonlocal count
            count += by
            return count

        return {"next": next, "start": start}

    async def total(self, stream):
        total = 0
        async for piece in stream:
            total += len(piece)
        return total

    async def stream(self, count):
        async def pieces():
            for i in range(count):
                yield bytes([i % 256]) * 1000

        return pieces()

    async def endless(self):
        async def pieces():
            while True:
                yield b"x" * 1000

        return pieces()

    async def page(self, request):
        assert isinstance(request, Request), request
        return Response(f"{request.method} {request.headers['x-a']} {await request.text()}", status=201)

    def make(self, name):
        return Counter(name)

    @property
    def version(self):
        return {"major": 1}

    @property
    async def later(self):
        await asyncio.sleep(0)
        return "later"

    async def disposed(self):
        return disposed

    async def borrow(self, counter, keep=False):
        """Uses what it is given, and may keep it for another call."""
        if keep:
            kept[:] = [counter.dup()]
        else:
            kept[:] = [counter]
        return await counter.increment(10)

    async def use_kept(self):
        return await kept[0].increment()

    async def drop_kept(self):
        kept.pop().dispose()

    async def keep_function(self, function):
        kept[:] = [function.dup()]

    async def call_kept(self, value):
        with kept.pop() as function:
            return await function(value)

    async def pass_on(self, counter):
        """Gives back what it was given: the caller then has it by way of this Worker."""
        return {"again": counter, "own": Counter("own", 5)}

    async def bounce(self, n):
        return await self.env.FRONT.bounce(n)

    def _private(self):
        return "private"

    attribute = 1


class Admin(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"admin: {self.ctx.props}")

    async def who(self):
        return dict(self.ctx.props)
