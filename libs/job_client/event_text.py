"""Reading server-sent events from bytes as they come (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from .events import JobEvent, LogEvent, LostEvents, ProgressEvent, StateEvent
from .model import JobState, Problem
from .reading import job_of, log_line_of, problem_of, progress_of, time_of

_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")
_GONE = 410


@dataclass(frozen=True, slots=True)
class Frame:
    """An event as it was sent."""

    event: str
    data: str
    id: str | None


class EventText:
    """The bytes of one stream, cut into events. ``retry`` is the server's word on when to come again, in seconds."""

    def __init__(self) -> None:
        self.retry: float | None = None
        self._rest = b""
        self._fields: dict[str, list[str]] = {}

    def feed(self, piece: bytes) -> list[Frame]:
        """The events that are whole with this piece."""
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        return [frame for line in lines if (frame := self._take(line.decode(errors="replace"))) is not None]

    def _take(self, line: str) -> Frame | None:
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "retry" and value.isascii() and value.isdigit():
                self.retry = int(value) / 1000
            elif name:  # else a comment
                self._fields.setdefault(name, []).append(value)
            return None
        said, self._fields = self._fields, {}
        if "data" not in said:
            return None
        return Frame(said.get("event", ["message"])[-1], "\n".join(said["data"]), said.get("id", [None])[-1])


def event_of(frame: Frame) -> JobEvent | Problem | None:
    """An event; or a problem upon which the stream breaks off; or None for what a newer server may tell."""
    data: dict[str, Any] = json.loads(frame.data)
    match frame.event:
        case "state":
            at = None if data["at"] is None else time_of(data["at"])
            job = None if data["job"] is None else job_of(data["job"])
            return StateEvent(int(frame.id or 0), JobState(data["state"]), at, job)
        case "progress":
            return ProgressEvent(int(frame.id or 0), progress_of(data), time_of(data["at"]))
        case "log":
            return LogEvent(int(frame.id or 0), log_line_of(data))
        case "error":
            problem = problem_of(data)
            return LostEvents(problem) if problem.status == _GONE else problem
    return None
