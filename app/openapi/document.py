"""The OpenAPI 3.1 document, made from the routes' own declarations, the schemas and the jobs.

``tasks/{task}/jobs`` appears once for each job, with that job's params, so that generated clients have a typed
call for each.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from marshmallow import Schema

from app.api_1_0 import ROUTES
from app.api_1_0.links import PREFIX, submit_url
from app.api_1_0.operation import Operation
from app.api_1_0.queries import submit_query
from app.api_1_0.schemas import (
    DroppedSchema,
    LogLineSchema,
    MissingResultSchema,
    OutcomeProblemSchema,
    ProblemSchema,
    ProgressEventSchema,
    RetriedSchema,
    StateEventSchema,
    SubmittedSchema,
)
from app.api_1_0.tasks import TaskJobs
from app.api_1_0.zones import zone_schema
from app.json_schema import params_schema
from app.openapi.batch_body import batch_body, batch_links
from app.openapi.event_streams import event_schema
from app.openapi.examples import EXAMPLES, problem_example
from app.openapi.parameters import HEADERS, PARAMETERS, REQUEST_HEADERS, SECURITY_SCHEMES
from libs.flask_celery import FlaskCelery, JobSpec, describe, job_specs

_VERSION = "1.0"

#: Bytes: as JSON Schema says it, and as generators of clients know it (from OpenAPI 3.0).
BINARY = {"type": "string", "contentMediaType": "application/octet-stream", "format": "binary"}

_TRY_LATER = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

#: Errors that every route can answer, 422 being that of a query argument it does not know. 405 is HTTP's own.
_COMMON_ERRORS = (401, 403, 422, 429, 500)

#: Of every answer, the last two where there are limits.
_COMMON_HEADERS = ("X-Request-ID", "RateLimit", "RateLimit-Policy")


#: What stands inside of answers, or is one of several there, that is not an answer itself.
_PARTS = (
    *(MissingResultSchema, RetriedSchema, DroppedSchema, OutcomeProblemSchema),
    *(StateEventSchema, ProgressEventSchema, LogLineSchema),
)


def build_document(celery_app: FlaskCelery) -> dict[str, Any]:
    """The whole document, as a JSON object."""
    spec = _empty_spec()
    tasks = list(job_specs(celery_app).values())
    for path, resource in ROUTES:
        if resource is TaskJobs:
            continue
        operations = {
            method.lower(): _operation(getattr(resource, method.lower()).operation, resource, method, path, tasks)
            for method in sorted(resource.methods or ())
        }
        spec.path(path=PREFIX + re.sub(r"<(\w+)>", r"{\1}", path), operations=operations)
    for job in tasks:
        submit = _submit_operation(job, describe(celery_app, job).queues)
        spec.path(path=submit_url(job.name), operations={"post": submit})
    document: dict[str, Any] = spec.to_dict()
    return document


def _empty_spec() -> APISpec:
    # A field that is required and one that may be null are two things; marshmallow's names stay as they are.
    spec = APISpec(
        title="Taskgate",
        version=_VERSION,
        openapi_version="3.1.0",
        info={"description": "Submit jobs, poll their results. Errors are problem documents (RFC 9457)."},
        plugins=[MarshmallowPlugin(schema_name_resolver=_component_name)],
        security=[{"key": []}],
    )
    for schema in _PARTS:
        spec.components.schema(_component_name(schema), schema=schema)
    spec.components.schema("TimeZone", component=zone_schema())
    for status in sorted(_errors()):
        spec.components.response(str(status.value), _problem(status))
    for name, scheme in SECURITY_SCHEMES.items():
        spec.components.security_scheme(name, scheme)
    return spec


def _errors() -> set[HTTPStatus]:
    """Every status that is an error of some operation."""
    operations = [
        getattr(resource, method.lower()).operation for _, resource in ROUTES for method in resource.methods
    ]
    return {HTTPStatus(status) for described in operations for status in (400, *described.errors, *_COMMON_ERRORS)}


def _component_name(schema: Any) -> str:
    kind = schema if isinstance(schema, type) else type(schema)
    return kind.__name__.removesuffix("Schema")


def _submit_operation(job: JobSpec, queues: Sequence[str]) -> dict[str, Any]:
    described: Operation = getattr(TaskJobs.post, "operation")  # noqa: B009 - set by a decorator
    example = {} if job.example is None else {"example": dict(job.example)}
    content = {"schema": params_schema(job), **example}
    return {
        "operationId": f"submit_{job.name.replace('.', '_')}",
        "summary": job.summary or described.summary,
        "description": f"{job.description}\n\n{described.needs}".strip(),
        "tags": [job.name.partition(".")[0]],
        "parameters": _query_and_headers(replace(described, query=submit_query(queues))),
        "requestBody": {"required": True, "content": {"application/json": content}},
        "responses": _responses(described) | {"202": _answer(202, SubmittedSchema, described) | _links()},
    }


def _operation(
    described: Operation, resource: Any, method: str, path: str, tasks: Iterable[JobSpec]
) -> dict[str, Any]:
    documented: dict[str, Any] = {
        "operationId": f"{method.lower()}_{_snake(resource.__name__)}",
        "summary": described.summary,
        "description": f"{described.description}\n\n{described.needs}".strip(),
        "tags": [path.split("/")[1]],
        "parameters": [_parameter(name) for name in re.findall(r"<(\w+)>", path)],
        "responses": _responses(described),
    }
    if described.job_token:
        documented["description"] = f"{documented['description'][:-1]}, or the job's access token."
        documented["security"] = [{"key": []}, {"job_token": []}]
        if method == "GET":
            documented["security"].append({"job_token_in_query": []})
    documented["parameters"] += _query_and_headers(described)
    if resource.__name__ == "FileList" and method == "POST":
        documented["requestBody"] = _upload_body()
    if described.body is not None:
        content = {"application/json": _json(described.body)}
        documented["requestBody"] = {"required": described.body_required, "content": content}
    if resource.__name__ == "BatchList" and method == "POST":
        documented["requestBody"] = batch_body(tasks)
        documented["responses"]["202"]["links"] = batch_links()
    return documented


def _parameter(name: str) -> dict[str, Any]:
    description, schema = PARAMETERS[name]
    return {"in": "path", "name": name, "required": True, "description": description, "schema": schema}


def _query_and_headers(described: Operation) -> list[dict[str, Any]]:
    headers = [
        {"in": "header", "name": name, "description": REQUEST_HEADERS[name][0], "schema": REQUEST_HEADERS[name][1]}
        for name in described.request_headers
    ]
    return headers if described.query is None else [{"in": "query", "schema": described.query}, *headers]


def _responses(described: Operation) -> dict[str, Any]:
    answers = {str(status): _answer(status, schema, described) for status, schema in described.answers.items()}
    # 400: more than one credential (RFC 6750, section 3.1).
    errors = sorted({*described.errors, *_COMMON_ERRORS, *((400,) if described.job_token else ())})
    return answers | {str(status): str(status) for status in errors}


def _problem(status: HTTPStatus) -> dict[str, Any]:
    return {
        "description": status.phrase,
        "content": {"application/problem+json": {"schema": ProblemSchema, "example": problem_example(status)}},
        "headers": _headers(("Retry-After",) if status in _TRY_LATER else ()),
    }


def _json(schema: type[Schema] | None) -> dict[str, Any]:
    return {"schema": schema, "example": EXAMPLES[_component_name(schema)]}


def _answer(status: int, schema: type[Schema] | None, described: Operation) -> dict[str, Any]:
    if schema is None:
        # Generators pass over a wildcard, and take what stands first.
        content = {"application/octet-stream": {"schema": BINARY}, "*/*": {"schema": BINARY}}
    else:
        content = {"application/json": _json(schema)}
    if described.events:
        names = {event: _component_name(data) for event, data in described.events.items()}
        content = {"text/event-stream": {"schema": event_schema(names)}}
    if status in (HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT):
        content = {}
    links = described.links.get(status)
    return ({"links": dict(links)} if links else {}) | {
        "description": HTTPStatus(status).phrase,
        "content": content,
        "headers": _headers(described.headers.get(status, ())),
    }


def _headers(names: tuple[str, ...]) -> dict[str, Any]:
    return {
        name: {"description": HEADERS[name][0], "schema": HEADERS[name][1]} for name in (*names, *_COMMON_HEADERS)
    }


def _links() -> dict[str, Any]:
    """What a client can do with the task id it has just been given (OpenAPI links)."""
    task_id = {"task_id": "$response.body#/task_id"}
    return {
        "links": {
            "result": {"operationId": "get_result", "parameters": task_id},
            "cancel": {"operationId": "delete_job", "parameters": task_id},
            "retry": {"operationId": "post_job_retry", "parameters": task_id},
        }
    }


def _upload_body() -> dict[str, Any]:
    binary = BINARY | {"minLength": 1}
    form = {"type": "object", "required": ["file"], "properties": {"file": binary}, "additionalProperties": False}
    return {
        "required": True,
        "content": {
            "multipart/form-data": {"schema": form},
            "application/octet-stream": {"schema": binary},
        },
    }


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
