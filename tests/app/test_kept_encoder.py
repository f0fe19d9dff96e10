"""An encoder that is kept writes what one that is made anew would write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from kombu.utils.json import JSONEncoder as KombuEncoder

from libs.kept_encoder import kept

ENCODERS = [
    json.JSONEncoder(),
    json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=str),
    json.JSONEncoder(separators=(",", ":"), allow_nan=False),
    json.JSONEncoder(skipkeys=True),
    KombuEncoder(),
    KombuEncoder(separators=(",", ":")),
]
VALUES: list[Any] = [
    *(None, True, 1, -1.5, 1e300, "", 'é\u2028\x00"\\', [], {}, [[]], float("nan"), float("inf"), 2**70),
    {"b": [1, 2.0, None], "a": {"ü": "x", "": False}},
    {1: "a", 2.5: "b", None: "c", False: "d"},
    {("no", "key"): 1},
    {"time": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "sum": Decimal("1.10")},
    {"what": object},
]


def outcome(encode: Any, value: Any) -> Any:
    try:
        return encode(value)
    except (TypeError, ValueError) as error:
        return type(error)


@pytest.mark.parametrize("one", ENCODERS)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_it_writes_the_same(one: json.JSONEncoder, value: Any) -> None:
    encode = kept(one)

    for _ in range(2):
        assert outcome(encode, value) == outcome(one.encode, value)


def test_what_holds_itself_is_an_error_each_time() -> None:
    endless: list[Any] = []
    endless.append(endless)
    encode = kept(json.JSONEncoder())

    for _ in range(2):
        with pytest.raises(RecursionError):
            encode(endless)
    assert encode([1]) == "[1]"
