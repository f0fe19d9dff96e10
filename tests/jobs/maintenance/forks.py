"""The forks of this process, among whatever other tests have started from it."""

from __future__ import annotations

import psutil


def forks_of_this_process() -> list[psutil.Process]:
    """Its children that run what it runs, or have until they ended."""
    this = psutil.Process()
    return [child for child in this.children() if _is_fork(child, this)]


def _is_fork(child: psutil.Process, this: psutil.Process) -> bool:
    try:
        return child.cmdline() == this.cmdline()
    except psutil.ZombieProcess:  # has ended, and nobody has asked how
        return child.name() == this.name()
    except psutil.NoSuchProcess:
        return False
