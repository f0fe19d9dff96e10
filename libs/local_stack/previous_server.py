"""A Redis that an earlier run left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from pathlib import Path

from libs.local_stack.errors import RedisStillRunningError
from libs.local_stack.pid_lock import LockHeldError, PidLock


def stop_previous_server(lock: PidLock, timeout: float) -> None:
    """Asks the server that holds `lock` to end, and waits up to `timeout` seconds until it has.

    SIGTERM makes Redis write and sync all it has before it ends. It is never killed, which could cost what is
    not written yet.

    Raises:
        RedisStillRunningError: it did not end; another server must not be started on its data.
    """
    asked: int | None = None
    deadline = time.monotonic() + timeout
    while True:
        try:
            lock.acquire()
        except LockHeldError as held:
            if held.pid is not None and held.pid != asked:
                asked = held.pid
                _ask_to_stop(asked)
            if time.monotonic() > deadline:
                raise RedisStillRunningError(lock.path.parent, held.pid, timeout) from None
            time.sleep(0.05)  # flock has no timeout of its own.
        else:
            lock.release()
            return


def somebody_listens(socket_path: Path) -> bool:
    """Tells a living server's socket from the file a killed one left behind, which Redis itself removes."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(socket_path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except OSError:  # Not allowed, too busy: somebody is there.
            return True
    return True


def _ask_to_stop(pid: int) -> None:
    # The lock is held, so the number is a living server's; or a dead one's whose rewriting child is about to
    # end by itself. Another user's server stays, and the caller's wait ends with an error that names it.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGTERM)
