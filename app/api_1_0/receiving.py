"""Reading an upload from a request, a piece in memory at a time, straight into the file store."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import PurePosixPath
from typing import IO, cast

from flask import request
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_options_header

from app.files import CHUNK, UNKNOWN_TYPE, IncomingUpload, Uploads
from app.problem import ProblemError

#: RFC 6838, section 4.2: the names a media type can have. Anything else is not worth keeping.
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

_FORM = "multipart/form-data"


@contextmanager
def received(uploads: Uploads, owner: str, name: str | None) -> Iterator[IncomingUpload]:
    """The request's file, come in whole and not finished yet. Left before it is, nothing of it stays.

    ``name``: from the query, stronger than what a form says.
    Raises: ProblemError, and as ``Uploads.receive``.
    """
    reading = _from_form if request.mimetype == _FORM else _from_body
    with reading(uploads, owner, name) as incoming:
        if incoming.size == 0:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, "The file is empty. Send its bytes, e.g. curl -F file=@parts.csv."
            )
        yield incoming


@contextmanager
def _from_body(uploads: Uploads, owner: str, name: str | None) -> Iterator[IncomingUpload]:
    request.max_content_length = uploads.rules.max_size + CHUNK
    length = request.content_length
    with uploads.receive(
        owner=owner, name=_plain(name or "upload"), content_type=_media_type(request.mimetype), length=length
    ) as incoming:
        while chunk := request.stream.read(CHUNK):
            incoming.write(chunk)
        # gunicorn ends the stream of a client that has gone away as it ends any other, and werkzeug then trusts it
        # (``wsgi.input_terminated``). A form that breaks off is noticed by its missing boundary.
        if length not in (None, incoming.size) and incoming.size:
            raise ProblemError(
                HTTPStatus.BAD_REQUEST, "The upload broke off before its Content-Length. Send it again."
            )
        yield incoming


@contextmanager
def _from_form(uploads: Uploads, owner: str, name: str | None) -> Iterator[IncomingUpload]:
    request.max_content_length = uploads.rules.max_size + CHUNK  # the form's own bytes
    with ExitStack() as stack:
        part = _FilePart(uploads, owner, name, stack)
        parser = FormDataParser(
            stream_factory=part.open,
            max_form_memory_size=request.max_form_memory_size,
            max_form_parts=request.max_form_parts,
        )
        length, options = request.content_length, request.mimetype_params
        _, form, files = parser.parse(request.stream, request.mimetype, length, options)
        others = sorted({*form, *files} - {"file"})
        if others or part.incoming is None or len(files.getlist("file")) != 1:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                "Send one file in the form field named file and nothing else, e.g. curl -F file=@parts.csv.",
                errors={key: ["Unknown field."] for key in others} or {"file": ["Missing, or more than one."]},
            )
        yield part.incoming


class _FilePart:
    """Where werkzeug's form parser puts the first file of a form. What is wrong with the form is known at its end."""

    def __init__(self, uploads: Uploads, owner: str, name: str | None, stack: ExitStack) -> None:
        self._uploads, self._owner, self._name, self._stack = uploads, owner, name, stack
        self.incoming: IncomingUpload | None = None

    def open(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        """Werkzeug's ``stream_factory``."""
        if self.incoming is not None:
            return cast("IO[bytes]", _Sink(lambda _: None))
        self.incoming = self._stack.enter_context(
            self._uploads.receive(
                owner=self._owner,
                name=_plain(self._name or filename or "upload"),
                content_type=_media_type(parse_options_header(content_type)[0].lower()),
                length=None,  # the form's own length is no file's
            )
        )
        return cast("IO[bytes]", _Sink(self.incoming.write))


class _Sink:
    """As much of a file as the form parser uses."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self.write = write

    def seek(self, offset: int) -> int:
        """Nobody reads from here."""
        return offset


def _media_type(text: str) -> str:
    return text if _MEDIA_TYPE.fullmatch(text) else UNKNOWN_TYPE


def _plain(name: str) -> str:
    """The last part of a client's path, printable. For people only; nothing is ever opened by it."""
    printable = "".join(character for character in name.replace("\\", "/") if character.isprintable())
    last = PurePosixPath(printable).name[:255]
    return last if last.strip(".") else "upload"
