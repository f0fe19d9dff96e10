"""``manage.py keys`` and ``manage.py openapi`` as an operator runs them, in processes of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app.commands import keys
from app.extensions import db
from app.models import ApiKey
from tests.conftest import ROOT
from tests.installation import API, bearer

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def manage(environment: dict[str, str], *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), *words],
        env={**environment, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_key_is_shown_once_works_and_can_be_revoked(
    app: Flask, client: FlaskClient, environment: dict[str, str]
) -> None:
    made = manage(environment, "keys", "create", "ann", "--scope", "read", "--scope", "submit", "--days", "30")
    key = made.stdout.strip()

    assert (made.returncode, made.stderr) == (0, "")
    assert made.stdout == f"{key}\n"
    assert client.get(f"{API}/tasks", headers=bearer(key)).status_code == 200
    assert client.delete(f"{API}/jobs/x", headers=bearer(key)).status_code == 403

    key_id, secret = key.split("_", 2)[1:]
    listed = manage(environment, "keys", "list")
    assert re.fullmatch(
        rf"{key_id}  ann  read submit  created {TIME}  expires {TIME}  used never  active\n", listed.stdout
    )
    assert secret not in listed.stdout + listed.stderr

    revoked = manage(environment, "keys", "revoke", key_id)
    assert (revoked.returncode, revoked.stderr) == (0, "")
    assert "revoked" in manage(environment, "keys", "list").stdout
    again = manage(environment, "keys", "revoke", key_id)
    assert again.returncode == 1
    assert again.stderr == f"Error: There is no active key {key_id}; manage.py keys list shows them.\n"

    # In a process that has not seen the key before, it has stopped working at once.
    app.extensions["api_keys"] = type(app.extensions["api_keys"])()
    assert client.get(f"{API}/tasks", headers=bearer(key)).status_code == 401


def test_the_secret_is_neither_in_the_database_nor_in_any_file(
    app: Flask, environment: dict[str, str], tmp_path: Path
) -> None:
    made = manage(environment, "keys", "create", "ann", "--scope", "admin")
    secret = made.stdout.strip().split("_", 2)[2].encode()
    assert len(secret) == 43

    kept = [path for path in tmp_path.rglob("*") if path.is_file()]

    assert "taskgate.db" in [path.name for path in kept]
    assert all(secret not in path.read_bytes() for path in kept)


def test_days_set_the_end_of_a_key(app: Flask, environment: dict[str, str]) -> None:
    manage(environment, "keys", "create", "ann", "--scope", "read", "--days", "2")

    with app.app_context():
        (key,) = db.session.query(ApiKey)
        assert key.expires_at is not None
        assert (key.expires_at - key.created_at).total_seconds() == pytest.approx(2 * 86_400, abs=5)
        key.expires_at = datetime.fromisoformat("2020-01-01T00:00:00Z")
        db.session.commit()
    assert manage(environment, "keys", "list").stdout.endswith("  over\n")


def test_a_rotated_key_ends_after_the_grace_and_its_successor_may_the_same(
    app: Flask, client: FlaskClient, environment: dict[str, str]
) -> None:
    key = manage(environment, "keys", "create", "ann", "--scope", "read", "--scope", "submit").stdout.strip()
    key_id = key.split("_")[1]

    rotated = manage(environment, "keys", "rotate", key_id, "--grace", "30")
    successor = rotated.stdout.strip()

    assert rotated.returncode == 0
    assert rotated.stdout == f"{successor}\n"
    assert re.fullmatch(rf"It expires: never\. The key {key_id} ends: {TIME}\.\n", rotated.stderr)
    for either in (key, successor):
        assert client.get(f"{API}/tasks", headers=bearer(either)).status_code == 200
        assert client.delete(f"{API}/jobs/x", headers=bearer(either)).status_code == 403
    with app.app_context():
        row = db.session.get(ApiKey, key_id)
        assert row is not None
        assert row.expires_at is not None
        assert (row.expires_at - datetime.now(UTC)).total_seconds() == pytest.approx(30 * 60, abs=60)
    listed = manage(environment, "keys", "list").stdout
    assert re.search(rf"{successor.split('_')[1]}  ann  read submit  created {TIME}  expires never", listed)

    at_once = manage(environment, "keys", "rotate", successor.split("_")[1], "--grace", "0")
    app.extensions["api_keys"] = type(app.extensions["api_keys"])()
    assert client.get(f"{API}/tasks", headers=bearer(successor)).status_code == 401
    assert client.get(f"{API}/tasks", headers=bearer(at_once.stdout.strip())).status_code == 200


def test_only_a_key_that_works_can_be_rotated(app: Flask, environment: dict[str, str]) -> None:
    key_id = manage(environment, "keys", "create", "ann", "--scope", "read").stdout.split("_")[1]
    manage(environment, "keys", "revoke", key_id)

    for unusable in (key_id, "0123456789ab"):
        refused = manage(environment, "keys", "rotate", unusable)
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == f"Error: There is no active key {unusable}; manage.py keys list shows them.\n"
    with app.app_context():
        assert db.session.query(ApiKey).count() == 1


def test_a_keys_webhook_is_set_shown_without_its_query_and_taken_away(
    app: Flask, environment: dict[str, str]
) -> None:
    url = "https://example.com/hook?token=geheim"

    made = manage(environment, "keys", "create", "ann", "--scope", "submit", "--webhook", url)

    key_id = made.stdout.split("_")[1]
    assert (made.returncode, made.stderr) == (0, "")
    listed = manage(environment, "keys", "list").stdout
    assert listed.endswith("  active  webhook https://example.com/hook?…\n")
    with app.app_context():  # there is a secret to know the teller by
        assert app.extensions["webhooks"].secrets.signing(db.session(), "ann")
    taken = manage(environment, "keys", "webhook", key_id, "--none")
    assert (taken.returncode, taken.stdout) == (0, "")
    assert manage(environment, "keys", "list").stdout.endswith("  active\n")
    assert manage(environment, "keys", "webhook", key_id, "https://example.com/2").returncode == 0
    assert manage(environment, "keys", "list").stdout.endswith("  webhook https://example.com/2\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "ann", "--scope", "submit", "--webhook", "https://10.0.0.1/x"), "not an address of the public"),
        (("create", "ann", "--scope", "submit", "--webhook", "http://example.com/"), "begins with https://"),
        (("webhook", "0123456789ab", "https://localhost/"), "not a name of the public"),
        (("webhook", "0123456789ab", "https://example.com/"), "There is no active key 0123456789ab"),
        (("webhook", "0123456789ab", "--none"), "There is no active key 0123456789ab"),
        (("webhook", "0123456789ab"), "Give a URL, or --none."),
        (("webhook", "0123456789ab", "https://example.com/", "--none"), "Give a URL, or --none."),
    ],
)
def test_a_webhook_that_cannot_be_set(
    words: tuple[str, ...], said: str, app: Flask, environment: dict[str, str]
) -> None:
    refused = manage(environment, "keys", *words)

    assert (refused.returncode != 0, refused.stdout) == (True, "")
    assert said in " ".join(refused.stderr.split())
    with app.app_context():
        assert db.session.query(ApiKey).count() == 0


@pytest.mark.parametrize(
    "words",
    [
        ("create", "ann"),
        ("create", "ann", "--scope", "root"),
        ("create", "", "--scope", "read"),
        ("create", "a b", "--scope", "read"),
        ("create", "x" * 65, "--scope", "read"),
        ("create", "ann", "--scope", "read", "--days", "0"),
        ("revoke",),
        ("rotate",),
        ("rotate", "0123456789ab", "--grace", "-1"),
    ],
)
def test_wrong_words_are_a_usage_error_and_make_no_key(words: tuple[str, ...], app: Flask) -> None:
    outcome = app.test_cli_runner().invoke(keys, words)

    assert outcome.exit_code == 2
    assert outcome.stderr.startswith("Usage:")
    with app.app_context():
        assert db.session.query(ApiKey).count() == 0


@pytest.mark.parametrize(
    "words",
    [
        ("create", "ann", "--scope", "read"),
        ("list",),
        ("revoke", "0123456789ab"),
        ("rotate", "0123456789ab"),
    ],
)
def test_without_tables_one_line_says_what_to_run(words: tuple[str, ...], app: Flask) -> None:
    with app.app_context():
        db.drop_all()

    outcome = app.test_cli_runner().invoke(keys, words)

    assert outcome.exit_code == 1
    assert "manage.py db upgrade" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_the_document_is_printed_as_json(client: FlaskClient, environment: dict[str, str]) -> None:
    printed = manage(environment, "openapi")

    assert (printed.returncode, printed.stderr) == (0, "")
    assert json.loads(printed.stdout) == client.get(f"{API}/openapi.json").json


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("PORT", "eighty", "PORT is not valid: Not a valid integer."),
        ("DATA_DIR", "/dev/null/var", "DATA_DIR wants a directory"),
        ("CELERY_TASK_TIME_LIMITT", "60", "CELERY_TASK_TIME_LIMITT: is not a Celery setting; did you mean"),
    ],
)
def test_a_setting_that_cannot_be_used_is_one_line_and_exit_code_1(
    name: str, value: str, wanted: str, environment: dict[str, str]
) -> None:
    outcome = manage(environment, "openapi", **{name: value})

    assert outcome.returncode == 1
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(f"taskgate: {wanted}"), outcome.stderr
    assert outcome.stderr.count("\n") == 1
