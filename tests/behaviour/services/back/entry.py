import asyncio

from workers import Request, Response, WorkerEntrypoint

received = []


class Refused(Exception):
    pass


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = "/" + request.url.split("/", 3)[3]
        if path == "/echo":
            return Response(await request.bytes(), headers={"x-method": str(request.method), "x-props": str(self.ctx.props)})
        if path == "/upper":

            async def pieces():
                async for word in request.body:
                    await asyncio.sleep(0)
                    yield bytes(word.to_py()).upper()

            return Response(pieces())
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
