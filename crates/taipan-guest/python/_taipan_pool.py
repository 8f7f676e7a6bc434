"""`multiprocessing.pool.ThreadPool`, on the threads of `concurrent.futures`.

The standard library's passes calls and results through queues from one thread to the next and back, which takes threads that go on in
turns, and a pipe of `_multiprocessing`'s.
"""

from __future__ import annotations

import multiprocessing
import queue
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import ModuleType
from typing import Any


class AsyncResult:
    """What a call will result in."""

    def __init__(
        self, futures: list[Future[Any]], is_one: bool, callback: Callable[[Any], object] | None, error_callback: Callable[[Any], object] | None
    ) -> None:
        self._futures = futures
        self._is_one = is_one
        self._callback, self._error_callback = callback, error_callback
        self._left = len(futures)
        for future in futures:
            future.add_done_callback(self._done)
        if not futures:
            self._call_back()

    def _done(self, future: Future[Any]) -> None:
        self._left -= 1
        if not self._left:
            self._call_back()

    def _call_back(self) -> None:
        if error := self._error():
            if self._error_callback is not None:
                self._error_callback(error)
        elif self._callback is not None:
            self._callback(self._result())

    def _error(self) -> BaseException | None:
        return next((error for future in self._futures if (error := future.exception())), None)

    def _result(self) -> Any:
        results = [future.result() for future in self._futures]
        return results[0] if self._is_one else results

    def get(self, timeout: float | None = None) -> Any:
        self.wait(timeout)
        if not self.ready():
            raise multiprocessing.TimeoutError
        if error := self._error():
            raise error
        return self._result()

    def wait(self, timeout: float | None = None) -> None:
        wait(self._futures, timeout)

    def ready(self) -> bool:
        return all(future.done() for future in self._futures)

    def successful(self) -> bool:
        if not self.ready():
            raise ValueError(f"{self!r} not ready")
        return self._error() is None


class _Results(Iterator[Any]):
    """Results as they come."""

    def __init__(self, futures: list[Future[Any]], in_order: bool) -> None:
        self._left = deque(futures)
        self._done: queue.SimpleQueue[Future[Any]] | None = None if in_order else queue.SimpleQueue()
        if self._done is not None:
            for future in futures:
                future.add_done_callback(self._done.put)

    def __iter__(self) -> _Results:
        return self

    def next(self, timeout: float | None = None) -> Any:
        if not self._left:
            raise StopIteration
        future = self._left[0]
        if self._done is not None:
            try:
                future = self._done.get(timeout=timeout)
            except queue.Empty:
                raise multiprocessing.TimeoutError from None
        elif not wait([future], timeout).done:
            raise multiprocessing.TimeoutError
        self._left.popleft()
        return future.result()

    __next__ = next


class ThreadPool:
    """As the standard library's."""

    def __init__(
        self, processes: int | None = None, initializer: Callable[..., object] | None = None, initargs: Iterable[Any] = ()
    ) -> None:
        if processes is not None and processes < 1:
            raise ValueError("Number of processes must be at least 1")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        self._executor = ThreadPoolExecutor(processes, "ThreadPool", initializer, tuple(initargs))
        self._state = "RUN"

    def _submit(self, func: Callable[..., Any], calls: Iterable[tuple[Any, ...]]) -> list[Future[Any]]:
        if self._state != "RUN":
            raise ValueError("Pool not running")
        return [self._executor.submit(func, *call) for call in calls]

    def apply(self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: dict[str, Any] | None = None) -> Any:
        return self.apply_async(func, args, kwds).get()

    def apply_async(
        self, func: Callable[..., Any], args: Iterable[Any] = (), kwds: dict[str, Any] | None = None, callback: Any = None, error_callback: Any = None
    ) -> AsyncResult:
        futures = self._submit(lambda: func(*args, **(kwds or {})), [()])
        return AsyncResult(futures, True, callback, error_callback)

    def map(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None) -> list[Any]:
        return self.map_async(func, iterable).get()  # type: ignore[no-any-return]

    def map_async(
        self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int | None = None, callback: Any = None, error_callback: Any = None
    ) -> AsyncResult:
        return AsyncResult(self._submit(func, ((item,) for item in iterable)), False, callback, error_callback)

    def starmap(self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None) -> list[Any]:
        return self.starmap_async(func, iterable).get()  # type: ignore[no-any-return]

    def starmap_async(
        self, func: Callable[..., Any], iterable: Iterable[Iterable[Any]], chunksize: int | None = None, callback: Any = None, error_callback: Any = None
    ) -> AsyncResult:
        return AsyncResult(self._submit(func, (tuple(items) for items in iterable)), False, callback, error_callback)

    def imap(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        return _Results(self._submit(func, ((item,) for item in iterable)), True)

    def imap_unordered(self, func: Callable[..., Any], iterable: Iterable[Any], chunksize: int = 1) -> Iterator[Any]:
        return _Results(self._submit(func, ((item,) for item in iterable)), False)

    def close(self) -> None:
        if self._state == "RUN":
            self._state = "CLOSE"

    def terminate(self) -> None:
        self._state = "TERMINATE"
        self._executor.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        if self._state == "RUN":
            raise ValueError("Pool is still running")
        self._executor.shutdown()

    def __enter__(self) -> ThreadPool:
        if self._state != "RUN":
            raise ValueError("Pool not running")
        return self

    def __exit__(self, *_: object) -> None:
        self.terminate()


def put_in(pool: ModuleType) -> None:
    """The module `multiprocessing.pool` has been imported."""
    pool.ThreadPool = ThreadPool  # type: ignore[attr-defined]
    pool.AsyncResult = pool.ApplyResult = AsyncResult  # type: ignore[attr-defined]
