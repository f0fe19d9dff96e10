"""Forks of a job's process.

A process of a worker's pool is a daemon, to which ``multiprocessing`` gives no children. A fork asks nobody, and
needs no sending either: it sees the memory as it is.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

# On a large host the next job wants a core too, and each fork comes to hold a part of the table of its own.
_MOST = 4


def usable_processes() -> int:
    """How many processes, this one among them, may work on a job: one for each core that this one may use, 4 at most.

    1 where a fork is not safe: beside other threads, whose locks would stay locked in it, and not on Linux.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return 1
    return min(len(os.sched_getaffinity(0)), _MOST)


class Fork:
    """A fork that does ``work`` and ends; as a context, it has ended when the block has, however that ends.

    It may read and compute. Connections are the original's, and so is all that is to be done at an exit.
    """

    def __init__(self, work: Callable[[], None]) -> None:
        self._original = os.getpid()
        self._pid = os.fork()
        if not self._pid:
            _do(work)

    def wait(self) -> None:
        """Until it has ended, well or not."""
        if self._pid:
            os.waitpid(self._pid, 0)
            self._pid = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._pid:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            self.wait()


def _do(work: Callable[[], None]) -> None:
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the original ends its forks
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
            signal.signal(number, signal.SIG_DFL)
        work()
    finally:
        os._exit(0)  # also from an error: nothing of the original's is to be closed, flushed or told from here
