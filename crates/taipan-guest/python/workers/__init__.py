"""What a Python Worker imports: handlers' base classes, requests and responses, and the environment."""

from typing import Any

from pyodide.http import FetchResponse

from ._bindings import BindingError
from ._body import Blob, BlobEnding, BlobValue, ByteStream, File, FormData, FormDataValue
from ._context import Context, wait_until
from ._d1 import D1Database, D1DatabaseSession, D1PreparedStatement, D1Result
from ._entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint, handler
from ._env import env, patch_env
from ._fetch import fetch
from ._fetcher import Fetcher
from ._headers import Headers
from ._kv import KVNamespace
from ._modules import import_from_javascript
from ._measures import AnalyticsEngineDataset, RateLimit
from ._queue import Message, MessageBatch, Queue
from ._r2 import R2Bucket, R2MultipartUpload, R2Object, R2ObjectBody
from ._request import FetchKwargs, Request, RequestInitCfProperties
from ._response import Response
from ._rpc import RpcTarget, python_from_rpc, python_to_rpc
from ._scheduled import ScheduledController
from ._service import RemoteError, RemoteFunction, RpcStub, Service
from ._signal import AbortSignal
from ._snapshots import after_restore, before_snapshot

waitUntil = wait_until  # noqa: N816 - the platform's name

#: A JavaScript object that is a body: ReadableStream, Blob, ArrayBuffer, typed array, FormData, URLSearchParams.
JSBody = Any
Body = str | bytes | bytearray | memoryview | FormData | Blob | JSBody | None


__all__ = [
    "AbortSignal",
    "AnalyticsEngineDataset",
    "BindingError",
    "Blob",
    "BlobEnding",
    "BlobValue",
    "Body",
    "ByteStream",
    "Context",
    "D1Database",
    "D1DatabaseSession",
    "D1PreparedStatement",
    "D1Result",
    "DurableObject",
    "FetchKwargs",
    "FetchResponse",
    "Fetcher",
    "File",
    "FormData",
    "FormDataValue",
    "Headers",
    "JSBody",
    "KVNamespace",
    "Message",
    "MessageBatch",
    "Queue",
    "R2Bucket",
    "R2MultipartUpload",
    "R2Object",
    "R2ObjectBody",
    "RateLimit",
    "RemoteError",
    "RemoteFunction",
    "Request",
    "RequestInitCfProperties",
    "Response",
    "RpcStub",
    "RpcTarget",
    "ScheduledController",
    "Service",
    "WorkerEntrypoint",
    "WorkflowEntrypoint",
    "after_restore",
    "before_snapshot",
    "env",
    "fetch",
    "handler",
    "import_from_javascript",
    "patch_env",
    "python_from_rpc",
    "python_to_rpc",
    "waitUntil",
    "wait_until",
]
