"""Queues: what is sent to them, and the batches that a Worker is called with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

import _taipan
from pyodide.ffi import JsException, JsProxy, to_js

from . import _runtime
from ._bindings import Sync, ask, blocking, options_of
from ._body import JS_BUFFERS, js_kind
from ._env import JsDict
from ._rpc import python_from_rpc, python_to_rpc
from ._runtime import jsnull

ContentType = Literal["json", "text", "bytes", "v8"]

_TYPES = ("json", "text", "bytes", "v8")

_SEND = _taipan.op_number("queue.send")

_OPTIONS = {"content_type": "contentType", "delay_seconds": "delaySeconds"}
_DELAY = {"delay_seconds": "delaySeconds"}


def _seconds(delay: Any) -> float | None:
    if delay is None or delay is jsnull:
        return None
    if isinstance(delay, timedelta):
        delay = delay.total_seconds()
    if isinstance(delay, bool) or not isinstance(delay, (int, float)):
        raise TypeError(f"A delay is a number of seconds or a timedelta, not {type(delay).__name__}")
    return delay


def _is_json(value: Any) -> bool:
    """Whether JSON keeps all of the value."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return True
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    return isinstance(value, (list, tuple)) and all(map(_is_json, value))


class Queue:
    """A queue to send messages to: `env.NAME` for one of the configuration's `queues.producers`."""

    def __init__(self, name: str, api: Any) -> None:
        self._name = name
        self._api = api

    @property
    def sync(self) -> QueueSync:
        """The same methods for code that cannot await."""
        return QueueSync(self)

    async def send(
        self,
        body: Any,
        options: Any = None,
        *,
        content_type: ContentType | None = None,
        delay_seconds: float | timedelta | None = None,
        **more: Any,
    ) -> None:
        """Sends a message. It is on disk when this returns.

        Without a content type, bytes go as bytes, what JSON can express as JSON, and the rest (dates, sets, bytes in a dict) so
        that it comes out as it went in.
        """
        more = {"content_type": content_type, "delay_seconds": delay_seconds, **more}
        given = options_of(options, more, _OPTIONS, "send() has no option")
        kind, sent = self._sent(body, given.get("contentType"))
        await ask(self._name, "send", None, _SEND, kind, sent, _seconds(given.get("delaySeconds")))

    async def send_batch(
        self, messages: Iterable[Any], options: Any = None, *, delay_seconds: float | timedelta | None = None, **more: Any
    ) -> None:
        """Sends messages, all or none: dicts with `body`, and `content_type` and `delay_seconds` if need be."""
        if isinstance(messages, JsProxy):
            messages = python_from_rpc(messages)
        given = options_of(options, {"delay_seconds": delay_seconds, **more}, _DELAY, "send_batch() has no option")
        fields: list[Any] = []
        for message in messages:
            if not isinstance(message, Mapping) or "body" not in message:
                raise TypeError('A message of a batch is a dict with a "body"')
            own = options_of(None, {n: value for n, value in message.items() if n != "body"}, _OPTIONS, "A message has no option")
            kind, sent = self._sent(message["body"], own.get("contentType"))
            fields += (kind, sent, _seconds(own.get("delaySeconds", given.get("delaySeconds"))))
        if not fields:
            raise ValueError("A batch has at least one message")
        await ask(self._name, "send_batch", None, _SEND, *fields)

    sendBatch = send_batch  # noqa: N815 - the platform's name

    def _sent(self, body: Any, kind: str | None) -> tuple[str, str | bytes]:
        """What kind of message it is, and the body as the host has it."""
        if kind is not None and kind not in _TYPES:
            raise ValueError(f"The content type of a message is one of {', '.join(_TYPES)}, not {kind!r}")
        is_bytes = isinstance(body, (bytes, bytearray, memoryview))
        is_buffer = isinstance(body, JsProxy) and js_kind(body) in JS_BUFFERS
        if kind is None:
            kind = "bytes" if is_bytes or is_buffer else "json" if _is_json(body) else "v8"
        if kind == "text":
            if not isinstance(body, str):
                raise TypeError(f"A message of the content type text is a str, not {type(body).__name__}")
            return kind, body
        if kind == "bytes":
            if not is_bytes and not is_buffer:
                raise TypeError(f"A message of the content type bytes is bytes, not {type(body).__name__}")
            return kind, body.to_bytes() if is_buffer else bytes(body)
        if kind == "json":
            if isinstance(body, JsProxy):
                body = python_from_rpc(body)
            return kind, json.dumps(body, separators=(",", ":"), ensure_ascii=False, default=_moment)
        try:
            return kind, self._api.serialize(python_to_rpc(body)).to_bytes()
        except (TypeError, JsException):
            raise TypeError(
                f"env.{self._name}.send(): a message is what JSON can express, bytes, a datetime, a set, or dicts and lists of "
                f"these, and {type(body).__name__} is not"
            ) from None

    def __repr__(self) -> str:
        return f"<Queue env.{self._name}>"


def _moment(value: Any) -> str:
    """As JavaScript's JSON has dates."""
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    raise TypeError(f"Not a value that JSON can express: {type(value).__name__}")


class QueueSync(Sync):
    """The blocking view of a `Queue`."""

    send = blocking(Queue.send)
    send_batch = blocking(Queue.send_batch)
    sendBatch = send_batch  # noqa: N815


class Message:
    """A message of a batch. Without a word about it, it is acknowledged when the handler returns, and retried when it raises."""

    __slots__ = ("_body", "_kind", "_outcome", "_sent", "attempts", "id", "timestamp")

    def __init__(self, fields: list[Any], sent: bytes | None) -> None:
        #: Its identity, the same in each delivery.
        self.id: str
        #: Which delivery this is, from 1 on.
        self.attempts: int
        self.id, moment, self.attempts, self._kind, text = fields
        self._sent = text if sent is None else sent
        #: When it was sent.
        self.timestamp: datetime = datetime.fromtimestamp(moment / 1000, UTC)
        self._body: Any = self
        #: -1 acknowledged; a number of seconds or None for the configuration's: retried; False: nothing was said.
        self._outcome: float | None | Literal[False] = False

    @property
    def body(self) -> Any:
        """What was sent."""
        if self._body is self:
            if self._kind == "json":
                self._body = json.loads(self._sent, object_hook=JsDict)
            elif self._kind == "v8":
                self._body = python_from_rpc(_runtime.bridge.message(to_js(self._sent)))
            else:
                self._body = self._sent
        return self._body

    def ack(self) -> None:
        """It is done with, whatever the handler does next."""
        if self._outcome is False:
            self._outcome = -1

    def retry(self, options: Any = None, *, delay_seconds: float | timedelta | None = None, **more: Any) -> None:
        """It is to be delivered again."""
        given = options_of(options, {"delay_seconds": delay_seconds, **more}, _DELAY, "retry() has no option")
        if self._outcome is False:
            self._outcome = _seconds(given.get("delaySeconds"))

    def __repr__(self) -> str:
        return f"<Message {self.id}, delivery {self.attempts}>"


class MessageBatch:
    """Messages of one queue, as the handler `queue` is given them."""

    def __init__(self, event: tuple[Any, ...]) -> None:
        _, queue, _, listed, _, *bodies = event
        #: The queue's name.
        self.queue: str = queue
        #: The messages.
        self.messages: list[Message] = [Message(fields, sent) for fields, sent in zip(json.loads(listed), bodies, strict=True)]

    def __iter__(self) -> Iterator[Message]:
        return iter(self.messages)

    def __len__(self) -> int:
        return len(self.messages)

    def ack_all(self) -> None:
        """All messages are done with about which nothing else was said."""
        for message in self.messages:
            message.ack()

    ackAll = ack_all  # noqa: N815 - the platform's name

    def retry_all(self, options: Any = None, *, delay_seconds: float | timedelta | None = None, **more: Any) -> None:
        """All messages are to be delivered again about which nothing else was said."""
        for message in self.messages:
            message.retry(options, delay_seconds=delay_seconds, **more)

    retryAll = retry_all  # noqa: N815

    def _outcomes(self, failed: bool) -> str:
        rest = None if failed else -1
        return json.dumps([rest if m._outcome is False else m._outcome for m in self.messages])

    def __repr__(self) -> str:
        return f"<MessageBatch of {len(self.messages)} from {self.queue!r}>"
