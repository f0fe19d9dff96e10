"""`exec_locked.py LOCK PROGRAM ARGUMENT…`: waits for the lock on the file LOCK, then becomes PROGRAM.

Two Redis servers on one append-only file destroy it, and Redis itself does not prevent that. PROGRAM inherits
the locked file, so the lock is free exactly when the server and its rewriting children are gone, whoever
started them. LOCK contains the process number. Run as a file with `python -I -S`, like `exec_child.py`.
"""

from __future__ import annotations

import fcntl
import os
import signal
import sys


def main(arguments: list[str]) -> None:
    """Replaces this process; leaves with 127 and one line on stderr when PROGRAM cannot be run."""
    path, program = arguments[0], arguments[1:]
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        # The supervisor's ready_timeout bounds this wait; its log should say what it was for.
        sys.stderr.write(f"waiting for the process that holds {path}\n")
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    os.set_inheritable(lock, True)
    # Python ignores these two, and what is ignored stays so across exec.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    try:
        os.execvp(program[0], program)  # noqa: S606 - no shell is the point
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]}: {error.strerror}\n")
        sys.exit(127)


if __name__ == "__main__":
    main(sys.argv[1:])
