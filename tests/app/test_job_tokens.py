"""Access tokens: what opens, what does not, and which secret they hang on."""

from __future__ import annotations

import string
from datetime import UTC, datetime, timedelta

import pytest

from app.job_tokens import ExpiredTokenError, InvalidTokenError, JobAccess, JobTokens
from libs.flask_celery.testing import MoveClock

NEW, OLD, OTHER = "n" * 40, "o" * 40, "x" * 40
ACCESS = JobAccess("0b8c5e0e-8f6a-4c55-9f0e-000000000001", "ann")
ALPHABET = string.ascii_letters + string.digits + "-_"


@pytest.fixture
def tokens() -> JobTokens:
    return JobTokens([NEW], ttl=60)


@pytest.mark.parametrize("access", [ACCESS, JobAccess("x", "a.b@c-d"), JobAccess("i" * 255, "Ä" * 64)])
def test_a_token_opens_what_it_was_issued_for(access: JobAccess, tokens: JobTokens) -> None:
    token = tokens.issue(access)

    assert tokens.read(token) == access
    assert set(token) <= {*ALPHABET, "."}


def test_no_other_spelling_of_a_token_is_taken(tokens: JobTokens) -> None:
    token = tokens.issue(ACCESS)
    changed = {token[:i] + other + token[i + 1 :] for i in range(len(token)) for other in (*ALPHABET, ".", "=", "\n")}
    longer = {token + end for end in (*ALPHABET, ".", "=", " ", "\n")} | {f" {token}", f".{token}", token * 2}
    shorter = {token[:length] for length in range(len(token))}

    for wrong in (changed | longer | shorter) - {token}:
        with pytest.raises(InvalidTokenError):
            tokens.read(wrong)


def test_the_payload_of_one_token_under_the_signature_of_another_is_refused(tokens: JobTokens) -> None:
    payload = tokens.issue(JobAccess("theirs", "bob")).rpartition(".")[0]
    signature = tokens.issue(JobAccess("mine", "ann")).rpartition(".")[2]

    with pytest.raises(InvalidTokenError):
        tokens.read(f"{payload}.{signature}")


@pytest.mark.parametrize("ttl", [0, -1])
def test_a_token_ends_with_its_time(ttl: int) -> None:
    tokens = JobTokens([NEW], ttl=ttl)

    with pytest.raises(ExpiredTokenError):
        tokens.read(tokens.issue(ACCESS))


def test_a_token_works_until_then(moved_clock: MoveClock, tokens: JobTokens) -> None:
    token, now = tokens.issue(ACCESS), datetime.now(UTC)

    moved_clock(now + timedelta(seconds=50))
    assert tokens.read(token) == ACCESS
    moved_clock(now + timedelta(seconds=60))
    with pytest.raises(ExpiredTokenError):
        tokens.read(token)


def test_the_newest_secret_signs_and_every_listed_one_is_taken() -> None:
    by_old = JobTokens([OLD], ttl=60).issue(ACCESS)
    both = JobTokens([NEW, OLD], ttl=60)

    assert both.read(by_old) == ACCESS
    assert JobTokens([NEW], ttl=60).read(both.issue(ACCESS)) == ACCESS
    for secrets in ([NEW], [OTHER], [NEW, OTHER]):
        with pytest.raises(InvalidTokenError):
            JobTokens(secrets, ttl=60).read(by_old)
