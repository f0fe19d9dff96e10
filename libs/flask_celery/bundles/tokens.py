"""Which jobs of a bundle have been begun: a pipe that holds a token for each that has not.

Whoever begins a job, or takes it away, takes its token; the kernel sees to it that only one of them gets it. A
process that is killed holds no lock, and what it had begun can still be told from what is left.
"""

import array
import fcntl
import os
import termios
from typing import NamedTuple

#: Bytes: the bundle's number, and the job's place.
_SIZE = 2

#: The numbers begin anew after so many; jobs in a bundle are fewer.
_NUMBERS = 256


class Handle(NamedTuple):
    """How a bundle's process finds its tokens."""

    pipe: int
    number: int


class Tokens:
    """Made before the pool's processes, which inherit it. For one bundle at a time."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        self._number = 0

    def put(self, count: int) -> Handle:
        """One for each job of a new bundle, by its place from 0."""
        self.take_rest()
        self._number = (self._number + 1) % _NUMBERS
        os.write(self._write, bytes(part for place in range(count) for part in (self._number, place)))
        return Handle(self._read, self._number)

    def left(self) -> int:
        """How many have not been taken."""
        waiting = array.array("i", [0])
        fcntl.ioctl(self._read, termios.FIONREAD, waiting)
        return waiting[0] // _SIZE

    def take_rest(self) -> list[int]:
        """Take all that are left, the first one first."""
        try:
            return list(os.read(self._read, _SIZE * _NUMBERS)[1::_SIZE])
        except BlockingIOError:
            return []

    def close(self) -> None:
        """Let go of it, as far as this process is concerned."""
        os.close(self._read)
        os.close(self._write)


def take(handle: Handle) -> int | None:
    """Take the next one. Returns: the job's place, or None when none is left.

    A process that was forgotten about may come for its tokens when they are another bundle's. It gets none; the one
    that it has taken by then is of a job that nobody runs, as its own bundle's end will show.
    """
    try:
        number, place = os.read(handle.pipe, _SIZE)
    except BlockingIOError:
        return None
    return place if number == handle.number else None
