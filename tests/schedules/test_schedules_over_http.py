"""Schedules over HTTP: made, shown, changed, removed, run now; and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.api_keys import Scope, create_key
from app.extensions import db
from config import Config
from libs.flask_celery import FlaskCelery, Schedules
from libs.flask_celery.schedules.beat import JobScheduler
from libs.flask_celery.schedules.in_code import install
from tests.conftest import built_app
from tests.installation import API, assert_problem, bearer

URL = f"{API}/schedules"
DAILY: dict[str, Any] = {
    "task": "maintenance.adds",
    "params": {"a": 1, "b": 2},
    "cron": "0 10,17 * * *",
    "timezone": "Asia/Shanghai",
}


@pytest.fixture
def app(config: Config) -> Iterator[Flask]:
    """As the API has it."""
    with built_app(replace(config, schedule_limit=5)) as app:
        yield app


@pytest.fixture
def bob(make_key: Callable[..., str]) -> dict[str, str]:
    return bearer(make_key("bob"))


@pytest.fixture
def admin(make_key: Callable[..., str]) -> dict[str, str]:
    return bearer(make_key("root", Scope.ADMIN))


@pytest.fixture
def made(client: FlaskClient, auth: dict[str, str]) -> dict[str, Any]:
    """A schedule of ann's."""
    answer = client.post(URL, json=DAILY, headers=auth)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json
    return body


@pytest.fixture
def in_code(celery_app: FlaskCelery) -> Iterator[str]:
    """The name of a schedule in code, as the beat that leads writes it."""
    entry = {"task": "maintenance.adds", "schedule": {"cron": "30 6 * * *"}, "kwargs": {"a": 20, "b": 22}}
    celery_app.conf.beat_schedule = {"sums": entry}
    install(celery_app)
    yield "sums"
    celery_app.redbeat_redis.close()


def test_a_schedule_is_made_and_shown(client: FlaskClient, auth: dict[str, str]) -> None:
    answer = client.post(URL, json={**DAILY, "name": "sums", "priority": 3}, headers=auth)

    assert answer.status_code == 201
    shown = answer.json
    assert answer.headers["Location"] == shown["links"]["self"] == f"{URL}/{shown['id']}"
    assert answer.headers["ETag"] == '"1"'
    expected = DAILY | {"name": "sums", "priority": 3, "queue": None, "every": None, "enabled": True}
    expected |= {"source": "api", "owner": "ann", "error": None, "last_task_id": None, "last_run_at": None}
    assert {name: shown[name] for name in expected} == expected
    runs = [datetime.fromisoformat(time) for time in shown["next_runs"]]
    assert len(runs) == 5
    assert runs == sorted(set(runs))
    assert runs[0] > datetime.now(UTC)
    assert {time.astimezone(ZoneInfo("Asia/Shanghai")).strftime("%H:%M") for time in runs} == {"10:00", "17:00"}
    assert client.get(shown["links"]["self"], headers=auth).json == shown
    assert client.get(URL, headers=auth).json == {"schedules": [shown], "next": None}


def test_an_interval_begins_with_a_whole_one(client: FlaskClient, auth: dict[str, str]) -> None:
    before = datetime.now(UTC)

    shown = client.post(URL, json={"task": "maintenance.adds", "params": {"a": 1, "b": 2}, "every": 90}, headers=auth)

    runs = [datetime.fromisoformat(time) for time in shown.json["next_runs"]]
    assert [later - earlier for earlier, later in pairwise(runs)] == [timedelta(seconds=90)] * 4
    assert timedelta(seconds=89) < runs[0] - before < timedelta(seconds=120)
    assert '"every": 90,' in shown.text
    assert (shown.json["every"], shown.json["cron"], shown.json["timezone"]) == (90, None, None)


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "no timing": ({"cron": ...}, "cron", "Give cron or every."),
    "both timings": ({"every": 60}, "every", "either cron or every"),
    "too few fields": ({"cron": "0 10 * *"}, "cron", "five fields"),
    "seconds": ({"cron": "0 0 10 * * *"}, "cron", "five fields"),
    "minute 60": ({"cron": "60 10 * * *"}, "cron", "minute '60' is not one of 0-59"),
    "hour 24": ({"cron": "0 24 * * *"}, "cron", "hour '24' is not one of 0-23"),
    "day 0": ({"cron": "0 0 0 * *"}, "cron", "day of month '0' is not one of 1-31"),
    "month 13": ({"cron": "0 0 1 13 *"}, "cron", "month '13' is not one of 1-12"),
    "day of week 8": ({"cron": "0 0 * * 8"}, "cron", "day of week '8' is not one of 0-7"),
    "words": ({"cron": "every day at ten please"}, "cron", "minute 'every'"),
    "30 February": ({"cron": "0 0 30 2 *"}, "cron", "no such day"),
    "31 of short months": ({"cron": "0 0 31 4,6,9,11 *"}, "cron", "no such day"),
    "a fifth Monday of February 30": ({"cron": "0 0 30 2 */8"}, "cron", "no such day"),
    "a number for cron": ({"cron": 5}, "cron", "string"),
    "a zone that is none": ({"timezone": "Europe/Nowhere"}, "timezone", "Not a time zone"),
    "a zone that is a path": ({"timezone": "../../etc/passwd"}, "timezone", "Not a time zone"),
    "the zone of the server": ({"timezone": "localtime"}, "timezone", "Not a time zone"),
    "a zone that counts leap seconds": ({"timezone": "right/UTC"}, "timezone", "Not a time zone"),
    "a zone for an interval that is too short": ({"cron": ..., "every": 59}, "every", "60 s or more"),
    "an interval of zero": ({"cron": ..., "every": 0}, "every", "greater"),
    "half a second": ({"cron": ..., "every": 0.5}, "every", "integer"),
    "an unknown task": ({"task": "gone.away"}, "task", "no such task"),
    "params that are not valid": ({"params": {"a": "x", "b": 2}}, "params", "integer"),
    "params of another": ({"params": {"a": 1, "b": 2, "c": 3}}, "params", "Unknown"),
    "no params": ({"params": ...}, "params", "Missing"),
    "a word for true": ({"enabled": "yes"}, "enabled", "true or false"),
    "a priority of 10": ({"priority": 10}, "priority", "9"),
    "somebody else's queue": ({"queue": "theirs"}, "queue", "takes: default"),
    "an unknown field": ({"colour": "red"}, "colour", "Unknown"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_a_schedule(
    name: str, client: FlaskClient, auth: dict[str, str], celery_app: FlaskCelery
) -> None:
    changes, field, message = BAD[name]
    body = {key: value for key, value in {**DAILY, **changes}.items() if value is not ...}

    answer = client.post(URL, json=body, headers=auth)

    assert_problem(answer, 422, field)
    assert message in str(answer.json["errors"][field])
    assert celery_app.backend.client.keys("*schedule*") == []


def test_a_cron_that_comes_too_often(config: Config, make_key: Callable[..., str]) -> None:
    with built_app(replace(config, schedule_min_interval=300)) as strict:
        for cron, status in (("*/4 * * * *", 422), ("0,1 3 1 1 *", 422), ("*/5 * * * *", 201)):
            answer = strict.test_client().post(URL, json={**DAILY, "cron": cron}, headers=bearer(make_key()))
            assert answer.status_code == status, cron


def test_the_same_key_makes_one_schedule(client: FlaskClient, auth: dict[str, str], bob: dict[str, str]) -> None:
    keyed = {**auth, "Idempotency-Key": "mine"}
    first, again = (client.post(URL, json=DAILY, headers=keyed) for _ in range(2))

    assert again.status_code == 201
    assert again.json == first.json
    assert (first.headers.get("Idempotent-Replayed"), again.headers.get("Idempotent-Replayed")) == (None, "true")
    assert_problem(client.post(URL, json={**DAILY, "name": "x"}, headers=keyed), 422)
    assert client.post(URL, json=DAILY, headers={**bob, "Idempotency-Key": "mine"}).json["id"] != first.json["id"]
    client.delete(first.json["links"]["self"], headers=auth)
    assert_problem(client.post(URL, json=DAILY, headers=keyed), 410)


def test_one_may_have_so_many(client: FlaskClient, auth: dict[str, str], bob: dict[str, str]) -> None:
    made = [client.post(URL, json=DAILY, headers=auth) for _ in range(5)]

    assert_problem(client.post(URL, json=DAILY, headers=auth), 409)

    assert client.post(URL, json=DAILY, headers=bob).status_code == 201
    client.delete(made[0].json["links"]["self"], headers=auth)
    assert client.post(URL, json=DAILY, headers=auth).status_code == 201


def test_the_list_is_paged_newest_first(client: FlaskClient, auth: dict[str, str], admin: dict[str, str]) -> None:
    ids = [client.post(URL, json=DAILY, headers=auth).json["id"] for _ in range(5)]

    for headers in (auth, admin):
        seen: list[str] = []
        cursor = ""
        for _ in range(5):
            page = client.get(f"{URL}?limit=2{cursor}", headers=headers).json
            seen += [one["id"] for one in page["schedules"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert sorted(seen) == sorted(ids)
    assert_problem(client.get(f"{URL}?cursor=x", headers=auth), 422, "cursor")


def test_what_is_changed_is_another_and_the_rest_stays(
    client: FlaskClient, auth: dict[str, str], made: dict[str, Any]
) -> None:
    answer = client.patch(made["links"]["self"], json={"params": {"a": 5, "b": 6}, "name": "new"}, headers=auth)

    assert answer.status_code == 200, answer.text
    assert answer.headers["ETag"] == '"2"'
    assert answer.json == made | {
        "params": {"a": 5, "b": 6},
        "name": "new",
        "updated_at": answer.json["updated_at"],
    }
    moved = client.patch(made["links"]["self"], json={"timezone": "UTC", "cron": "5 5 * * *"}, headers=auth).json
    assert {time[10:] for time in moved["next_runs"]} == {"T05:05:00.000Z"}
    every = client.patch(made["links"]["self"], json={"every": 120}, headers=auth).json
    assert (every["cron"], every["every"]) == (None, 120)
    assert client.patch(made["links"]["self"], json={"name": None}, headers=auth).json["name"] is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "x"}, "cron"),
        ({"every": 59}, "every"),
        ({"cron": "0 0 * * *", "every": 60}, "every"),
        ({"timezone": "Mars"}, "timezone"),
        ({"params": {}}, "params"),
        ({"task": "maintenance.adds"}, "task"),
        ({"enabled": None}, "enabled"),
        ({"queue": "theirs"}, "queue"),
    ],
)
def test_a_change_that_cannot_be(
    change: dict[str, Any], field: str, client: FlaskClient, auth: dict[str, str], made: dict[str, Any]
) -> None:
    assert_problem(client.patch(made["links"]["self"], json=change, headers=auth), 422, field)
    assert client.get(made["links"]["self"], headers=auth).json == made


def test_an_interval_takes_no_time_zone(client: FlaskClient, auth: dict[str, str], made: dict[str, Any]) -> None:
    client.patch(made["links"]["self"], json={"every": 60}, headers=auth)

    assert_problem(client.patch(made["links"]["self"], json={"timezone": "UTC"}, headers=auth), 422, "timezone")


def test_a_paused_schedule_has_no_next_run_and_goes_on_from_now(
    client: FlaskClient, auth: dict[str, str], made: dict[str, Any], celery_app: FlaskCelery
) -> None:
    by_due = Schedules(celery_app).keys.by_due
    paused = client.patch(made["links"]["self"], json={"enabled": False}, headers=auth).json

    assert (paused["enabled"], paused["next_runs"]) == (False, [])
    assert celery_app.backend.client.zcard(by_due) == 0
    again = client.patch(made["links"]["self"], json={"enabled": True}, headers=auth).json
    assert again["next_runs"] == made["next_runs"]
    assert celery_app.backend.client.zcard(by_due) == 1


def test_a_change_to_an_older_version_is_refused(
    client: FlaskClient, auth: dict[str, str], made: dict[str, Any]
) -> None:
    address = made["links"]["self"]
    known = client.get(address, headers=auth).headers["ETag"]
    assert client.patch(address, json={"name": "x"}, headers={**auth, "If-Match": known}).status_code == 200

    assert_problem(client.patch(address, json={"name": "y"}, headers={**auth, "If-Match": known}), 412)
    assert_problem(client.delete(address, headers={**auth, "If-Match": known}), 412)
    assert client.get(address, headers=auth).json["name"] == "x"
    assert client.delete(address, headers={**auth, "If-Match": '"2"'}).status_code == 204


def test_a_removed_schedule_leaves_nothing(
    client: FlaskClient, auth: dict[str, str], made: dict[str, Any], celery_app: FlaskCelery
) -> None:
    answer = client.delete(made["links"]["self"], headers=auth)

    assert (answer.status_code, answer.data) == (204, b"")
    assert celery_app.backend.client.keys("*") == []
    assert_problem(client.get(made["links"]["self"], headers=auth), 404)


def test_another_owners_schedule_does_not_exist(
    client: FlaskClient, bob: dict[str, str], admin: dict[str, str], made: dict[str, Any]
) -> None:
    address = made["links"]["self"]
    for method, path, body in (
        ("GET", address, None),
        ("PATCH", address, {"enabled": False}),
        ("DELETE", address, None),
        ("POST", f"{address}/run", None),
    ):
        assert_problem(client.open(path, method=method, json=body, headers=bob), 404)
    assert client.get(URL, headers=bob).json["schedules"] == []
    assert [one["owner"] for one in client.get(URL, headers=admin).json["schedules"]] == ["ann"]
    assert client.patch(address, json={"enabled": False}, headers=admin).json["owner"] == "ann"


@pytest.mark.usefixtures("redis_url")
def test_a_queue_that_the_operator_routes_the_task_to_can_be_named(config: Config) -> None:
    routes = {"CELERY_TASK_ROUTES": '{"maintenance.adds": {"queue": "sums"}}'}
    with built_app(replace(config, celery=routes)) as app:
        with app.app_context():
            auth = bearer(create_key(db.session(), "ann", {Scope.SUBMIT, Scope.READ}))
            db.session.commit()
        client = app.test_client()
        assert client.get(f"{API}/tasks/maintenance.adds", headers=auth).json["queue"] == "sums"

        assert client.post(URL, json=DAILY | {"queue": "sums"}, headers=auth).status_code == 201
        assert_problem(client.post(URL, json=DAILY | {"queue": "default"}, headers=auth), 422, "queue")


def test_run_now_submits_for_the_owner(
    client: FlaskClient, auth: dict[str, str], admin: dict[str, str], made: dict[str, Any]
) -> None:
    for headers in (auth, admin):
        answer = client.post(made["links"]["run"], headers=headers)

        assert answer.status_code == 202, answer.text
        job = answer.json
        assert job.keys() == {"task_id", "task", "state", "submitted_at", "access_token", "links"}
        assert answer.headers["Location"] == job["links"]["result"]
        assert client.get(job["links"]["result"], headers=auth).json["schedule_id"] == made["id"]
        assert client.get(job["links"]["result"], headers=bearer(job["access_token"])).status_code == 200
    assert len(client.get(f"{API}/jobs", headers=auth).json["jobs"]) == 2
    assert client.get(made["links"]["self"], headers=auth).json["next_runs"] == made["next_runs"]


def test_the_end_of_a_run_now_is_told_to_the_owner_alone(
    app: Flask, client: FlaskClient, celery_app: FlaskCelery, made: dict[str, Any]
) -> None:
    url, ledger = "https://example.com/x", celery_app.backend.keys.ledger
    for principal, expected in (("ann", url.encode()), ("root", None)):
        with app.app_context():
            key = create_key(db.session(), principal, {Scope.SUBMIT, Scope.ADMIN}, webhook=url)
            db.session.commit()

        job = client.post(made["links"]["run"], headers=bearer(key)).json

        assert celery_app.backend.client.hget(ledger(job["task_id"]), "webhook") == expected
    with app.app_context():  # it can be signed
        assert app.extensions["webhooks"].secrets.signing(db.session(), "ann")


def test_a_repeated_run_now_is_one_job(client: FlaskClient, auth: dict[str, str], made: dict[str, Any]) -> None:
    keyed = {**auth, "Idempotency-Key": "again"}
    first, again = (client.post(made["links"]["run"], headers=keyed) for _ in range(2))

    assert (again.status_code, again.json["task_id"]) == (202, first.json["task_id"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(client.get(f"{API}/jobs", headers=auth).json["jobs"]) == 1


def test_a_schedule_in_code_is_shown_and_read_only(
    client: FlaskClient, auth: dict[str, str], admin: dict[str, str], made: dict[str, Any], in_code: str
) -> None:
    listed = client.get(URL, headers=auth).json["schedules"]

    assert [(one["id"], one["source"]) for one in listed] == [(in_code, "code"), (made["id"], "api")]
    shown = listed[0]
    assert (shown["cron"], shown["timezone"], shown["owner"], shown["params"]) == ("30 6 * * *", "UTC", None, {})
    assert len(shown["next_runs"]) == 5
    assert client.get(f"{URL}/{in_code}", headers=admin).json["params"] == {"a": 20, "b": 22}
    for headers in (auth, admin):
        assert_problem(client.patch(f"{URL}/{in_code}", json={"enabled": False}, headers=headers), 409)
        assert_problem(client.delete(f"{URL}/{in_code}", headers=headers), 409)
    assert_problem(client.post(f"{URL}/{in_code}/run", headers=auth), 403)
    assert client.post(f"{URL}/{in_code}/run", headers=admin).status_code == 202


def test_what_came_of_it_is_shown(
    client: FlaskClient, auth: dict[str, str], made: dict[str, Any], celery_app: FlaskCelery
) -> None:
    keys = Schedules(celery_app).keys
    due = round(datetime.now(UTC).timestamp() * 1000)
    celery_app.redbeat_redis.hset(keys.schedule(made["id"]), "due", due)
    celery_app.redbeat_redis.zadd(keys.by_due, {keys.schedule(made["id"]): due / 1000})
    beat = JobScheduler(celery_app)

    beat.tick()
    beat.close()
    celery_app.redbeat_redis.close()

    shown = client.get(made["links"]["self"], headers=auth).json
    [job] = client.get(f"{API}/jobs", headers=auth).json["jobs"]
    assert job["schedule_id"] == made["id"]
    assert shown["last_task_id"] == job["task_id"]
    assert shown["links"]["last_result"] == job["links"]["result"]
    assert shown["last_run_at"] is not None
    assert shown["next_runs"] == made["next_runs"]
