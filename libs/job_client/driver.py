"""Performing the steps of calls with threads that wait."""

from __future__ import annotations

import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeVar

import httpx

from .flow import Call, Emit, Exchange, Flow, Lost, NextPiece, Open, Pause, Reply, Request, Step
from .transfer_body import FileBody

T = TypeVar("T")

_SUCCESSFUL = range(200, 300)

#: What says that the request has certainly not arrived.
NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def lost(error: httpx.RequestError) -> Lost:
    """What became of a request that has no whole reply."""
    return Lost(error, sent=not isinstance(error, NOT_SENT))


def reply_of(response: httpx.Response, body: bytes) -> Reply:
    """The values of an answer."""
    return Reply(response.status_code, {name.lower(): value for name, value in response.headers.items()}, body)


def request_options(request: Request) -> dict[str, Any]:
    """For ``build_request`` of httpx, but for a body that is a file."""
    timeout = httpx.Timeout(request.read_timeout, connect=5.0)
    return {"params": request.query, "headers": dict(request.headers), "timeout": timeout}


class Driver:
    """Runs calls over one httpx client. May be used by many threads at once."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def run(self, flow: Flow[T]) -> T:
        """What the call returns, or raises."""
        with _Performance(self._http) as perform:
            outcome: Any = None
            try:
                while True:
                    try:
                        step = flow.send(outcome)
                    except StopIteration as end:
                        return end.value  # type: ignore[no-any-return]
                    outcome = perform(step)
            finally:
                flow.close()

    def iterate(self, flow: Flow[None]) -> Iterator[Any]:
        """What the call emits."""
        with _Performance(self._http) as perform:
            outcome: Any = None
            try:
                while True:
                    try:
                        step = flow.send(outcome)
                    except StopIteration:
                        return
                    if isinstance(step, Emit):
                        yield step.value
                        outcome = None
                    else:
                        outcome = perform(step)
            finally:
                flow.close()


class _Performance:
    """The steps of one call, and the answer that it reads piece by piece, if it does."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._opened: httpx.Response | None = None
        self._pieces: Iterator[bytes] = iter(())

    def __enter__(self) -> _Performance:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._close()

    def __call__(self, step: Step) -> Any:
        match step:
            case Exchange(request):
                return self._exchange(request, opening=False)
            case Open(request):
                return self._exchange(request, opening=True)
            case NextPiece():
                return self._next_piece()
            case Pause(seconds):
                time.sleep(seconds)
            case Call(function):
                return function()
        return None

    def _exchange(self, request: Request, *, opening: bool) -> Reply | Lost:
        self._close()
        content = request.content.pieces() if isinstance(request.content, FileBody) else request.content
        built = self._http.build_request(request.method, request.path, content=content, **request_options(request))
        try:
            response = self._http.send(built, stream=True)
            if opening and response.status_code in _SUCCESSFUL:
                self._opened, self._pieces = response, response.iter_bytes()
                return reply_of(response, b"")
            try:
                return reply_of(response, response.read())
            finally:
                response.close()
        except httpx.RequestError as error:
            return lost(error)

    def _next_piece(self) -> bytes | Lost | None:
        try:
            return next(self._pieces, None)
        except httpx.RequestError as error:
            return lost(error)

    def _close(self) -> None:
        if self._opened is not None:
            self._opened.close()
            self._opened = None
