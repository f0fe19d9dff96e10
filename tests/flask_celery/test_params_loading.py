"""Params loaded by their fields alone are what the schema loads, and what is wrong with them is what it says."""

from __future__ import annotations

from typing import Any

import pytest
from marshmallow import (
    EXCLUDE,
    Schema,
    ValidationError,
    fields,
    post_load,
    pre_load,
    validate,
    validates,
    validates_schema,
)

from app.jobs.fields import WholeNumber
from libs.flask_celery.params_loading import ParamsLoader


class Plain(Schema):
    count = WholeNumber(required=True, validate=validate.Range(1, 9))
    name = fields.String(load_default="nobody", allow_none=True)
    tags = fields.List(fields.String())


class Renamed(Schema):
    count = fields.Integer(data_key="Count")


class Placed(Schema):
    count = fields.Integer(attribute="inner.count")


class Before(Plain):
    @pre_load
    def double(self, data: Any, **_: Any) -> Any:
        return {**data, "count": 2 * data["count"]}


class After(Plain):
    @post_load
    def triple(self, data: Any, **_: Any) -> Any:
        return {**data, "count": 3 * data["count"]}


class OfAField(Plain):
    @validates("count")
    def refuse(self, value: int, data_key: str) -> None:
        raise ValidationError("Never.")


class OfAll(Plain):
    @validates_schema
    def refuse(self, data: Any, **_: Any) -> None:
        raise ValidationError("Never.")


class Own(Plain):
    def load(self, data: Any, **_: Any) -> Any:
        return {"own": data}


class Lenient(Plain):
    class Meta:
        unknown = EXCLUDE


SCHEMAS = [Plain, Renamed, Placed, Before, After, OfAField, OfAll, Own, Lenient]
WHOLE: dict[str, Any] = {"count": 3, "name": "ann", "tags": ["a"]}
BODIES: list[dict[str, Any]] = [
    WHOLE,
    {**WHOLE, "count": 3.0},
    {**WHOLE, "name": None},
    {**WHOLE, "count": 10, "tags": [1, "a"], "name": 5},
    {**WHOLE, "count": None},
    {**WHOLE, "more": 1},
    {"count": 3},
    {"name": "ann"},
    {"Count": 3},
    {},
]


def outcome(loader: Any, body: dict[str, Any]) -> Any:
    try:
        return loader.load(dict(body))
    except ValidationError as error:
        return error.messages, error.valid_data


@pytest.mark.parametrize("schema", SCHEMAS)
@pytest.mark.parametrize("body", BODIES)
def test_it_loads_as_the_schema(schema: type[Schema], body: dict[str, Any]) -> None:
    if (schema is Before and "count" not in body) or (schema is Before and body["count"] is None):
        body = WHOLE

    assert outcome(ParamsLoader(schema()), body) == outcome(schema(), body)


@pytest.mark.parametrize(
    "made", [Plain(partial=True), Plain(many=True), Plain(only=["count"]), Plain(unknown=EXCLUDE)]
)
def test_it_loads_as_a_schema_that_was_made_to_differ(made: Schema) -> None:
    for body in BODIES:
        assert outcome(ParamsLoader(made), body) == outcome(made, body)


def test_fields_are_asked_without_the_schema_where_they_are_all() -> None:
    schema = Plain()
    loader = ParamsLoader(schema)
    schema.load = None  # type: ignore[method-assign, assignment]

    assert loader.load(dict(WHOLE)) == WHOLE
