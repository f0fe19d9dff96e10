"""The asynchronous client, called as the synchronous one is: so that one test is of both."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

from libs.job_client import AsyncBatch, AsyncJob, AsyncJobClient


class Blocking:
    """Each method's coroutine is run to its end; asynchronous iterators become plain ones."""

    def __init__(self, wrapped: Any, runner: asyncio.Runner) -> None:
        self._wrapped, self._runner = wrapped, runner

    @classmethod
    @contextmanager
    def of(cls, make: Callable[[], AsyncJobClient]) -> Iterator[Blocking]:
        with asyncio.Runner() as runner:

            async def made() -> AsyncJobClient:
                return make()

            client = runner.run(made())
            yield cls(client, runner)
            runner.run(client.aclose())

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._wrapped, name)
        return self._method(found) if inspect.ismethod(found) else self._plain(found)

    def __repr__(self) -> str:
        return repr(self._wrapped)

    def _method(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            outcome = method(*args, **options)
            if inspect.isasyncgen(outcome):
                return self._each(outcome)
            return self._plain(self._runner.run(outcome) if inspect.iscoroutine(outcome) else outcome)

        return call

    def _each(self, values: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(values)

        try:
            while True:
                try:
                    yield self._runner.run(following())
                except StopAsyncIteration:
                    return
        finally:
            self._runner.run(values.aclose())  # type: ignore[attr-defined]

    def _plain(self, value: Any) -> Any:
        return Blocking(value, self._runner) if isinstance(value, AsyncJob | AsyncBatch) else value
