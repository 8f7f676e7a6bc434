"""Releases before 3.14 have no sockets: what needs them fails with an error that says so, and the isolate lives."""

import asyncio
import socket
import urllib.error
import urllib.request

import aiohttp
import requests
import urllib3
from workers import Response, WorkerEntrypoint, fetch

served = 0


async def refusals():
    results = {}

    async def attempt(name, kind, call):
        try:
            result = call()
            if asyncio.iscoroutine(result):
                await result
        except kind as error:
            results[name] = "has no sockets" in str(error)

    await attempt("socket", OSError, lambda: socket.create_connection(("127.0.0.1", 80), timeout=1))
    await attempt("urllib", urllib.error.URLError, lambda: urllib.request.urlopen("http://127.0.0.1/"))
    await attempt("asyncio", OSError, lambda: asyncio.open_connection("127.0.0.1", 80))

    async def get():
        async with aiohttp.ClientSession() as session:
            await session.get("http://127.0.0.1/")

    await attempt("aiohttp", aiohttp.ClientConnectorError, get)

    return results


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        global served
        served += 1
        match request.url.rsplit("/", 1)[1]:
            case "clients":
                # Those that go by way of fetch.
                place = f"{self.env.UPSTREAM}/echo"
                seen = [
                    requests.post(place, data="posted", headers={"User-Agent": "mine/1"}, timeout=20).json(),
                    urllib3.request("PUT", place, body=b"put", headers={"User-Agent": "mine/2"}).json(),
                    await (await fetch(place, method="POST", body="fetched", headers={"User-Agent": "mine/3"})).json(),
                ]
                return Response.json([[one["method"], one["body"], dict(one["headers"])["user-agent"]] for one in seen])
            case "served":
                return Response.json(served)
        return Response.json(await refusals())
