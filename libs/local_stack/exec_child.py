"""`exec_child.py PARENT SIGNAL PROGRAM ARGUMENT…`: becomes PROGRAM, which gets SIGNAL when PARENT dies.

Run as a file with `python -I -S`: that imports nothing of this package and heeds nothing in the environment.
A program of its own and not a `preexec_fn`: that runs between fork and exec, where a lock that another
thread held at the fork stays locked for ever.

Linux binds the death signal to the THREAD that forked, so only the main thread starts children. The setting
survives exec and is not passed on to the program's own children (prctl(2), PR_SET_PDEATHSIG). Elsewhere than
on Linux the program outlives its parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Replaces this process; leaves with 127 and one line on stderr when PROGRAM cannot be run."""
    parent, number, program = int(arguments[0]), int(arguments[1]), arguments[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            # It died before the call above, so no signal will come.
            sys.exit(1)
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
