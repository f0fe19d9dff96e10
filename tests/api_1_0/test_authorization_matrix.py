"""Every route × every kind of caller. A route that is added fails here until it has a row."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from flask import g

from app.api_keys import Scope, create_key, revoke_key
from app.extensions import db
from app.job_tokens import JobAccess, JobTokens
from app.webhooks import Attempt, DeliveryLog, DeliveryStatus
from libs.flask_celery import BatchItem, Cron, Schedule, Schedules, submit_many
from tests.conftest import wait_until
from tests.installation import API, PATIENT, Installation, an_installation, assert_problem, bearer

ADDS, REFRESH = "maintenance.adds", "maintenance.refresh_onboard_table"
ALL = [Scope.SUBMIT, Scope.READ, Scope.CANCEL]


@dataclass(frozen=True)
class Row:
    """What a route answers: to its job's owner, to somebody else with all scopes, to a token of that job."""

    scope: Scope
    own: int
    other: int
    token: int = 403
    body: dict[str, Any] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    also: Scope | None = None  # a second scope that it needs
    ended: bool = False  # the job has failed
    admin: int | None = None  # where it is not as to its owner


ROWS = {
    "GET /tasks": Row(Scope.READ, own=200, other=200),
    "GET /tasks/<task>": Row(Scope.READ, own=200, other=200),
    "POST /tasks/<task>/jobs": Row(Scope.SUBMIT, own=202, other=202, body={"json": {"a": 1, "b": 2}}),
    "GET /batches": Row(Scope.READ, own=200, other=200),
    "POST /batches": Row(
        Scope.SUBMIT, own=202, other=202, body={"json": [{"task": ADDS, "params": {"a": 1, "b": 2}}]}
    ),
    "GET /batches/<batch_id>": Row(Scope.READ, own=200, other=404),
    "DELETE /batches/<batch_id>": Row(Scope.CANCEL, own=202, other=404),
    "POST /batches/<batch_id>/cancel": Row(Scope.CANCEL, own=202, other=404),
    "GET /jobs": Row(Scope.READ, own=200, other=200),
    "DELETE /jobs/<task_id>": Row(Scope.CANCEL, own=202, other=404, token=202),
    "POST /jobs/<task_id>/cancel": Row(Scope.CANCEL, own=202, other=404, token=202),
    "POST /jobs/<task_id>/retry": Row(Scope.SUBMIT, own=202, other=404, also=Scope.READ, ended=True),
    "GET /dead-letters": Row(Scope.READ, own=200, other=200),
    **{
        f"POST /dead-letters/{what}": Row(
            scope, own=200, other=200, also=Scope.READ, ended=True, body={"json": {"task_ids": ["nobodys"]}}
        )
        for what, scope in (("retry", Scope.SUBMIT), ("drop", Scope.CANCEL))
    },
    "GET /jobs/<task_id>/logs": Row(Scope.READ, own=200, other=404, token=200),
    "GET /results": Row(Scope.READ, own=200, other=200, query={"task_id": "nobodys"}),
    "GET /results/latest/<task>": Row(Scope.READ, own=200, other=200),
    "GET /results/<task_id>": Row(Scope.READ, own=200, other=404, token=200),
    "GET /results/<task_id>/events": Row(Scope.READ, own=200, other=404, token=200),
    "GET /results/<task_id>/files/<name>": Row(Scope.READ, own=200, other=404, token=200),
    "POST /files": Row(Scope.SUBMIT, own=201, other=201, body={"data": b"code\nA-1\n"}),
    "GET /webhooks/secret": Row(Scope.SUBMIT, own=200, other=200),
    "POST /webhooks/secret/rotate": Row(Scope.SUBMIT, own=201, other=201),
    "POST /webhooks/test": Row(Scope.SUBMIT, own=202, other=202, body={"json": {"url": "https://example.com/x"}}),
    "GET /webhooks/deliveries": Row(Scope.READ, own=200, other=200),
    "GET /webhooks/deliveries/<delivery_id>": Row(Scope.READ, own=200, other=404),
    "POST /webhooks/deliveries/<delivery_id>/redeliver": Row(Scope.SUBMIT, own=202, other=404),
    "GET /schedules": Row(Scope.READ, own=200, other=200),
    "POST /schedules": Row(
        Scope.SUBMIT, own=201, other=201, body={"json": {"task": ADDS, "params": {"a": 1, "b": 2}, "every": 60}}
    ),
    "GET /schedules/<schedule_id>": Row(Scope.READ, own=200, other=404),
    "PATCH /schedules/<schedule_id>": Row(Scope.SUBMIT, own=200, other=404, body={"json": {"enabled": False}}),
    "DELETE /schedules/<schedule_id>": Row(Scope.SUBMIT, own=204, other=404),
    "POST /schedules/<schedule_id>/run": Row(Scope.SUBMIT, own=202, other=404),
    "GET /queues": Row(Scope.METRICS, own=403, other=403, admin=200),
    "GET /workers": Row(Scope.METRICS, own=403, other=403, admin=200),
    "GET /files": Row(Scope.READ, own=200, other=200),
    "GET /files/<file_id>": Row(Scope.READ, own=200, other=404),
    "GET /files/<file_id>/content": Row(Scope.READ, own=200, other=404),
    "DELETE /files/<file_id>": Row(Scope.SUBMIT, own=204, other=404),
}

#: What anybody may call: it tells nothing of anyone's.
OPEN = {
    "/",
    "/console/assets/<version>/<path:name>",
    "/healthz",
    "/readyz",
    f"{API}/openapi.json",
    "/docs/",
    "/docs/<path:name>",
    "/docs/index.html",
    "/docs/start.js",
}

#: Not part of the API: see tests/app/test_metrics.py and tests/console/test_session.py.
BESIDE = {"/metrics", "/console/session"}


class Case:
    """One call: on a job of ann's that is there for it, with whatever the caller presents."""

    def __init__(self, installation: Installation, task_id: str) -> None:
        self.installation = installation
        self.task_id = task_id
        self.tokens: JobTokens = installation.app.extensions["job_tokens"]

    def key(self, principal: str, *scopes: Scope) -> dict[str, Any]:
        return {"headers": self.installation.headers(principal, *scopes)}

    def key_that_is_over(self, *, revoked: bool) -> dict[str, Any]:
        expires_at = datetime.now(UTC) + timedelta(hours=1 if revoked else -1)
        with self.installation.app.app_context():
            key = create_key(db.session(), "ann", ALL, expires_at=expires_at)
            db.session.flush()
            assert not revoked or revoke_key(db.session(), key.split("_")[1])
            db.session.commit()
        return {"headers": bearer(key)}

    def token(self, *, job: str | None = None, owner: str = "ann", tokens: JobTokens | None = None) -> str:
        return (tokens or self.tokens).issue(JobAccess(job or self.task_id, owner))

    def expired_token(self) -> str:
        secret = (self.installation.folder / "var" / "secret.key").read_text().strip()
        return self.token(tokens=JobTokens([secret], ttl=0))

    def tampered_token(self) -> str:
        """This job's payload under the signature of another job's token."""
        other = self.token(job=self.installation.accept("ann")).rpartition(".")[2]
        return f"{self.token().rpartition('.')[0]}.{other}"


Present = Callable[[Case], dict[str, Any]]
Expected = Callable[[str, Row], int]

#: Who calls: what is presented, and what each route answers to it.
CALLERS: dict[str, tuple[Present, Expected]] = {
    "nobody": (lambda _: {}, lambda *_: 401),
    "malformed key": (lambda _: {"headers": bearer("tg_x")}, lambda *_: 401),
    "unknown key": (lambda _: {"headers": bearer(f"tg_{'0' * 12}_{'A' * 43}")}, lambda *_: 401),
    "revoked key": (lambda case: case.key_that_is_over(revoked=True), lambda *_: 401),
    "expired key": (lambda case: case.key_that_is_over(revoked=False), lambda *_: 401),
    "owner": (lambda case: case.key("ann"), lambda _, row: row.own),
    "other owner": (lambda case: case.key("bob"), lambda _, row: row.other),
    "admin": (lambda case: case.key("root", Scope.ADMIN), lambda _, row: row.admin or row.own),
    "metrics alone": (
        lambda case: case.key("ann", Scope.METRICS),
        lambda _, row: 200 if row.scope is Scope.METRICS else 403,
    ),
    **{
        f"owner without {missing}": (
            lambda case, missing=missing: case.key("ann", *(scope for scope in ALL if scope is not missing)),
            lambda _, row, missing=missing: 403 if missing in (row.scope, row.also) else row.own,
        )
        for missing in ALL
    },
    **{
        f"owner with {only} alone": (
            lambda case, only=only: case.key("ann", only),
            lambda _, row, only=only: row.own if row.scope is only and row.also is None else 403,
        )
        for only in ALL
    },
    "token": (lambda case: {"headers": bearer(case.token())}, lambda _, row: row.token),
    "token in the query": (
        lambda case: {"query_string": {"access_token": case.token()}},
        # Where it opens nothing it is not even looked at.
        lambda route, row: row.token if route.startswith("GET") and row.token != 403 else 401,
    ),
    "token of another job": (
        lambda case: {"headers": bearer(case.token(job=case.installation.accept("ann")))},
        lambda _, row: 403 if row.token == 403 else 404,
    ),
    "token of another owner": (
        lambda case: {"headers": bearer(case.token(owner="bob"))},
        lambda _, row: 403 if row.token == 403 else 404,
    ),
    "expired token": (lambda case: {"headers": bearer(case.expired_token())}, lambda *_: 401),
    "tampered token": (lambda case: {"headers": bearer(case.tampered_token())}, lambda *_: 401),
    "token of another service": (
        lambda case: {"headers": bearer(case.token(tokens=JobTokens(["x" * 32], ttl=60)))},
        lambda *_: 401,
    ),
}


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    # Nor is it about a disk that is slow to sync, which the API answers with 503.
    with an_installation(tmp_path_factory.mktemp("matrix"), **PATIENT) as installation:
        yield installation


@pytest.fixture(scope="module")
def job_with_a_file(installation: Installation) -> tuple[str, str]:
    """Its task id and the file's name. The worker is gone again: nothing changes by itself afterwards."""
    worker, client, ann = (
        installation.start_worker("--pool", "solo"),
        installation.client,
        installation.headers("ann"),
    )
    catalogue = b"code,name,price\nA-1,Bolt,0.20\nA-2,Washer,much\n"
    file_id = client.post(f"{API}/files?name=parts.csv", data=catalogue, headers=ann).json["file_id"]
    job = client.post(f"{API}/tasks/{REFRESH}/jobs", json={"file_id": file_id}, headers=ann).json
    address = job["links"]["result"]
    wait_until(lambda: client.get(address, headers=ann).json["ready"], timeout=60, what="the job")
    worker.stop()
    return job["task_id"], client.get(address, headers=ann).json["files"][0]["name"]


def a_delivery(installation: Installation, owner: str) -> str:
    """The id of one of the owner's that is over."""
    log: DeliveryLog = installation.app.extensions["webhooks"].log
    delivery = log.get(log.start_test(owner, "https://example.com/x"))
    assert delivery is not None
    log.note(delivery, Attempt(datetime.now(UTC), 500, None, 1), DeliveryStatus.FAILED, None)
    return delivery.id


def a_schedule(installation: Installation) -> str:
    """The id of a new one of ann's."""
    timing = Cron("0 10 * * *")
    schedule = Schedule(id="", task=ADDS, timing=timing, params={"a": 1, "b": 2}, owner="ann")
    return Schedules(installation.app.extensions["celery"]).create(schedule)[0].id


def call(case: Case, method: str, path: str, row: Row, presented: dict[str, Any]) -> Any:
    """The answer, read and closed."""
    query = {**row.query, **presented.get("query_string", {})}
    request = {**row.body, **presented, "query_string": query}
    with case.installation.client.open(API + path, method=method, **request) as answer:
        answer.get_data()
    return answer


def a_batch_of_anns(installation: Installation) -> str:
    with installation.app.app_context():
        g.principal = "ann"
        return submit_many(installation.app.extensions["celery"], [BatchItem(ADDS, {"a": 1, "b": 2})]).batch_id


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", ROWS)
def test_every_route_answers_every_caller_as_the_table_says(
    route: str, caller: str, installation: Installation, job_with_a_file: tuple[str, str]
) -> None:
    method, _, pattern = route.partition(" ")
    row, (present, expected) = ROWS[route], CALLERS[caller]
    with_file, name = job_with_a_file
    ended = "<name>" in pattern or pattern.endswith("/events")  # a stream is read to its end
    task_id = with_file if ended else installation.accept("ann")
    if row.ended:
        failure = installation.backend.prepare_exception(ValueError("told to fail"))
        installation.backend.store_state(task_id, failure, "FAILURE")
    for other in ("bob", "root"):  # whose newest jobs are their own
        installation.accept(other)
    if "<batch_id>" in pattern:
        task_id = a_batch_of_anns(installation)
    pattern = pattern.replace("<batch_id>", "<task_id>")
    path = pattern.replace("<task_id>", task_id).replace("<name>", name).replace("<task>", ADDS)
    if "<delivery_id>" in path:
        path = path.replace("<delivery_id>", a_delivery(installation, "ann"))
    schedule_id = a_schedule(installation) if "<schedule_id>" in pattern else str(uuid4())
    file_id = installation.upload("ann") if "<file_id>" in pattern else str(uuid4())
    path = path.replace("<schedule_id>", schedule_id).replace("<file_id>", file_id)
    case = Case(installation, task_id)
    presented, status = present(case), expected(route, row)
    kept = installation.what_is_kept()

    answer = call(case, method, path, row, presented)

    assert answer.status_code == status, answer.text
    if method == "GET":
        assert call(case, "HEAD", path, row, presented).status_code == status
    if status < 400:
        return
    assert_problem(answer, status)
    assert installation.what_is_kept() == kept
    challenge = answer.headers.get("WWW-Authenticate")
    if status == 401:
        assert challenge == ('Bearer error="invalid_token"' if "headers" in presented else "Bearer")
    elif status == 403:
        lacks = 'Bearer error="insufficient_scope", scope="{}"'
        (missing,) = [scope for scope in (row.scope, row.also) if challenge == lacks.format(scope)]
        assert missing is not None
        assert missing.value in answer.json["detail"]
    else:
        # Word for word what is said of a job that never was: nothing tells that there is one.
        made_up = re.sub(r"msg_\w+", f"msg_{'0' * 40}", path)
        for known in (task_id, schedule_id, file_id):
            made_up = made_up.replace(known, str(uuid4()))
        never = call(case, method, made_up, row, case.key("bob"))
        assert answer.json | {"request_id": ""} == never.json | {"request_id": ""}


def test_every_route_has_a_row_or_is_open(installation: Installation) -> None:
    routes = {
        f"{method} {rule.rule.removeprefix(API)}"
        for rule in installation.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule not in OPEN | BESIDE
    }

    assert routes == ROWS.keys()


def test_the_rows_say_what_the_routes_declare(installation: Installation) -> None:
    for rule in installation.app.url_map.iter_rules():
        view = installation.app.view_functions[rule.endpoint]
        for route, row in ROWS.items():
            method, _, pattern = route.partition(" ")
            if rule.rule == API + pattern and method in (rule.methods or set()):
                declared = getattr(view.view_class, method.lower()).operation  # type: ignore[attr-defined]
                declares = (declared.scope, declared.also_needs, declared.job_token)
                assert declares == (row.scope, row.also, row.token != 403), route


def test_what_is_open_is_open(installation: Installation) -> None:
    for path in ("/healthz", "/readyz", f"{API}/openapi.json", "/docs/"):
        assert installation.client.get(path).status_code == 200, path
