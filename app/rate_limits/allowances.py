"""Counting requests against limits that all API processes share, without asking Redis at each request.

A process takes requests from the counter in Redis in portions, and counts what it lets through on its own. A portion
is one request at first and twice as many each time, up to a fraction of the quota; so a limit is never exceeded, a
small one is exact, and of a large one each process may keep a fraction unused. Who has reached a limit is refused
without asking. While Redis is away each process counts for itself.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from app.rate_limits.limits import LimitReachedError, RateLimit, Standing
from libs.flask_celery import UNAVAILABLE, WindowCounter

#: Part of a quota that one process may hold ready.
LARGEST_PORTION = 1 / 64

#: Seconds for which Redis is not asked after it has failed to answer.
PAUSE = 1.0

#: Callers that one process keeps in mind.
_MOST_REMEMBERED = 10_000


@dataclass(slots=True)
class _Share:
    """What this process knows of one caller's window."""

    ends: float = 0.0
    used: int = 0  # by all processes, as of the last time it was asked
    ready: int = 0  # taken and not used
    portion: int = 1


class Allowances:
    """For one process. ``counter`` is asked for when it is first needed."""

    def __init__(self, counter: Callable[[], WindowCounter]) -> None:
        self._make_counter = counter
        self._counter: WindowCounter | None = None
        self._shares: dict[tuple[str, str], _Share] = {}
        self._resume_at = 0.0

    def spend(self, limit: RateLimit, caller: str) -> Standing:
        """Count one request of the caller. Raises: LimitReachedError when there is none left."""
        now = time.monotonic()
        share = self._shares.get((limit.name, caller))
        if share is None:
            share = self._remember(limit, caller)
        if share.ends <= now:
            share.used = share.ready = 0
            share.portion = max(1, share.portion // 4)
        if share.ready <= 0 and (share.used < limit.quota or share.ends <= now):
            self._take(limit, caller, share)
            now = time.monotonic()
        if share.ready <= 0:
            raise LimitReachedError(_standing(limit, share, now))
        share.ready -= 1
        return _standing(limit, share, now)

    def give_back(self, limit: RateLimit, caller: str) -> None:
        """The request that was just counted does not count."""
        share = self._shares.get((limit.name, caller))
        if share is not None:
            share.ready += 1

    def close(self) -> None:
        """Let go of the connections."""
        if self._counter is not None:
            self._counter.close()

    def _take(self, limit: RateLimit, caller: str, share: _Share) -> None:
        portion = share.portion
        share.portion = min(portion * 2, max(1, int(limit.quota * LARGEST_PORTION)))
        used, left = self._count(limit, caller, share, portion)
        share.ready += max(0, min(portion, limit.quota - used + portion))
        share.used = used
        share.ends = time.monotonic() + left

    def _count(self, limit: RateLimit, caller: str, share: _Share, portion: int) -> tuple[int, float]:
        now = time.monotonic()
        if now >= self._resume_at:
            if self._resume_at:
                self._resume_at = now + PAUSE  # one request finds out whether Redis is back; the others go on
            try:
                if self._counter is None:
                    self._counter = self._make_counter()
                counted = self._counter.add(f"{limit.name}-{caller}", portion, limit.window)
            except UNAVAILABLE:
                self._resume_at = time.monotonic() + PAUSE
            else:
                self._resume_at = 0.0
                return counted
        return share.used + portion, share.ends - now if share.ends > now else limit.window

    def _remember(self, limit: RateLimit, caller: str) -> _Share:
        if len(self._shares) >= _MOST_REMEMBERED:
            now = time.monotonic()
            self._shares = {known: share for known, share in self._shares.items() if share.ends > now}
            if len(self._shares) >= _MOST_REMEMBERED:
                self._shares.clear()
        share = self._shares[limit.name, caller] = _Share()
        return share


def _standing(limit: RateLimit, share: _Share, now: float) -> Standing:
    unused, seconds = limit.quota - share.used, math.ceil(share.ends - now)
    return Standing(limit, share.ready + (unused if unused > 0 else 0), seconds if seconds > 1 else 1)
