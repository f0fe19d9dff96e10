"""``tasks``, ``tasks/{task}`` and ``tasks/{task}/jobs``."""

from __future__ import annotations

import ast
import json
import re
from datetime import UTC, datetime, timedelta

import jsonschema
import pytest
from redis import Redis

from config import BROKER_DATABASE
from tests.conftest import ROOT
from tests.installation import API, Installation

#: Of this repository as it comes; who adds a job has more.
OURS = {
    "batches.collect",
    "maintenance.adds",
    "maintenance.match_self_table",
    "maintenance.refresh_onboard_table",
    "monitoring.aggregate_metrics",
}


def offered_in_the_sources() -> set[str]:
    calls = [
        node
        for path in (ROOT / "app" / "jobs").glob("*/tasks.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "job"
    ]
    kept_back = [call for call in calls if any(ast.unparse(word) == "offered=False" for word in call.keywords)]
    return {ast.literal_eval(call.args[0]) for call in calls if call not in kept_back}


def test_the_list_names_every_job_that_can_be_submitted(installation: Installation, ann: dict[str, str]) -> None:
    answer = installation.client.get(f"{API}/tasks", headers=ann)

    assert answer.status_code == 200
    names = [task["name"] for task in answer.json["tasks"]]
    assert names == sorted(offered_in_the_sources())
    assert set(names) >= OURS


def test_a_task_describes_itself_as_the_list_does(installation: Installation, ann: dict[str, str]) -> None:
    for task in installation.client.get(f"{API}/tasks", headers=ann).json["tasks"]:
        answer = installation.client.get(task["links"]["self"], headers=ann)

        assert (answer.status_code, answer.json) == (200, task)
        assert task["summary"] == task["description"].split("\n")[0] != ""
        assert task["name"] not in OURS or task["queue"] == (
            "for_task_compute" if task["name"].startswith("monitoring.") else "default"
        )
        assert task["links"]["submit"] == f"{API}/tasks/{task['name']}/jobs"
        jsonschema.Draft202012Validator.check_schema(task["params"])


@pytest.mark.parametrize(
    ("params", "valid"),
    [
        *(({"a": 1, "b": 2}, True), ({"a": 1.0, "b": -2}, True), ({"a": 2**53 - 1, "b": 0}, True)),
        *(({"a": 1}, False), ({"a": 1.5, "b": 2}, False), ({"a": True, "b": 2}, False), ({"a": "1", "b": 2}, False)),
        *(({"a": 1, "b": 2, "c": 3}, False), ({"a": 2**53, "b": 0}, False), ({"a": None, "b": 0}, False)),
    ],
    ids=json.dumps,
)
def test_params_fit_the_shown_schema_exactly_when_they_are_taken(
    params: dict[str, object], valid: bool, installation: Installation, ann: dict[str, str]
) -> None:
    schema = installation.client.get(f"{API}/tasks/maintenance.adds", headers=ann).json["params"]

    answer = installation.client.post(f"{API}/tasks/maintenance.adds/jobs", json=params, headers=ann)

    assert jsonschema.Draft202012Validator(schema).is_valid(params) == valid
    assert answer.status_code == (202 if valid else 422)


def test_a_submitted_job_is_stored_and_can_be_polled(installation: Installation, ann: dict[str, str]) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)
    answer = installation.client.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=ann)
    job = answer.json

    assert answer.status_code == 202
    assert (job["task"], job["state"]) == ("maintenance.adds", "PENDING")
    assert answer.headers["Location"] == job["links"]["result"] == f"{API}/results/{job['task_id']}"
    assert job["links"]["cancel"] == f"{API}/jobs/{job['task_id']}"
    assert answer.headers["Retry-After"] == "1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", job["submitted_at"])
    assert before <= datetime.fromisoformat(job["submitted_at"]) <= datetime.now(UTC)
    with Redis.from_url(f"{installation.redis.url}/{BROKER_DATABASE}") as broker:
        newest = json.loads(broker.lindex("default", 0))
    assert (newest["headers"]["id"], newest["headers"]["task"]) == (job["task_id"], "maintenance.adds")

    polled = installation.client.get(answer.headers["Location"], headers=ann)

    assert polled.status_code == 200
    assert polled.headers["Retry-After"] == "1"
    assert polled.json == {
        **{name: job[name] for name in ("task_id", "task", "state", "submitted_at", "links")},
        "state_label": "Waiting",
        "ready": False,
        "successful": None,
        "progress": None,
        "result": None,
        "error": None,
        "files": [],
        "started_at": None,
        "finished_at": None,
        "expires_at": None,
        "next_run_at": None,
        "retry_of": None,
        "retried_as": None,
        "schedule_id": None,
        "batch_id": None,
        "retries": 0,
    }


def test_params_do_not_reach_the_record_or_the_headers(installation: Installation, ann: dict[str, str]) -> None:
    answer = installation.client.post(
        f"{API}/tasks/maintenance.adds/jobs", json={"a": 98765432101, "b": 2}, headers=ann
    )

    record = installation.backend.client.get(installation.backend.keys.meta(answer.json["task_id"]))
    with Redis.from_url(f"{installation.redis.url}/{BROKER_DATABASE}") as broker:
        headers = json.loads(broker.lindex("default", 0))["headers"]
    assert b"98765432101" not in record
    assert "98765432101" not in json.dumps(headers)


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=utf-8", "application/x+json"]
)
def test_json_is_taken_under_each_of_its_names(
    content_type: str, installation: Installation, ann: dict[str, str]
) -> None:
    for body in (b'{"a": 1, "b": 2}', b'\xef\xbb\xbf{"a": 1, "b": 2}', b' {"b": 2,\n"a": 1.0} '):
        answer = installation.client.post(
            f"{API}/tasks/maintenance.adds/jobs", data=body, content_type=content_type, headers=ann
        )
        assert answer.status_code == 202, answer.text


def test_the_request_id_of_a_client_is_kept_and_a_bad_one_replaced(
    installation: Installation, ann: dict[str, str]
) -> None:
    for sent, kept in (("abc-1", True), ("x" * 128, True), ("x" * 129, False), ("a b", False), ("é", False)):
        answer = installation.client.get(f"{API}/tasks", headers={**ann, "X-Request-ID": sent})
        assert (answer.headers["X-Request-ID"] == sent) == kept
        assert re.fullmatch(r"[A-Za-z0-9._:@/+=-]{1,128}", answer.headers["X-Request-ID"])


def test_answers_are_not_for_caches(installation: Installation, ann: dict[str, str]) -> None:
    for path in ("/tasks", "/jobs", "/results/x"):
        assert installation.client.get(API + path, headers=ann).headers["Cache-Control"] == "no-store"
