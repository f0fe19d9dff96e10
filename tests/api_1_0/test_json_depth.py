"""How deeply a body may be nested: told exactly, and in a time that a client cannot stretch."""

from __future__ import annotations

import json
import time
from random import Random
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.api_1_0.json_depth import DEEPEST, is_too_deep
from tests.installation import API, Installation, assert_problem


def depth(value: Any) -> int:
    """As one would say it."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


def some_json(random: Random, levels: int) -> Any:
    if levels == 0:
        return random.choice([1, None, "[[{", '\\"[', "x\n]}"])
    others = [some_json(random, random.randrange(min(levels, 3))) for _ in range(random.randrange(3))]
    inner = some_json(random, levels - 1)
    return [*others, inner] if random.random() < 0.5 else {"a[": inner, **{f"b{n}": v for n, v in enumerate(others)}}


@pytest.mark.parametrize("levels", range(DEEPEST - 4, DEEPEST + 5))
def test_it_is_told_exactly(levels: int) -> None:
    random = Random(levels)
    for _ in range(20):
        value = some_json(random, levels)
        for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
            assert is_too_deep(text) == (depth(value) > DEEPEST), text


HOSTILE = {
    "many objects": "[" + ",".join(['{"a":1}'] * 130_000) + "]",
    "many arrays": "[" + ",".join(["[]"] * 340_000) + "]",
    "as deep as long": "[" * 500_000 + "]" * 500_000,
    "brackets in strings": json.dumps(["[" * 10] * 80_000),
    "many deep ones": "[" + ",".join(["[" * 60 + "]" * 60] * 8_000) + "]",
    "quotes in a string": '["' + '\\"' * 500_000 + '"' + ",[]" * 70 + "]",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_it_takes_no_time(name: str) -> None:
    started = time.process_time()

    assert is_too_deep(HOSTILE[name]) == (name == "as deep as long")

    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(("arrays", "status"), [(DEEPEST - 1, 422), (DEEPEST, 400), (500, 400)])
def test_a_body_that_is_nested_too_deeply_is_refused(
    arrays: int, status: int, installation: Installation, ann: dict[str, str]
) -> None:
    client: FlaskClient = installation.client
    body = '{"a": ' + "[" * arrays + "]" * arrays + ', "b": 2}'

    answer = client.post(
        f"{API}/tasks/maintenance.adds/jobs", data=body, content_type="application/json", headers=ann
    )

    assert_problem(answer, status)
    assert (f"{DEEPEST} levels" in answer.json["detail"]) == (status == 400)
