import asyncio
import traceback
from urllib.parse import urlsplit

import aiohttp
import httpx
import requests
import urllib3
from js import WebSocketPair
from more import case_aiohttp_more, case_httpx_more, case_requests_more, case_urllib_more, case_websockets, own  # noqa: F401
from pyodide.ffi import create_proxy
from workers import Response, WorkerEntrypoint


def echo_socket(request):
    client, server = WebSocketPair.new().object_values()
    server.accept()

    def answer(event):
        if event.data == "close":
            server.close(4001, "as asked")
        else:
            server.send(event.data)

    server.addEventListener("message", create_proxy(answer))
    protocol = request.headers.get("sec-websocket-protocol")
    return Response(None, status=101, headers={"sec-websocket-protocol": protocol} if protocol else {}, web_socket=client)


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        url = urlsplit(request.url)
        name, *rest = url.path[1:].split("/")
        if name == "own":
            return echo_socket(request) if rest == ["socket"] else await own(request, rest[0])
        try:
            if name.endswith("_more") or name == "websockets":
                result = globals()[f"case_{name}"](self.env, f"http://{url.netloc}")
                return Response.json(await result if asyncio.iscoroutine(result) else result)
            result = globals()[f"case_{name}"](self.env)
            return Response.json(await result if asyncio.iscoroutine(result) else result)
        except Exception:
            return Response(traceback.format_exc(), status=500)


def seen(data):
    return [data["method"], data["body"], dict(data["headers"])["user-agent"], data["version"]]


HEADERS = {"User-Agent": "mine/1"}


def case_requests(env):
    results = []
    with requests.Session() as session:
        for base in (env.UPSTREAM, env.UPSTREAM_TLS):
            results.append(seen(session.post(f"{base}/echo", data="posted", headers=HEADERS, timeout=20).json()))
        results.append(len(session.get(f"{env.UPSTREAM}/encoded/gzip").text))
        results.append(session.get(f"{env.UPSTREAM}/redirect/302?to=/bytes/3").content.hex())
        with session.get(f"{env.UPSTREAM}/bytes/100000/x", stream=True) as response:
            results.append(sum(len(chunk) for chunk in response.iter_content(5000)))
        results.append(len(session.post(f"{env.UPSTREAM}/repeat", data=(b"x" * 100 for _ in range(50))).content))
    for url, options in [
        ("http://127.0.0.1:1/", {}),
        (f"{env.UPSTREAM}/never/head", {"timeout": 0.1}),
        (env.UPSTREAM_UNTRUSTED, {}),
    ]:
        try:
            requests.get(url, **options)
        except requests.RequestException as error:
            results.append(type(error).__name__)
    results.append(requests.get(f"{env.UPSTREAM_UNTRUSTED}/status/204", verify=False).status_code)
    return results


def case_urllib3(env):
    http = urllib3.PoolManager()
    answer = http.request("PUT", f"{env.UPSTREAM_TLS}/echo", body=b"put", headers=HEADERS)
    return [seen(answer.json()), http.request("GET", f"{env.UPSTREAM}/bytes/4").data.hex()]


def case_httpx(env):
    results = []
    with httpx.Client() as client:
        for base in (env.UPSTREAM, env.UPSTREAM_TLS):
            results.append(seen(client.post(f"{base}/echo", content="posted", headers=HEADERS).json()))
        results.append(len(client.get(f"{env.UPSTREAM}/encoded/gzip").text))
        try:
            client.get(f"{env.UPSTREAM}/never/head", timeout=0.1)
        except httpx.TimeoutException as error:
            results.append(type(error).__name__)
    return results


async def case_httpx_async(env):
    results = []
    async with httpx.AsyncClient() as client:
        for base in (env.UPSTREAM, env.UPSTREAM_TLS):
            results.append(seen((await client.post(f"{base}/echo", content="posted", headers=HEADERS)).json()))
        sizes = await asyncio.gather(*(client.get(f"{env.UPSTREAM_TLS}/bytes/{10_000 + i}") for i in range(10)))
        results.append([len(r.content) for r in sizes])
        async with client.stream("GET", f"{env.UPSTREAM}/drip/3/5") as response:
            results.append("".join([chunk async for chunk in response.aiter_text()]))
        for url, options in [
            ("http://127.0.0.1:1/", {}),
            (f"{env.UPSTREAM}/never/head", {"timeout": 0.1}),
            (env.UPSTREAM_UNTRUSTED, {}),
        ]:
            try:
                await client.get(url, **options)
            except httpx.HTTPError as error:
                results.append(type(error).__name__)
    return results


async def case_aiohttp(env):
    results = []
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        for base in (env.UPSTREAM, env.UPSTREAM_TLS):
            async with session.post(f"{base}/echo", data="posted") as response:
                results.append(seen(await response.json()))
        async with session.get(f"{env.UPSTREAM}/encoded/gzip") as response:
            results.append(len(await response.text()))
        async with session.get(f"{env.UPSTREAM}/drip/3/5") as response:
            results.append(b"".join([chunk async for chunk in response.content.iter_any()]).decode())
        for url, options in [
            ("http://127.0.0.1:1/", {}),
            (f"{env.UPSTREAM}/never/head", {"timeout": aiohttp.ClientTimeout(total=0.1)}),
            (env.UPSTREAM_UNTRUSTED, {}),
        ]:
            try:
                await session.get(url, **options)
            except (aiohttp.ClientError, TimeoutError) as error:
                results.append(type(error).__name__)
    return results
