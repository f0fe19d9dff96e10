"""Performing the steps of calls with ``await``, on asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, TypeVar

import httpx

from .driver import lost, reply_of, request_options
from .flow import Call, Emit, Exchange, Flow, Lost, NextPiece, Open, Pause, Reply, Request, Step
from .transfer_body import FileBody

T = TypeVar("T")

_SUCCESSFUL = range(200, 300)


class AsyncDriver:
    """Runs calls over one httpx client."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def run(self, flow: Flow[T]) -> T:
        """What the call returns, or raises."""
        async with _Performance(self._http) as perform:
            outcome: Any = None
            try:
                while True:
                    try:
                        step = flow.send(outcome)
                    except StopIteration as end:
                        return end.value  # type: ignore[no-any-return]
                    outcome = await perform(step)
            finally:
                flow.close()

    async def iterate(self, flow: Flow[None]) -> AsyncIterator[Any]:
        """What the call emits."""
        async with _Performance(self._http) as perform:
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
                        outcome = await perform(step)
            finally:
                flow.close()


class _Performance:
    """The steps of one call, and the answer that it reads piece by piece, if it does."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http
        self._opened: httpx.Response | None = None
        self._pieces: AsyncIterator[bytes] | None = None

    async def __aenter__(self) -> _Performance:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        await self._close()

    async def __call__(self, step: Step) -> Any:
        match step:
            case Exchange(request):
                return await self._exchange(request, opening=False)
            case Open(request):
                return await self._exchange(request, opening=True)
            case NextPiece():
                return await self._next_piece()
            case Pause(seconds):
                await asyncio.sleep(seconds)
            case Call(function):
                return await asyncio.to_thread(function)
        return None

    async def _exchange(self, request: Request, *, opening: bool) -> Reply | Lost:
        await self._close()
        content = _read_aside(request.content) if isinstance(request.content, FileBody) else request.content
        built = self._http.build_request(request.method, request.path, content=content, **request_options(request))
        try:
            response = await self._http.send(built, stream=True)
            if opening and response.status_code in _SUCCESSFUL:
                self._opened, self._pieces = response, response.aiter_bytes()
                return reply_of(response, b"")
            try:
                return reply_of(response, await response.aread())
            finally:
                await response.aclose()
        except httpx.RequestError as error:
            return lost(error)

    async def _next_piece(self) -> bytes | Lost | None:
        assert self._pieces is not None, "nothing was opened"
        try:
            return await anext(self._pieces, None)
        except httpx.RequestError as error:
            return lost(error)

    async def _close(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()
            self._opened = None


async def _read_aside(body: FileBody) -> AsyncIterator[bytes]:
    """A file's pieces, read where it holds nobody up."""
    pieces = body.pieces()
    while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
        yield piece
