"""A job's events as they come: server-sent events (WHATWG HTML, section 9.2)."""

import random
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

from flask import Response, current_app, request, stream_with_context
from flask_restful import Resource
from marshmallow import fields, validate

from app.api_1_0.event_frames import COMMENT, error_frame, frames, retry_frame
from app.api_1_0.operation import Operation, operation
from app.api_1_0.ownership import own_record
from app.api_1_0.schemas import LogLineSchema, ProgressEventSchema, StateEventSchema
from app.api_1_0.zones import ZoneQuery
from app.api_keys import Principal, Scope
from app.errors import as_problem
from app.problem import RETRY_AFTER_FULL, ProblemError
from libs.flask_celery import UNAVAILABLE, EventPage, ExpiredJobError, JobFollowers, UnknownJobError

EVENT_STREAM = "text/event-stream"

#: Seconds after which a stream ends, give or take a fifth: its client comes again, with a key that works by then.
LONGEST_STREAM = 300

#: Seconds a client has for taking what is sent, before it is given up.
SEND_PATIENCE = 30

#: An event number that no job has.
_UNKNOWN_EVENT = -1

_HEADERS = {
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",  # nginx would keep small pieces back
}


class EventQuery(ZoneQuery):
    """Where to go on."""

    last_event_id = fields.String(
        validate=validate.Length(max=64),
        metadata={"description": "As the header Last-Event-ID, which is stronger; 0 for all that is kept."},
    )


class ResultEvents(Resource):  # type: ignore[misc]
    """``results/{task_id}/events``"""

    @operation(
        Operation(
            "Follow a job's events",
            Scope.READ,
            {200: None, 204: None},
            errors=(404, 410, 503),
            query=EventQuery,
            request_headers=("Last-Event-ID",),
            job_token=True,
            events={"state": StateEventSchema, "progress": ProgressEventSchema, "log": LogLineSchema},
            description="Server-sent events. A stream opens with the present state, or goes on after the event that "
            "`Last-Event-ID` names; it ends after the final state, and is a 204 for who has that. An event `error` "
            "says that some events are not kept any more, upon which the present state follows, or why the stream "
            "breaks off.",
        )
    )
    def get(self, principal: Principal, task_id: str, query: dict[str, Any]) -> Response:
        """From the present state or the last event that the client has, to the end of the job."""
        after = _last_event(query)
        try:
            return _stream(principal, task_id, after)
        except (ProblemError, *UNAVAILABLE) as error:
            # A browser gives its EventSource up for good when it comes again and is answered an error status.
            problem = as_problem(error)
            if after is None or problem.status is not HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return _respond(iter([retry_frame(int(problem.headers["Retry-After"])), error_frame(problem)]))


def _stream(principal: Principal, task_id: str, after: int | None) -> Response:
    """Raises: ProblemError 503 when as many are held as may be; redis-py's connection errors."""
    current_app.extensions["job_watch"].read(lambda: own_record(principal, task_id))
    followers: JobFollowers = current_app.extensions["job_followers"]
    now = followers.read(task_id, after)
    if now.record.state.ready and now.last == after:
        answer = Response(status=HTTPStatus.NO_CONTENT, headers=_HEADERS)
        answer.headers.remove("Content-Type")
        return answer
    if now.record.state.ready or request.method == "HEAD":
        return _respond(_written(principal, [now], opens=after is None))
    stack = ExitStack()
    following = stack.enter_context(followers.follow(task_id))
    if following is None:
        raise ProblemError(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "This process holds as many requests as it may. Try again after Retry-After seconds, or poll.",
            headers={"Retry-After": str(RETRY_AFTER_FULL)},
        )
    _limit_patience(stack)
    pages = following.pages(
        after,
        seconds=LONGEST_STREAM * random.uniform(0.8, 1.2),
        beat=current_app.config["TASKGATE"].event_heartbeat,
    )
    response = _respond(_written(principal, pages, opens=after is None))
    response.call_on_close(stack.close)
    return response


def _written(principal: Principal, pages: Iterable[EventPage | None], *, opens: bool) -> Iterator[str]:
    """The stream as text. ``opens``: with the present state, as for who has seen nothing yet."""
    yield retry_frame()
    try:
        for page in pages:
            if page is None:
                yield COMMENT
                continue
            yield frames(principal, page, snapshot=opens)
            opens = False
    except (UnknownJobError, ExpiredJobError, *UNAVAILABLE) as error:
        yield error_frame(as_problem(error))


def _respond(stream: Iterator[str]) -> Response:
    return Response(stream_with_context(stream), headers=_HEADERS, content_type=EVENT_STREAM)


def _last_event(query: dict[str, Any]) -> int | None:
    """The number that the client names, if any; what is no number of ours is one that no job has."""
    named = request.headers.get("Last-Event-ID") or query.get("last_event_id")
    if not named:
        return None
    return int(named) if re.fullmatch(r"[0-9]{1,15}", named) else _UNKNOWN_EVENT


def _limit_patience(stack: ExitStack) -> None:
    """A client that takes nothing would keep its place for ever: sending to it fails after a while.

    gunicorn gives applications the connection, and is given it back as it was.
    """
    connection = request.environ.get("gunicorn.socket")
    if connection is not None:
        stack.callback(connection.settimeout, connection.gettimeout())
        connection.settimeout(SEND_PATIENCE)
