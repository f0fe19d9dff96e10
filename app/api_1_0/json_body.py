"""Reading a JSON object from a request's body, with an answer for everything else that may come."""

import json
import re
from codecs import BOM_UTF8
from http import HTTPStatus
from typing import Any

from flask import Request
from marshmallow import Schema

from app.api_1_0.json_depth import DEEPEST, is_too_deep
from app.problem import ProblemError

#: Half of a surrogate pair is legal in JSON's grammar and in no encoding, and 1e999 in no number type.
_MAY_BE_NO_VALUE = re.compile(r"\\u[dD]|[0-9][eE]|[0-9]{300}")

_LENGTH = re.compile(r"[0-9]{1,9}")


def read_json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises: ProblemError 415 for another media type, 400 for an empty body, one that is not JSON in UTF-8 (RFC 8259:
        NaN and Infinity are not), one that names a member twice or is nested too deeply, 422 for JSON that is not an
        object. 413 comes from werkzeug.
    """
    _require_json(request)
    return _object_in(_body(request))


def load_body(schema: type[Schema], request: Request, *, required: bool = True) -> dict[str, Any]:
    """The body as the schema loads it; {} for none, when one is not required.

    Raises: ProblemError as :func:`read_json_object`; ValidationError.
    """
    if required:
        _require_json(request)
    body = _body(request)
    if not required:
        if not body.strip():
            return {}
        _require_json(request)
    loaded: dict[str, Any] = schema().load(_object_in(body))
    return loaded


def _require_json(request: Request) -> None:
    if request.environ.get("CONTENT_TYPE") != "application/json" and not request.is_json:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the params as JSON, with Content-Type: application/json."
        )


def _object_in(body: bytes) -> dict[str, Any]:
    if not body or body.isspace():
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "The body is empty. Send a JSON object; {} when there are no params."
        )
    try:
        # Given bytes, json.loads would take UTF-16 and UTF-32 too.
        text = body.removeprefix(BOM_UTF8).decode()
        value = _decode(text)
        if is_too_deep(text):
            raise RecursionError
        if _MAY_BE_NO_VALUE.search(text):
            json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, what_is_wrong(error)) from error
    if not isinstance(value, dict):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            'The params are a JSON object, such as {"a": 1}.',
            errors={"_schema": ["Not a JSON object."]},
        )
    return value


def _body(request: Request) -> bytes:
    """To be read once. Raises: RequestEntityTooLarge."""
    length = request.environ.get("CONTENT_LENGTH", "")
    if _LENGTH.fullmatch(length) and "HTTP_TRANSFER_ENCODING" not in request.environ:
        most = request.max_content_length
        if most is None or int(length) <= most:
            # What werkzeug's stream around it would do, whose making takes longer than the reading.
            read: bytes = request.environ["wsgi.input"].read(int(length))
            return read
    body = request.get_data(cache=False)
    if request.content_length is None:
        # A body in chunks was cut at the limit without a word (werkzeug/wsgi.py, LimitedStream.readall); a further
        # read raises the 413.
        request.stream.read(1)
    return body


class _RepeatedNameError(ValueError):
    """An object has two members of one name; readers differ in which one counts (RFC 8259, section 4)."""


def object_of_unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For ``json.loads``. Raises: ValueError for a name that comes twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _RepeatedNameError
    return value


def refuse_constant(constant: str) -> None:
    """For ``json.loads``, about NaN and Infinity. Raises: ValueError."""
    raise ValueError(f"{constant} is not JSON")


_decode = json.JSONDecoder(parse_constant=refuse_constant, object_pairs_hook=object_of_unique_names).decode


def what_is_wrong(error: Exception) -> str:
    """A sentence about a body that could not be read."""
    if isinstance(error, json.JSONDecodeError):
        return f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    if isinstance(error, _RepeatedNameError):
        return "The body names a member of an object twice. Send each once."
    if isinstance(error, RecursionError):
        return f"The body is nested too deeply. Send {DEEPEST} levels of arrays and objects at the most."
    return "The body is not JSON in UTF-8, or holds a number or character that JSON cannot carry."
