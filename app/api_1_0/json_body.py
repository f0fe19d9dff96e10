"""Reading a JSON object from a request's body, with an answer for everything else that may come."""

import json
from http import HTTPStatus
from typing import Any

from flask import Request

from app.errors import ProblemError


def read_json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object.

    Raises: ProblemError 415 for another media type, 400 for an empty body or one that is not JSON (RFC 8259: NaN
        and Infinity are not), 422 for JSON that is not an object. 413 comes from werkzeug.
    """
    if not request.is_json:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the params as JSON, with Content-Type: application/json."
        )
    body = request.get_data(cache=False)
    if not body.strip():
        raise ProblemError(
            HTTPStatus.BAD_REQUEST, "The body is empty. Send a JSON object; {} when there are no params."
        )
    try:
        value = json.loads(body, parse_constant=_refuse_constant)
        # Half of a surrogate pair is legal in JSON's grammar and in no encoding.
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise ProblemError(HTTPStatus.BAD_REQUEST, _what_is_wrong(error)) from error
    if not isinstance(value, dict):
        raise ProblemError(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            'The params are a JSON object, such as {"a": 1}.',
            errors={"_schema": ["Not a JSON object."]},
        )
    return value


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _what_is_wrong(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
    if isinstance(error, RecursionError):
        return "The body is nested too deeply."
    return "The body is not JSON in UTF-8, or holds a number or character that JSON cannot carry."
