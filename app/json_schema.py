"""A job's params as JSON Schema, for the API's task descriptions and for the OpenAPI document."""

from functools import cache
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from libs.flask_celery import JobSpec


def params_schema(job: JobSpec) -> dict[str, Any]:
    """Self-contained, of the dialect that OpenAPI 3.1 has."""
    return _params_schema(job.params, job.description)


def options_schema(schema: type[Schema]) -> dict[str, Any]:
    """The properties of an object that the schema loads, by name."""
    properties: dict[str, Any] = _params_schema(schema, "")["properties"]
    return properties


@cache
def _params_schema(schema: type[Schema], description: str) -> dict[str, Any]:
    plugin = MarshmallowPlugin()
    APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])  # tells the plugin the dialect
    described: dict[str, Any] = plugin.converter.schema2jsonschema(schema())  # type: ignore[union-attr]
    return described | {"additionalProperties": False, "description": description}
