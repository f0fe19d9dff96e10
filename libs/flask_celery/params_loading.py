"""Loading a job's params with their schema, by its fields alone where nothing else of it has a say.

marshmallow looks for hooks and validators of the schema, for partial and many and unknown, and keeps a store of
errors, each time: of a schema of two numbers that takes twice as long as their own fields.
"""

from collections.abc import Mapping
from typing import Any

from marshmallow import Schema, ValidationError, missing

_LOADING = ("load", "_do_load", "_deserialize", "_invoke_field_validators")


class ParamsLoader:
    """Of one kind of params."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._fields = dict(schema.load_fields) if _is_plain(schema) else None

    def load(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """As the schema's. Raises: ValidationError, which always is the schema's own."""
        fields = self._fields
        if fields is not None and type(body) is dict and body.keys() == fields.keys():
            loaded = {}
            try:
                for name, field in fields.items():
                    value = field.deserialize(body[name], name, body)
                    if value is not missing:
                        loaded[name] = value
            except ValidationError:
                pass  # it tells of all fields at once
            else:
                return loaded
        whole: dict[str, Any] = self._schema.load(body)
        return whole


def _is_plain(schema: Schema) -> bool:
    """Whether the fields of an object that has them all, and no others, are all that counts."""
    return (
        all(getattr(type(schema), name) is getattr(Schema, name) for name in _LOADING)
        and not any(hooks for tag, hooks in schema._hooks.items() if "dump" not in tag)
        and schema.dict_class is dict
        and not schema.many
        and schema.partial is None
        and all(
            field.attribute is field.data_key is None and "." not in name for name, field in schema.fields.items()
        )
    )
