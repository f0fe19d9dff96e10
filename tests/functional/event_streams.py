"""Reading server-sent events, as the WHATWG's algorithm does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx

from tests.conftest import wait_until


@dataclass(frozen=True)
class Event:
    kind: str
    id: str | None
    data: dict[str, Any]


def read_events(lines: Iterable[str]) -> Iterator[Event]:
    """Of the lines of one stream. An event that broke off is none."""
    fields: dict[str, str] = {}
    for line in lines:
        if not line:
            if "data" in fields:
                yield Event(fields.get("event", "message"), fields.get("id"), json.loads(fields["data"]))
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")


class Follower:
    """A client in the background that follows one stream to its end."""

    def __init__(self, url: str, headers: dict[str, str], last: str | None = None) -> None:
        self.lines: list[str] = []
        self.response: httpx.Response | None = None
        self._request = (url, headers if last is None else {**headers, "Last-Event-ID": last})
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        url, headers = self._request
        with suppress(httpx.TransportError), httpx.stream("GET", url, headers=headers, timeout=60) as response:
            self.response = response
            self.lines.extend(())
            for line in response.iter_lines():
                self.lines.append(line)

    @property
    def events(self) -> list[Event]:
        return list(read_events(list(self.lines)))

    @property
    def has_ended(self) -> bool:
        return not self._thread.is_alive()

    @property
    def last(self) -> str:
        """The id that it would come again with."""
        return next(event.id for event in reversed(self.events) if event.id is not None)

    def wait_for(self, kind: str, **data: Any) -> Event:
        """The first event with this in its data."""

        def found() -> Event | None:
            fits = (event for event in self.events if event.kind == kind and data.items() <= event.data.items())
            return next(fits, None)

        wait_until(lambda: found() is not None, timeout=60, what=f"{kind} with {data}")
        event = found()
        assert event is not None
        return event

    def wait_for_the_end(self) -> list[Event]:
        wait_until(lambda: self.has_ended, timeout=60, what="the end of the stream")
        return self.events
