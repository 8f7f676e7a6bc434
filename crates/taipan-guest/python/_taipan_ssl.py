"""`ssl` by the host's TLS.

Pyodide's module has the constants and helpers of the standard library's, and classes that do nothing. They are given what they
lack here: `SSLObject` is a TLS client between two buffers, as asyncio uses it, and `SSLSocket` carries its bytes over a
socket. The host speaks TLS 1.2 and 1.3 and knows whom the system trusts; ciphers and the like are its choice.
"""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import Any

import _taipan_host as host  # type: ignore[import-not-found]
from pyodide.ffi import JsException, to_js

_PIECE = 64 * 1024


class MemoryBIO:
    """Bytes between a TLS client and whoever carries them."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._is_over = False

    @property
    def pending(self) -> int:
        return len(self._bytes)

    @property
    def eof(self) -> bool:
        return self._is_over and not self._bytes

    def read(self, size: int = -1) -> bytes:
        size = len(self._bytes) if size < 0 else size
        data = bytes(self._bytes[:size])
        del self._bytes[:size]
        return data

    def write(self, data: Any) -> int:
        if self._is_over:
            raise ssl.SSLError("cannot write() after write_eof()")
        self._bytes += data
        return len(memoryview(data).cast("B"))

    def write_eof(self) -> None:
        self._is_over = True


class SSLObject:
    """A TLS client between two buffers. Made by `SSLContext.wrap_bio()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("SSLObject does not have a public constructor. Instances are returned by SSLContext.wrap_bio().")

    @classmethod
    def _create(cls, incoming: Any, outgoing: Any, context: ssl.SSLContext, server_hostname: str | None) -> SSLObject:
        self = cls.__new__(cls)
        self._incoming = incoming
        self._outgoing = outgoing
        self.context = context
        self.server_hostname = server_hostname
        self.server_side = False
        self.session = None
        self.session_reused = False
        self._plain = bytearray()
        self._is_handshaking = True
        self._has_ended = False
        self._number = _open(context, server_hostname)
        self._step()
        return self

    def __del__(self) -> None:
        if (number := getattr(self, "_number", None)) is not None:
            host.tls_drop(number)

    def _step(self, plain: Any = b"", *, close: bool = False) -> None:
        answer = host.tls_step(self._number, to_js(self._incoming.read()), to_js(plain), int(close))
        got, wire, is_handshaking, has_ended, error = answer
        self._plain += got.to_bytes()
        if out := wire.to_bytes():
            self._outgoing.write(out)
        self._is_handshaking = bool(is_handshaking)
        self._has_ended = self._has_ended or bool(has_ended)
        if isinstance(error, str):
            raise _failure(error)

    def _wait(self) -> Exception:
        """What to do when there is nothing to go on with."""
        if self._incoming.eof:
            return ssl.SSLEOFError(ssl.SSL_ERROR_EOF, "EOF occurred in violation of protocol")
        return ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)")

    def do_handshake(self) -> None:
        self._step()
        if self._is_handshaking:
            raise self._wait()

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        if not self._plain and not self._has_ended:
            self._step()
        if not self._plain and not self._has_ended:
            raise self._wait()
        data = bytes(self._plain[:len])
        del self._plain[:len]
        if buffer is None:
            return data
        size = data.__len__()
        buffer[:size] = data
        return size

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._step(view)
        return len(view)

    def pending(self) -> int:
        return len(self._plain)

    def unwrap(self) -> None:
        self._step(close=True)
        if not self._has_ended and not self._incoming.eof:
            raise self._wait()

    def _facts(self) -> Any:
        return [value if isinstance(value, str) or hasattr(value, "to_bytes") else None for value in host.tls_facts(self._number)]

    def version(self) -> str | None:
        return self._facts()[0]  # type: ignore[no-any-return]

    def cipher(self) -> tuple[str, str, int] | None:
        version, name, *_ = self._facts()
        return (name, version, 128 if "128" in name else 256) if name else None

    def selected_alpn_protocol(self) -> str | None:
        return self._facts()[2]  # type: ignore[no-any-return]

    def selected_npn_protocol(self) -> None:
        return None

    def compression(self) -> None:
        return None

    def shared_ciphers(self) -> None:
        return None

    def getpeercert(self, binary_form: bool = False) -> Any:
        certificate = self._facts()[3]
        if certificate is None:
            return None
        # The host has checked it, which is what its fields are usually wanted for.
        return certificate.to_bytes() if binary_form else {}

    def get_channel_binding(self, cb_type: str = "tls-unique") -> None:
        return None


class SSLSocket(socket.socket):
    """A socket with TLS. Made by `SSLContext.wrap_socket()`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("SSLSocket does not have a public constructor. Instances are returned by SSLContext.wrap_socket().")

    @classmethod
    def _create(  # type: ignore[no-untyped-def]
        cls, sock, do_handshake_on_connect, suppress_ragged_eofs, server_hostname, context
    ) -> SSLSocket:
        self = cls.__new__(cls)
        timeout = sock.gettimeout()
        try:
            sock.getpeername()
            is_connected = True
        except OSError:
            is_connected = False
        super(SSLSocket, self).__init__(sock.family, sock.type, sock.proto, sock.detach())
        self.settimeout(timeout)
        self.context = context
        self.server_hostname = server_hostname
        self.server_side = False
        self.session = None
        self.session_reused = False
        self.do_handshake_on_connect = do_handshake_on_connect
        self.suppress_ragged_eofs = suppress_ragged_eofs
        self._sslobj = None
        if is_connected:
            self._begin()
        return self

    def _begin(self) -> None:
        self._in, self._out = MemoryBIO(), MemoryBIO()
        try:
            self._sslobj = SSLObject._create(self._in, self._out, self.context, self.server_hostname)
            if self.do_handshake_on_connect:
                self.do_handshake()
        except BaseException:
            self.close()
            raise

    def _flush(self) -> None:
        if out := self._out.read():
            super().sendall(out)

    def _fill(self) -> None:
        try:
            data = super().recv(_PIECE)
        except BlockingIOError:
            raise ssl.SSLWantReadError(ssl.SSL_ERROR_WANT_READ, "The operation did not complete (read)") from None
        if data:
            self._in.write(data)
        else:
            self._in.write_eof()

    def _carry(self, work: Any, *args: Any) -> Any:
        while True:
            try:
                result = work(*args)
            except ssl.SSLWantReadError:
                self._flush()
                self._fill()
            except ssl.SSLError:
                self._flush()
                raise
            else:
                self._flush()
                return result

    def connect(self, addr: Any) -> None:
        super().connect(addr)
        self._begin()

    def connect_ex(self, addr: Any) -> int:
        failed = super().connect_ex(addr)
        if not failed:
            self._begin()
        return failed

    def do_handshake(self, block: bool = False) -> None:
        self._carry(self._sslobj.do_handshake)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        if self._sslobj is None:
            return super().recv(buflen, flags)
        try:
            return self._carry(self._sslobj.read, buflen)  # type: ignore[no-any-return]
        except ssl.SSLEOFError:
            if self.suppress_ragged_eofs:
                return b""
            raise

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        view = memoryview(buffer).cast("B")
        data = self.recv(nbytes or len(view), flags)
        view[: len(data)] = data
        return len(data)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        return self.recv(len) if buffer is None else self.recv_into(buffer, len)

    def send(self, data: Any, flags: int = 0) -> int:
        if self._sslobj is None:
            return super().send(data, flags)
        return self._carry(self._sslobj.write, data)  # type: ignore[no-any-return]

    write = send

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.send(data, flags)

    def pending(self) -> int:
        return self._sslobj.pending() if self._sslobj else 0

    def unwrap(self) -> socket.socket:
        try:
            self._carry(self._sslobj.unwrap)
        except ssl.SSLEOFError:
            if not self.suppress_ragged_eofs:
                raise
        timeout = self.gettimeout()
        plain = socket.socket(self.family, self.type, self.proto, self.detach())
        plain.settimeout(timeout)
        return plain

    def dup(self) -> Any:
        raise NotImplementedError("Can't dup() SSLSocket instances")

    def recvfrom(self, *args: Any) -> Any:
        raise ValueError("recvfrom not allowed on instances of SSLSocket")

    def sendto(self, *args: Any) -> Any:
        raise ValueError("sendto not allowed on instances of SSLSocket")


def _ask(name: str) -> Any:
    def method(self: SSLSocket, *args: Any, **kwargs: Any) -> Any:
        return getattr(self._sslobj, name)(*args, **kwargs) if self._sslobj else None

    method.__name__ = name
    return method


for _name in (
    "version",
    "cipher",
    "getpeercert",
    "selected_alpn_protocol",
    "selected_npn_protocol",
    "compression",
    "shared_ciphers",
    "get_channel_binding",
):
    setattr(SSLSocket, _name, _ask(_name))


def _failure(message: str) -> ssl.SSLError:
    if "not speak TLS" in message:
        # By these words, urllib3 knows that it is probably HTTP.
        return ssl.SSLError(ssl.SSL_ERROR_SSL, f"[SSL: WRONG_VERSION_NUMBER] wrong version number: {message}")
    if not message.startswith("the certificate"):
        return ssl.SSLError(ssl.SSL_ERROR_SSL, f"[SSL] {message}")
    text = f"[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: {message}"
    error = ssl.SSLCertVerificationError(ssl.SSL_ERROR_SSL, text)
    error.verify_message = message  # type: ignore[misc]
    error.verify_code = 1  # type: ignore[misc]
    error.reason = "CERTIFICATE_VERIFY_FAILED"
    error.library = "SSL"
    return error


def _open(context: ssl.SSLContext, server_hostname: str | None) -> int:
    if context.check_hostname and not server_hostname:
        raise ValueError("check_hostname requires server_hostname")
    checks_chain = context.verify_mode != ssl.CERT_NONE
    roots = getattr(context, "_roots", [])
    protocols = getattr(context, "_protocols", [])
    try:
        return host.tls_open(  # type: ignore[no-any-return]
            server_hostname or "",
            int(checks_chain),
            int(context.check_hostname),
            "\n".join(roots),
            int(getattr(context, "_trusts_system", False)),
            getattr(context, "_identity", ""),
            " ".join(protocols),
        )
    except JsException as error:
        raise ssl.SSLError(ssl.SSL_ERROR_SSL, error.message) from None


def _wrap_bio(  # type: ignore[no-untyped-def]
    self, incoming, outgoing, server_side=False, server_hostname=None, session=None
):
    if server_side:
        raise NotImplementedError("Workers do not accept connections")
    return SSLObject._create(incoming, outgoing, self, self._encode_hostname(server_hostname))


def _wrap_socket(  # type: ignore[no-untyped-def]
    self,
    sock,
    server_side=False,
    do_handshake_on_connect=True,
    suppress_ragged_eofs=True,
    server_hostname=None,
    session=None,
):
    if server_side:
        raise NotImplementedError("Workers do not accept connections")
    hostname = self._encode_hostname(server_hostname)
    return SSLSocket._create(sock, do_handshake_on_connect, suppress_ragged_eofs, hostname, self)


def _set_alpn_protocols(self: Any, alpn_protocols: Any) -> None:
    self._protocols = [p.decode() if isinstance(p, bytes) else str(p) for p in alpn_protocols]


def _load_default_certs(self: Any, purpose: Any = None) -> None:
    self._trusts_system = True


def _load_verify_locations(self: Any, cafile: Any = None, capath: Any = None, cadata: Any = None) -> None:
    if cafile is None and capath is None and cadata is None:
        raise TypeError("cafile, capath and cadata cannot be all omitted")
    if not hasattr(self, "_roots"):
        self._roots = []
    if cafile is not None:
        path = os.fsdecode(cafile)
        if path.replace(os.sep, "/").endswith("certifi/cacert.pem"):
            # A stand-in for what the system trusts, which is known here.
            self._trusts_system = True
        else:
            self._roots.append(Path(path).read_text())
    if capath is not None:
        self._roots.extend(file.read_text() for file in Path(os.fsdecode(capath)).iterdir() if file.is_file())
    if isinstance(cadata, str):
        self._roots.append(cadata)
    elif cadata is not None:
        self._roots.append(ssl.DER_cert_to_PEM_cert(bytes(cadata)))


def _load_cert_chain(self: Any, certfile: Any, keyfile: Any = None, password: Any = None) -> None:
    if password is not None:
        raise NotImplementedError("A client's key with a password cannot be read here: give one without")
    self._identity = "\n".join(Path(os.fsdecode(file)).read_text() for file in (certfile, keyfile) if file is not None)


def install() -> None:
    """Gives the module what it lacks. Not when it is complete already."""
    if not ssl.OPENSSL_VERSION.endswith("(stub)"):
        return
    context = ssl.SSLContext
    context.wrap_bio = _wrap_bio  # type: ignore[method-assign]
    context.wrap_socket = _wrap_socket  # type: ignore[method-assign]
    context.set_alpn_protocols = _set_alpn_protocols  # type: ignore[method-assign]
    context.load_default_certs = _load_default_certs  # type: ignore[method-assign]
    context.set_default_verify_paths = _load_default_certs  # type: ignore[method-assign]
    context.load_verify_locations = _load_verify_locations  # type: ignore[method-assign]
    context.load_cert_chain = _load_cert_chain  # type: ignore[method-assign]
    context.sslsocket_class = SSLSocket  # type: ignore[assignment]
    context.sslobject_class = SSLObject  # type: ignore[assignment]
    # The host never looks at a certificate's common name.
    ssl.HAS_NEVER_CHECK_COMMON_NAME = True  # type: ignore[misc]
    ssl.SSLObject = SSLObject  # type: ignore[misc, assignment]
    ssl.SSLSocket = SSLSocket  # type: ignore[misc, assignment]
    ssl.MemoryBIO = MemoryBIO  # type: ignore[misc, assignment]
