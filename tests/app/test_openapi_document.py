"""The OpenAPI document: valid, complete, and true to what the routes declare."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from app.api_1_0 import ROUTES
from app.api_1_0.links import PREFIX
from app.api_1_0.operation import Operation
from app.api_1_0.tasks import TaskJobs
from app.api_keys import Scope
from app.openapi import build_document
from libs.flask_celery import job_specs

PROBLEM = {"$ref": "#/components/schemas/Problem"}


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    return build_document(app.extensions["celery"])


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", operation


def everything(node: Any) -> Iterator[dict[str, Any]]:
    """Every object in a JSON value."""
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from everything(value)
    elif isinstance(node, list):
        for value in node:
            yield from everything(value)


def answers(document: dict[str, Any], operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """By status, with those that stand among the components in their place."""
    for status, answer in operation["responses"].items():
        name = answer.get("$ref", "").removeprefix("#/components/responses/")
        assert name in ("", status)
        yield status, document["components"]["responses"][name] if name else answer


def test_it_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []


def test_it_has_every_route_of_the_api_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    expected = set()
    for rule in app.url_map.iter_rules():
        if not rule.rule.startswith(PREFIX) or rule.endpoint == "service_pages.openapi":
            continue
        path = re.sub(r"<(\w+)>", r"{\1}", rule.rule)
        # Submitting is documented once for each task, with that task's params.
        tasks = job_specs(app.extensions["celery"]) if path.endswith("/tasks/{task}/jobs") else ["{task}"]
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            expected |= {f"{method} {path.replace('{task}', task)}" for task in tasks}

    assert {name for name, _ in operations(document)} == expected
    assert len(expected) == 44


def test_every_method_of_every_resource_declares_its_operation() -> None:
    for path, resource in ROUTES:
        for method in resource.methods or ():
            declared = getattr(getattr(resource, method.lower()), "operation", None)
            assert isinstance(declared, Operation), (method, path)
            assert isinstance(declared.scope, Scope)
            # A token is one job's, so that a route without a job in its path cannot be opened by it.
            assert not declared.job_token or "<task_id>" in path, (method, path)
            assert declared.summary
            assert declared.answers


def test_every_operation_names_its_scope_and_needs_the_key(document: dict[str, Any]) -> None:
    assert document["security"] == [{"key": []}]
    for name, operation in operations(document):
        one, two = r" `(read|submit|cancel|metrics)`(, or the job's access token)?", "s `(submit|cancel)` and `read`"
        needs = rf"Needs the scope({one}|{two})\.$"
        assert re.search(needs, operation["description"]), name
        assert operation["summary"], name


def test_the_operations_that_a_jobs_token_opens_say_so(document: dict[str, Any]) -> None:
    header, query = [{"key": []}, {"job_token": []}], [{"job_token_in_query": []}]
    opened = {
        f"GET {PREFIX}/results/{{task_id}}": header + query,
        f"GET {PREFIX}/results/{{task_id}}/events": header + query,
        f"GET {PREFIX}/results/{{task_id}}/files/{{name}}": header + query,
        f"GET {PREFIX}/jobs/{{task_id}}/logs": header + query,
        f"DELETE {PREFIX}/jobs/{{task_id}}": header,
        f"POST {PREFIX}/jobs/{{task_id}}/cancel": header,
    }

    assert {name: item["security"] for name, item in operations(document) if "security" in item} == opened
    for name, operation in operations(document):
        assert operation["description"].endswith("or the job's access token.") == (name in opened), name
        assert "access_token" not in [parameter["name"] for parameter in operation["parameters"]], name
        if name in opened:
            assert "400" in operation["responses"], name
    schemes = document["components"]["securitySchemes"]
    assert {name: (scheme["type"], scheme.get("in")) for name, scheme in schemes.items()} == {
        "key": ("http", None),
        "job_token": ("http", None),
        "job_token_in_query": ("apiKey", "query"),
    }


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, operation in operations(document)]

    assert len(ids) == len(set(ids)) == 44


def test_every_error_is_a_problem_document(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        errors = {status: answer for status, answer in answers(document, operation) if status >= "400"}
        assert {"401", "403", "422", "429", "500"} <= errors.keys(), name
        for status, answer in errors.items():
            assert answer["content"].keys() == {"application/problem+json"}, (name, status)
            content = answer["content"]["application/problem+json"]
            assert content["schema"] == PROBLEM, (name, status)
            assert content["example"]["status"] == int(status), (name, status)
            assert ("Retry-After" in answer["headers"]) == (status in ("429", "503")), (name, status)


def test_every_answer_names_the_request(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for status, answer in answers(document, operation):
            assert {"X-Request-ID", "RateLimit", "RateLimit-Policy"} <= answer["headers"].keys(), (name, status)


def test_every_task_has_its_own_params_and_its_example_fits_them(app: Flask, document: dict[str, Any]) -> None:
    for task, spec in job_specs(app.extensions["celery"]).items():
        content = document["paths"][f"{PREFIX}/tasks/{task}/jobs"]["post"]["requestBody"]["content"]
        assert content.keys() == {"application/json"}
        assert content["application/json"]["schema"]["properties"].keys() == spec.params().fields.keys()
        assert content["application/json"]["schema"]["additionalProperties"] is False
        if spec.example is not None:
            assert content["application/json"]["example"] == spec.example
            spec.load_body(spec.example)


def test_patterns_are_ones_that_javascript_reads_too(document: dict[str, Any]) -> None:
    """JSON Schema's are ECMA-262's and match anywhere; marshmallow's are Python's and match at the start."""
    patterns = [node["pattern"] for node in everything(document) if isinstance(node.get("pattern"), str)]

    assert patterns
    for pattern in patterns:
        assert pattern.startswith("^"), pattern
        assert not re.search(r"\\[AZz]|\(\?[P<#i]", pattern), pattern


def test_nothing_in_it_dangles(document: dict[str, Any]) -> None:
    ids = {operation["operationId"] for _, operation in operations(document)}
    for node in everything(document):
        if isinstance(node.get("$ref"), str):
            _, components, kind, name = node["$ref"].split("/")
            assert name in document[components][kind]
        for link in (node.get("links") or {}).values() if "content" in node else ():
            assert link["operationId"] in ids


def test_submitting_documents_what_the_route_declares(document: dict[str, Any]) -> None:
    declared: Operation = TaskJobs.post.operation  # type: ignore[attr-defined]
    operation = document["paths"][f"{PREFIX}/tasks/maintenance.adds/jobs"]["post"]

    assert {"202", *map(str, declared.errors)} <= operation["responses"].keys()
    assert {"Location", "Retry-After"} <= operation["responses"]["202"]["headers"].keys()


def test_the_events_of_a_stream_have_their_schemas(document: dict[str, Any]) -> None:
    answers = document["paths"][f"{PREFIX}/results/{{task_id}}/events"]["get"]["responses"]
    stream = answers["200"]["content"]["text/event-stream"]["schema"]["oneOf"]
    data = {event["properties"]["event"]["const"]: event["properties"]["data"] for event in stream}

    assert {name: schema["contentSchema"]["$ref"].rpartition("/")[2] for name, schema in data.items()} == {
        "state": "StateEvent",
        "progress": "ProgressEvent",
        "log": "LogLine",
        "error": "Problem",
    }
    assert [event["title"] for event in stream if "id" not in event["required"]] == ["error"]
    assert answers["204"]["content"] == {}
