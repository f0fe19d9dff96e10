"""What a running job says of itself: how much may be kept, how often it is passed on, and how it is written."""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Characters of a log line, and of a progress call's message; the rest is cut off.
LONGEST_LINE = 2_000

LEVELS = ("debug", "info", "warning", "error", "critical")


@dataclass(frozen=True, slots=True)
class TellingSettings:
    """What the application decides."""

    progress_rate: float = 10.0  # how often a second a job's progress and its log lines are passed on, at the most
    log_lines: int = 1_000  # of a job that are kept, the newest
    log_bytes: int = 256 * 1024


def shortened(text: object) -> str:
    """As a line, cut with a mark where it is too long."""
    line = str(text)
    return line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…"


def encoded_line(at: int, level: str, retries: int, message: object) -> str:
    """A line for the log, said ``at`` a Unix time in ms; the LOG script puts its number and its run before it.

    Raises: ValueError for a level that is none of :data:`LEVELS`.
    """
    if level not in LEVELS:
        raise ValueError(f"The level of a log line is one of {', '.join(LEVELS)}, not {level!r}.")
    return f'{at},"{level}",{retries},{json.dumps(shortened(message))}'


def told_of_state(state: str, meta: Mapping[str, Any]) -> str:
    """What the event of a state says, as JSON."""
    return _state_event(state, meta.get("retries"))


@functools.lru_cache(256)
def _state_event(state: str, retries: int | None) -> str:
    return json.dumps({"state": state, "retries": retries})


def told_of_progress(progress: Mapping[str, Any] | None) -> str:
    """What the event of a progress says, as JSON; empty when there is none."""
    return json.dumps(progress) if progress else ""
