"""Version 1.0 of the HTTP API: the blueprint and the one table of its routes."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from flask import Blueprint, Response, request
from flask_restful import Api, Resource

from app.api_1_0.batches import Batch, BatchCancel, BatchList
from app.api_1_0.dead_letters import DeadLetterDrop, DeadLetterList, DeadLetterRetry
from app.api_1_0.events import ResultEvents
from app.api_1_0.files import File, FileContent, FileList
from app.api_1_0.job_actions import JobCancel, JobRetry
from app.api_1_0.jobs import Job, JobList
from app.api_1_0.links import PREFIX
from app.api_1_0.logs import JobLog
from app.api_1_0.queues import QueueList, WorkerList
from app.api_1_0.results import LatestResult, Result, ResultFile, ResultList
from app.api_1_0.schedules import ScheduleItem, ScheduleList, ScheduleRun
from app.api_1_0.schemas import ResultSchema
from app.api_1_0.shown_jobs import ShownJobs as ShownJobs
from app.api_1_0.tasks import Task, TaskJobs, TaskList
from app.api_1_0.webhooks import (
    WebhookDelivery,
    WebhookDeliveryList,
    WebhookRedelivery,
    WebhookSecret,
    WebhookSecretRotation,
    WebhookTest,
)
from libs.flask_celery import JobRecord

#: Path → resource. The OpenAPI document is made from this table, so a route cannot be missing there.
ROUTES: tuple[tuple[str, type[Resource]], ...] = (
    ("/tasks", TaskList),
    ("/tasks/<task>", Task),
    ("/tasks/<task>/jobs", TaskJobs),
    ("/batches", BatchList),
    ("/batches/<batch_id>", Batch),
    ("/batches/<batch_id>/cancel", BatchCancel),
    ("/jobs", JobList),
    ("/jobs/<task_id>", Job),
    ("/jobs/<task_id>/cancel", JobCancel),
    ("/jobs/<task_id>/retry", JobRetry),
    ("/jobs/<task_id>/logs", JobLog),
    ("/results", ResultList),
    ("/results/<task_id>", Result),
    ("/results/latest/<task>", LatestResult),
    ("/results/<task_id>/events", ResultEvents),
    ("/results/<task_id>/files/<name>", ResultFile),
    ("/dead-letters", DeadLetterList),
    ("/dead-letters/retry", DeadLetterRetry),
    ("/dead-letters/drop", DeadLetterDrop),
    ("/files", FileList),
    ("/files/<file_id>", File),
    ("/files/<file_id>/content", FileContent),
    ("/webhooks/secret", WebhookSecret),
    ("/webhooks/secret/rotate", WebhookSecretRotation),
    ("/webhooks/test", WebhookTest),
    ("/webhooks/deliveries", WebhookDeliveryList),
    ("/webhooks/deliveries/<delivery_id>", WebhookDelivery),
    ("/webhooks/deliveries/<delivery_id>/redeliver", WebhookRedelivery),
    ("/queues", QueueList),
    ("/workers", WorkerList),
    ("/schedules", ScheduleList),
    ("/schedules/<schedule_id>", ScheduleItem),
    ("/schedules/<schedule_id>/run", ScheduleRun),
)


class JsonApi(Api):  # type: ignore[misc]
    """Flask-RESTful without its error handling, and for resources whose methods answer with a finished response.

    Its own swallows the application's handlers outside of TESTING and repeats the client's input in a 500
    (flask_restful/__init__.py, ``error_router`` and ``handle_error``); here every error goes to ``app.errors``.
    """

    def output(self, resource: Any) -> Callable[..., Response]:
        """The view of a resource, one object for all requests. ``operation`` has made what its methods return.

        Flask-RESTful's own, and Flask's below it, make an object for each request, and look what each part of an
        answer may be.
        """
        one = resource.view_class()
        methods = {name: getattr(one, name.lower()) for name in resource.methods}
        methods.setdefault("HEAD", methods.get("GET"))

        @wraps(resource)
        def view(**path: Any) -> Response:
            answer: Response = methods[request._get_current_object().method](**path)  # type: ignore[attr-defined]
            return answer

        return view

    def error_router(self, original_handler: Any, error: Exception) -> Any:
        """Let Flask handle it."""
        return original_handler(error)

    def handle_error(self, error: Exception) -> Any:
        """Not reached by way of ``error_router``; kept from answering by itself."""
        raise error


def represent_job(record: JobRecord) -> dict[str, Any]:
    """A job as its owner polls it, for those who are told of it otherwise."""
    represented: dict[str, Any] = ResultSchema().dump(record)
    return represented


def make_blueprint() -> Blueprint:
    """A blueprint of this version. Made anew for each application: Flask-RESTful keeps state in its Api."""
    blueprint = Blueprint("api_1_0", __name__, url_prefix=PREFIX)
    api = JsonApi(blueprint)
    for path, resource in ROUTES:
        api.add_resource(resource, path)
    return blueprint
