"""Every example in the OpenAPI document is what its schema says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Flask
from jsonschema import Draft202012Validator

from app.openapi import build_document


def media_types(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Of everything that is taken and answered, by where it is."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            for name, content in operation.get("requestBody", {}).get("content", {}).items():
                yield f"{method} {path} takes {name}", content
            for status, answer in operation["responses"].items():
                for name, content in answer.get("content", {}).items():
                    yield f"{method} {path} {status} {name}", content
    for status, answer in document["components"]["responses"].items():
        for name, content in answer["content"].items():
            yield f"{status} {name}", content


def test_whatever_is_json_has_an_example_and_each_fits_its_schema(app: Flask) -> None:
    document = build_document(app.extensions["celery"])
    checked = 0
    for where, content in media_types(document):
        if "example" not in content:
            # A job declares an example of its params, or none where no other's would do: the id of a file.
            assert not where.endswith("application/json") or where.endswith("/jobs takes application/json"), where
            continue
        schema = {**content["schema"], "components": document["components"]}
        errors = [error.message for error in Draft202012Validator(schema).iter_errors(content["example"])]
        assert errors == [], where
        checked += 1

    assert checked > 60
