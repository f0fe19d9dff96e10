"""Pieces of work shared among processes."""

import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, BinaryIO, TypeVar

from .fork import Fork

#: Pieces are numbered by one byte each, which no two processes can take.
MOST_PIECES = 256

_Done = TypeVar("_Done")


def shared(
    work: Callable[[int], _Done],
    pieces: int,
    *,
    processes: int,
    on_piece: Callable[[int], None] = lambda piece: None,
) -> list[_Done]:
    """``[work(0), … work(pieces - 1)]``, each piece by whichever process is free.

    A fork sees what the others have done as little as they see what it does: ``work`` answers, and changes nothing.
    What a fork has not brought, killed for want of memory or ended by an error, is done again here, so the answer is
    the same for any number of processes, and so are errors.

    Args:
        pieces: up to ``MOST_PIECES``.
        on_piece: told of each piece that this process begins with; they rise.
    """
    if processes == 1 or pieces < 2:
        return [_begin(work, piece, on_piece) for piece in range(pieces)]
    done: dict[int, _Done] = {}
    with ExitStack() as stack:
        left = stack.enter_context(_numbers(pieces))
        forks = []
        for _ in range(min(processes, pieces) - 1):
            brought = stack.enter_context(os.fdopen(os.memfd_create("pieces"), "w+b"))
            doing = partial(_do_what_is_left, work, left, brought, os.getpid())
            forks.append((stack.enter_context(Fork(doing)), brought))
        while number := left.read(1):
            done[number[0]] = _begin(work, number[0], on_piece)
        for fork, brought in forks:
            fork.wait()
            done.update(_pieces_in(brought))
    return [done[piece] if piece in done else work(piece) for piece in range(pieces)]


def _begin(work: Callable[[int], _Done], piece: int, on_piece: Callable[[int], None]) -> _Done:
    on_piece(piece)
    return work(piece)


def _numbers(pieces: int) -> BinaryIO:
    """A pipe with all numbers in it, to take one's next from."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb", buffering=0) as numbers:
        numbers.write(bytes(range(pieces)))
    return os.fdopen(reading, "rb", buffering=0)


def _do_what_is_left(work: Callable[[int], object], left: BinaryIO, brought: BinaryIO, original: int) -> None:
    # A fork whose original was killed has nobody to work for.
    while os.getppid() == original and (number := left.read(1)):
        pickle.dump((number[0], work(number[0])), brought, pickle.HIGHEST_PROTOCOL)
        brought.flush()


def _pieces_in(brought: BinaryIO) -> Iterator[tuple[int, Any]]:
    brought.seek(0)
    while True:
        try:
            yield pickle.load(brought)  # noqa: S301 - of a fork of this very process
        except (EOFError, pickle.UnpicklingError):  # all, or all that it has come to write
            return
