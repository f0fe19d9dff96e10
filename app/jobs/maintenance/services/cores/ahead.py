"""An iterator that is ahead: while one process uses what came, another makes what is next."""

import os
import pickle
from collections.abc import Generator, Iterable, Iterator
from typing import BinaryIO, TypeVar

from .fork import Fork

_Item = TypeVar("_Item")


class ForkLostError(RuntimeError):
    """The process that was to make the next item has been killed."""

    def __init__(self) -> None:
        super().__init__("the process that read ahead was killed, as for want of memory")


def ahead(items: Iterable[_Item], *, processes: int) -> Generator[_Item, None, None]:
    """``items``, made in a fork where there are processes for it; not to be used here but through what this gives.

    What making them raises is raised here, in its turn. The fork is ahead by one item and what a pipe holds.

    Raises: ForkLostError.
    """
    if processes == 1:
        yield from items
        return
    reading, writing = os.pipe()
    with (
        os.fdopen(reading, "rb") as coming,
        os.fdopen(writing, "wb") as going,
        Fork(lambda: _send(items, coming, going)),
    ):
        going.close()
        yield from _received(coming)


def _send(items: Iterable[_Item], coming: BinaryIO, going: BinaryIO) -> None:
    coming.close()  # so that a pipe which nobody reads any more ends this
    try:
        for item in items:
            _write((item, None), going)
        _write(None, going)
    except Exception as error:  # noqa: BLE001 - raised where the items are asked for
        _write((None, error), going)


def _write(said: object, going: BinaryIO) -> None:
    going.write(pickle.dumps(said, pickle.HIGHEST_PROTOCOL))
    going.flush()


def _received(coming: BinaryIO) -> Iterator[_Item]:
    while True:
        try:
            said = pickle.load(coming)  # noqa: S301 - of a fork of this very process
        except (EOFError, pickle.UnpicklingError) as error:
            raise ForkLostError from error
        if said is None:
            return
        item, raised = said
        if raised is not None:
            raise raised
        yield item
