"""Schedules: making, reading, changing and removing them, and running one now."""

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request
from flask_restful import Resource
from marshmallow import Schema, fields, validate

from app.api_1_0.accepted import accepted
from app.api_1_0.idempotency import read_idempotency_key
from app.api_1_0.json_body import read_json_object
from app.api_1_0.links import schedule_url
from app.api_1_0.operation import Operation, operation
from app.api_1_0.schedule_bodies import changed_schedule, new_schedule
from app.api_1_0.schemas import (
    NewScheduleSchema,
    ScheduleChangeSchema,
    SchedulePageSchema,
    ScheduleSchema,
    SubmittedSchema,
)
from app.api_1_0.webhooks import tell_of_ends
from app.api_1_0.zones import ZoneQuery
from app.api_keys import Principal, Scope
from app.problem import ProblemError
from libs.flask_celery import (
    Schedule,
    ScheduleChangedError,
    Schedules,
    ScheduleSource,
    UnknownScheduleError,
    run_now,
)

#: What can be done with the id that was just given.
_LINKS = {
    name: {"operationId": operation_id, "parameters": {"schedule_id": "$response.body#/id"}}
    for name, operation_id in {
        "self": "get_schedule_item",
        "change": "patch_schedule_item",
        "remove": "delete_schedule_item",
        "run": "post_schedule_run",
    }.items()
}

#: Attempts to write a change that others keep overtaking.
_ATTEMPTS = 5


class SchedulePageQuery(Schema):
    """Which of one's schedules."""

    limit = fields.Integer(load_default=100, validate=validate.Range(1, 100))
    cursor = fields.String(
        validate=[
            # When the last schedule of the page was made, in ms, and its id.
            validate.Regexp(r"^[0-9]{1,15}-[0-9a-f-]{36}$(?!\n)", error="Not a cursor that this service gave."),
            validate.Length(max=52),
        ]
    )


class ScheduleList(Resource):  # type: ignore[misc]
    """``schedules``"""

    @operation(
        Operation(
            "List your schedules",
            Scope.READ,
            {200: SchedulePageSchema},
            errors=(503,),
            query=SchedulePageQuery,
            description="Those in code are shown to everybody, without their params, as the beat that leads has "
            "found them. An admin sees all.",
        )
    )
    def get(self, principal: Principal, query: dict[str, Any]) -> Any:
        """One page."""
        schedules, limit = _schedules(), query["limit"]
        made_at, _, last_id = query.get("cursor", "").partition("-")
        before = (int(made_at), last_id) if made_at else None
        owner = None if Scope.ADMIN in principal.scopes else principal.name
        page = schedules.newest(owner, limit=limit, before=before)
        in_code = [_as_shown(principal, one) for one in schedules.in_code()] if before is None else []
        following = f"{page[-1][0]}-{page[-1][1].id}" if len(page) == limit else None
        return {"schedules": [*in_code, *(schedule for _, schedule in page)], "next": following}, HTTPStatus.OK

    @operation(
        Operation(
            "Make a schedule",
            Scope.SUBMIT,
            {201: ScheduleSchema},
            errors=(400, 409, 410, 413, 415, 422, 503),
            body=NewScheduleSchema,
            headers={201: ("Location", "ETag", "Idempotent-Replayed")},
            links={201: _LINKS},
            request_headers=("Idempotency-Key",),
            description="Its jobs are its owner's, whatever becomes of the key that made it.",
        )
    )
    def post(self, principal: Principal) -> Any:
        """Beat knows of it within seconds."""
        sent = read_json_object(request)
        schedule = new_schedule(NewScheduleSchema().load(sent), principal.name)
        try:
            made, replayed = _schedules().create(
                schedule,
                limit=current_app.config["TASKGATE"].schedule_limit,
                idempotency_key=read_idempotency_key(request),
                content=sent,
            )
        except UnknownScheduleError as error:
            raise ProblemError(
                HTTPStatus.GONE, "The schedule that this Idempotency-Key made was deleted. Take a new key."
            ) from error
        headers = {"Location": schedule_url(made.id), **_etag(made)}
        return made, HTTPStatus.CREATED, headers | ({"Idempotent-Replayed": "true"} if replayed else {})


class ScheduleItem(Resource):  # type: ignore[misc]
    """``schedules/{schedule_id}``"""

    @operation(
        Operation(
            "Show a schedule",
            Scope.READ,
            {200: ScheduleSchema},
            errors=(404, 503),
            headers={200: ("ETag",)},
            description="`ETag` is of what its owner has said; a run does not change it.",
        )
    )
    def get(self, principal: Principal, schedule_id: str) -> Any:
        """When it runs next and what came of it last."""
        schedule = _visible(principal, schedule_id)
        return schedule, HTTPStatus.OK, _etag(schedule)

    @operation(
        Operation(
            "Change a schedule",
            Scope.SUBMIT,
            {200: ScheduleSchema},
            errors=(400, 404, 409, 412, 413, 415, 422, 503),
            body=ScheduleChangeSchema,
            headers={200: ("ETag",)},
            request_headers=("If-Match",),
        )
    )
    def patch(self, principal: Principal, schedule_id: str) -> Any:
        """With another timing, or when it goes on after a pause, its next due time is counted from now."""
        body = ScheduleChangeSchema().load(read_json_object(request))
        for _ in range(_ATTEMPTS):
            schedule = _own(principal, schedule_id)
            _check_if_match(schedule)
            changed, starts_anew = changed_schedule(schedule, body)
            try:
                written = _schedules().change(changed, starts_anew=starts_anew)
            except ScheduleChangedError:
                continue
            return written, HTTPStatus.OK, _etag(written)
        raise ProblemError(HTTPStatus.CONFLICT, "The schedule is being changed by others as well. Try again.")

    @operation(
        Operation(
            "Remove a schedule",
            Scope.SUBMIT,
            {204: None},
            errors=(404, 409, 412, 503),
            request_headers=("If-Match",),
        )
    )
    def delete(self, principal: Principal, schedule_id: str) -> Any:
        """Jobs that it has submitted stay."""
        schedule = _own(principal, schedule_id)
        _check_if_match(schedule)
        _schedules().remove(schedule, whatever_version="If-Match" not in request.headers)
        return Response(status=HTTPStatus.NO_CONTENT)


class ScheduleRun(Resource):  # type: ignore[misc]
    """``schedules/{schedule_id}/run``"""

    @operation(
        Operation(
            "Run a schedule's job now",
            Scope.SUBMIT,
            {202: SubmittedSchema},
            errors=(400, 403, 404, 409, 410, 422, 429, 503),
            query=ZoneQuery,
            headers={202: ("Location", "Retry-After", "Idempotent-Replayed", "Already-Running")},
            request_headers=("Idempotency-Key",),
            description="Besides its due times, which stay; of one that is paused too. Those in code are an admin's "
            "to run.",
        )
    )
    def post(self, principal: Principal, schedule_id: str, query: dict[str, Any]) -> Any:
        """Answered as a submission."""
        schedule = _visible(principal, schedule_id)
        if not principal.owns(schedule.owner):
            raise ProblemError(HTTPStatus.FORBIDDEN, "A schedule in code is run by an admin's key only.")
        if principal.name == schedule.owner:
            tell_of_ends(principal, None)
        celery_app = current_app.extensions["celery"]
        job = run_now(celery_app, schedule, by=principal.name, idempotency_key=read_idempotency_key(request))
        return accepted(job, schedule.owner)


def _schedules() -> Schedules:
    return Schedules(current_app.extensions["celery"])


def _visible(principal: Principal, schedule_id: str) -> Schedule:
    """Raises: UnknownScheduleError, for another owner's too."""
    schedule = _schedules().get(schedule_id)
    if schedule.source is ScheduleSource.API and not principal.owns(schedule.owner):
        raise UnknownScheduleError(schedule_id)
    return _as_shown(principal, schedule)


def _own(principal: Principal, schedule_id: str) -> Schedule:
    """Raises: UnknownScheduleError; ProblemError 409 for one in code."""
    schedule = _visible(principal, schedule_id)
    if schedule.source is ScheduleSource.CODE:
        raise ProblemError(HTTPStatus.CONFLICT, "This schedule stands in the service's code and is changed there.")
    return schedule


def _as_shown(principal: Principal, schedule: Schedule) -> Schedule:
    """What those in code submit is the service's own affair."""
    return schedule if principal.owns(schedule.owner) else replace(schedule, params={}, last_task_id=None)


def _etag(schedule: Schedule) -> dict[str, str]:
    return {"ETag": f'"{schedule.version}"'}


def _check_if_match(schedule: Schedule) -> None:
    """Raises: ScheduleChangedError."""
    if "If-Match" in request.headers and not request.if_match.contains(str(schedule.version)):
        raise ScheduleChangedError(schedule.id)
