"""Results as JSON: jobs may return what only msgpack, YAML or pickle can carry, where those are configured."""

import base64
import json
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from flask.json.provider import DefaultJSONProvider

from libs.kept_encoder import kept

#: As ``flask.json.dumps`` has it, which makes an encoder each time.
_encode = kept(json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=DefaultJSONProvider.default))


def dumps(value: object) -> str:
    """JSON of a value; what JSON cannot say is said as :func:`json_value` does. Costs nothing where it can."""
    try:
        return _encode(value)
    except TypeError:
        return _encode(json_value(value))


def json_value(value: Any) -> Any:
    """The nearest that JSON has.

    Bytes are text, in Base64 unless they are UTF-8; times as in RFC 3339; sets are lists; keys are text; and anything
    else is what ``str()`` makes of it.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Mapping():
            return {
                key if isinstance(key, str) else str(json_value(key)): json_value(one) for key, one in value.items()
            }
        case list() | tuple():
            return [json_value(one) for one in value]
        case set() | frozenset():
            return sorted((json_value(one) for one in value), key=str)
        case bytes() | bytearray():
            return _text(bytes(value))
        case date():
            return value.isoformat()
        case Decimal() | UUID():
            return str(value)
        case _:
            return str(value)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode()
