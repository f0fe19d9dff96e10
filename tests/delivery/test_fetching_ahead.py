"""Short jobs are taken several at a time, leased like all others, and none waits behind a long one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from kombu.utils.json import loads
from redis import Redis

from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.delivery_scripts import CLAIM
from libs.flask_celery.fetching_ahead import short_tasks
from libs.flask_celery.unsent_acks import UnsentAcks
from tests.conftest import Worker, wait_until
from tests.delivery.conftest import Marks, times_read

TASK = "test.work"


@pytest.fixture
def channel(celery_app: Celery) -> Any:
    with celery_app.connection_for_read() as connection:
        yield connection.default_channel


def submit(celery_app: Celery, labels: list[str], **options: Any) -> list[str]:
    return [celery_app.send_task(TASK, (label,), **options).id for label in labels]


def claim(
    channel: ClaimingChannelMixin, *, short: dict[str, int], most: int = 32, together: int = 100, acks: Any = ()
) -> list[tuple[str, str]]:
    """The tag and the task id of each message that one claim takes."""
    tag = str(uuid4())
    keys = [*channel.lease_keys, *channel.lists_of("default")]
    queues = ['"default"'] * len(channel.lists_of("default"))
    acks = [part for ack in acks for part in ack]
    lengths = [part for task in short.items() for part in task]
    arguments = [most, together, "", "", "", len(acks) // 2, *acks, *lengths]
    reply = channel.run_script(CLAIM, keys, [tag, *queues, *arguments])
    ids = [loads(message)["headers"]["id"] for _, message, _, _, _ in reply]
    return [(f"{tag}.{place}" if place else tag, task_id) for place, task_id in enumerate(ids)]


def test_a_quarter_of_what_waits_comes_along_in_its_order_and_leased(
    celery_app: Celery, channel: ClaimingChannelMixin, broker: "Redis[bytes]"
) -> None:
    jobs = submit(celery_app, [f"j{number}" for number in range(21)])

    claims = claim(channel, short={TASK: 1})

    assert [task_id for _, task_id in claims] == jobs[:6]  # the first one, and 20 / 4
    assert broker.llen("default") == 15
    assert {tag.decode() for tag in broker.hkeys("unacked")} == {tag for tag, _ in claims}
    assert {tag.decode() for tag in broker.zrange("unacked_index", 0, -1)} == {tag for tag, _ in claims}
    assert {key.decode(): tag.decode() for key, tag in broker.hgetall("taskgate-held").items()} == {
        task_id: tag for tag, task_id in claims
    }
    assert [key.decode() for key in broker.zrange("default:taskgate-order", 0, -1)] == jobs[6:]


def test_each_has_a_number_of_its_own(celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    submit(celery_app, [f"j{number}" for number in range(9)])
    keys = [*channel.lease_keys, "default"]

    first = channel.run_script(CLAIM, keys, ["a", '"default"', 32, 100, "", "", "", 0, TASK, 1])
    second = channel.run_script(CLAIM, keys, ["b", '"default"', 32, 100, "", "", "", 0, TASK, 1])

    numbers = [int(fence) for _, _, fence, _, _ in [*first, *second]]
    assert len(numbers) == 5
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("short", "options", "taken"),
    [
        ({TASK: 1}, {}, 11),
        ({TASK: 10}, {"together": 40}, 4),  # 40 ms of work
        ({TASK: 1}, {"most": 2}, 3),
        ({"test.other": 1}, {}, 1),
        ({}, {}, 1),
    ],
)
def test_no_more_than_is_allowed(
    short: dict[str, int], options: Any, taken: int, celery_app: Celery, channel: ClaimingChannelMixin
) -> None:
    submit(celery_app, [f"j{number}" for number in range(41)])

    assert len(claim(channel, short=short, **options)) == taken


def test_a_job_that_is_not_short_stays_in_its_place(
    celery_app: Celery, channel: ClaimingChannelMixin, broker: "Redis[bytes]"
) -> None:
    short = submit(celery_app, ["a", "b"])
    long = celery_app.send_task("test.other", ("c",)).id
    others = submit(celery_app, [f"j{number}" for number in range(20)])

    assert [task_id for _, task_id in claim(channel, short={TASK: 1})] == short
    assert [task_id for _, task_id in claim(channel, short={TASK: 1})] == [long]
    assert [loads(message)["headers"]["id"] for message in broker.lrange("default", 0, -1)[::-1]] == others


def test_what_is_more_urgent_is_taken_first(celery_app: Celery, channel: ClaimingChannelMixin) -> None:
    submit(celery_app, [f"j{number}" for number in range(20)], priority=6)
    urgent = submit(celery_app, ["a"], priority=0)

    assert [task_id for _, task_id in claim(channel, short={TASK: 1})] == urgent


def test_a_claim_acknowledges(celery_app: Celery, channel: ClaimingChannelMixin, broker: "Redis[bytes]") -> None:
    submit(celery_app, [f"j{number}" for number in range(3)])
    done = [*claim(channel, short={}), *claim(channel, short={})]

    [(tag, task_id)] = claim(channel, short={}, acks=done)

    assert broker.hkeys("unacked") == broker.zrange("unacked_index", 0, -1) == [tag.encode()]
    assert broker.hgetall("taskgate-held") == {task_id.encode(): tag.encode()}


def test_which_jobs_are_short(celery_app: Celery) -> None:
    backend = celery_app.backend
    backend.client.hset(backend.keys.run_times, mapping={TASK: 0, "maintenance.adds": 21, "gone": 1})

    assert short_tasks(celery_app) == {TASK: 1}

    celery_app.tasks[TASK].rate_limit = "10/s"
    try:
        assert short_tasks(celery_app) == {}
    finally:
        celery_app.tasks[TASK].rate_limit = None


def test_acknowledgements_are_kept_until_somebody_takes_them() -> None:
    acks = UnsentAcks()
    acks.add({"a": "1", "b": "2"})
    acks.add({"c": "3"})

    assert acks.take(2) == {"a": "1", "b": "2"}
    assert acks.take() == {"c": "3"}
    assert not acks.take()
    assert not acks.are_overdue()


@pytest.mark.long
@pytest.mark.parametrize("pool", ["prefork", "threads", "solo"])
def test_a_job_that_takes_longer_than_expected_holds_up_no_other(
    pool: str,
    counting_worker: Callable[..., Worker],
    celery_app: Celery,
    marks: Marks,
    broker: "Redis[bytes]",
    tmp_path: Path,
) -> None:
    backend = celery_app.backend
    backend.client.hset(backend.keys.run_times, TASK, 1)
    celery_app.send_task("test.work_until", ("first", str(tmp_path / "go")))
    counting_worker("--pool", pool, "--concurrency", "1")
    wait_until(lambda: marks.starts("first") == 1, timeout=60)
    looks = times_read(broker)
    wait_until(lambda: times_read(broker) > looks + 1, what="the run times")
    long = celery_app.send_task(TASK, ("long", 8))
    others = submit(celery_app, [f"j{number}" for number in range(20)])

    (tmp_path / "go").touch()

    wait_until(lambda: broker.llen("default") == 15, what="some to be fetched ahead")
    wait_until(lambda: broker.llen("default") == 20, timeout=6, what="what was fetched ahead to be back")
    assert [loads(message)["headers"]["id"] for message in broker.lrange("default", 0, -1)[::-1]] == others
    assert marks.ends("long") == 0
    assert long.get(timeout=30) == "long"
    wait_until(lambda: all(marks.ends(f"j{number}") == 1 for number in range(20)), timeout=60)
    wait_until(lambda: broker.hlen("unacked") == 0)
    assert [marks.starts(f"j{number}") for number in range(20)] == [1] * 20
