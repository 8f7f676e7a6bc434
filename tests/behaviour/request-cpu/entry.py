import asyncio
import time

import js
from pyodide.ffi import to_js
from workers import Response, WorkerEntrypoint


def compute(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


async def derive():
    """Hardly any of it is done in the isolate."""
    subtle = js.crypto.subtle
    key = await subtle.importKey("raw", to_js(b"secret"), "PBKDF2", False, to_js(["deriveBits"]))
    how = {"name": "PBKDF2", "hash": "SHA-256", "salt": to_js(b"salt"), "iterations": 200_000}
    how = to_js(how, dict_converter=js.Object.fromEntries)
    while True:
        await subtle.deriveBits(how, key, 256)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/slices"):
            while True:
                compute(0.02)
                await asyncio.sleep(0.001)
        if request.url.endswith("/elsewhere"):
            await derive()
        compute(0.1)
        await asyncio.sleep(0.5)
        compute(0.1)
        return Response("fine")
