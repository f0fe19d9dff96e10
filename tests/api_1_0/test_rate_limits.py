"""Who may make how many requests, who is counted as whom, and how clients are told."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient

from app.api_keys import Scope
from app.job_tokens import JobAccess, JobTokens
from tests.installation import API, Installation, an_installation, assert_problem, bearer

KEY, SUBMIT, ADDRESS = 6, 2, 4


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    limits = {
        "RATE_LIMIT_KEY": f"{KEY}/hour",
        "RATE_LIMIT_SUBMIT": f"{SUBMIT}/hour",
        "RATE_LIMIT_ADDRESS": f"{ADDRESS}/hour",
    }
    with an_installation(tmp_path_factory.mktemp("limited"), **limits) as installation:
        yield installation


def from_address(number: int) -> dict[str, str]:
    """Another address for each test, since all share the limits of one installation."""
    return {"REMOTE_ADDR": f"192.0.2.{number}"}


def statuses(client: FlaskClient, path: str, count: int, **options: object) -> list[int]:
    found = []
    for _ in range(count):
        with client.get(path, **options) as answer:
            found.append(answer.status_code)
    return found


def submit(client: FlaskClient, headers: dict[str, str]) -> int:
    return client.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=headers).status_code


def test_a_key_that_has_made_its_requests_is_refused_and_told_when_to_come_again(limited: Installation) -> None:
    headers, client = limited.headers("ann"), limited.client

    first = client.get(f"{API}/tasks", headers=headers)
    others = statuses(client, f"{API}/tasks", KEY - 1, headers=headers)
    refused = client.get(f"{API}/jobs", headers=headers)

    assert first.headers["RateLimit-Policy"] == f'"key";q={KEY};w=3600'
    assert re.fullmatch(rf'"key";r={KEY - 1};t=3[56]\d\d', first.headers["RateLimit"])
    assert others == [200] * (KEY - 1)
    assert_problem(refused, 429)
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["RateLimit"] == f'"key";r=0;t={refused.headers["Retry-After"]}'
    assert refused.headers["Retry-After"] in refused.json["detail"]


def test_another_key_has_limits_of_its_own(limited: Installation) -> None:
    first, second = limited.headers("bob"), limited.headers("bob")
    assert 429 in statuses(limited.client, f"{API}/tasks", KEY + 1, headers=first)

    assert limited.client.get(f"{API}/tasks", headers=second).status_code == 200


def test_submissions_have_a_limit_of_their_own(limited: Installation) -> None:
    headers, client = limited.headers("carl"), limited.client

    assert [submit(client, headers) for _ in range(SUBMIT + 1)] == [202, 202, 429]

    answer = client.get(f"{API}/tasks", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["RateLimit-Policy"] == f'"key";q={KEY};w=3600'


def test_a_submission_is_told_both_of_its_limits(limited: Installation) -> None:
    answer = limited.client.post(
        f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=limited.headers("dora")
    )

    assert answer.headers["RateLimit-Policy"] == f'"key";q={KEY};w=3600, "submit";q={SUBMIT};w=3600'
    assert re.fullmatch(r'"key";r=5;t=\d+, "submit";r=1;t=\d+', answer.headers["RateLimit"])


def test_requests_that_fail_count_too(limited: Installation) -> None:
    headers = limited.headers("emil", Scope.READ)

    found = [submit(limited.client, headers) for _ in range(SUBMIT)]
    found += statuses(limited.client, f"{API}/results/unknown", KEY - SUBMIT + 1, headers=headers)

    assert found == [403] * SUBMIT + [404] * (KEY - SUBMIT) + [429]


def test_a_jobs_token_has_limits_of_its_own(limited: Installation) -> None:
    headers, client = limited.headers("fred"), limited.client
    job = client.post(f"{API}/tasks/maintenance.adds/jobs", json={"a": 1, "b": 2}, headers=headers).json
    address = f"{API}/results/{job['task_id']}"

    found = statuses(client, address, KEY + 1, headers=bearer(job["access_token"]))

    assert found == [200] * KEY + [429]
    assert client.get(address, headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("number", "headers", "query"),
    [
        (1, {}, ""),
        (2, bearer("tg_0123456789ab_" + "x" * 43), ""),
        (3, bearer("nonsense"), ""),
        (4, bearer("tgj_nonsense.of.mine"), ""),
        (5, {}, "?access_token=tgj_nonsense"),
        (6, {}, "?access_token=nonsense"),
    ],
)
def test_guessing_is_limited_by_address(
    number: int, headers: dict[str, str], query: str, limited: Installation
) -> None:
    path, address = f"{API}/results/some-job{query}", from_address(number)

    found = statuses(limited.client, path, ADDRESS + 2, headers=headers, environ_base=address)
    refused = limited.client.get(path, headers=headers, environ_base=address)

    assert found == [401] * ADDRESS + [429] * 2
    assert_problem(refused, 429)
    assert refused.headers["RateLimit-Policy"] == f'"address";q={ADDRESS};w=3600'
    assert statuses(limited.client, path, 1, headers=headers, environ_base=from_address(100 + number)) == [401]


def test_tokens_that_are_over_are_limited_by_address_too(limited: Installation) -> None:
    secrets = [(limited.folder / "var" / "secret.key").read_text().strip()]
    over = bearer(JobTokens(secrets, ttl=-1).issue(JobAccess("some-job", "ann")))

    found = statuses(
        limited.client, f"{API}/results/some-job", ADDRESS + 1, headers=over, environ_base=from_address(7)
    )

    assert found == [401] * ADDRESS + [429]


def test_a_key_that_works_is_not_kept_out_by_others_of_its_address_and_a_guess_is(limited: Installation) -> None:
    address = from_address(20)
    known, fresh = limited.headers("gina"), limited.headers("gina")
    answer = limited.client.get(f"{API}/tasks", headers=known, environ_base=address)
    assert answer.headers["RateLimit-Policy"] == f'"key";q={KEY};w=3600'
    assert 429 in statuses(limited.client, f"{API}/tasks", ADDRESS + 1, environ_base=address)

    assert statuses(limited.client, f"{API}/tasks", 2, headers=known, environ_base=address) == [200, 200]
    # Whether one that was never seen works is not found out here: that is what guessing would be for.
    assert statuses(limited.client, f"{API}/tasks", 1, headers=fresh, environ_base=address) == [429]
    assert statuses(limited.client, f"{API}/tasks", 1, headers=fresh, environ_base=from_address(21)) == [200]


def test_keys_that_work_cost_their_address_nothing(limited: Installation) -> None:
    address = from_address(30)

    found = [
        limited.client.get(f"{API}/tasks", headers=limited.headers("hans"), environ_base=address).status_code
        for _ in range(ADDRESS * 3)
    ]

    assert set(found) == {200}


@pytest.mark.parametrize(
    ("number", "path"), [(40, "/docs/"), (41, f"{API}/openapi.json"), (42, "/nowhere"), (43, "/")]
)
def test_what_needs_no_key_is_limited_by_address(number: int, path: str, limited: Installation) -> None:
    found = statuses(limited.client, path, ADDRESS + 1, environ_base=from_address(number))

    assert found[-1] == 429
    assert 429 not in found[:-1]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_who_looks_after_the_service_is_never_refused(path: str, limited: Installation) -> None:
    address = from_address(50)
    assert 429 in statuses(limited.client, "/nowhere", ADDRESS + 1, environ_base=address)

    assert set(statuses(limited.client, path, ADDRESS * 3, environ_base=address)) == {200}


@pytest.mark.parametrize("path", ["jobs", "openapi.json"])
def test_preflights_are_not_counted(path: str, limited: Installation) -> None:
    address = from_address(60)

    found = [limited.client.options(f"{API}/{path}", environ_base=address).status_code for _ in range(ADDRESS * 2)]

    assert set(found) == {200}


def test_clients_of_a_proxy_that_is_not_trusted_cannot_choose_their_address(limited: Installation) -> None:
    address = from_address(70)

    found = [
        limited.client.get(
            f"{API}/tasks", headers={"X-Forwarded-For": f"198.51.100.{number}"}, environ_base=address
        ).status_code
        for number in range(ADDRESS + 1)
    ]

    assert found == [401] * ADDRESS + [429]


def test_without_limits_there_are_no_fields(installation: Installation, ann: dict[str, str]) -> None:
    answer = installation.client.get(f"{API}/tasks", headers=ann)

    assert answer.status_code == 200
    assert not {"RateLimit", "RateLimit-Policy"} & set(answer.headers.keys())
