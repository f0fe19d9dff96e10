"""``?tz=``: a job's times as the client's clock shows them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st
from marshmallow import Schema, fields

from app.api_1_0 import ROUTES
from app.api_1_0.schemas import JobDateTime, ResultListSchema
from app.api_1_0.schemas.times import in_zone
from tests.installation import API, Installation, assert_problem

TIMES = ("submitted_at", "started_at", "finished_at", "expires_at", "next_run_at")
ADDS = f"{API}/tasks/maintenance.adds/jobs"

#: RFC 3339, as section 5.6 has it.
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|[+-]\d\d:\d\d)")


@pytest.fixture
def task_id(installation: Installation) -> str:
    task_id = installation.accept("ann")
    assert installation.backend.store_state(task_id, 3, "SUCCESS")
    return task_id


def assert_in_shanghai(job: dict[str, Any], utc: dict[str, Any]) -> None:
    shown = [name for name in TIMES if job.get(name) is not None]
    assert shown == [name for name in TIMES if utc.get(name) is not None]
    assert "submitted_at" in shown
    for name in shown:
        assert job[name].endswith("+08:00")
        assert utc[name].endswith("Z")
        assert datetime.fromisoformat(job[name]) == datetime.fromisoformat(utc[name])


@pytest.mark.parametrize(
    "path", ["results/{}?", "results?task_id={}&", "results/latest/maintenance.adds?", "jobs?limit=1&"]
)
def test_every_time_of_a_job_is_in_the_zone(
    installation: Installation, ann: dict[str, str], task_id: str, path: str
) -> None:
    def get(query: str) -> Any:
        answer = installation.client.get(f"{API}/{path.format(task_id)}{query}", headers=ann)
        assert answer.status_code == 200, answer.text
        return (answer.json.get("results") or answer.json.get("jobs") or [answer.json])[0]

    assert_in_shanghai(get("tz=Asia/Shanghai"), get(""))
    assert get("tz=UTC") == get("")


def test_so_are_those_of_a_submission_and_it_is_the_same_job_in_every_zone(
    installation: Installation, ann: dict[str, str]
) -> None:
    def submit(query: str) -> Any:
        headers = {**ann, "Idempotency-Key": "zones"}
        answer = installation.client.post(f"{ADDS}{query}", json={"a": 1, "b": 2}, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json

    here, utc = submit("?tz=Asia/Shanghai"), submit("")

    assert here["task_id"] == utc["task_id"]
    assert_in_shanghai(here, utc)
    cancelled = installation.client.delete(f"{API}/jobs/{utc['task_id']}?tz=Asia/Shanghai", headers=ann)
    assert cancelled.json["submitted_at"] == here["submitted_at"]


def test_a_job_that_has_ended_while_its_submitter_waited(
    installation: Installation, ann: dict[str, str], monkeypatch: pytest.MonkeyPatch, task_id: str
) -> None:
    record = installation.backend.records.get(task_id)
    monkeypatch.setattr("app.api_1_0.tasks.own_record", lambda *_: record)

    answer = installation.client.post(
        f"{ADDS}?tz=Asia/Shanghai", json={"a": 1, "b": 2}, headers={**ann, "Prefer": "wait=1"}
    )

    assert (answer.status_code, answer.headers["Content-Language"]) == (200, "en")
    assert answer.json["finished_at"].endswith("+08:00")


def test_each_zone_has_an_etag_of_its_own(installation: Installation, ann: dict[str, str], task_id: str) -> None:
    def etag(query: str) -> str:
        tag: str = installation.client.get(f"{API}/results/{task_id}{query}", headers=ann).headers["ETag"]
        return tag

    assert len({etag(""), etag("?tz=Asia/Shanghai"), etag("?tz=Europe/Berlin")}) == 3
    known = {**ann, "If-None-Match": etag("?tz=Asia/Shanghai")}
    assert installation.client.get(f"{API}/results/{task_id}?tz=Asia/Shanghai", headers=known).status_code == 304
    assert installation.client.get(f"{API}/results/{task_id}", headers=known).status_code == 200


NO_ZONES = [
    *("Mars/Base", "", "asia/shanghai", "Asia/Shanghai/", " UTC", "+08:00", "localtime", "x" * 10_000, "Asia%00"),
    *("../../../etc/passwd", "/etc/localtime", "Asia/../UTC", "zone.tab", "Asia", "%2e%2e/UTC", "tz\u0661"),
]


@pytest.mark.parametrize("name", NO_ZONES)
def test_what_is_no_zone_is_said_to_be_none(
    installation: Installation, ann: dict[str, str], task_id: str, name: str
) -> None:
    before = installation.what_is_kept()
    for path in (f"results/{task_id}", "jobs"):
        answer = installation.client.get(f"{API}/{path}", query_string={"tz": name}, headers=ann)
        assert_problem(answer, 422, "tz")
        assert "such as Asia/Shanghai" in answer.json["errors"]["tz"][0]
    answer = installation.client.post(ADDS, query_string={"tz": name}, json={"a": 1, "b": 2}, headers=ann)
    assert_problem(answer, 422, "tz")
    assert installation.what_is_kept() == before


def test_every_zone_there_is_can_be_had(installation: Installation, ann: dict[str, str], task_id: str) -> None:
    for name in available_timezones() - {"localtime"}:
        answer = installation.client.get(f"{API}/results/{task_id}", query_string={"tz": name}, headers=ann)
        assert RFC_3339.fullmatch(answer.json["submitted_at"]), (name, answer.text)


ZONES = st.sampled_from(sorted(available_timezones())).map(ZoneInfo) | st.integers(-60_000, 60_000).map(
    lambda seconds: timezone(timedelta(seconds=seconds))
)


@given(st.datetimes(timezones=st.just(UTC)), ZONES)
def test_any_moment_in_any_zone_is_the_same_moment_and_a_time_of_rfc_3339(moment: datetime, zone: Any) -> None:
    local = in_zone(moment, zone)

    # By its own offset: times of an hour that comes twice equal none of another zone (PEP 495).
    assert local.astimezone(UTC) == moment
    assert RFC_3339.fullmatch(local.isoformat(timespec="milliseconds"))


def job_times(schema: type[Schema] | Schema) -> Iterator[str]:
    """Names of the times of jobs in a schema, at any depth."""
    made = schema() if isinstance(schema, type) else schema
    if isinstance(made, ResultListSchema):  # whose entries are raw
        yield "results"
    for name, field in made.fields.items():
        inner = field.inner if isinstance(field, fields.List) else field
        if isinstance(inner, JobDateTime):
            yield name
        elif isinstance(inner, fields.Nested):
            yield from job_times(inner.schema)


def test_every_route_that_answers_times_of_a_job_takes_a_zone() -> None:
    answering = set()
    for path, resource in ROUTES:
        for method in resource.methods or ():
            described = getattr(resource, method.lower()).operation
            if any(schema is not None and list(job_times(schema)) for schema in described.answers.values()):
                answering.add(f"{method} {path}")
                assert described.query is not None, (method, path)
                assert "tz" in described.query().fields, (method, path)
    assert {"POST /tasks/<task>/jobs", "GET /jobs", "GET /results", "GET /results/<task_id>"} < answering
