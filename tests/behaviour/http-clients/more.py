"""What else is done with HTTP clients: files, cookies, pools, streams, proxies, HTTP/2, WebSockets."""

import asyncio
import http.cookiejar
import os
import urllib.error
import urllib.request

import aiohttp
import httpx
import requests
import urllib3
import websockets
from workers import Response


async def own(request, name):
    """The Worker is its own server for what a test has to see of forms, cookies and WebSockets."""
    match name:
        case "form":
            form = await request.form_data()
            return Response.json({key: value if isinstance(value, str) else [value.name, value.size] for key, value in form.items()})
        case "cookie":
            seen = request.headers.get("cookie", "")
            return Response.json({"seen": seen}, headers=[("set-cookie", "first=1; Path=/"), ("set-cookie", "second=2; Path=/")])
        case "size":
            size = 0
            async for chunk in request.body or ():
                size += len(chunk)
            return Response.json({"size": size, "length": request.headers.get("content-length")})


def connections(env):
    return requests.get(f"{env.UPSTREAM}/counts").json()["connections"]


def case_requests_more(env, here):
    results = []
    with requests.Session() as session:
        files = {"file": ("a.bin", b"x" * 100_000, "application/x"), "other": ("b.txt", "text")}
        results.append(session.post(f"{here}/own/form", files=files, data={"field": "value"}).json())
        results.append([session.get(f"{here}/own/cookie").json()["seen"], session.get(f"{here}/own/cookie").json()["seen"]])
        response = session.get(f"{env.UPSTREAM}/redirect/302?to=/redirect/307?to=/bytes/3")
        results.append([len(response.history), response.url.rsplit("/", 1)[1], response.status_code])
        seen = session.post(f"{env.UPSTREAM}/echo", params={"q": "ä b"}, json={"a": 1}, auth=("user", "word")).json()
        results.append([seen["uri"], seen["body"], dict(seen["headers"])["authorization"]])
        with session.get(f"{env.UPSTREAM}/drip/3/2", stream=True) as response:
            results.append([line.decode() for line in response.iter_lines()])
    with requests.Session() as session:
        before = connections(env)
        for _ in range(5):
            session.get(f"{env.UPSTREAM}/bytes/10").content
        results.append(connections(env) - before)
    for make in [
        lambda: requests.get(f"{env.UPSTREAM}/status/404").raise_for_status(),
        lambda: requests.get(f"{env.UPSTREAM}/loop"),
        lambda: requests.get(f"{env.UPSTREAM}/lie/gzip"),
        lambda: requests.get("nonsense"),
        lambda: requests.get("http://no-such-host.invalid/", timeout=20),
    ]:
        try:
            make()
        except requests.RequestException as error:
            results.append(type(error).__name__)
    through = requests.get("http://elsewhere.invalid/echo", proxies={"http": env.UPSTREAM}).json()
    results.append(through["uri"])
    os.environ["HTTP_PROXY"] = env.UPSTREAM
    try:
        results.append(requests.get("http://elsewhere.invalid/echo").json()["uri"])
    finally:
        del os.environ["HTTP_PROXY"]
    return results


def case_urllib_more(env, here):
    results = []
    jar = http.cookiejar.CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    for _ in range(2):
        seen = opener.open(f"{here}/own/cookie").read().decode()
    results.append([seen, sorted(cookie.name for cookie in jar)])
    try:
        urllib.request.urlopen(f"{env.UPSTREAM}/status/403")
    except urllib.error.HTTPError as error:
        results.append([error.code, error.reason])
    try:
        urllib.request.urlopen(f"{env.UPSTREAM}/never/head", timeout=0.1)
    except TimeoutError as error:
        results.append(str(error))
    try:
        urllib.request.urlopen("http://127.0.0.1:1/")
    except urllib.error.URLError as error:
        results.append(type(error.reason).__name__)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({"http": env.UPSTREAM}))
    results.append(b"http://elsewhere.invalid/echo" in opener.open("http://elsewhere.invalid/echo").read())
    pool = urllib3.PoolManager(retries=urllib3.Retry(2, backoff_factor=0), num_pools=2)
    answer = pool.request("POST", f"{here}/own/form", fields={"a": "b", "f": ("n.txt", b"12345", "text/plain")})
    results.append(answer.json())
    with pool.request("GET", f"{env.UPSTREAM}/bytes/100000/x", preload_content=False) as answer:
        results.append(sum(len(chunk) for chunk in answer.stream(4096)))
    for path in ("status/503", "never/head"):
        try:
            retries = urllib3.Retry(1, status_forcelist=[503], backoff_factor=0)
            pool.request("GET", f"{env.UPSTREAM}/{path}", retries=retries, timeout=0.1)
        except urllib3.exceptions.MaxRetryError as error:
            results.append(type(error.reason).__name__)
    return results


async def case_httpx_more(env, here):
    results = []

    async def chunks():
        for i in range(20):
            yield bytes([i]) * 10_000
            await asyncio.sleep(0)

    async with httpx.AsyncClient(follow_redirects=True) as client:
        results.append((await client.post(f"{here}/own/size", content=chunks())).json())
        files = {"file": ("a.bin", b"x" * 100_000)}
        results.append((await client.post(f"{here}/own/form", files=files, data={"field": "value"})).json())
        results.append([(await client.get(f"{here}/own/cookie")).json()["seen"] for _ in range(2)])
        moved = await client.get(f"{env.UPSTREAM}/redirect/302?to=/bytes/3")
        results.append([len(moved.history), moved.content.hex()])
        async with client.stream("GET", f"{env.UPSTREAM}/bytes/1000000") as response:
            results.append(sum([len(chunk) async for chunk in response.aiter_bytes()]))
        try:
            await client.get(f"{env.UPSTREAM}/loop")
        except httpx.TooManyRedirects:
            results.append("TooManyRedirects")
        try:
            (await client.get(f"{env.UPSTREAM}/status/500")).raise_for_status()
        except httpx.HTTPStatusError as error:
            results.append(error.response.status_code)
        task = asyncio.create_task(client.get(f"{env.UPSTREAM}/never/head"))
        await asyncio.sleep(0.02)
        task.cancel()
        try:
            await task
        except asyncio.CancelledError:
            results.append("cancelled")
    async with httpx.AsyncClient(http2=True) as client:
        answers = await asyncio.gather(*(client.post(f"{env.UPSTREAM_TLS}/echo", content=b"y" * 100_000) for _ in range(5)))
        results.append([answers[0].http_version, {answer.json()["size"] for answer in answers} == {100_000}])
    limits = httpx.Limits(max_connections=1)
    async with httpx.AsyncClient(limits=limits, timeout=httpx.Timeout(5, pool=0.05)) as client:
        busy = asyncio.create_task(client.get(f"{env.UPSTREAM}/never/head"))
        await asyncio.sleep(0.02)
        try:
            await client.get(f"{env.UPSTREAM}/bytes/1")
        except httpx.PoolTimeout:
            results.append("PoolTimeout")
        busy.cancel()
    async with httpx.AsyncClient(proxy=env.UPSTREAM) as client:
        results.append((await client.get("http://elsewhere.invalid/echo")).json()["uri"])
    with httpx.Client() as client:
        results.append(client.post(f"{here}/own/size", content=(b"z" * 1000 for _ in range(10))).json())
        with client.stream("GET", f"{env.UPSTREAM}/drip/3/2") as response:
            results.append(list(response.iter_lines()))
    return results


async def case_aiohttp_more(env, here):
    results = []

    async def chunks():
        for i in range(20):
            yield bytes([i]) * 10_000

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=2)) as session:
        async with session.post(f"{here}/own/size", data=chunks()) as response:
            results.append(await response.json())
        form = aiohttp.FormData({"field": "value"})
        form.add_field("file", b"x" * 100_000, filename="a.bin", content_type="application/x")
        async with session.post(f"{here}/own/form", data=form) as response:
            results.append(await response.json())
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        for _ in range(2):
            async with session.get(f"{here}/own/cookie") as response:
                seen = (await response.json())["seen"]
        results.append(seen)
        async with session.get(f"{env.UPSTREAM}/redirect/302?to=/bytes/3") as response:
            results.append([len(response.history), (await response.read()).hex()])
        # The server answers and goes while the body is on its way.
        async with session.post(f"{env.UPSTREAM_BAD}/early", data=b"x" * 4_000_000) as response:
            results.append([response.status, await response.text()])
        for url, options in [
            (f"{env.UPSTREAM}/loop", {}),
            (f"{env.UPSTREAM}/status/500", {"raise_for_status": True}),
            (f"{env.UPSTREAM}/never/head", {"timeout": aiohttp.ClientTimeout(sock_read=0.1)}),
            ("http://no-such-host.invalid/", {}),
        ]:
            try:
                await session.get(url, **options)
            except (aiohttp.ClientError, TimeoutError) as error:
                results.append(type(error).__name__)
        async with session.get("http://elsewhere.invalid/echo", proxy=env.UPSTREAM) as response:
            results.append((await response.json())["uri"])
        results.append([len(await (await session.get(f"{env.UPSTREAM}/encoded/{name}")).text()) for name in ("gzip", "deflate")])
        async with session.ws_connect(f"{here}/own/socket", protocols=["chat"]) as socket:
            await socket.send_str("hällo")
            await socket.send_bytes(b"\0\xff")
            await socket.send_str("x" * 200_000)
            got = [await socket.receive() for _ in range(3)]
            results.append([got[0].data, got[1].data.hex(), len(got[2].data), socket.protocol])
            await socket.send_str("close")
            ended = await socket.receive()
            results.append([ended.type.name, socket.close_code])
    return results


async def case_websockets(env, here):
    results = []
    url = here.replace("http", "ws") + "/own/socket"
    async with websockets.connect(url, subprotocols=["chat"], user_agent_header="mine") as socket:
        await socket.send("hällo")
        await socket.send(b"\0\xff")
        results.append([await socket.recv(), (await socket.recv()).hex(), socket.subprotocol])
        await (await socket.ping())
        results.append("pong")
        await socket.send("close")
        try:
            await socket.recv()
        except websockets.ConnectionClosed as error:
            results.append([error.rcvd.code, error.rcvd.reason])
    try:
        await websockets.connect(here.replace("http", "ws") + "/own/cookie")
    except websockets.InvalidStatus as error:
        results.append(error.response.status_code)
    return results

