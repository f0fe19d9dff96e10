"""An example of everything that the API answers and takes, by the name of its schema.

What stands in ``examples.json`` is what a service has answered, with other ids, times and secrets. A test holds every
example against its schema.
"""

import json
from http import HTTPStatus
from pathlib import Path
from typing import Any

from werkzeug.exceptions import default_exceptions

from app.errors import as_problem
from app.problem import ProblemError, problem_fields

_ONE: dict[str, Any] = json.loads(Path(__file__).with_name("examples.json").read_text(encoding="utf-8"))

_OF_THE_BATCH = {"batch_id": _ONE["Batch"]["batch_id"]}

EXAMPLES: dict[str, Any] = {
    **_ONE,
    "TaskList": {"tasks": [_ONE["Task"]]},
    "JobPage": {"jobs": [_ONE["Result"]], "next": None},
    "ResultList": {"results": [_ONE["Result"], _ONE["MissingResult"]]},
    "LogPage": {"lines": [_ONE["LogLine"]], "dropped": 0, "next": None},
    "BatchWithJobs": {**_ONE["Batch"], "jobs": [_ONE["Result"] | _OF_THE_BATCH], "next": None},
    "BatchPage": {"batches": [_ONE["Batch"]], "next": None},
    "DeadLetterPage": {"dead_letters": [_ONE["DeadLetter"]], "next": None},
    "DroppedList": {"outcomes": [_ONE["Dropped"]], "next": None},
    "FilePage": {"files": [_ONE["UploadedFile"]], "next": None},
    "WebhookDeliveryPage": {"deliveries": [_ONE["WebhookDelivery"]], "next": None},
    "WorkerList": {"workers": [_ONE["Worker"]]},
    "SchedulePage": {"schedules": [_ONE["Schedule"]], "next": None},
    # What is taken.
    "Empty": {},
    "DeadLetterChoice": {"task_ids": [_ONE["DeadLetter"]["task_id"]]},
    "WebhookTest": {"url": _ONE["WebhookDelivery"]["url"]},
    "NewSchedule": {name: _ONE["Schedule"][name] for name in ("name", "task", "params", "cron", "timezone")},
    "ScheduleChange": {"enabled": False},
}

#: Of what is wrong with a job rather than with the request.
_OF_JOBS = {
    HTTPStatus.NOT_FOUND: "There is no such job. Use the task_id that the submission answered.",
    HTTPStatus.CONFLICT: "The job has ended already, as SUCCESS; there is nothing to cancel.",
    HTTPStatus.GONE: "The job's result has expired. Submit the job again to have it anew.",
}


def problem_example(status: HTTPStatus) -> dict[str, Any]:
    """A problem document of this status."""
    if status in _OF_JOBS:
        problem = ProblemError(status, _OF_JOBS[status])
    elif status in default_exceptions:
        problem = as_problem(default_exceptions[status]())
    else:
        problem = ProblemError(status, f"{status.description or status.phrase}.")
    return {**problem_fields(problem), "request_id": "9b1f3c5d7e2a4c68"}
