"""Keys: what is one, and what it shows of whose. Which route takes which is in test_authorization_matrix.py."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from flask.testing import FlaskClient

from app.api_keys import Scope, create_key, find_principal, list_keys, revoke_key
from app.auth import KEY_MEMORY
from app.extensions import db
from app.models import ApiKey
from tests.conftest import wait_until
from tests.installation import API, Installation, assert_problem, bearer


@pytest.fixture
def client(installation: Installation) -> FlaskClient:
    return installation.client


@pytest.mark.parametrize(
    "authorization",
    [
        *("", "Bearer", "Bearer ", "Basic YW5uOnB3", "Token x", "x", ", ,", "Bearer\tx"),
        *("Bearer x", "Bearer tg_", "Bearer tg__", "Bearer tg_0123456789ab_", "Bearer tg_0123456789ab_\x7f"),
        *("Bearer " + "x" * 8000, "Bearer ключ".encode().decode("latin-1"), "Bearer %00", "Bearer ' OR 1=1 --"),
    ],
)
def test_a_key_that_is_none(authorization: str, client: FlaskClient) -> None:
    answer = client.get(f"{API}/tasks", headers={"Authorization": authorization})

    assert_problem(answer, 401)
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_key_with_another_secret_is_refused(installation: Installation) -> None:
    key = installation.headers("ann")["Authorization"].removeprefix("Bearer ")
    changed = key[:-1] + ("A" if key[-1] != "A" else "B")
    exchanged = key[:16] + installation.headers("bob")["Authorization"].removeprefix("Bearer ")[16:]

    assert installation.client.get(f"{API}/tasks", headers=bearer(key)).status_code == 200
    for wrong in (changed, exchanged, key + "x", key[:-1], key.upper(), key.replace("_", "-")):
        assert_problem(installation.client.get(f"{API}/tasks", headers=bearer(wrong)), 401)


def test_the_scheme_is_case_insensitive(installation: Installation) -> None:
    key = installation.headers("ann")["Authorization"].removeprefix("Bearer ")

    for scheme in ("bearer", "BEARER"):
        assert (
            installation.client.get(f"{API}/tasks", headers={"Authorization": f"{scheme} {key}"}).status_code == 200
        )


def test_an_expired_key_is_refused(installation: Installation) -> None:
    with installation.app.app_context():
        now = datetime.now(UTC)
        over = create_key(db.session(), "ann", {Scope.READ}, expires_at=now - timedelta(seconds=1))
        valid = create_key(db.session(), "ann", {Scope.READ}, expires_at=now + timedelta(hours=1))
        db.session.commit()

    assert_problem(installation.client.get(f"{API}/tasks", headers=bearer(over)), 401)
    assert installation.client.get(f"{API}/tasks", headers=bearer(valid)).status_code == 200


def test_a_revoked_key_works_no_longer_than_the_memory_of_keys(installation: Installation) -> None:
    headers, client = installation.headers("ann"), installation.client
    key_id = headers["Authorization"].split("_")[1]
    assert client.get(f"{API}/tasks", headers=headers).status_code == 200

    with installation.app.app_context():
        assert revoke_key(db.session(), key_id)
        db.session.commit()
        assert not revoke_key(db.session(), key_id)
        db.session.rollback()
    revoked = time.monotonic()

    wait_until(lambda: client.get(f"{API}/tasks", headers=headers).status_code == 401, what="the refusal")
    assert time.monotonic() - revoked < KEY_MEMORY + 1


def test_a_key_is_kept_as_a_hash_alone(installation: Installation) -> None:
    with installation.app.app_context():
        key = create_key(db.session(), "eve", {Scope.READ, Scope.SUBMIT})
        db.session.commit()
        secret = key.split("_", 2)[2]
        row = db.session.get(ApiKey, key.split("_")[1])

        assert row is not None
        assert secret not in str(vars(row))
        assert (row.principal, row.scopes, row.revoked_at) == ("eve", "read submit", None)
        assert row.created_at.tzinfo is not None
        assert row.id in [other.id for other in list_keys(db.session())]
        principal = find_principal(db.session(), key)
    assert principal is not None
    assert (principal.name, principal.scopes) == ("eve", {Scope.READ, Scope.SUBMIT})


def test_admin_sees_every_owners_jobs(installation: Installation) -> None:
    admin, bob, client = installation.headers("root", Scope.ADMIN), installation.headers("bob"), installation.client
    task_id = installation.accept("bob")

    seen, own = (client.get(f"{API}/results/{task_id}", headers=headers).json for headers in (admin, bob))

    assert seen["owner"] == "bob"
    assert "traceback" in seen
    assert seen | {"owner": 0, "traceback": 0} == own | {"owner": 0, "traceback": 0}
    assert own.keys().isdisjoint({"owner", "traceback"})
    assert client.delete(f"{API}/jobs/{task_id}", headers=admin).status_code == 202


def test_what_is_expired_is_gone_for_its_owner_and_unknown_to_others(installation: Installation) -> None:
    admin, client = installation.headers("root", Scope.ADMIN), installation.client
    ann, bob = installation.headers("ann"), installation.headers("bob")
    task_id = installation.accept("bob")
    installation.expire(task_id)

    for method, path in (("GET", "/results/{}"), ("GET", "/results/{}/files/x"), ("DELETE", "/jobs/{}")):
        address = API + path.format(task_id)
        assert_problem(client.open(address, method=method, headers=bob), 410)
        assert_problem(client.open(address, method=method, headers=admin), 410)
        assert_problem(client.open(address, method=method, headers=ann), 404)
