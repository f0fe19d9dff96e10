"""A job's params as JSON Schema, for the API's task descriptions and for the OpenAPI document."""

import warnings
from collections.abc import Mapping
from functools import cache
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from libs.flask_celery import JobSpec

_COMPONENTS = "#/components/schemas/"


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
    spec = APISpec(title="", version="", openapi_version="3.1.0", plugins=[plugin])  # tells the plugin the dialect
    with warnings.catch_warnings():
        # One schema nested in two ways, many=True or only=…, is two components; both are put in their places here.
        warnings.filterwarnings("ignore", "Multiple schemas resolved to the name", UserWarning)
        described: dict[str, Any] = plugin.converter.schema2jsonschema(schema())  # type: ignore[union-attr]
    inlined: dict[str, Any] = _inlined(described, spec.components.schemas, ())
    return inlined | {"additionalProperties": False, "description": description}


def _inlined(node: Any, components: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    """With the nested schemas in the place of the references to them. One that nests itself is any object there."""
    if isinstance(node, list):
        return [_inlined(each, components, within) for each in node]
    if not isinstance(node, Mapping):
        return node
    name = str(node.get("$ref", "")).removeprefix(_COMPONENTS)
    beside = {key: _inlined(value, components, within) for key, value in node.items() if key != "$ref"}
    if not name:
        return beside
    if name in within:
        return {"type": "object", **beside}
    return {**_inlined(components[name], components, (*within, name)), **beside}
