import asyncio
import http.client
import json
import selectors
import socket
import ssl
import traceback
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import js
from workers import Response, WorkerEntrypoint, import_from_javascript

REQUEST = b"GET /bytes/1000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = urlsplit(request.url).path.split("/")[1]
        try:
            result = globals()[f"case_{name}"](self.env)
            return Response.json(await result if asyncio.iscoroutine(result) else result)
        except Exception:
            return Response(traceback.format_exc(), status=500)


def place(url):
    parts = urlsplit(url)
    return parts.hostname, parts.port


def body(answer):
    head, _, rest = answer.partition(b"\r\n\r\n")
    return [head.split(b"\r\n")[0].decode(), len(rest), rest[:3].hex()]


def case_basics(env):
    host, port = place(env.UPSTREAM)
    with socket.create_connection((host, port), timeout=20) as sock:
        peer = sock.getpeername() == (host, port)
        own = sock.getsockname()[0]
        sock.sendall(REQUEST)
        answer = b""
        while chunk := sock.recv(300):
            answer += chunk
        ended = sock.recv(1)
    try:
        sock.recv(1)
    except OSError as error:
        after = error.errno
    return [body(answer), peer, own, ended == b"", sock.fileno(), after]


def case_names(env):
    _, port = place(env.UPSTREAM)
    with socket.create_connection(("localhost", port)) as sock:
        sock.sendall(REQUEST)
        with sock.makefile("rb") as file:
            first = file.readline().decode().strip()
    infos = socket.getaddrinfo("127.0.0.1", "http", type=socket.SOCK_STREAM)
    try:
        socket.getaddrinfo("no-such-host.invalid", 80)
    except socket.gaierror as error:
        unknown = str(error).split(":")[0]
    return [first, [list(infos[0][4]), infos[0][0].name], "127.0.0.1" in {i[4][0] for i in socket.getaddrinfo("localhost", 80)}, socket.gethostbyname("localhost"), unknown]


def case_failures(env):
    results = []
    try:
        socket.create_connection(("127.0.0.1", 1))
    except ConnectionRefusedError as error:
        results.append(["refused", error.strerror])
    try:
        with socket.create_connection(place(env.UPSTREAM)) as sock:
            sock.settimeout(0.05)
            sock.recv(1)
    except TimeoutError as error:
        results.append(["timeout", str(error)])
    try:
        socket.socket().send(b"x")
    except OSError as error:
        results.append(["unconnected", type(error).__name__])
    try:
        socket.socket().bind(("127.0.0.1", 0))
    except OSError as error:
        results.append(["bind", type(error).__name__])
    with socket.socket() as sock:
        sock.settimeout(0)
        results.append(["in progress", sock.connect_ex(("127.0.0.1", 1)) != 0])
        import select

        select.select([], [sock], [], 5)
        results.append(["later", sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0])
    return results


def case_nonblocking(env):
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(place(env.UPSTREAM))
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_WRITE)
        writable = bool(selector.select(5))
        try:
            sock.recv(1)
        except BlockingIOError:
            empty = True
        sock.send(REQUEST)
        selector.modify(sock, selectors.EVENT_READ)
        answer = b""
        while selector.select(5):
            chunk = sock.recv(10_000)
            if not chunk:
                break
            answer += chunk
    sock.close()
    return [writable, empty, body(answer)]


def case_large(env):
    data = bytes(range(256)) * 20_000
    with socket.create_connection(place(env.UPSTREAM)) as sock:
        sock.sendall(f"POST /repeat HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode())
        sock.sendall(data)
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    return answer.partition(b"\r\n\r\n")[2] == data


def case_client_certificate(env):
    """What a context is given is shown, and what cannot be read is named."""
    results = []
    path = Path("/tmp/identity.pem")
    path.write_text(env.UPSTREAM_IDENTITY)
    context = ssl.create_default_context()
    for _ in range(2):
        try:
            with urllib.request.urlopen(f"{env.UPSTREAM_MUTUAL}/bytes/5", context=context) as response:
                results.append(len(response.read()))
        except OSError:
            results.append("refused")
        context.load_cert_chain(path)
    for text, password in [("no certificate", None), ("", "secret")]:
        path.write_text(text)
        context = ssl.create_default_context()
        try:
            context.load_cert_chain(path, password=password)
            context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="localhost")
        except Exception as error:
            results.append(f"{type(error).__name__}: {error.args[-1]}")
    return results


def case_tls(env):
    host, port = place(env.UPSTREAM_TLS)
    context = ssl.create_default_context()
    with socket.create_connection((host, port)) as raw, context.wrap_socket(raw, server_hostname=host) as sock:
        sock.sendall(REQUEST)
        answer = b"".join(iter(lambda: sock.recv(700), b""))
        facts = [sock.version(), sock.cipher()[1], len(sock.getpeercert(True)) > 200, sock.selected_alpn_protocol()]
    results = [body(answer), facts]
    context.set_alpn_protocols(["h2", "http/1.1"])
    with socket.create_connection((host, port)) as raw, context.wrap_socket(raw, server_hostname=host) as sock:
        results.append(sock.selected_alpn_protocol())
    for what, address, name, change in [
        ("untrusted", place(env.UPSTREAM_UNTRUSTED), "localhost", {}),
        ("wrong name", (host, port), "other.test", {}),
        ("name unchecked", (host, port), "other.test", {"check_hostname": False}),
        ("unchecked", place(env.UPSTREAM_UNTRUSTED), "localhost", {"check_hostname": False, "verify_mode": ssl.CERT_NONE}),
        ("no TLS", place(env.UPSTREAM), "localhost", {}),
    ]:
        context = ssl.create_default_context()
        for key, value in change.items():
            setattr(context, key, value)
        try:
            with socket.create_connection(address) as raw, context.wrap_socket(raw, server_hostname=name) as sock:
                results.append([what, "connected"])
        except ssl.SSLError as error:
            results.append([what, type(error).__name__])
    return results


def case_urllib(env):
    results = []
    for base in (env.UPSTREAM, env.UPSTREAM_TLS):
        request = urllib.request.Request(f"{base}/echo", b"posted", {"User-Agent": "urllib!"})
        with urllib.request.urlopen(request, timeout=20) as response:
            seen = json.load(response)
            results.append([response.status, seen["method"], seen["body"], dict(seen["headers"])["user-agent"]])
    with urllib.request.urlopen(f"{env.UPSTREAM}/redirect/302?to=/bytes/7") as response:
        results.append([response.url.rsplit("/", 1)[1], len(response.read())])
    connection = http.client.HTTPConnection(*place(env.UPSTREAM))
    for _ in range(2):
        connection.request("GET", "/bytes/5")
        results.append(len(connection.getresponse().read()))
    connection.close()
    return results


async def case_streams(env):
    results = []
    for base in (env.UPSTREAM, env.UPSTREAM_TLS):
        host, port = place(base)
        reader, writer = await asyncio.open_connection(host, port, ssl=base.startswith("https") or None)
        writer.write(REQUEST)
        await writer.drain()
        results.append([body(await reader.read()), bool(writer.get_extra_info("peername")), writer.get_extra_info("ssl_object") is not None])
        writer.close()
        await writer.wait_closed()
    reader, writer = await asyncio.open_connection(*place(env.UPSTREAM_TLS))
    await writer.start_tls(ssl.create_default_context(), server_hostname="localhost")
    writer.write(REQUEST)
    results.append(body(await reader.read()))
    writer.close()
    for host, port, context in [("127.0.0.1", 1, None), (*place(env.UPSTREAM_UNTRUSTED), True)]:
        try:
            await asyncio.open_connection(host, port, ssl=context)
        except OSError as error:
            results.append(type(error).__name__)
    loop = asyncio.get_running_loop()
    sock = socket.socket()
    sock.setblocking(False)
    await loop.sock_connect(sock, place(env.UPSTREAM))
    await loop.sock_sendall(sock, REQUEST)
    got = 0
    while chunk := await loop.sock_recv(sock, 4096):
        got += len(chunk)
    sock.close()
    results.append(got > 1000)
    return results


async def case_together(env):
    """A blocking read holds up nobody else."""
    order = []

    async def other():
        await asyncio.sleep(0.02)
        order.append("other")

    task = asyncio.create_task(other())
    with socket.create_connection(place(env.UPSTREAM)) as sock:
        sock.sendall(b"GET /drip/5/50 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        size = len(b"".join(iter(lambda: sock.recv(65536), b"")))
    order.append("socket")
    await task
    return [order, size > 10]


async def case_platform(env):
    connect = import_from_javascript("cloudflare:sockets").connect
    results = []
    for base, options in [(env.UPSTREAM, {}), (env.UPSTREAM_TLS, {"secureTransport": "on"}), (env.UPSTREAM_TLS, {"secureTransport": "starttls"})]:
        host, port = place(base)
        sock = connect({"hostname": host, "port": port}, options)
        info = await sock.opened
        if options.get("secureTransport") == "starttls":
            sock = sock.startTls()
            await sock.opened
        writer = sock.writable.getWriter()
        await writer.write(js.TextEncoder.new().encode(REQUEST.decode()))
        answer = b""
        reader = sock.readable.getReader()
        while not (piece := await reader.read()).done:
            answer += piece.value.to_bytes()
        await sock.closed
        results.append([body(answer), info.remoteAddress.endswith(f":{port}"), sock.secureTransport, sock.upgraded])
    for address in ("127.0.0.1:1", "nonsense"):
        try:
            await connect(address).opened
        except Exception as error:
            results.append(str(error).split("\n")[0])
    return results
