from pyodide.code import run_js
from workers import Response, RpcTarget, WorkerEntrypoint


class Thing(RpcTarget):
    @property
    def value(self):
        return run_js("new Map([['a', [1, null, undefined]]])")

    def method(self, function):
        return function({"from": "the other side"})

    def itself(self):
        return self


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response(f"{request.method} {await request.text()}")

    @property
    def number(self):
        return 5

    def from_javascript(self, code):
        """What a Worker in JavaScript would give."""
        return run_js(code)

    def make(self):
        return Thing()

    async def call(self, function, value):
        return await function(value)

    async def use(self, target):
        return await target.use(1, [None], c={"d": b"e"})

    def stream(self):
        async def pieces():
            yield b"one"
            yield b"two"

        return pieces()

    def fail(self):
        return run_js("() => { throw Object.assign(new RangeError('beyond'), { extra: { a: 1 } }) }")()
