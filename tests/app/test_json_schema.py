"""The params of a job as JSON Schema that stands by itself."""

from __future__ import annotations

import json

from jsonschema import Draft202012Validator
from marshmallow import Schema, fields, validate

from app.json_schema import options_schema


class Part(Schema):
    code = fields.String(required=True, validate=validate.Length(1, 20))
    amount = fields.Integer(validate=validate.Range(1, 9))


class Order(Schema):
    first = fields.Nested(Part, required=True)
    parts = fields.List(fields.Nested(Part))
    others = fields.Nested(Part, many=True, metadata={"description": "More of them."})
    codes = fields.Nested(Part, only=["code"], allow_none=True)


class Node(Schema):
    name = fields.String()
    children = fields.List(fields.Nested(lambda: Node()))  # noqa: PLW0108 - Node is known later


def test_nested_schemas_stand_in_their_places() -> None:
    described = options_schema(Order)

    assert "$ref" not in json.dumps(described)
    assert described["first"]["properties"]["amount"] == {"type": "integer", "minimum": 1, "maximum": 9}
    assert described["parts"]["items"]["required"] == ["code"]
    assert described["others"]["description"] == "More of them."
    checks = Draft202012Validator({"properties": described})
    assert checks.is_valid({"first": {"code": "A-1"}, "parts": [{"code": "A-2", "amount": 9}], "codes": None})
    assert not checks.is_valid({"first": {"code": "A-1", "amount": 10}})
    assert not checks.is_valid({"codes": {"code": 3}})


def test_a_schema_that_nests_itself_ends() -> None:
    described = options_schema(Node)

    inner = described["children"]["items"]
    assert inner["properties"]["children"]["items"] == {"type": "object"}
    assert Draft202012Validator({"properties": described}).is_valid({"children": [{"name": "leaf"}]})
