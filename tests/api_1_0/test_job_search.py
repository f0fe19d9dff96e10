"""``GET jobs`` with many jobs: rare ones are found page by page, and each page is bounded."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from redis import Redis

from app.api_1_0.cursors import write_cursor
from app.api_1_0.jobs import MOST_SCANNED
from app.api_keys import Scope
from libs.flask_celery import JobState, Wanted, search
from tests.installation import API, Installation, an_installation, assert_problem

#: Jobs of one owner, as the scripts would have written them: a thousand of each millisecond, every 30,000th failed.
MANY, OF_ONE_TIME, RARE = 100_000, 1_000, 30_000
_WRITE_MANY = """
for number = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  local id = string.format('many-%06d', number)
  local state = number % ARGV[4] == 0 and 'FAILURE' or 'SUCCESS'
  redis.call('HSET', 'taskgate-job-' .. id, 'state', state, 'owner', 'many', 'task', 'maintenance.adds')
  redis.call('SET', 'celery-task-meta-' .. id,
    '{"status": "' .. state .. '", "name": "maintenance.adds", "owner": "many", "result": null}')
  redis.call('ZADD', 'taskgate-owner-many', math.floor(number / ARGV[3]), id)
end
"""


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    patient = {"CELERY_REDIS_SOCKET_TIMEOUT": "10"}
    with an_installation(tmp_path_factory.mktemp("search"), **patient) as installation:
        for first in range(0, MANY, 10_000):
            installation.backend.client.eval(_WRITE_MANY, 0, first, first + 9_999, OF_ONE_TIME, RARE)
        yield installation


def pages(installation: Installation, query: str, headers: dict[str, str]) -> list[tuple[list[str], float]]:
    """The ids of every page and how long it took."""
    found, cursor = [], ""
    while True:
        begun = time.monotonic()
        answer = installation.client.get(f"{API}/jobs?{query}{cursor}", headers=headers)
        assert answer.status_code == 200, answer.text
        found.append(([job["task_id"] for job in answer.json["jobs"]], time.monotonic() - begun))
        if answer.json["next"] is None:
            return found
        cursor = f"&cursor={quote(answer.json['next'])}"


def test_rare_jobs_are_all_found_in_few_bounded_pages(installation: Installation) -> None:
    found = pages(installation, "state=FAILURE", installation.headers("many"))

    assert [task_id for page, _ in found for task_id in page] == [f"many-{n:06}" for n in (90_000, 60_000, 30_000, 0)]
    assert len(found) == MANY // MOST_SCANNED + 1
    assert max(seconds for _, seconds in found) < 5
    print([round(seconds, 3) for _, seconds in found])


def test_what_is_in_no_page_is_not_there(installation: Installation) -> None:
    early = "state=FAILURE&until=1970-01-01T00:00:00Z"
    for query in ("task=maintenance.match_self_table", "state=PENDING&state=RETRY", early):
        found = pages(installation, query, installation.headers("many"))

        assert [page for page, _ in found if page] == []


@pytest.mark.parametrize("limit", [7, 100])
def test_pages_of_equal_times_hold_each_job_once(limit: int, installation: Installation) -> None:
    """From within a millisecond over the border of the next, whatever a page's size has to do with a thousand."""
    query = f"since=1970-01-01T00:00:00.098Z&state=SUCCESS&limit={limit}"

    found = pages(installation, query, installation.headers("many"))

    assert [task_id for page, _ in found for task_id in page] == [f"many-{n:06}" for n in range(99_999, 97_999, -1)]
    assert all(len(page) == limit for page, _ in found[:-1])


def calls_of(client: Redis, command: str) -> int:
    return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def test_a_page_from_amid_many_of_one_time_is_read_at_once(installation: Installation) -> None:
    client, headers = installation.backend.client, installation.headers("many")
    cursor = write_cursor((MANY // OF_ONE_TIME // 2, f"many-{MANY // 2 + 100:06}"))
    before = calls_of(client, "zrevrange")

    answer = installation.client.get(f"{API}/jobs?limit=20&cursor={quote(cursor or '')}", headers=headers)

    expected = [f"many-{number:06}" for number in range(MANY // 2 + 99, MANY // 2 + 79, -1)]
    assert [job["task_id"] for job in answer.json["jobs"]] == expected
    assert calls_of(client, "zrevrange") == before + 1


def test_a_page_goes_on_also_where_the_last_job_of_the_one_before_is_gone(installation: Installation) -> None:
    """Amid jobs of one time, and by bytes, as Redis sorts: a locale may have ``B`` behind ``a``."""
    client, index = installation.backend.client, installation.backend.keys.owner("letters")
    client.zadd(index, dict.fromkeys(("A", "B", "a", "b", "ä"), 1_000) | {"newer": 1_001, "older": 999})

    def after(*position: Any) -> list[str]:
        wanted = Wanted(expired=True)
        found = search(installation.backend, index, wanted, after=position, limit=10, most_scanned=100)
        return [task_id for _, task_id in found.jobs]

    assert after(1_000, "a0") == ["a", "B", "A", "older"]
    assert after(1_000, "Z") == ["B", "A", "older"]
    assert after(1_000, "z") == ["b", "a", "B", "A", "older"]
    assert after(1_000, "newer") == ["b", "a", "B", "A", "older"]  # which has come in again since
    assert after(1_000, "0") == ["older"]
    assert after(2_000, "0") == ["newer", "ä", "b", "a", "B", "A", "older"]


def test_an_empty_page_is_bounded_and_moves_no_jobs(installation: Installation) -> None:
    client, headers = installation.backend.client, installation.headers("many")
    looked, sent = calls_of(client, "getrange"), client.info("stats")["total_net_output_bytes"]

    answer = installation.client.get(f"{API}/jobs?state=PENDING", headers=headers)

    assert answer.json["jobs"] == []
    assert answer.json["next"] is not None
    assert calls_of(client, "getrange") - looked == MOST_SCANNED
    # The statistics of commands among it: an id of every fifth job would be more.
    assert client.info("stats")["total_net_output_bytes"] - sent < 20_000


def test_the_newest_job_of_a_task_is_found_without_reading_the_others(installation: Installation) -> None:
    client, headers = installation.backend.client, installation.headers("many")
    before = calls_of(client, "mget")

    assert installation.client.get(f"{API}/results/latest/no.such", headers=headers).status_code == 404
    newest = installation.client.get(f"{API}/results/latest/maintenance.adds", headers=headers)

    assert newest.json["task_id"] == f"many-{MANY - 1:06}"
    assert calls_of(client, "mget") == before + 1


def test_a_search_goes_on_where_it_stopped_looking(installation: Installation) -> None:
    wanted, index = Wanted(states=[JobState.FAILURE]), installation.backend.keys.owner("many")

    first = search(installation.backend, index, wanted, limit=5, most_scanned=2_500)
    second = search(installation.backend, index, wanted, after=(90, "many-090001"), limit=5, most_scanned=1)

    assert (first.jobs, first.next) == ([], (97, "many-097500"))
    assert (second.jobs, second.next) == ([(90, "many-090000")], (90, "many-090000"))


def test_many_states_and_a_time_span(installation: Installation) -> None:
    jobs = [installation.accept("ann", submitted_at=1_000 * number) for number in range(1, 6)]
    states = [JobState.STARTED, JobState.RETRY, JobState.SUCCESS, JobState.FAILURE]
    for task_id, state in zip(jobs, states, strict=False):
        stored = installation.backend.prepare_exception(ValueError("no")) if state is JobState.FAILURE else None
        installation.backend.store_state(task_id, stored, state.value)
    installation.backend.store_state(jobs[0], None, "A WORD OF ITS OWN")
    ann = installation.headers("ann")

    def found(query: str) -> list[int]:
        return [1 + jobs.index(task_id) for page, _ in pages(installation, query, ann) for task_id in page]

    assert found("state=SUCCESS&state=FAILURE") == [4, 3]
    assert found("state=PROGRESS&state=PENDING&limit=1") == [5, 1]
    assert found("since=1970-01-01T00:00:02Z&until=1970-01-01T00:00:04Z") == [3, 2]
    assert found("until=1970-01-01T00:00:01.001Z") == [1]
    assert found("state=RETRY&task=maintenance.adds") == [2]


def test_an_admin_lists_another_owners_jobs_and_nobody_else_does(installation: Installation) -> None:
    task_id = installation.accept("bob")
    path = f"{API}/jobs?owner=bob"

    def listed(headers: dict[str, str]) -> Any:
        return [job["task_id"] for job in installation.client.get(path, headers=headers).json["jobs"]]

    assert listed(installation.headers("root", Scope.ADMIN)) == [task_id]
    assert listed(installation.headers("bob")) == [task_id]
    assert_problem(installation.client.get(path, headers=installation.headers("eve")), 403)
