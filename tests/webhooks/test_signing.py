"""Signatures, as the library of Standard Webhooks verifies them, and the secrets that make them."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import select
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.extensions import db
from app.webhooks import SigningSecretError, SigningSecrets
from app.webhooks.signing import new_secret, signed_headers
from app.webhooks.signing_secrets import MOST_SIGNING, StoredSecret

BODY = '{"type":"job.succeeded","data":{"name":"Müller"}}'.encode()
KEY, OLD_KEY = "k" * 40, "o" * 40


@pytest.fixture
def session(app: Flask) -> Iterator[Session]:
    with app.app_context():
        yield db.session()


def secrets_under(*keys: str) -> SigningSecrets:
    return SigningSecrets(lambda: keys)


def verified_by(headers: dict[str, str], secret: str) -> bool:
    try:
        Webhook(secret).verify(BODY, headers)
    except WebhookVerificationError:
        return False
    return True


def test_a_secret_is_one_of_standard_webhooks() -> None:
    secret = new_secret()

    assert secret.startswith("whsec_")
    assert 24 <= len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) <= 64
    assert secret != new_secret()


def test_the_signature_is_verified_by_the_librarys_own() -> None:
    one, other, third = new_secret(), new_secret(), new_secret()

    headers = signed_headers("msg_1", int(time.time()), BODY, [one, other])

    assert (verified_by(headers, one), verified_by(headers, other), verified_by(headers, third)) == (
        True,
        True,
        False,
    )
    assert headers["webhook-signature"].count("v1,") == 2
    for changed in ({"webhook-id": "msg_2"}, {"webhook-timestamp": str(int(time.time()) - 1)}):
        assert not verified_by({**headers, **changed}, one)


def test_a_principal_has_one_secret_of_its_own(session: Session) -> None:
    secrets = secrets_under(KEY)

    shown = secrets.current(session, "ann")

    assert secrets.current(session, "ann") == shown
    assert secrets.signing(session, "ann") == [shown.secret]
    assert secrets.current(session, "bob").secret != shown.secret
    assert shown.previous_until is None
    assert shown.secret not in repr(shown)


def test_it_is_encrypted_where_it_is_kept(session: Session) -> None:
    shown = secrets_under(KEY).current(session, "ann")

    (row,) = session.scalars(select(StoredSecret))
    kept = row.encrypted.encode() + base64.urlsafe_b64decode(row.encrypted)
    raw = shown.secret.removeprefix("whsec_")
    assert raw.encode() not in kept
    assert base64.b64decode(raw) not in kept


def test_after_a_rotation_both_sign_for_a_day(session: Session) -> None:
    secrets = secrets_under(KEY)
    old = secrets.current(session, "ann")

    new = secrets.rotate(session, "ann")

    assert new.secret != old.secret
    assert new.previous_until is not None
    assert abs(new.previous_until - datetime.now(UTC) - timedelta(hours=24)) < timedelta(minutes=1)
    assert secrets.signing(session, "ann") == [new.secret, old.secret]
    assert secrets.current(session, "ann").secret == new.secret

    first = session.get(StoredSecret, ("ann", 1))
    assert first is not None
    first.ends_at = datetime.now(UTC) - timedelta(seconds=1)
    session.flush()
    assert secrets.signing(session, "ann") == [new.secret]
    assert secrets.current(session, "ann").previous_until is None


def test_however_often_one_rotates_few_sign_and_few_are_kept(session: Session) -> None:
    secrets = secrets_under(KEY)

    made = [secrets.rotate(session, "ann").secret for _ in range(10)]

    assert secrets.signing(session, "ann") == made[::-1][:MOST_SIGNING]
    assert len(list(session.scalars(select(StoredSecret)))) == MOST_SIGNING


def test_two_that_ask_at_once_are_shown_the_same(app: Flask, session: Session) -> None:
    secrets = secrets_under(KEY)
    with Session(db.engine) as other:  # before this one has read
        found = secrets.current(other, "ann")
        other.commit()
    rows = secrets._signing
    asked = []

    def none_at_first(*arguments: object, **options: object) -> object:
        asked.append(arguments)
        return [] if len(asked) == 1 else rows(*arguments, **options)  # type: ignore[arg-type]

    secrets._signing = none_at_first  # type: ignore[method-assign,assignment]

    assert secrets.current(session, "ann") == found


def test_a_new_secret_key_in_front_of_the_old_one_changes_nothing(session: Session) -> None:
    shown = secrets_under(OLD_KEY).current(session, "ann")

    assert secrets_under(KEY, OLD_KEY).current(session, "ann") == shown
    rotated = secrets_under(KEY, OLD_KEY).rotate(session, "ann")
    assert secrets_under(KEY).current(session, "ann") == rotated
    assert secrets_under(KEY).signing(session, "ann") == [rotated.secret]  # what it cannot read it leaves out


def test_another_secret_key_alone_reads_nothing_and_can_make_anew(session: Session) -> None:
    secrets_under(OLD_KEY).current(session, "ann")
    other = secrets_under(KEY)

    for read in (other.current, other.signing):
        with pytest.raises(SigningSecretError, match="SECRET_KEY"):
            read(session, "ann")
    made = other.rotate(session, "ann")
    assert other.signing(session, "ann") == [made.secret]


def test_none_is_made_to_sign(session: Session) -> None:
    with pytest.raises(SigningSecretError, match="GET webhooks/secret"):
        secrets_under(KEY).signing(session, "ann")
