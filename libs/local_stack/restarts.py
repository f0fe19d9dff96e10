"""When a dead child is started again, and what the user is told about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from libs.local_stack.child import Child, ChildSpec
from libs.local_stack.errors import LocalStackError, describe_exit

READINESS_INTERVAL = 0.05
"""Seconds between two questions whether a child is ready."""

_SLOW_READINESS_INTERVAL = 1.0


@dataclass(frozen=True)
class Backoff:
    """Seconds before a restart: `first`, doubled up to `longest`, `first` again after `reset_after` s up."""

    first: float = 0.5
    longest: float = 30.0
    reset_after: float = 60.0


class RestartedChild:
    """A child, whether it is ready, and when it is due for its next start. `say` gets a line for the user."""

    def __init__(self, spec: ChildSpec, backoff: Backoff, say: Callable[[str], None]) -> None:
        self.spec = spec
        self.child = Child(spec)
        self.ready = False
        self._backoff = backoff
        self._say = say
        self._delay = backoff.first
        self._restart_at: float | None = None
        self._late = False
        self._given_up = False

    def tend(self) -> float | None:
        """Does what is due now and returns the seconds until the next look; None: only a death matters.

        Raises the error that the spec's `fatal` returned.
        """
        now = time.monotonic()
        if self._restart_at is None and not self._given_up:
            code = self.child.exit_code()
            if code is not None:
                self._note_death(code, now)
        elif self._restart_at is not None and now >= self._restart_at:
            self._restart(now)
        if self._restart_at is not None:
            return max(0.0, self._restart_at - now)
        return None if self.ready or self._given_up else self._note_readiness(now)

    def fatal_error(self) -> LocalStackError | None:
        """Returns the reason why to start the dead child again would be pointless, None if none is known."""
        return self.spec.fatal(self.child.log_tail()) if self.spec.fatal is not None else None

    def _note_death(self, code: int, now: float) -> None:
        fatal = self.fatal_error()
        if fatal is not None:
            raise fatal
        self.ready = False
        end = f"{self.spec.name} died ({describe_exit(code)}, log: {self.spec.log_path})"
        if not self.spec.restart:
            self._given_up = True
            self._say(end)
            return
        if now - self.child.started_at >= self._backoff.reset_after:
            self._delay = self._backoff.first
        self._schedule(end, now)

    def _restart(self, now: float) -> None:
        self._restart_at = None
        self._late = False
        try:
            self.child.start()
        except OSError as error:
            # No memory or no process number left: that passes, and the other children go on.
            self._schedule(f"{self.spec.name} could not be started ({error.strerror})", now)

    def _schedule(self, reason: str, now: float) -> None:
        self._say(f"{reason}, restart in {self._delay:g} s")
        self._restart_at = now + self._delay
        self._delay = min(self._delay * 2, self._backoff.longest)

    def _note_readiness(self, now: float) -> float | None:
        if self.child.is_ready():
            self.ready = True
            self._say(f"{self.spec.name} ready again")
            return None
        if not self._late and now - self.child.started_at > self.spec.ready_timeout:
            # Not a reason to kill it: a Redis that loads a large file would never come to its end.
            self._late = True
            doubt = f"{self.child.doubt}; " if self.child.doubt else ""
            self._say(f"{self.spec.name} still not ready ({doubt}log: {self.spec.log_path})")
        return _SLOW_READINESS_INTERVAL if self._late else READINESS_INTERVAL
