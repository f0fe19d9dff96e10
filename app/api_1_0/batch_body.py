"""Reading a batch from a request's body: a JSON array, an object around one, or a line of JSON for each job (NDJSON).

Read job by job, so that a large batch leaves others their turn, and a job that is not what it should be is an outcome
of its own. Only what hides where the next job begins spoils the whole.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from flask import Request, current_app
from marshmallow import ValidationError

from app.api_1_0.batch_items import ThenSchema, item_of, refused_item
from app.api_1_0.json_body import object_of_unique_names, refuse_constant, what_is_wrong
from app.api_1_0.json_depth import is_too_deep
from app.problem import ProblemError
from libs.flask_celery import BatchItem, RefusedItem, Then, Turns

#: Jobs of one batch.
MOST_JOBS = 10_000

NDJSON = ("application/x-ndjson", "application/ndjson", "application/jsonl")

_STRICT = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=object_of_unique_names)
#: Finds the end of what JSON's grammar allows and this service does not.
_LENIENT = json.JSONDecoder(parse_int=len)
_SPACE = re.compile(r"[ \t\n\r]*")
_COMMA = re.compile(r"[ \t\n\r]*,[ \t\n\r]*")


@dataclass(slots=True)
class BatchBody:
    """What was sent: the jobs in their order, and what is to run when they are over."""

    items: list[BatchItem | RefusedItem] = field(default_factory=list)
    then: Then | None = None

    def add(self, item: BatchItem | RefusedItem) -> None:
        """Raises: ProblemError 413."""
        if len(self.items) == MOST_JOBS:
            raise ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"A batch has at most {MOST_JOBS:,} jobs. Send several batches.",
            )
        self.items.append(item)


def read_batch(request: Request) -> BatchBody:
    """The jobs that a request sends.

    Raises: ProblemError 415, 413 for too many bytes or jobs, 400 for what is not JSON, 422 for no jobs and for what
        is neither an array nor an object with ``jobs``; ValidationError for ``then``.
    """
    is_lines = request.mimetype in NDJSON
    if not request.is_json and not is_lines:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            f"Send the jobs as application/json, an array or an object with jobs, or as {NDJSON[0]}, one a line.",
        )
    request.max_content_length = current_app.config["MAX_BATCH_BODY"]
    raw = request.get_data(cache=False)
    if request.content_length not in (None, len(raw)):
        # gunicorn ends the stream of a client that is gone as it ends any other: lines would be missing unnoticed.
        raise ProblemError(HTTPStatus.BAD_REQUEST, "The batch broke off before its Content-Length. Send it again.")
    if request.content_length is None:
        request.stream.read(1)  # as in json_body: a body in chunks was cut at the limit without a word
    body = BatchBody()
    (_read_lines if is_lines else _read_document)(raw, body)
    if not body.items:
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            'A batch has at least one job: [{"task": "…", "params": {}}].',
            errors={"jobs": ["Must not be empty."]},
        )
    return body


def _read_lines(raw: bytes, body: BatchBody) -> None:
    """A first line with ``then`` and nothing else says what is to run in the end."""
    turns, start, is_first, longest = Turns(), 0, True, _longest_job()
    while start < len(raw):
        end = raw.find(b"\n", start)
        line = raw[start : len(raw) if end < 0 else end].strip(b" \t\r")
        start = len(raw) if end < 0 else end + 1
        if not line:
            continue
        try:
            text = line.decode("utf-8-sig" if is_first else "utf-8")
            value = _STRICT.decode(text)
            _check_depth(text)
            if is_first and isinstance(value, dict) and value.keys() == {"then"}:
                body.then = _then(value["then"])
            else:
                body.add(item_of(value, longest))
        except (ValueError, RecursionError) as error:
            body.add(refused_item(_problem(error, "line"), line))
        is_first = False
        turns()


def _longest_job() -> int:
    return int(current_app.config["MAX_CONTENT_LENGTH"])


def _check_depth(text: str) -> None:
    if is_too_deep(text):
        raise RecursionError


def _read_document(raw: bytes, body: BatchBody) -> None:
    try:
        _Document(raw.decode("utf-8-sig"), body).read()
    except (ValueError, RecursionError) as error:
        raise _problem(error, "body") from error


class _Document:
    """A JSON text that is read value by value. Raises: ValueError, RecursionError for what cannot be read on."""

    def __init__(self, text: str, body: BatchBody) -> None:
        self._text = text
        self._body = body
        self._at = 0

    def read(self) -> None:
        if self._next_is("["):
            self._read_jobs()
        elif self._next_is("{"):
            self._read_object()
        else:
            self._value()
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                'A batch is an array of jobs, or an object with them: {"jobs": [{"task": "…", "params": {}}]}.',
                errors={"_schema": ["Neither an array nor an object."]},
            )
        if self._skip_space() != len(self._text):
            raise self._unexpected("Extra data")

    def _read_object(self) -> None:
        names: set[str] = set()
        unknown: dict[str, list[str]] = {}
        for _ in self._parts("{", "}"):
            name = self._value()
            if not isinstance(name, str):
                raise self._unexpected("Expecting property name enclosed in double quotes")
            _check_carried(name)
            self._expect(":")
            object_of_unique_names([(known, None) for known in (*names, name)])
            names.add(name)
            if name == "jobs" and self._next_is("["):
                self._read_jobs()
            elif name == "then":
                self._body.then = _then(self._value())
            else:
                self._value()
                unknown[name] = ["Not an array." if name == "jobs" else "Unknown field."]
        if unknown:
            raise ProblemError(
                HTTPStatus.UNPROCESSABLE_ENTITY, "A batch has jobs and, if wanted, then; see errors.", errors=unknown
            )

    def _read_jobs(self) -> None:
        turns, longest = Turns(), _longest_job()
        for _ in self._parts("[", "]"):
            start = self._skip_space()
            try:
                self._body.add(item_of(self._value(), longest))
            except (ValueError, RecursionError) as error:  # what breaks the grammar breaks it here as well
                _, self._at = _LENIENT.raw_decode(self._text, start)
                said = self._text[start : self._at].encode(errors="surrogatepass")
                self._body.add(refused_item(_problem(error, "job"), said))
            turns()

    def _parts(self, opening: str, closing: str) -> Iterator[None]:
        """One turn for each value between these, with commas between them."""
        self._expect(opening)
        if self._next_is(closing):
            self._at += 1
            return
        while True:
            yield
            comma = _COMMA.match(self._text, self._at)
            if comma is not None:
                self._at = comma.end()
                continue
            if self._next_is(closing):
                self._at += 1
                return
            self._expect(",")

    def _value(self) -> Any:
        start = self._skip_space()
        value, self._at = _STRICT.raw_decode(self._text, start)
        _check_depth(self._text[start : self._at])
        return value

    def _expect(self, character: str) -> None:
        if not self._next_is(character):
            raise self._unexpected(f"Expecting '{character}'")
        self._at += 1

    def _next_is(self, character: str) -> bool:
        return self._text.startswith(character, self._skip_space())

    def _skip_space(self) -> int:
        space = _SPACE.match(self._text, self._at)
        self._at = space.end() if space else self._at
        return self._at

    def _unexpected(self, what: str) -> json.JSONDecodeError:
        return json.JSONDecodeError(what, self._text, self._at)


def _check_carried(value: Any) -> None:
    """Raises: ValueError for what JSON cannot carry (as ``json_body``): messages repeat names."""
    json.dumps(value, ensure_ascii=False, allow_nan=False).encode()


def _then(value: Any) -> Then:
    """Raises: ProblemError 400; ValidationError."""
    try:
        _check_carried(value)
    except ValueError as error:
        raise _problem(error, "body") from error
    try:
        loaded = ThenSchema().load(value)
    except ValidationError as error:
        raise ValidationError({"then": error.messages}) from error
    return Then(loaded["task"], loaded["params"])


def _problem(error: Exception, what: str) -> ProblemError:
    return ProblemError(HTTPStatus.BAD_REQUEST, what_is_wrong(error).replace("body", what))
