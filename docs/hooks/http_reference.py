"""The HTTP reference: tables made from the OpenAPI document, as the code of this checkout answers it."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGE = "reference/http.md"
METHODS = ("get", "post", "put", "patch", "delete")
BOUNDS = {
    "minimum": "from", "maximum": "to", "minLength": "at least", "maxLength": "at most", "minItems": "at least",
    "maxItems": "at most", "default": "by default",
}  # fmt: skip

Document = dict[str, Any]


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the page."""
    document = read_document()
    files.append(File.generated(config, PAGE, content="\n".join(page_lines(document)) + "\n"))
    return files


def read_document() -> Document:
    """What ``manage.py openapi`` prints; it needs neither Redis nor a database."""
    with TemporaryDirectory(prefix="taskgate-openapi-") as folder:
        # By absolute paths and with a new data directory: settings of whoever builds the site have no part in it.
        outcome = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), "openapi"],
            cwd=folder,
            env={"DATA_DIR": folder, "PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
        )
    if outcome.returncode:
        raise RuntimeError(f"manage.py openapi failed:\n{outcome.stderr}")
    document: Document = json.loads(outcome.stdout)
    return document


def page_lines(document: Document) -> Iterator[str]:
    """The page: calls by their tag, then schemas by name."""
    yield from (
        "# HTTP reference",
        "Made from `/api/1.0/openapi.json`. How calls are meant: [HTTP API](../http.md).",
        "",
    )
    calls: dict[str, list[tuple[str, str, Document]]] = {}
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                calls.setdefault(item[method]["tags"][0], []).append((method.upper(), path, item[method]))
    for tag, operations in calls.items():
        yield from (f"## {tag.capitalize()}", "")
        for method, path, operation in operations:
            yield from _operation_lines(method, path, operation)
    yield from ("## Schemas", "")
    for name, schema in document["components"]["schemas"].items():
        yield from _schema_lines(name, schema)


def _operation_lines(method: str, path: str, operation: Document) -> Iterator[str]:
    yield from (f"### `{method} {path}` {{ #{operation['operationId']} }}", f"**{operation['summary']}.**", "")
    yield from (operation.get("description", ""), "")
    if parameters := operation.get("parameters"):
        yield from ("| parameter | in | type | |", "|---|---|---|---|")
        for each in parameters:
            needed = ", required" if each.get("required") and each["in"] != "path" else ""
            words = _cell(each.get("description", ""))
            yield f"| `{each['name']}` | {each['in']}{needed} | {_type(each.get('schema', {}))} | {words} |"
        yield ""
    for media_type, body in operation.get("requestBody", {}).get("content", {}).items():
        yield from (f"Body, `{media_type}`: {_type(body.get('schema', {}))}", "")
    answers = [
        f"{status} {_type(content['schema'])}" if "schema" in content else status
        for status, response in operation["responses"].items()
        for content in list(response.get("content", {}).values())[:1] or [{}]
    ]
    yield from (f"Answers: {', '.join(answers)}.", "")


def _schema_lines(name: str, schema: Document) -> Iterator[str]:
    yield from (f"### {name} {{ #schema-{name.lower()} }}", _cell(schema.get("description", "")), "")
    if "properties" not in schema:
        yield from (_type(schema), "")
        return
    yield from ("| property | type | |", "|---|---|---|")
    for key, value in schema["properties"].items():
        needed = " (required)" if key in schema.get("required", []) else ""
        yield f"| `{key}` | {_type(value)}{needed} | {_cell(value.get('description', ''))} |"
    yield ""


def _type(schema: Document) -> str:
    """In a few words, with links to schemas that have a name."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#schema-{name.lower()})"
    if "enum" in schema:
        return " · ".join(f"`{json.dumps(value, ensure_ascii=False)}`" for value in schema["enum"])
    for kind in ("allOf", "anyOf", "oneOf"):
        if kind in schema:
            return " or ".join(_type(each) for each in schema[kind])
    kinds = schema.get("type", "any")
    words = " or ".join(kinds) if isinstance(kinds, list) else kinds
    if "items" in schema:
        words += f" of {_type(schema['items'])}"
    bounds = [f"{word} {schema[key]}" for key, word in BOUNDS.items() if key in schema]
    return ", ".join([f"{words} ({schema['format']})" if "format" in schema else words, *bounds])


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")
