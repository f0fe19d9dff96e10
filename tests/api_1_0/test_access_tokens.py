"""The ``access_token`` of a submission: what it opens, how it may be sent, when it ends."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from flask.testing import FlaskClient

from app.api_keys import Scope, revoke_key
from app.extensions import db
from app.job_tokens import JobAccess, JobTokens
from app.models import ApiKey
from tests.conftest import wait_until
from tests.installation import API, Installation, an_installation, assert_problem, bearer

SUBMIT = f"{API}/tasks/maintenance.adds/jobs"


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with an_installation(tmp_path_factory.mktemp("tokens")) as installation:
        installation.start_worker("--pool", "solo")
        yield installation


@pytest.fixture
def client(installation: Installation) -> FlaskClient:
    return installation.client


@pytest.fixture(scope="module")
def refresh(installation: Installation, ann: dict[str, str]) -> dict[str, Any]:
    """What the submission of a job answered that has ended by now, with a file."""
    client = installation.client
    catalogue = b"code,name,price\nA-1,Bolt,0.20\nA-2,Washer,much\n"
    file_id = client.post(f"{API}/files?name=parts.csv", data=catalogue, headers=ann).json["file_id"]
    task = f"{API}/tasks/maintenance.refresh_onboard_table/jobs"
    submitted: dict[str, Any] = client.post(task, json={"file_id": file_id}, headers=ann).json
    address = submitted["links"]["result"]
    wait_until(lambda: client.get(address, headers=ann).json["ready"], timeout=60, what="the job")
    return submitted


def test_it_opens_the_result_and_its_files(refresh: dict[str, Any], client: FlaskClient, ann: dict[str, str]) -> None:
    token, address = refresh["access_token"], refresh["links"]["result"]
    by_key = client.get(address, headers=ann).json
    file = by_key["files"][0]["url"]

    for sent in ({"headers": bearer(token)}, {"query_string": {"access_token": token}}):
        answer = client.get(address, **sent)
        assert (answer.status_code, answer.json) == (200, by_key)
        with client.get(file, **sent) as downloaded, client.get(file, headers=ann) as expected:
            assert downloaded.data == expected.data != b""
        assert token not in answer.text
        assert client.head(address, **sent).status_code == 200


def test_it_cancels_its_job_without_a_scope(installation: Installation, client: FlaskClient) -> None:
    only_submit = installation.headers("ann", Scope.SUBMIT)
    job = client.post(f"{SUBMIT}?delay=3600", json={"a": 1, "b": 2}, headers=only_submit).json

    assert client.delete(job["links"]["cancel"], headers=only_submit).status_code == 403
    assert client.get(job["links"]["result"], headers=only_submit).status_code == 403
    cancelled = client.delete(job["links"]["cancel"], headers=bearer(job["access_token"]))

    assert (cancelled.status_code, cancelled.json["state"]) == (202, "REVOKED")
    assert_problem(client.delete(job["links"]["cancel"], headers=bearer(job["access_token"])), 409)


def test_a_repeated_submission_answers_one_too(client: FlaskClient, ann: dict[str, str]) -> None:
    once = {**ann, "Idempotency-Key": "the-same"}
    first, again = (client.post(SUBMIT, json={"a": 1, "b": 2}, headers=once) for _ in range(2))

    assert again.headers["Idempotent-Replayed"] == "true"
    for answer in (first, again):
        token = answer.json["access_token"]
        assert client.get(first.json["links"]["result"], headers=bearer(token)).status_code == 200


def test_of_a_job_that_an_admin_submits_it_shows_what_owners_see(
    installation: Installation, client: FlaskClient
) -> None:
    job = client.post(SUBMIT, json={"a": 1, "b": 2}, headers=installation.headers("root", Scope.ADMIN)).json

    seen = client.get(job["links"]["result"], headers=bearer(job["access_token"])).json

    assert seen["task_id"] == job["task_id"]
    assert seen.keys().isdisjoint({"owner", "traceback"})


def test_another_job_does_not_exist_for_it(refresh: dict[str, Any], client: FlaskClient, ann: dict[str, str]) -> None:
    other = client.post(SUBMIT, json={"a": 1, "b": 2}, headers=ann).json  # of the same owner
    file = client.get(refresh["links"]["result"], headers=ann).json["files"][0]["url"]

    for method, path in (("GET", refresh["links"]["result"]), ("GET", file), ("DELETE", refresh["links"]["cancel"])):
        assert_problem(client.open(path, method=method, headers=bearer(other["access_token"])), 404)


def test_in_an_address_it_is_taken_on_a_get_of_its_job_alone(
    refresh: dict[str, Any], client: FlaskClient, ann: dict[str, str]
) -> None:
    query = {"access_token": refresh["access_token"]}

    for method, path in (("GET", f"{API}/jobs"), ("GET", f"{API}/tasks"), ("POST", SUBMIT), ("POST", f"{API}/files")):
        assert_problem(client.open(path, method=method, query_string=query), 401)
        body = {"data": b"x"} if path.endswith("files") else {"json": {"a": 1, "b": 2}} if method == "POST" else {}
        assert_problem(client.open(path, method=method, query_string=query, headers=ann, **body), 422, "access_token")
    assert_problem(client.delete(refresh["links"]["cancel"], query_string=query), 401)
    assert_problem(client.delete(refresh["links"]["cancel"], query_string=query, headers=ann), 422, "access_token")
    assert_problem(
        client.get(refresh["links"]["result"], query_string={**query, "access_tokn": "x"}), 422, "access_tokn"
    )


def test_one_way_of_authenticating_at_a_time(
    refresh: dict[str, Any], client: FlaskClient, ann: dict[str, str]
) -> None:
    token, address = refresh["access_token"], refresh["links"]["result"]

    for answer in (
        client.get(address, query_string={"access_token": token}, headers=ann),
        client.get(address, query_string={"access_token": token}, headers=bearer(token)),
        client.get(address, query_string={"access_token": token}, headers={"Authorization": "Basic eDp5"}),
        client.get(address, query_string={"access_token": [token, token]}),
        client.get(address, query_string={"access_token": ""}, headers=ann),
    ):
        assert_problem(answer, 400)
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_request"'
        assert token not in answer.text


def test_an_api_key_is_not_taken_from_an_address(
    refresh: dict[str, Any], client: FlaskClient, ann: dict[str, str]
) -> None:
    key = ann["Authorization"].removeprefix("Bearer ")

    for token in (key, "", "x", "tgj", "\0"):
        answer = client.get(refresh["links"]["result"], query_string={"access_token": token})
        assert_problem(answer, 401)
        assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
        assert key not in answer.text


def test_what_an_address_with_a_token_answers_is_not_kept_by_caches(
    refresh: dict[str, Any], client: FlaskClient, ann: dict[str, str]
) -> None:
    file = client.get(refresh["links"]["result"], headers=ann).json["files"][0]["url"]
    token = refresh["access_token"]

    for path in (refresh["links"]["result"], file):
        for sent in (token, token + "x"):
            with client.get(path, query_string={"access_token": sent}) as answer:
                assert answer.headers["Cache-Control"] == "private, no-store"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert sent not in answer.text + str(answer.headers)


def test_an_expired_job_is_gone_and_not_unknown(installation: Installation, client: FlaskClient) -> None:
    task_id = installation.accept("ann")
    token = installation.app.extensions["job_tokens"].issue(JobAccess(task_id, "ann"))
    installation.expire(task_id)

    assert_problem(client.get(f"{API}/results/{task_id}", headers=bearer(token)), 410)


def test_a_token_for_another_owner_than_the_jobs_finds_nothing(
    installation: Installation, client: FlaskClient
) -> None:
    token = installation.app.extensions["job_tokens"].issue(JobAccess(installation.accept("ann"), "bob"))
    task_id = installation.app.extensions["job_tokens"].read(token).task_id

    assert_problem(client.get(f"{API}/results/{task_id}", headers=bearer(token)), 404)


def test_a_key_that_only_downloads_is_seen_in_use(
    refresh: dict[str, Any], installation: Installation, client: FlaskClient, ann: dict[str, str]
) -> None:
    reader = installation.headers("ann", Scope.READ)
    with client.get(
        client.get(refresh["links"]["result"], headers=ann).json["files"][0]["url"], headers=reader
    ) as file:
        assert file.status_code == 200

    with installation.app.app_context():
        row = db.session.get(ApiKey, reader["Authorization"].split("_")[1])
        assert row is not None
        assert row.last_used_at is not None


def test_it_outlives_the_key_that_submitted(installation: Installation, client: FlaskClient) -> None:
    headers = installation.headers("ann")
    job = client.post(SUBMIT, json={"a": 1, "b": 2}, headers=headers).json
    with installation.app.app_context():
        assert revoke_key(db.session(), headers["Authorization"].split("_")[1])
        db.session.commit()

    assert client.get(job["links"]["result"], headers=bearer(job["access_token"])).status_code == 200


def test_a_repeated_submission_opens_the_job_again_when_the_token_is_over(
    installation: Installation, client: FlaskClient, ann: dict[str, str]
) -> None:
    once = {**ann, "Idempotency-Key": "again"}
    job = client.post(SUBMIT, json={"a": 1, "b": 2}, headers=once).json
    secrets = [(installation.folder / "var" / "secret.key").read_text().strip()]
    over = JobTokens(secrets, ttl=-1).issue(JobAccess(job["task_id"], "ann"))

    refused = client.get(job["links"]["result"], headers=bearer(over))
    again = client.post(SUBMIT, json={"a": 1, "b": 2}, headers=once).json

    assert_problem(refused, 401)
    assert "is over" in refused.json["detail"]
    assert "Idempotency-Key" in refused.json["detail"]
    assert client.get(job["links"]["result"], headers=bearer(again["access_token"])).status_code == 200


def test_processes_of_one_data_directory_take_each_others_tokens(
    installation: Installation, client: FlaskClient, ann: dict[str, str], refresh: dict[str, Any]
) -> None:
    for _ in range(2):  # one after the other: it stays over a restart
        server = installation.start_api()
        job = httpx.post(f"{server.url}{SUBMIT}", json={"a": 1, "b": 2}, headers=ann, timeout=30).json()
        opened_there = httpx.get(
            server.url + refresh["links"]["result"], params={"access_token": refresh["access_token"]}, timeout=30
        )
        server.stop()

        assert opened_there.status_code == 200
        assert client.get(job["links"]["result"], headers=bearer(job["access_token"])).status_code == 200
