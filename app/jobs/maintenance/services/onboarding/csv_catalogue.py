"""A CSV catalogue: encoding, separator, and records with the physical line on which they begin."""

import csv
import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from .csv_encoding import tell_encoding, undecodable
from .errors import CatalogueError
from .header import KNOWN, normalise_title
from .records import CatalogueReader, Record

DELIMITERS = ",;\t"
# Characters of one record, quoted line ends included. One field is bounded by the csv module (131,072).
RECORD_LIMIT = 1 << 20


class _Lines:
    """Physical lines, with the raw text of the record under way; no line can grow past RECORD_LIMIT in
    memory.
    """

    def __init__(self, binary: BinaryIO, stream: io.TextIOWrapper) -> None:
        self._binary = binary
        self._stream = stream
        self.number = 0
        self.exhausted = False
        self.raw: list[str] = []
        self.size = 0

    def start_record(self) -> int:
        self.raw, self.size = [], 0
        return self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            line = self._stream.readline(RECORD_LIMIT + 1)
        except UnicodeDecodeError as error:
            raise undecodable(self._binary, self._stream.encoding) from error
        if not line:
            self.exhausted = True
            raise StopIteration
        self.number += 1
        self.size += len(line)
        if "\0" in line:
            raise CatalogueError(
                f"Line {self.number} contains NUL bytes, so this is not a CSV text;"
                " save the table as CSV in UTF-8, or as XLSX."
            )
        if self.size > RECORD_LIMIT:
            raise CatalogueError(
                f"The record that ends in line {self.number} is longer than {RECORD_LIMIT} characters;"
                " see that the file is a CSV and that its quotes are closed."
            )
        self.raw.append(line)
        return line


class CsvCatalogue:
    """Implements CatalogueReader over a CSV; progress is in bytes."""

    def __init__(self, binary: BinaryIO, encoding: str, delimiter: str) -> None:
        self._binary = binary
        self._size = os.fstat(binary.fileno()).st_size
        self._lines = _Lines(binary, io.TextIOWrapper(binary, encoding, newline=""))
        # strict: a quote in the wrong place is told, not guessed at, and an open one does not swallow the
        # file.
        self._rows = csv.reader(self._lines, delimiter=delimiter, strict=True, skipinitialspace=True)
        self._records = self._read()
        first = next(self._records, None)
        if first is None:
            raise CatalogueError("The file is empty; its first line must name the columns.")
        if first.problem is not None:
            raise CatalogueError(f"The header in line {first.line} cannot be read: {first.problem}.")
        self.header: Sequence[object] = first.cells

    def records(self) -> Iterator[Record]:
        """The rows below the header; a row whose quotes are wrong comes with a problem."""
        return self._records

    def progress(self) -> tuple[int, int | None]:
        """Bytes taken from the file, at most a buffer ahead of the records, and its size."""
        return self._binary.tell(), self._size

    def _read(self) -> Iterator[Record]:
        lines, rows = self._lines, self._rows
        while True:
            line = lines.start_record()
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                if lines.exhausted or lines.size > csv.field_size_limit():
                    raise CatalogueError(
                        f"The record that begins in line {line} has a text that never ends;"
                        " close its quotes (a quote inside a text is written twice)."
                    ) from error
                yield Record(line, ("".join(lines.raw).rstrip("\r\n"),), self._misquoted(line))
                continue
            if any(map(str.strip, cells)):
                yield Record(line, cells)

    def _misquoted(self, line: int) -> str:
        where = f"lines {line} to {self._lines.number} cannot" if self._lines.number > line else "the line cannot"
        return f"{where} be split into columns because of a misplaced quote; a quote inside a text is written twice"


@contextmanager
def open_csv(path: Path) -> Iterator[CatalogueReader]:
    """Open a CSV in UTF-8 (with or without a byte order mark) or UTF-16 (with one).

    Raises: CatalogueError when it has no readable header.
    """
    with path.open("rb") as binary:
        encoding = tell_encoding(binary)
        delimiter = _tell_delimiter(binary, encoding)
        binary.seek(0)
        yield CsvCatalogue(binary, encoding, delimiter)


def _tell_delimiter(binary: BinaryIO, encoding: str) -> str:
    """The separator by which the header line holds the most known titles, then the most columns."""
    stream = io.TextIOWrapper(binary, encoding, newline="")
    try:
        line = next((line for line in _Lines(binary, stream) if line.strip()), "")
    finally:
        stream.detach()

    def fit(delimiter: str) -> tuple[int, int]:
        titles = [normalise_title(cell.strip(' "\r\n')) for cell in line.split(delimiter)]
        return len(set(titles) & set(KNOWN)), len(titles)

    return max(DELIMITERS, key=fit)
