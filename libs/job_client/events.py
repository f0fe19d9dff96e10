"""What becomes of a job, as it is told while it happens. ``id`` is where to go on after a break."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .model import JobState, JobStatus, LogLine, Problem, Progress


@dataclass(frozen=True, slots=True)
class StateEvent:
    """The job has come into a state. ``job`` is the whole of it in the newest one, and None in older ones."""

    id: int
    state: JobState
    at: datetime | None
    job: JobStatus | None


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """How far it is."""

    id: int
    progress: Progress
    at: datetime


@dataclass(frozen=True, slots=True)
class LogEvent:
    """A line that it has logged."""

    id: int
    line: LogLine


@dataclass(frozen=True, slots=True)
class LostEvents:
    """Some events are not kept any more; the present state follows."""

    problem: Problem


JobEvent = StateEvent | ProgressEvent | LogEvent | LostEvents
