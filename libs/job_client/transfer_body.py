"""The body of an upload, read from its file as it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class FileBody:
    """``size`` bytes of an open file from ``start`` on; of unknown size when it is None."""

    file: BinaryIO
    start: int | None = None  # None: cannot be read twice
    size: int | None = None

    def pieces(self) -> Iterator[bytes]:
        """From the beginning each time, where that can be."""
        if self.start is not None:
            self.file.seek(self.start)
        while piece := self.file.read(_PIECE):
            yield piece
