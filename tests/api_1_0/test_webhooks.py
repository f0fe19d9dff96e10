"""Webhooks over HTTP: asking for one, the secret, the deliveries, the test; and addresses that belong to keys."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete

from app.api_keys import Scope, create_key, rotate_key, set_webhook
from app.extensions import db
from app.webhooks import Attempt, DeliveryLog, DeliveryStatus, delivery_id_of, delivery_log
from app.webhooks.signing_secrets import SigningSecrets, StoredSecret
from config import ConfigError
from tests.installation import API, Installation, an_installation, assert_problem, bearer

ADDS = f"{API}/tasks/maintenance.adds/jobs"
PARAMS = {"a": 1, "b": 2}
URL = "https://example.com/hook?token=geheim"


@pytest.fixture
def client(installation: Installation) -> FlaskClient:
    return installation.client


@pytest.fixture
def log(installation: Installation) -> DeliveryLog:
    found: DeliveryLog = installation.app.extensions["webhooks"].log
    return found


def told_at(installation: Installation, task_id: str) -> str | None:
    """Where the end of the job is told, as its ledger says."""
    backend = installation.backend
    kept = backend.client.hget(backend.keys.ledger(task_id), "webhook")
    return None if kept is None else kept.decode()


def submitted(client: FlaskClient, headers: dict[str, str], **query: str) -> Any:
    answer = client.post(ADDS, json=PARAMS, headers=headers, query_string=query)
    assert answer.status_code == 202, answer.text
    return answer


def delivered(log: DeliveryLog, owner: str, status: DeliveryStatus) -> str:
    """The id of a delivery that has been tried once."""
    found = log.get(log.start_test(owner, URL))
    assert found is not None
    log.note(found, Attempt(datetime.now(UTC), None, "timeout", 15_000), status, None)
    return found.id


def key_with_webhook(installation: Installation, url: str | None) -> str:
    with installation.app.app_context():
        key = create_key(db.session(), "ann", {Scope.SUBMIT, Scope.READ, Scope.CANCEL}, webhook=url)
        db.session.commit()
    return key


def test_a_submission_says_where_its_end_is_told(
    installation: Installation, client: FlaskClient, ann: dict[str, str]
) -> None:
    told = submitted(client, ann, webhook=URL).json["task_id"]
    untold = submitted(client, ann).json["task_id"]

    assert told_at(installation, told) == URL
    assert told_at(installation, untold) is None
    # Who polls is not told the address, nor is it in the record.
    assert "geheim" not in client.get(f"{API}/results/{told}", headers=ann).text
    assert b"geheim" not in (installation.backend.client.get(installation.backend.keys.meta(told)) or b"")


def test_it_is_part_of_what_a_key_stands_for(client: FlaskClient, ann: dict[str, str]) -> None:
    key = {**ann, "Idempotency-Key": str(uuid4())}
    first = submitted(client, key, webhook=URL)

    again = submitted(client, key, webhook=URL)

    assert again.json["task_id"] == first.json["task_id"]
    for other in ({}, {"webhook": "https://example.com/other"}):
        assert_problem(client.post(ADDS, json=PARAMS, headers=key, query_string=other), 422)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "Give a whole address"),
        ("http://example.com/", "A webhook's address begins with https://."),
        ("https://10.0.0.1/", "not an address of the public internet"),
        ("https://localhost/", "not a name of the public internet"),
        ("https://2130706433/", "Write an IP address as"),
        ("https://ann:geheim@example.com/", "has no user name and no password"),
        (f"https://example.com/{'x' * 2029}", "2,048 characters at the most"),
    ],
)
def test_an_address_that_no_webhook_is_sent_to(
    url: str, reason: str, installation: Installation, client: FlaskClient, ann: dict[str, str]
) -> None:
    before = installation.what_is_kept()

    submission = client.post(ADDS, json=PARAMS, headers=ann, query_string={"webhook": url})
    test = client.post(f"{API}/webhooks/test", json={"url": url}, headers=ann)

    for answer, field in ((submission, "webhook"), (test, "url")):
        assert_problem(answer, 422, field)
        assert reason in answer.json["errors"][field][0]
        assert "geheim" not in answer.text
    assert installation.what_is_kept() == before


def test_a_keys_own_address_is_for_its_jobs_that_name_none(installation: Installation, client: FlaskClient) -> None:
    key = key_with_webhook(installation, "https://example.com/key")

    by_key, by_query = submitted(client, bearer(key)), submitted(client, bearer(key), webhook=URL)

    assert told_at(installation, by_key.json["task_id"]) == "https://example.com/key"
    assert told_at(installation, by_query.json["task_id"]) == URL


def test_a_keys_address_is_changed_taken_away_and_handed_on(installation: Installation, client: FlaskClient) -> None:
    key = key_with_webhook(installation, None)
    key_id = key.split("_")[1]
    seen = []
    for url in (None, "https://example.com/1", "https://example.com/2", None, "https://example.com/3"):
        with installation.app.app_context():
            assert set_webhook(db.session(), key_id, url) == "ann"
            db.session.commit()
        installation.app.extensions["api_keys"]._entries.clear()
        seen.append(told_at(installation, submitted(client, bearer(key)).json["task_id"]))
    with installation.app.app_context():
        successor = rotate_key(db.session(), key_id, grace=datetime.resolution)
        db.session.commit()
        assert set_webhook(db.session(), "0" * 12, URL) is None

    assert seen == [None, "https://example.com/1", "https://example.com/2", None, "https://example.com/3"]
    assert successor is not None
    assert told_at(installation, submitted(client, bearer(successor.key)).json["task_id"]) == "https://example.com/3"


def test_a_keys_address_is_no_part_of_what_an_idempotency_key_stands_for(
    installation: Installation, client: FlaskClient
) -> None:
    key = key_with_webhook(installation, URL)
    headers = {**bearer(key), "Idempotency-Key": str(uuid4())}
    first = submitted(client, headers)
    with installation.app.app_context():
        set_webhook(db.session(), key.split("_")[1], None)
        db.session.commit()
    installation.app.extensions["api_keys"]._entries.clear()

    assert submitted(client, headers).json["task_id"] == first.json["task_id"]


def test_the_secret_is_the_principals_own(client: FlaskClient, ann: dict[str, str], bob: dict[str, str]) -> None:
    shown, again, bobs = (client.get(f"{API}/webhooks/secret", headers=who) for who in (ann, ann, bob))

    assert shown.json == again.json
    assert shown.json["secret"].startswith("whsec_")
    assert bobs.json["secret"] != shown.json["secret"]
    assert shown.headers["Cache-Control"] == "no-store"


def test_rotation_shows_the_new_one_and_how_long_the_old_one_signs(
    installation: Installation, client: FlaskClient
) -> None:
    eve = installation.headers("eve")
    old = client.get(f"{API}/webhooks/secret", headers=eve).json

    rotated = client.post(f"{API}/webhooks/secret/rotate", headers=eve)

    assert rotated.status_code == 201
    assert rotated.json["secret"] != old["secret"]
    until = datetime.fromisoformat(rotated.json["previous_until"])
    assert 86_000 < (until - datetime.now(UTC)).total_seconds() <= 86_400
    assert client.get(f"{API}/webhooks/secret", headers=eve).json == rotated.json


def test_a_secret_is_there_before_a_webhook_is_owed(installation: Installation, client: FlaskClient) -> None:
    """The worker, which may have another SECRET_KEY, makes none."""
    with installation.app.app_context():
        db.session.execute(delete(StoredSecret).where(StoredSecret.principal == "ida"))
        db.session.commit()

    submitted(client, installation.headers("ida"), webhook=URL)

    with installation.app.app_context():
        assert db.session.get(StoredSecret, ("ida", 1)) is not None


def test_a_secret_of_another_secret_key_says_what_to_do(installation: Installation, client: FlaskClient) -> None:
    uma = installation.headers("uma")
    with installation.app.app_context():
        SigningSecrets(lambda: ["another" * 8]).current(db.session(), "uma")
        db.session.commit()

    for method, path in (("GET", "webhooks/secret"), ("POST", f"tasks/maintenance.adds/jobs?webhook={URL}")):
        refused = client.open(f"{API}/{path}", method=method, json=PARAMS if method == "POST" else None, headers=uma)
        assert_problem(refused, 409)
        assert "SECRET_KEY" in refused.json["detail"]
        assert "webhooks/secret/rotate" in refused.json["detail"]
    assert client.post(f"{API}/webhooks/secret/rotate", headers=uma).status_code == 201
    submitted(client, uma, webhook=URL)


def test_a_test_is_queued_and_says_where_to_look(client: FlaskClient, ann: dict[str, str]) -> None:
    answer = client.post(f"{API}/webhooks/test", json={"url": URL}, headers=ann)

    assert answer.status_code == 202
    shown = client.get(answer.headers["Location"], headers=ann)
    assert shown.json == answer.json
    assert answer.json["links"] == {"self": answer.headers["Location"]}
    assert (answer.json["event"], answer.json["status"], answer.json["attempts"]) == ("test", "pending", [])
    assert answer.json["url"] == "https://example.com/hook?…"
    assert answer.json["task_id"] is None


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [(b"", 400, None), (b"[]", 422, "_schema"), (b"{}", 422, "url"), (b'{"url": 1}', 422, "url")],
)
def test_a_test_of_nothing(
    body: bytes, status: int, field: str | None, client: FlaskClient, ann: dict[str, str]
) -> None:
    answer = client.post(f"{API}/webhooks/test", data=body, content_type="application/json", headers=ann)

    assert_problem(answer, status, *([field] if field else []))


def test_too_many_under_way(
    installation: Installation, client: FlaskClient, log: DeliveryLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoe = installation.headers("zoe")
    over = delivered(log, "zoe", DeliveryStatus.FAILED)
    monkeypatch.setattr(delivery_log, "MOST_PENDING", 1)
    assert client.post(f"{API}/webhooks/test", json={"url": URL}, headers=zoe).status_code == 202

    for path, body in (("test", {"url": URL}), (f"deliveries/{over}/redeliver", None)):
        answer = client.post(f"{API}/webhooks/{path}", json=body, headers=zoe)
        assert_problem(answer, 429)
        assert int(answer.headers["Retry-After"]) > 0


def test_deliveries_are_listed_newest_first_and_page_by_page(
    installation: Installation, client: FlaskClient, log: DeliveryLog
) -> None:
    pam = installation.headers("pam")
    made = [delivered(log, "pam", DeliveryStatus.FAILED) for _ in range(5)]

    pages, cursor = [], None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{API}/webhooks/deliveries", query_string=query, headers=pam).json
        pages.append([entry["id"] for entry in page["deliveries"]])
        cursor = page["next"]
        if cursor is None:
            break

    assert [len(page) for page in pages] == [2, 2, 1]
    assert {found for page in pages for found in page} == set(made)
    times = [log.get(found).created_at for page in pages for found in page]  # type: ignore[union-attr]
    assert times == sorted(times, reverse=True)


def test_a_delivery_shows_its_attempts_and_can_be_had_anew(
    client: FlaskClient, log: DeliveryLog, ann: dict[str, str]
) -> None:
    found = delivered(log, "ann", DeliveryStatus.FAILED)

    shown = client.get(f"{API}/webhooks/deliveries/{found}", headers=ann).json
    anew = client.post(shown["links"]["redeliver"], headers=ann)
    twice = client.post(shown["links"]["redeliver"], headers=ann)

    assert shown["status"] == "failed"
    (attempt,) = shown["attempts"]
    assert (attempt["status"], attempt["error"], attempt["duration"]) == (None, "timeout", 15_000)
    assert anew.status_code == 202
    assert (anew.json["status"], len(anew.json["attempts"])) == ("pending", 1)
    assert "redeliver" not in anew.json["links"]
    assert anew.headers["Location"] == f"{API}/webhooks/deliveries/{found}"
    assert_problem(twice, 409)


def test_the_delivery_of_a_job_is_its_owners(
    installation: Installation, client: FlaskClient, log: DeliveryLog, ann: dict[str, str], bob: dict[str, str]
) -> None:
    task_id = submitted(client, ann, webhook=URL).json["task_id"]
    address = f"{API}/webhooks/deliveries?task_id={task_id}"
    assert client.get(address, headers=ann).json == {"deliveries": [], "next": None}  # it has not ended
    assert client.delete(f"{API}/jobs/{task_id}", headers=ann).status_code == 202
    assert delivery_id_of(task_id) in dict(log.claim(1_000))

    (delivery,) = client.get(address, headers=ann).json["deliveries"]

    assert (delivery["id"], delivery["task_id"]) == (delivery_id_of(task_id), task_id)
    assert delivery["links"]["result"] == f"{API}/results/{task_id}"
    assert client.get(address, headers=bob).json == {"deliveries": [], "next": None}
    admin = installation.headers("root", Scope.ADMIN)
    assert client.get(address, headers=admin).json["deliveries"] == [delivery]
    assert client.get(f"{API}/webhooks/deliveries", headers=admin).json["deliveries"] == []  # its own


@pytest.mark.parametrize("cursor", ["x", "%00", "bm8gbnVtYmVy", "MSBtc2dfeA=="])
def test_a_cursor_that_is_none(cursor: str, client: FlaskClient, ann: dict[str, str]) -> None:
    assert_problem(client.get(f"{API}/webhooks/deliveries?cursor={cursor}", headers=ann), 422, "cursor")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        *[("WEBHOOK_ALLOW_PRIVATE", text) for text in ("ten", "10.0.0.1/8", "10.0.0.0/33")],
        *[("WEBHOOK_RETRIES", text) for text in ("0", "-1", "5,,6", "x", "1.5", "172801", ",".join(["5"] * 16))],
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start(setting: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{setting} wants"), an_installation(tmp_path, **{setting: text}):
        pass


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    settings = {
        "WEBHOOK_ALLOW_HTTP": "1",
        "WEBHOOK_ALLOW_PRIVATE": "10.0.0.0/8, fd00::/8",
        "WEBHOOK_RETRIES": "1,2",
        "WEBHOOK_TIMEOUT": "3",
        "WEBHOOK_QUEUE": "webhooks",
        # It is not about a disk that is slow to sync, which the API answers with 503.
        "CELERY_REDIS_SOCKET_TIMEOUT": "10",
        "CELERY_BROKER_TRANSPORT_OPTIONS": '{"socket_timeout": 10}',
    }
    with an_installation(tmp_path_factory.mktemp("lenient"), **settings) as installation:
        yield installation


def test_the_settings_say_what_is_allowed(lenient: Installation) -> None:
    headers = lenient.headers("ann")

    for url in ("http://10.1.2.3:8080/x", "http://receiver/x", "https://[fd00::1]/"):
        submitted(lenient.client, headers, webhook=url)
    for url in ("http://192.168.0.1/", "http://127.0.0.1/", "https://[fe80::1]/"):
        assert_problem(lenient.client.post(f"{ADDS}?webhook={url}", json=PARAMS, headers=headers), 422, "webhook")
    webhooks = lenient.app.extensions["webhooks"]
    assert (webhooks.delays, webhooks.queue, webhooks.sender.timeout) == ((1, 2), "webhooks", 3)
