"""JSON encoders that are made once: ``JSONEncoder.encode`` makes the one in C, that does the work, each time."""

import json
from collections.abc import Callable
from json import encoder
from typing import Any


def kept(one: json.JSONEncoder) -> Callable[[Any], str]:
    """As its ``encode``, for values that do not hold themselves, and encoders without an indent.

    A value that does is a RecursionError, and not a ValueError.
    """
    make: Any = encoder.c_make_encoder  # type: ignore[attr-defined]
    if make is None:  # on an interpreter without it
        return one.encode
    quoted = encoder.encode_basestring_ascii if one.ensure_ascii else encoder.encode_basestring
    separators = one.key_separator, one.item_separator
    write = make(None, one.default, quoted, None, *separators, one.sort_keys, one.skipkeys, one.allow_nan)
    return lambda value: "".join(write(value, 0))
