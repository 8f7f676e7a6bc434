"""Buckets of objects."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from io import BytesIO
from typing import Any, overload

from pyodide.ffi import JsException, JsProxy, to_js

from ._bindings import Sync, answered, blocking, exception, is_stream, options_of, upload
from ._body import JS_BUFFERS, Blob, ByteStream, js_kind
from ._env import JsDict
from ._headers import Headers
from ._runtime import jsnull

#: Members of `httpMetadata`, and the headers that they are.
_HTTP = {
    "contentType": "content-type",
    "contentLanguage": "content-language",
    "contentDisposition": "content-disposition",
    "contentEncoding": "content-encoding",
    "cacheControl": "cache-control",
    "cacheExpiry": "expires",
}
#: The same under Python's names, and what else has both.
_HTTP_NAMES = {
    "content_type": "contentType",
    "content_language": "contentLanguage",
    "content_disposition": "contentDisposition",
    "content_encoding": "contentEncoding",
    "cache_control": "cacheControl",
    "cache_expiry": "cacheExpiry",
}
_CONDITIONS = {
    "etag_matches": "etagMatches",
    "etag_does_not_match": "etagDoesNotMatch",
    "uploaded_before": "uploadedBefore",
    "uploaded_after": "uploadedAfter",
    "seconds_granularity": "secondsGranularity",
}
_RANGE = {name: name for name in ("offset", "length", "suffix")}
#: Larger values go to the host in pieces of this size.
_LARGE, _PIECE = 4 << 20, 1 << 20
_CHECKSUMS = ("md5", "sha1", "sha256", "sha384", "sha512")


def _none(value: Any) -> bool:
    return value is None or value is jsnull


def _plain(options: Any) -> dict[str, Any]:
    if isinstance(options, JsProxy):
        options = options.to_py()
    return dict(options or {})


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise TypeError(f"A key is a str, not {type(key).__name__}")
    return key


def _headers(value: Any) -> Headers | None:
    if isinstance(value, Headers):
        return value
    if isinstance(value, JsProxy) and js_kind(value) == "Headers":
        return Headers(value)
    return None


def _milliseconds(moment: Any) -> float | None:
    if _none(moment):
        return None
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000
    return float(moment)


def _metadata(http: Any, custom: Any) -> str:
    headers = _headers(http)
    given = {} if headers is not None else options_of(http, {}, _HTTP_NAMES, "httpMetadata has no member")
    if headers is not None:
        given = {name: headers.get(header) for name, header in _HTTP.items()}
    kept = {name: value for name, value in given.items() if not _none(value)}
    expiry = kept.get("cacheExpiry")
    if isinstance(expiry, str) and headers is not None:
        expiry = parsedate_to_datetime(expiry)
    if isinstance(expiry, datetime):
        kept["cacheExpiry"] = expiry.astimezone(UTC).isoformat()
    own = {str(name): str(value) for name, value in _plain(custom).items()}
    return json.dumps({"httpMetadata": kept, "customMetadata": own}, ensure_ascii=False)


def _conditions(given: Any) -> str | None:
    if _none(given):
        return None
    headers = _headers(given)
    if headers is not None:

        def etags(name: str) -> list[str] | None:
            value = headers.get(name)
            return None if value is None else value.split(",")

        def moment(name: str) -> datetime | None:
            value = headers.get(name)
            return None if value is None else parsedate_to_datetime(value)

        given = {
            "etagMatches": etags("if-match"),
            "etagDoesNotMatch": etags("if-none-match"),
            "uploadedBefore": moment("if-unmodified-since"),
            "uploadedAfter": moment("if-modified-since"),
            "secondsGranularity": True,
        }
    wanted = options_of(given, {}, _CONDITIONS, "onlyIf has no condition")
    for name in ("uploadedBefore", "uploadedAfter"):
        wanted[name] = _milliseconds(wanted.get(name))
    return json.dumps(wanted)


def _range(given: Any) -> str | None:
    if _none(given):
        return None
    headers = _headers(given)
    if headers is None:
        return json.dumps(options_of(given, {}, _RANGE, "range has no member"))
    unit, _, span = (headers.get("range") or "").partition("=")
    first, _, last = span.partition("-")
    if unit != "bytes" or not (first or last):
        return None
    if not first:
        return json.dumps({"suffix": int(last)})
    return json.dumps({"offset": int(first), "length": int(last) - int(first) + 1 if last else None})


class R2Object:
    """What is known of an object without its bytes."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.key: str = values["key"]
        self.version: str = values["version"]
        #: In bytes.
        self.size: int = values["size"]
        self.etag: str = values["etag"]
        #: The same in quotation marks, as headers have it.
        self.httpEtag: str = values["httpEtag"]  # noqa: N815 - the platform's names
        self.uploaded: datetime = datetime.fromtimestamp(values["uploaded"] / 1000, UTC)
        self.httpMetadata = JsDict(values["httpMetadata"])  # noqa: N815
        if "cacheExpiry" in self.httpMetadata:
            self.httpMetadata["cacheExpiry"] = datetime.fromisoformat(self.httpMetadata["cacheExpiry"])
        self.customMetadata = JsDict(values["customMetadata"])  # noqa: N815
        #: By their names, as bytes.
        self.checksums = JsDict((name, bytes.fromhex(text)) for name, text in values["checksums"].items())
        #: Which bytes were asked for: `offset` and `length`.
        self.range: JsDict | None = JsDict(values["range"]) if "range" in values else None
        self.storageClass: str = values["storageClass"]  # noqa: N815

    @property
    def http_etag(self) -> str:
        """`httpEtag`."""
        return self.httpEtag

    @property
    def http_metadata(self) -> JsDict:
        """`httpMetadata`."""
        return self.httpMetadata

    @property
    def custom_metadata(self) -> JsDict:
        """`customMetadata`."""
        return self.customMetadata

    def writeHttpMetadata(self, headers: Any) -> None:  # noqa: N802
        """Sets the headers that its `httpMetadata` is."""
        for name, header in _HTTP.items():
            value = self.httpMetadata.get(name)
            if value is not None:
                text = format_datetime(value, usegmt=True) if isinstance(value, datetime) else str(value)
                if isinstance(headers, JsProxy):
                    headers.set(header, text)
                else:
                    headers[header] = text

    write_http_metadata = writeHttpMetadata

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.key!r}: {self.size} bytes>"


class R2ObjectBody(R2Object):
    """An object and its bytes, which can be read once."""

    def __init__(self, values: Mapping[str, Any], api: Any, blob: int) -> None:
        super().__init__(values)
        self._api = api
        #: The host's number of the bytes, as long as nobody has asked for them.
        self._blob: int | None = blob
        self._body: ByteStream | None = None

    def __del__(self) -> None:
        if self._blob is not None:
            self._api.drop(self._blob)

    def _take(self) -> int:
        if self._blob is None:
            raise OSError("Body already used")
        blob, self._blob = self._blob, None
        return blob

    @property
    def body(self) -> ByteStream:
        """Its bytes in pieces; the body of a response, say."""
        if self._body is None:
            self._body = ByteStream(self._api.stream(self._take()))
        return self._body

    @property
    def bodyUsed(self) -> bool:  # noqa: N802
        """Whether somebody has asked for the bytes."""
        return self._blob is None

    body_used = bodyUsed

    async def bytes(self) -> bytes:
        """All of its bytes."""
        blob = self._take()
        # Pieces beside what they make up would take the memory twice.
        whole = BytesIO(bytes(self.size if self.range is None else self.range["length"]))
        try:
            while (piece := await self._api.read(blob)) is not None:
                whole.write(piece.to_bytes())
        except BaseException:
            self._api.drop(blob)
            raise
        whole.truncate()
        return whole.getvalue()

    arrayBuffer = bytes  # noqa: N815

    async def text(self) -> str:
        """Its bytes as text."""
        return (await self.bytes()).decode(errors="replace")

    async def json(self) -> Any:
        """Its bytes as JSON."""
        return json.loads(await self.bytes(), object_hook=JsDict)

    async def blob(self) -> Blob:
        """Its bytes as a Blob."""
        return Blob([await self.bytes()], content_type=self.httpMetadata.get("contentType", ""))

    @property
    def sync(self) -> R2ObjectBodySync:
        """The methods that read for code that cannot await."""
        return R2ObjectBodySync(self)


class R2ObjectBodySync(Sync):
    """The blocking view of an `R2ObjectBody`."""

    bytes = blocking(R2ObjectBody.bytes)
    arrayBuffer = blocking(R2ObjectBody.arrayBuffer)  # noqa: N815
    text = blocking(R2ObjectBody.text)
    json = blocking(R2ObjectBody.json)
    blob = blocking(R2ObjectBody.blob)


class R2Bucket:
    """A bucket: `env.NAME` for one of the configuration's `r2_buckets`."""

    def __init__(self, name: str, api: Any) -> None:
        self._name = name
        self._api = api

    @property
    def sync(self) -> R2BucketSync:
        """The same methods for code that cannot await."""
        return R2BucketSync(self)

    async def head(self, key: str) -> R2Object | None:
        """What is known of an object; None when there is none."""
        return _object(await self._ask(self._api.head(_key(key)), "head", key))

    @overload
    async def get(self, key: str, options: None = None, *, range: Any = None) -> R2ObjectBody | None: ...
    @overload
    async def get(self, key: str, options: None = None, *, only_if: Any, range: Any = None) -> R2ObjectBody | R2Object | None: ...
    @overload
    async def get(self, key: str, options: Any = None, *, only_if: Any = None, range: Any = None) -> Any: ...
    async def get(self, key: str, options: Any = None, *, only_if: Any = None, range: Any = None) -> Any:
        """An object: an `R2ObjectBody`, an `R2Object` when it does not meet the conditions, or None."""
        given = _plain(options)
        only, span = _conditions(given.pop("onlyIf", only_if)), _range(given.pop("range", range))
        _refuse(given, "get")
        found = await self._ask(self._api.get(_key(key), only, span), "get", key)
        if _none(found):
            return None
        blob, _, values = found.partition("\n")
        return R2ObjectBody(json.loads(values), self._api, int(blob)) if blob else R2Object(json.loads(values))

    async def put(
        self,
        key: str,
        value: Any,
        options: Any = None,
        *,
        http_metadata: Any = None,
        custom_metadata: Mapping[str, str] | None = None,
        only_if: Any = None,
        **checksums: Any,
    ) -> R2Object | None:
        """Puts str, bytes, a file or an asynchronous iterator of bytes under a key. It is on disk when this returns.

        Gives None when what is there does not meet the conditions. A checksum is `md5`, `sha1`, `sha256`, `sha384` or `sha512`.
        """
        key = _key(key)
        given = {**_plain(options), **checksums}
        metadata = _metadata(given.pop("httpMetadata", http_metadata), given.pop("customMetadata", custom_metadata))
        only = _conditions(given.pop("onlyIf", only_if))
        given.pop("storageClass", None)
        sums = [(name, given.pop(name)) for name in _CHECKSUMS if name in given]
        _refuse(given, "put")
        if len(sums) > 1:
            raise TypeError("put() takes one checksum")
        name, checksum = sums[0] if sums else (None, None)
        if isinstance(checksum, (bytes, bytearray)):
            checksum = checksum.hex()
        sent = await self._sent(value, "put", key)
        return _object(await self._ask(self._api.put(key, sent, metadata, only, name, checksum), "put", key))

    async def delete(self, keys: str | Sequence[str]) -> None:
        """Removes an object, or several; it does not matter whether they are there."""
        names = [_key(key) for key in keys] if isinstance(keys, (list, tuple)) else [_key(keys)]
        await self._ask(self._api.delete(json.dumps(names)), "delete", names[0] if len(names) == 1 else None)

    async def list(self, options: Any = None, **more: Any) -> JsDict:
        """Objects in the order of their keys: `objects`, `delimitedPrefixes`, and `cursor` if `truncated`."""
        given = {**_plain(options), **more}
        if "start_after" in given:
            given["startAfter"] = given.pop("start_after")
        # All metadata is there without being asked for.
        given.pop("include", None)
        wanted = {name: given.pop(name, None) for name in ("prefix", "limit", "cursor", "startAfter", "delimiter")}
        _refuse(given, "list")
        for name, value in wanted.items():
            kind = int if name == "limit" else str
            if not _none(value) and not isinstance(value, kind):
                raise TypeError(f"The {name} of a list is {'an' if kind is int else 'a'} {kind.__name__}, not {type(value).__name__}")
        found = JsDict(json.loads(await self._ask(self._api.list(json.dumps(wanted)), "list")))
        found["objects"] = [R2Object(values) for values in found["objects"]]
        return found

    async def createMultipartUpload(  # noqa: N802
        self, key: str, options: Any = None, *, http_metadata: Any = None, custom_metadata: Any = None
    ) -> R2MultipartUpload:
        """Begins an object that comes in parts."""
        given = _plain(options)
        metadata = _metadata(given.pop("httpMetadata", http_metadata), given.pop("customMetadata", custom_metadata))
        given.pop("storageClass", None)
        _refuse(given, "createMultipartUpload")
        upload = await self._ask(self._api.create(_key(key), metadata), "createMultipartUpload", key)
        return R2MultipartUpload(self, key, upload)

    def resumeMultipartUpload(self, key: str, uploadId: str) -> R2MultipartUpload:  # noqa: N802, N803
        """An upload that was begun before."""
        return R2MultipartUpload(self, _key(key), uploadId)

    create_multipart_upload = createMultipartUpload
    resume_multipart_upload = resumeMultipartUpload

    async def _sent(self, value: Any, method: str, key: str) -> Any:
        if isinstance(value, (R2ObjectBody, Blob)):
            value = value.body if isinstance(value, R2ObjectBody) else await value.bytes()
        if _none(value):
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, (bytes, bytearray, memoryview)):
            if memoryview(value).nbytes <= _LARGE:
                return to_js(bytes(value))
            # Both languages' copies would be in the isolate's memory.
            value = _in_pieces(memoryview(value).cast("B"))
        if isinstance(value, JsProxy) and js_kind(value) in JS_BUFFERS:
            return value
        if is_stream(value):
            try:
                return await upload(self._api, value)
            except JsException as error:
                raise exception(error, f"{method}({key!r})", self._name, key) from None
        kind = js_kind(value) if isinstance(value, JsProxy) else type(value).__name__
        raise TypeError(
            f"env.{self._name}.{method}({key!r}): a value is a str, bytes, a file or an asynchronous iterator of bytes, not {kind}"
        )

    async def _ask(self, answer: Any, method: str, key: str | None = None) -> Any:
        return await answered(answer, f"{method}({'' if key is None else repr(key)})", self._name, key)

    def __repr__(self) -> str:
        return f"<R2Bucket env.{self._name}>"


class R2MultipartUpload:
    """An object that comes in parts."""

    def __init__(self, bucket: R2Bucket, key: str, upload: str) -> None:
        self._bucket = bucket
        self.key = key
        self.uploadId = upload  # noqa: N815

    @property
    def sync(self) -> R2MultipartUploadSync:
        """The same methods for code that cannot await."""
        return R2MultipartUploadSync(self)

    async def uploadPart(self, partNumber: int, value: Any) -> JsDict:  # noqa: N802, N803
        """Keeps a part. Gives `partNumber` and `etag`."""
        sent = await self._bucket._sent(value, "uploadPart", self.key)
        answer = self._bucket._api.part(self.key, self.uploadId, partNumber, sent)
        etag = await self._bucket._ask(answer, "uploadPart", self.key)
        return JsDict(partNumber=partNumber, etag=etag)

    async def complete(self, parts: Sequence[Mapping[str, Any]]) -> R2Object:
        """Makes the object of its parts, which are what `uploadPart` gave."""
        try:
            listed = json.dumps([[part["partNumber"], part["etag"]] for part in parts])
        except (KeyError, TypeError):
            raise TypeError("complete() takes a list of what uploadPart() gave: partNumber and etag of each part") from None
        answer = self._bucket._api.complete(self.key, self.uploadId, listed)
        return R2Object(json.loads(await self._bucket._ask(answer, "complete", self.key)))

    async def abort(self) -> None:
        """Gives it up."""
        await self._bucket._ask(self._bucket._api.abort(self.key, self.uploadId), "abort", self.key)

    upload_part = uploadPart

    def __repr__(self) -> str:
        return f"<R2MultipartUpload {self.key!r}>"


class R2BucketSync(Sync):
    """The blocking view of an `R2Bucket`."""

    head = blocking(R2Bucket.head)
    get = blocking(R2Bucket.get)
    put = blocking(R2Bucket.put)
    delete = blocking(R2Bucket.delete)
    list = blocking(R2Bucket.list)
    createMultipartUpload = blocking(R2Bucket.createMultipartUpload)  # noqa: N815
    create_multipart_upload = createMultipartUpload

    def resumeMultipartUpload(self, key: str, uploadId: str) -> R2MultipartUpload:  # noqa: N802, N803
        """An upload that was begun before."""
        return self._binding.resumeMultipartUpload(key, uploadId)

    resume_multipart_upload = resumeMultipartUpload


class R2MultipartUploadSync(Sync):
    """The blocking view of an `R2MultipartUpload`."""

    uploadPart = blocking(R2MultipartUpload.uploadPart)  # noqa: N815
    upload_part = uploadPart
    complete = blocking(R2MultipartUpload.complete)
    abort = blocking(R2MultipartUpload.abort)


async def _in_pieces(data: memoryview) -> AsyncIterator[memoryview]:
    for at in range(0, len(data), _PIECE):
        yield data[at : at + _PIECE]


def _object(values: Any) -> R2Object | None:
    return None if _none(values) else R2Object(json.loads(values))


def _refuse(options: Mapping[str, Any], method: str) -> None:
    if options:
        raise TypeError(f"{method}() has no option {next(iter(options))!r}")
