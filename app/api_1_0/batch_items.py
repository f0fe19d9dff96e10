"""One job of a batch, as it is sent and as its outcome is told."""

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from flask import current_app
from marshmallow import Schema, ValidationError, fields, validate

from app.api_1_0.idempotency import LONGEST_KEY
from app.api_1_0.queries import WishesSchema
from app.api_1_0.wishes import Wishes, check_wishes
from app.errors import as_problem
from app.problem import ProblemError, problem_fields
from libs.flask_celery import BatchItem, Outcome, RefusedItem, job_specs
from libs.flask_celery import describe as describe_task

logger = logging.getLogger(__name__)

#: Characters of an outcome's ``errors`` that are kept and sent; a job of a megabyte can have as many.
_LONGEST_ERRORS = 4_096

_PLAIN = frozenset({"task", "params"})


class ThenSchema(Schema):
    """A task and its params."""

    task = fields.String(required=True, validate=validate.Length(1, 255))
    params = fields.Dict(keys=fields.String(), load_default=dict)


class BatchItemSchema(WishesSchema, ThenSchema):
    """A job of a batch."""

    idempotency_key = fields.String(validate=validate.Regexp(rf"^[\x20-\x7e]{{1,{LONGEST_KEY}}}$(?!\n)"))


_item_schema = BatchItemSchema()

#: One spelling of what was sent; as ``json.dumps``, which makes an encoder each time.
_spelled = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False).encode


def item_of(value: Any, longest: int) -> BatchItem | RefusedItem:
    """A job as it was sent, of so many bytes at the most.

    Raises: ValueError for what JSON cannot carry (as ``json_body``).
    """
    said = _spelled(value).encode()
    if len(said) > longest:
        return refused_item(
            ProblemError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "The job is larger than this service accepts."), said
        )
    if not isinstance(value, dict):
        errors: Mapping[str, Any] = {"_schema": ["Not a JSON object."]}
    elif value.keys() <= _PLAIN and isinstance(value.get("task"), str) and isinstance(value.get("params", {}), dict):
        return BatchItem(value["task"], value.get("params", {}), content={}, said=said)
    else:
        try:
            return _with_options(_item_schema.load(value), said)
        except ValidationError as error:
            errors = error.normalized_messages()  # type: ignore[no-untyped-call]
    problem = ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "The job is not valid; see errors.", errors=errors)
    return refused_item(problem, said)


def refused_item(problem: ProblemError, said: bytes) -> RefusedItem:
    """A job that cannot be submitted, whatever its task is."""
    return RefusedItem(problem, said)


def _with_options(loaded: dict[str, Any], said: bytes) -> BatchItem:
    wishes = Wishes({name: loaded[name] for name in WishesSchema().fields if name in loaded}, None)
    celery_app = current_app.extensions["celery"]
    spec = job_specs(celery_app).get(loaded["task"])
    if spec is not None:  # that there is no such task is found out with those that ask for nothing
        check_wishes(wishes, lambda: describe_task(celery_app, spec))
    return BatchItem(
        loaded["task"],
        loaded["params"],
        options=wishes.publish_options(),
        idempotency_key=loaded.get("idempotency_key"),
        content=wishes.content(),
        said=said,
    )


def describe(error: Exception) -> dict[str, Any]:
    """Why a job was not accepted, as a problem without what is the same for all."""
    problem = as_problem(error)
    if problem.status is HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.error("A job of a batch could not be submitted", exc_info=error)
    told = problem_fields(problem)
    del told["type"]
    if len(json.dumps(told.get("errors"))) > _LONGEST_ERRORS:
        told["errors"] = {"_schema": ["There are more errors than are told for a job of a batch."]}
    return told


def outcome_fields(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON: ``status`` is the HTTP status that this job would have had by itself."""
    task_id = {} if outcome.task_id is None else {"task_id": outcome.task_id}
    if outcome.refusal is not None:
        return {**outcome.refusal, **task_id}
    replayed = {"replayed": True} if outcome.replayed else {}
    running = {"already_running": True} if outcome.already_running else {}
    return {"status": HTTPStatus.ACCEPTED.value, **task_id, "state": outcome.state, **replayed, **running}
