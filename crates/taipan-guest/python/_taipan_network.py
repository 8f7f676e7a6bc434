"""What Python's networking needs beside sockets: names, asyncio's connections, `select`.

Sockets themselves are those of the standard library; `js/src/network.ts` has what is behind their descriptors.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import select
import socket
import ssl
import sys
from asyncio import sslproto
from collections import deque
from types import ModuleType
from typing import Any

import _taipan_host as host  # type: ignore[import-not-found]
import _taipan_ssl
from pyodide.ffi import JsException, run_sync, to_js

_SERVICES = {"http": 80, "https": 443, "ftp": 21, "smtp": 25, "imap": 143, "postgresql": 5432, "redis": 6379}
_PIECE = 64 * 1024


def _error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


# ── names ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _port(port: Any) -> int:
    if port is None:
        return 0
    if isinstance(port, (bytes, bytearray)):
        port = port.decode()
    if isinstance(port, str) and not port.isdecimal():
        if port not in _SERVICES:
            raise socket.gaierror(socket.EAI_SERVICE, "Servname not supported for ai_socktype")
        return _SERVICES[port]
    return int(port)


def _known(name: Any, flags: int) -> list[str] | None:
    """Addresses that need no question."""
    if name is None or name == "":
        return ["0.0.0.0", "::"] if flags & socket.AI_PASSIVE else ["127.0.0.1", "::1"]  # noqa: S104
    try:
        return [str(ipaddress.ip_address(name.partition("%")[0]))]
    except ValueError:
        pass
    if flags & socket.AI_NUMERICHOST:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return None


def _text(name: Any) -> Any:
    if isinstance(name, (bytes, bytearray)):
        return name.decode()
    if isinstance(name, str) and not name.isascii():
        return name.encode("idna").decode()
    return name


async def _ask(name: str) -> list[str]:
    try:
        return str(await host.resolve(name)).split()
    except JsException as error:
        raise socket.gaierror(socket.EAI_NONAME, error.message) from None


def _infos(addresses: list[str], port: int, family: int, kind: int, proto: int) -> list[Any]:
    if kind not in (0, socket.SOCK_STREAM):
        raise socket.gaierror(socket.EAI_SOCKTYPE, "ai_socktype not supported")
    found: list[Any] = []
    for address in addresses:
        its_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        if family not in (0, its_family):
            continue
        place = (address, port, 0, 0) if its_family == socket.AF_INET6 else (address, port)
        found.append((its_family, socket.SOCK_STREAM, proto or socket.IPPROTO_TCP, "", place))
    if not found:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    return found


def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    """As in the standard library; the host asks its resolver."""
    name = _text(host)
    number = _port(port)
    addresses = _known(name, flags)
    return _infos(run_sync(_ask(name)) if addresses is None else addresses, number, family, type, proto)


def _first(name: Any, family: int) -> str:
    return str(getaddrinfo(name, None, family)[0][4][0])


def gethostbyname(hostname: Any) -> str:
    """The name's first IPv4 address."""
    return _first(hostname, socket.AF_INET)


def _select(rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None) -> tuple[list[Any], list[Any], list[Any]]:
    """`select` by `poll`, which can wait."""
    poll = select.poll()
    events: dict[int, int] = {}
    places: tuple[dict[int, Any], ...] = ({}, {}, {})
    for place, things, event in zip(places, (rlist, wlist, xlist), (select.POLLIN, select.POLLOUT, select.POLLPRI), strict=True):
        for thing in things:
            fd = thing if isinstance(thing, int) else thing.fileno()
            place[fd] = thing
            events[fd] = events.get(fd, 0) | event
    for fd, event in events.items():
        poll.register(fd, event)
    ready = dict(poll.poll(None if timeout is None else max(0, timeout * 1000)))
    bad = select.POLLERR | select.POLLHUP | select.POLLNVAL
    masks = (select.POLLIN | bad, select.POLLOUT | bad, select.POLLPRI)
    readable, writable, special = (
        [thing for fd, thing in place.items() if ready.get(fd, 0) & mask]
        for place, mask in zip(places, masks, strict=True)
    )
    return readable, writable, special


# ── asyncio ────────────────────────────────────────────────────────────────────────────────────────────────────


async def _send(fd: int, data: Any) -> None:
    view = memoryview(data).cast("B")
    for start in range(0, len(view), _PIECE):
        sent = await host.send(fd, to_js(view[start : start + _PIECE]))
        if sent < 0:
            raise _error(-sent)


async def _receive(fd: int, most: int) -> bytes:
    found = await host.receive(fd, most)
    if isinstance(found, int):
        if found < 0:
            raise _error(-found)
        return b""
    return found.to_bytes()  # type: ignore[no-any-return]


class _Transport(asyncio.Transport):
    """A connected socket, served by two tasks: one reads while the protocol wants it, one writes while there is something."""

    def __init__(self, loop: Any, sock: socket.socket, protocol: Any, waiter: asyncio.Future[None]) -> None:
        extra = {"socket": sock, "peername": sock.getpeername(), "sockname": sock.getsockname()}
        super().__init__(extra)
        self._loop = loop
        self._sock = sock
        self._fd = sock.fileno()
        self._protocol = protocol
        self._buffer: deque[bytes] = deque()
        self._size = 0
        self._high, self._low = _PIECE, _PIECE // 4
        self._is_protocol_paused = False
        self._is_closing = False
        self._is_lost = False
        self._is_at_end = False
        self._wants_eof = False
        #: Why nothing can be written any more, while there may be something to read.
        self._failure: OSError | None = None
        self._may_read = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._reader: asyncio.Task[None] | None = None
        loop.call_soon(self._begin, waiter)

    def _begin(self, waiter: asyncio.Future[None]) -> None:
        self._protocol.connection_made(self)
        self._may_read.set()
        self._reader = self._loop.create_task(self._read())
        if not waiter.done():
            waiter.set_result(None)

    async def _read(self) -> None:
        try:
            while not self._is_closing:
                await self._may_read.wait()
                data = await _receive(self._fd, 4 * _PIECE)
                # What came in the meantime is not lost.
                await self._may_read.wait()
                if self._is_lost or self._is_closing:
                    return
                if not data:
                    self._is_at_end = True
                    if not self._protocol.eof_received():
                        self.close()
                    return
                self._deliver(data)
        except OSError as error:
            self._lose(error)
        except Exception as error:
            self._loop.call_exception_handler(
                {"message": "the protocol's data_received() failed", "exception": error, "transport": self}
            )
            self._lose(error)

    def _deliver(self, data: bytes) -> None:
        if not isinstance(self._protocol, asyncio.BufferedProtocol):
            self._protocol.data_received(data)
            return
        rest = memoryview(data)
        while rest and not self._is_lost:
            buffer = memoryview(self._protocol.get_buffer(len(rest)))
            size = min(len(buffer), len(rest))
            buffer[:size] = rest[:size]
            self._protocol.buffer_updated(size)
            rest = rest[size:]

    def write(self, data: Any) -> None:
        if self._wants_eof:
            raise RuntimeError("Cannot call write() after write_eof()")
        if self._is_closing or not data:
            return
        self._buffer.append(bytes(data))
        self._size += len(data)
        if self._size > self._high and not self._is_protocol_paused:
            self._is_protocol_paused = True
            self._protocol.pause_writing()
        self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = self._loop.create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._buffer:
                data = b"".join(self._buffer)
                self._buffer.clear()
                await _send(self._fd, data)
                self._size -= len(data)
                if self._is_protocol_paused and self._size <= self._low:
                    self._is_protocol_paused = False
                    self._protocol.resume_writing()
            if self._is_closing:
                self._lose(None)
            elif self._wants_eof:
                self._sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            await self._lose_after_reading(error)
        finally:
            self._writer = None

    async def _lose_after_reading(self, error: OSError) -> None:
        """The peer takes nothing more. What it said before it went, such as why it does not take it, is read first."""
        self._buffer.clear()
        self._failure = error
        if self._reader is not None and self.is_reading():
            await asyncio.wait([self._reader])
        self._lose(error)

    def _lose(self, error: Exception | None) -> None:
        self._is_closing = True
        if self._is_lost:
            return
        self._is_lost = True
        self._buffer.clear()
        self._may_read.set()
        self._loop.call_soon(self._end, error)

    def _end(self, error: Exception | None) -> None:
        self._sock.close()
        self._protocol.connection_lost(error)

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        self._is_closing = True
        self._may_read.set()
        self._flush()

    def abort(self) -> None:
        self._lose(None)

    #: What `asyncio.sslproto` calls when TLS fails.
    _force_close = _lose

    def get_protocol(self) -> Any:
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        self._protocol = protocol

    def is_reading(self) -> bool:
        return self._may_read.is_set() and not self._is_closing

    def pause_reading(self) -> None:
        if not self._is_closing:
            self._may_read.clear()
        if self._failure is not None:
            self._lose(self._failure)

    def resume_reading(self) -> None:
        self._may_read.set()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self._wants_eof = True
        self._flush()

    def get_write_buffer_size(self) -> int:
        return self._size

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = _PIECE if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low


class Loop:
    """The event loop's methods for connections; `install` gives them to the class of the one that is there."""

    async def getaddrinfo(
        self, host: Any, port: Any, *, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        name = _text(host)
        number = _port(port)
        addresses = _known(name, flags)
        return _infos(await _ask(name) if addresses is None else addresses, number, family, type, proto)

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        failed = await host.connect(sock.fileno(), str(address[0]), int(address[1]))
        if failed < 0:
            raise _error(-failed)

    async def sock_recv(self, sock: socket.socket, nbytes: int) -> bytes:
        return await _receive(sock.fileno(), nbytes)

    async def sock_recv_into(self, sock: socket.socket, buf: Any) -> int:
        data = await _receive(sock.fileno(), len(buf))
        buf[: len(data)] = data
        return len(data)

    async def sock_sendall(self, sock: socket.socket, data: Any) -> None:
        await _send(sock.fileno(), data)

    async def _connected(self, name: Any, port: Any, family: int, proto: int, flags: int, all_errors: bool) -> Any:
        infos = await self.getaddrinfo(name, port, family=family, type=socket.SOCK_STREAM, proto=proto, flags=flags)
        errors: list[OSError] = []
        for family, kind, proto, _, address in infos:
            sock = socket.socket(family, kind, proto)
            sock.setblocking(False)
            try:
                await self.sock_connect(sock, address)
            except OSError as error:
                sock.close()
                errors.append(error)
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        if all_errors:
            raise ExceptionGroup("create_connection failed", errors)
        if len(errors) == 1 or len({str(error) for error in errors}) == 1:
            raise errors[0]
        raise OSError(f"Multiple exceptions: {', '.join(map(str, errors))}")

    async def create_connection(
        self,
        protocol_factory: Any,
        host: Any = None,
        port: Any = None,
        *,
        ssl: Any = None,
        family: int = 0,
        proto: int = 0,
        flags: int = 0,
        sock: Any = None,
        local_addr: Any = None,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
        happy_eyeballs_delay: float | None = None,
        interleave: int | None = None,
        all_errors: bool = False,
    ) -> Any:
        if server_hostname is not None and not ssl:
            raise ValueError("server_hostname is only meaningful with ssl")
        if ssl and server_hostname is None:
            if not host:
                raise ValueError("You must set server_hostname when using ssl without a host")
            server_hostname = host
        if (host is not None or port is not None) and sock is not None:
            raise ValueError("host/port and sock can not be specified at the same time")
        if sock is None:
            if host is None and port is None:
                raise ValueError("host and port was not specified and no sock specified")
            sock = await self._connected(host, port, family, proto, flags, all_errors)
        elif sock.type != socket.SOCK_STREAM:
            raise ValueError(f"A Stream Socket was expected, got {sock!r}")
        sock.setblocking(False)
        protocol = protocol_factory()
        waiter = self.create_future()  # type: ignore[attr-defined]
        if ssl:
            context = None if isinstance(ssl, bool) else ssl
            over = sslproto.SSLProtocol(
                self,  # type: ignore[arg-type]
                protocol,
                context,
                waiter,
                False,
                server_hostname,
                ssl_handshake_timeout=ssl_handshake_timeout,
                ssl_shutdown_timeout=ssl_shutdown_timeout,
            )
            below: Any = _Transport(self, sock, over, self.create_future())  # type: ignore[attr-defined]
            transport: Any = over._get_app_transport()
        else:
            below = transport = _Transport(self, sock, protocol, waiter)
        try:
            await waiter
        except BaseException:
            below.abort()
            raise
        return transport, protocol

    async def start_tls(
        self,
        transport: Any,
        protocol: Any,
        sslcontext: Any,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        ssl_handshake_timeout: float | None = None,
        ssl_shutdown_timeout: float | None = None,
    ) -> Any:
        if not isinstance(sslcontext, ssl.SSLContext):
            raise TypeError(f"sslcontext is expected to be an instance of ssl.SSLContext, got {sslcontext!r}")
        waiter = self.create_future()  # type: ignore[attr-defined]
        over = sslproto.SSLProtocol(
            self,  # type: ignore[arg-type]
            protocol,
            sslcontext,
            waiter,
            server_side,
            server_hostname,
            call_connection_made=False,
            ssl_handshake_timeout=ssl_handshake_timeout,
            ssl_shutdown_timeout=ssl_shutdown_timeout,
        )
        transport.pause_reading()
        transport.set_protocol(over)
        self.call_soon(over.connection_made, transport)  # type: ignore[attr-defined]
        self.call_soon(transport.resume_reading)  # type: ignore[attr-defined]
        try:
            await waiter
        except BaseException:
            transport.close()
            raise
        return over._get_app_transport()


def _leave_urllib3_alone() -> None:
    """urllib3 would use a browser's requests on this platform, which know neither its headers nor its sockets."""
    name = "urllib3.contrib.emscripten"
    module = ModuleType(name)
    module.inject_into_urllib3 = lambda: None  # type: ignore[attr-defined]
    sys.modules[name] = module


def install() -> None:
    """Makes all of it the standard library's."""
    _taipan_ssl.install()
    loop_class = type(asyncio.get_event_loop())
    socket.getaddrinfo = getaddrinfo  # type: ignore[assignment]
    socket.gethostbyname = gethostbyname
    select.select = _select  # type: ignore[assignment]
    socket.has_ipv6 = True
    for name, method in vars(Loop).items():
        if not name.startswith("__"):
            setattr(loop_class, name, method)
    _leave_urllib3_alone()
