"""What bodies are made of: Blob, File and FormData."""

from __future__ import annotations

import builtins
import json
from collections.abc import AsyncIterator, Buffer, Callable, Iterable, Iterator, Mapping, MutableMapping
from enum import StrEnum
from typing import Any

import js
from pyodide.ffi import JsException, JsProxy, create_proxy, to_js
from pyodide.http import AbortError

from ._runtime import jsnull, wait


class BlobEnding(StrEnum):
    """What becomes of line ends in the strings of a Blob."""

    TRANSPARENT = "transparent"
    NATIVE = "native"


def js_kind(value: JsProxy) -> str:
    """The name of a JavaScript object's class."""
    constructor = getattr(value, "constructor", None)
    return str(getattr(constructor, "name", "")) or "Object"


def python_exception(error: Any) -> Any:
    """The Python exception for what JavaScript says of a wrong argument."""
    match error.name:
        case "RangeError":
            return ValueError(error.message)
        case "TypeError":
            return TypeError(error.message)
        case "InternalError" if error.message == "out of memory":
            return MemoryError(error.message)
    return error


def failure(error: Any) -> Any:
    """The Python exception for what JavaScript says of a request that failed, or of a body that does not arrive."""
    match error.name:
        case "TimeoutError":
            return TimeoutError(error.message)
        case "AbortError":
            return AbortError(error)
        case "TypeError" | "NetworkError" | "Error":
            return OSError(error.message)
    return python_exception(error)


def python_error(error: Any, other: Callable[[str, str], Exception]) -> Exception:
    """The Python exception that a JavaScript error is; `other` makes one of its message and name when Python has none of the name."""
    name, message = str(getattr(error, "name", "Error")), str(getattr(error, "message", error))
    # What the runtime says, which Python has other names for: a value is beyond a limit, memory is full.
    if name == "InternalError" and message == "out of memory":
        name = "MemoryError"
    known = ValueError if name == "RangeError" else getattr(builtins, name, None)
    if not isinstance(known, type) or not issubclass(known, Exception):
        return other(message, name)
    arguments = getattr(error, "pythonArguments", None)
    try:
        return known(*(json.loads(arguments) if isinstance(arguments, str) else [message]))
    except (TypeError, ValueError):
        return known(message)


def construct(constructor: Any, *arguments: Any) -> Any:
    """A new JavaScript object."""
    try:
        return constructor.new(*arguments)
    except JsException as error:
        raise python_exception(error) from None


def plain_object(values: Mapping[str, Any]) -> Any:
    """A JavaScript object with these members."""
    return to_js(values, dict_converter=js.Object.fromEntries)


class Blob:
    """Immutable bytes with a content type."""

    def __init__(
        self,
        blob_parts: Iterable[BlobValue] | BlobValue = (),
        content_type: str | None = None,
        endings: BlobEnding | None = None,
    ) -> None:
        blob = blob_parts.js_object if isinstance(blob_parts, Blob) else blob_parts
        if content_type is None and isinstance(blob, JsProxy) and js_kind(blob) in ("Blob", "File"):
            # Immutable, so it can be shared.
            self._js = blob
        else:
            self._js = construct(js.Blob, _parts(blob), _blob_options(content_type, endings))

    @property
    def js_object(self) -> Any:
        """The JavaScript Blob."""
        return self._js

    @property
    def size(self) -> int:
        """In bytes."""
        return int(self._js.size)

    @property
    def content_type(self) -> str:
        """As given when it was made."""
        return str(self._js.type)

    async def text(self) -> str:
        """The content decoded as UTF-8."""
        return str(await self._js.text())

    async def bytes(self) -> bytes:
        """The content."""
        return (await self._js.arrayBuffer()).to_bytes()  # type: ignore[no-any-return]

    def slice(self, start: int | None = None, end: int | None = None, content_type: str | None = None) -> Blob:
        """A part of it."""
        length = self.size
        return Blob(self._js.slice(start or 0, length if end is None else end, content_type or ""))

    def __len__(self) -> int:
        return self.size

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.size} bytes {self.content_type!r}>"


class File(Blob):
    """A Blob with a name."""

    def __init__(
        self,
        blob_parts: Iterable[BlobValue] | BlobValue,
        filename: str | None = None,
        content_type: str | None = None,
        endings: BlobEnding | None = None,
        last_modified: int | None = None,
    ) -> None:
        file = blob_parts.js_object if isinstance(blob_parts, Blob) else blob_parts
        if isinstance(file, JsProxy):
            kind = js_kind(file)
            if kind == "File" and filename in (None, file.name) and content_type is None and last_modified is None:
                self._js = file
                return
            if kind in ("Blob", "File"):
                content_type = file.type if content_type is None else content_type
                last_modified = getattr(file, "lastModified", None) if last_modified is None else last_modified
        if filename is None:
            raise TypeError("A File needs a filename")
        options = _blob_options(content_type, endings, last_modified)
        self._js = construct(js.File, _parts(file), filename, options)

    @property
    def name(self) -> str:
        """Its file name."""
        return str(self._js.name)

    @property
    def last_modified(self) -> int:
        """In milliseconds since 1970."""
        return int(self._js.lastModified)


BlobValue = str | Buffer | Blob


def _part(part: Any) -> Any:
    if isinstance(part, Blob):
        return part.js_object
    if isinstance(part, (str, JsProxy)):
        return part
    if isinstance(part, Buffer):
        return to_js(memoryview(part).cast("B"))
    raise TypeError(f"Unsupported type in Blob: {type(part).__name__}")


def _parts(parts: Any) -> Any:
    if isinstance(parts, (str, bytes, bytearray, memoryview, Blob, JsProxy)):
        parts = [parts]
    return to_js([_part(part) for part in parts])


def _blob_options(content_type: str | None, endings: str | None, last_modified: int | None = None) -> Any:
    given = {"type": content_type, "endings": None if endings is None else str(endings), "lastModified": last_modified}
    return plain_object({name: value for name, value in given.items() if value is not None})


FormDataValue = str | bytes | bytearray | memoryview | Blob


class FormData(MutableMapping[str, "str | File"]):
    """The fields of a form, in order; a name may have several values.

    As a mapping it gives a name's first value.
    """

    def __init__(self, form_data: Mapping[str, Any] | Any | None = None) -> None:
        if isinstance(form_data, JsProxy):
            self._js = form_data
            return
        self._js = js.FormData.new()
        if form_data is None:
            return
        if isinstance(form_data, str) or not isinstance(form_data, Iterable):
            raise TypeError(f"A FormData is made of a mapping, not {type(form_data).__name__}")
        # Another form gives repeated names repeatedly.
        for name, value in form_data.items() if isinstance(form_data, Mapping) else form_data:
            for one in value if isinstance(value, (list, tuple)) else [value]:
                self.append(name, one)

    @property
    def js_object(self) -> Any:
        """The JavaScript FormData."""
        return self._js

    def __getitem__(self, name: str) -> str | File:
        if not self._js.has(name):
            raise KeyError(name)
        return _from_form(self._js.get(name))

    def __setitem__(self, name: str, value: FormDataValue) -> None:
        self._js.set(name, _to_form(value))

    def __delitem__(self, name: str) -> None:
        if not self._js.has(name):
            raise KeyError(name)
        self._js.delete(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and bool(self._js.has(name))

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(self._js.keys()))

    def __len__(self) -> int:
        return len(dict.fromkeys(self._js.keys()))

    def append(self, name: str, value: FormDataValue, filename: str | None = None) -> None:
        """Adds a value beside those that the name has."""
        converted = _to_form(value)
        if filename is not None:
            self._js.append(name, converted, filename)
        else:
            self._js.append(name, converted)

    def delete(self, name: str) -> None:
        """Removes every value of the name, if there is one."""
        self._js.delete(name)

    def get_all(self, name: str) -> list[str | File]:
        """Every value of the name."""
        return [_from_form(value) for value in self._js.getAll(name)]

    def items(self) -> list[tuple[str, str | File]]:  # type: ignore[override]
        """Every name and value in order, repeated names repeatedly."""
        return [(pair[0], _from_form(pair[1])) for pair in self._js.entries()]

    def values(self) -> list[str | File]:  # type: ignore[override]
        """Every value in order."""
        return [_from_form(value) for value in self._js.values()]

    def __repr__(self) -> str:
        return f"FormData({self.items()!r})"


def _from_form(value: Any) -> str | File:
    return value if isinstance(value, str) else File(value)


def _to_form(value: Any) -> Any:
    if isinstance(value, str):
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return js.Blob.new(to_js([to_js(value)]))
    if isinstance(value, Blob):
        return value.js_object
    if isinstance(value, JsProxy):
        return value
    raise TypeError(f"Unsupported type in FormData: {type(value).__name__}")


_NUMBERS = ("Int8", "Uint8", "Uint8Clamped", "Int16", "Uint16", "Int32", "Uint32", "Float16", "Float32", "Float64")

#: Classes of JavaScript objects that are bytes.
JS_BUFFERS = frozenset(
    ["ArrayBuffer", "DataView", "BigInt64Array", "BigUint64Array", *(f"{name}Array" for name in _NUMBERS)]
)

#: Classes of JavaScript objects that are bodies.
JS_BODIES = JS_BUFFERS | {"Blob", "File", "FormData", "ReadableStream", "URLSearchParams"}


class ByteStream:
    """Bytes that come in pieces: `async for chunk in stream`, `await stream.read()`, or as the body of a response."""

    def __init__(self, js_object: Any) -> None:
        #: The JavaScript ReadableStream.
        self.js_object = js_object

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reader = self.js_object.getReader()
        is_over = False
        try:
            while True:
                piece = await reader.read()
                if piece.done:
                    is_over = True
                    return
                yield piece.value.to_bytes()
        finally:
            if not is_over:
                await reader.cancel()

    async def read(self) -> bytes:
        """All that is left."""
        return b"".join([chunk async for chunk in self])

    def __iter__(self) -> Iterator[bytes]:
        """As `async for`, for code that cannot await."""
        chunks = self.__aiter__()
        while True:
            try:
                yield wait(anext(chunks))
            except StopAsyncIteration:
                return

    def __repr__(self) -> str:
        return "<ByteStream>"


async def _chunks(body: Any) -> Any:
    """What an iterator gives, as JavaScript takes it."""
    if hasattr(body, "__aiter__"):
        async for chunk in body:
            yield to_js(chunk.encode() if isinstance(chunk, str) else chunk)
    else:
        for chunk in body:
            yield to_js(chunk.encode() if isinstance(chunk, str) else chunk)


def js_body(body: Any, where: str) -> Any:
    """The body as a JavaScript function takes it."""
    if body is None or body is jsnull:
        return jsnull
    if isinstance(body, str):
        return body
    if isinstance(body, (bytes, bytearray, memoryview)):
        return to_js(body)
    if isinstance(body, (Blob, ByteStream, FormData)):
        return body.js_object
    if isinstance(body, JsProxy):
        kind = js_kind(body)
        if kind in JS_BODIES:
            return body
        raise TypeError(f"Unsupported type in {where}: {kind}")
    if where == "Request" and (hasattr(body, "__aiter__") or isinstance(body, Iterator)):
        return js.ReadableStream.from_(create_proxy(_chunks(body)))
    kind = type(body).__name__
    is_json = where == "Response" and isinstance(body, (dict, list))
    advice = "; use Response.json(…) to send it as JSON" if is_json else ""
    raise TypeError(f"Unsupported type in {where}: {kind}{advice}")


async def read_body(message: Any, method: str) -> Any:
    """Reads the body of a JavaScript Request or Response with one of its methods."""
    if message.bodyUsed:
        raise OSError("Body already used")
    try:
        return await getattr(message, method)()
    except JsException as error:
        # Of a form, it is mostly said what is wrong with it.
        raise (python_exception if method == "formData" else failure)(error) from None
