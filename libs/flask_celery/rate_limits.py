"""How often a task may begin: Celery's ``rate_limit``, and whom it holds for.

Celery counts in each worker for itself, so that two workers begin twice as many (celery issue 5732). A task of scope
``global`` is counted in Redis, for all workers of the deployment together; ``line_scripts`` says how.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/([smh]))?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600}

#: Microseconds by which a run may be ahead of its time: what a worker takes to notice that the time has come would
#: otherwise be lost each time. A tenth of a second's runs may begin at once, or no worker could keep up a high rate.
_LATENESS = 10_000
_AT_ONCE = 100_000


class RateScope(StrEnum):
    """Whom a task's rate limit holds for."""

    WORKER = "worker"  # each worker for itself, as in Celery
    GLOBAL = "global"  # all workers together


@dataclass(frozen=True, slots=True)
class Pace:
    """A rate, as the scripts have it; in microseconds."""

    interval: int  # between two runs
    tolerance: int  # by which a run may be early

    @classmethod
    def of_rate(cls, rate: object) -> "Pace | None":
        """Of ``10/s``, ``10/m``, ``10/h`` or a number of runs in a second; None for no limit (None, 0).

        Raises: ValueError.
        """
        if rate is None:
            return None
        found = _RATE.fullmatch(str(rate))
        if found is None or isinstance(rate, bool):
            raise ValueError(f"rate_limit wants a rate such as 10/s, 10/m or 10/h, not {rate!r}.")
        runs, seconds = float(found[1]), _SECONDS[found[2] or "s"]
        if not runs:
            return None
        interval = max(1, round(seconds * 1_000_000 / runs))
        return cls(interval, max(_LATENESS, _AT_ONCE - interval))


#: Of jobs that wait for a turn of a limit that there is no more.
UNBOUNDED = Pace(1, _AT_ONCE)


def check_rate_limit(rate: object, scope: str) -> None:
    """Of a declaration. Raises: ValueError."""
    if scope not in tuple(RateScope):
        raise ValueError(f"scope wants one of {', '.join(RateScope)}, not {scope!r}.")
    if Pace.of_rate(rate) is None and scope == RateScope.GLOBAL:
        raise ValueError("scope='global' wants a rate_limit that it holds for, such as 10/s.")


def shared_pace(task: Any) -> Pace | None:
    """The pace that all workers keep together; None for a task that has no such limit."""
    is_global = getattr(task, "rate_limit_scope", None) == RateScope.GLOBAL
    return Pace.of_rate(getattr(task, "rate_limit", None)) if is_global else None
