"""Files up and down. A download is whole or is not there; one that breaks off goes on where it was."""

from __future__ import annotations

import mimetypes
import os
from functools import partial
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO, cast
from uuid import uuid4

from . import requests
from .errors import UnreachableError
from .flow import Call, Flow, Lost, NextPiece, Open, Pause
from .model import UploadedFile
from .reading import file_of, read_object
from .sending import Terms, send
from .transfer_body import FileBody

#: A file by its path, or one that is open for reading or writing bytes.
Source = str | os.PathLike[str] | BinaryIO
Target = str | os.PathLike[str] | BinaryIO

_OK = 200

#: Connections in a row that may break off without having brought a byte.
_MOST_BREAKS = 8


def uploaded(terms: Terms, source: Source, name: str | None, content_type: str | None) -> Flow[UploadedFile]:
    """Raises: OSError of the file; as ``send``."""
    is_path = isinstance(source, (str, os.PathLike))
    opened = (yield Call(partial(open, source, "rb"))) if is_path else source
    file = cast("BinaryIO", opened)
    try:
        name = name or Path(str(getattr(file, "name", "") or "upload")).name
        content_type = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        body = yield Call(partial(_body, file))
        reply = (yield from send(terms, requests.upload(body, name, content_type))).reply
        return file_of(read_object(reply))
    finally:
        if is_path:
            file.close()


def downloaded(terms: Terms, path: str, target: Target) -> Flow[int]:
    """How many bytes it has. Raises: OSError of the target; as ``send``."""
    sink = yield Call(partial(_Sink, target))
    try:
        yield from _fill(terms, path, sink)
        yield Call(sink.finish)
        return int(sink.size)
    finally:
        sink.abandon()


def _fill(terms: Terms, path: str, sink: _Sink) -> Flow[None]:
    etag, tries = None, 0
    while True:
        answer = yield from send(terms, requests.download(path, start=sink.size, etag=etag), step=Open)
        if answer.reply.status == _OK and sink.size:
            yield Call(sink.restart)  # it is another file by now
        etag = answer.reply.headers.get("etag")
        before = sink.size
        while isinstance(piece := (yield NextPiece()), bytes):
            yield Call(partial(sink.write, piece))
        if not isinstance(piece, Lost):
            return
        tries = 1 if sink.size > before else tries + 1
        pause = terms.policy.pause(tries, left=terms.policy.patience)
        if pause is None or tries == _MOST_BREAKS:
            raise UnreachableError(terms.url, tries, str(piece.error)) from piece.error
        yield Pause(pause)


def _body(file: BinaryIO) -> FileBody:
    if not file.seekable():
        return FileBody(file)
    start = file.tell()
    size = file.seek(0, SEEK_END) - start
    return FileBody(file, start, size)


class _Sink:
    """Where a download goes: beside its path until it is whole, or into a stream."""

    def __init__(self, target: Target) -> None:
        self.size = 0
        self._path = Path(target) if isinstance(target, (str, os.PathLike)) else None
        self._start = 0
        if self._path is None:
            self._file: BinaryIO = target  # type: ignore[assignment]
            self._start = self._file.tell() if self._file.seekable() else 0
        else:
            self._part = self._path.with_name(f".{self._path.name}-{uuid4().hex}.part")
            self._file = self._part.open("xb")

    def write(self, piece: bytes) -> None:
        self._file.write(piece)
        self.size += len(piece)

    def restart(self) -> None:
        """Raises: OSError for a stream that cannot go back."""
        self._file.seek(self._start)
        self._file.truncate()
        self.size = 0

    def finish(self) -> None:
        """Under its name at once, whole, and on the disk."""
        self._file.flush()
        if self._path is not None:
            os.fsync(self._file.fileno())
            self._file.close()
            self._part.replace(self._path)
            self._path = None

    def abandon(self) -> None:
        """Nothing stays of what is not finished."""
        if self._path is not None:
            self._file.close()
            self._part.unlink(missing_ok=True)
