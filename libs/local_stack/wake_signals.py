"""SIGINT, SIGTERM, SIGHUP and SIGCHLD as something a main loop can wait for."""

from __future__ import annotations

import os
import select
import signal
from types import FrameType
from typing import Any

_STOP = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class WakeSignals:
    """Counts the requests to stop; wakes `wait()` for them and for the death of a child. Main thread only.

    While `interrupting` is True a request also raises `KeyboardInterrupt` where the program is, as Ctrl-C
    does without us. Inside the supervisor it is False: an exception between a fork and its bookkeeping would
    lose a child.
    """

    def __init__(self) -> None:
        self.stop_requests = 0
        self.interrupting = False
        self._before: dict[signal.Signals, Any] = {}
        self._reader = self._writer = self._wakeup_before = -1

    def install(self) -> None:
        """Takes over the signals until `restore()`. A second call does nothing."""
        if self._before:
            return
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in _STOP:
            # Under nohup SIGHUP comes ignored, and the user means it. After a script's "&" SIGINT does too,
            # but nobody means that: `kill -INT` is to work there.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._on_stop)
        # An ignored SIGCHLD would wake nobody, so it needs a handler, which has nothing to do.
        self._before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def restore(self) -> None:
        """Gives the signals back to whoever had them before `install()`."""
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before.clear()
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self._reader)
        os.close(self._writer)
        self.stop_requests = 0

    def wait(self, seconds: float | None) -> None:
        """Returns after `seconds` (None: no limit) or once a signal came, also one from before the call."""
        readable, _, _ = select.select([self._reader], [], [], seconds)
        if readable:
            os.read(self._reader, 4096)

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stop_requests += 1
        if self.interrupting:
            raise KeyboardInterrupt
