"""Where jobs wait whose task has begun as often as all workers together may."""

import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from celery import Celery
from kombu.utils.json import loads
from redis import Redis

from libs.flask_celery import read_figures
from libs.flask_celery.claiming import ClaimingChannelMixin
from libs.flask_celery.delivering import CLAIMED_FROM, IN_TURN
from libs.flask_celery.delivery_scripts import CLAIM
from libs.flask_celery.line_scripts import BEGIN
from libs.flask_celery.rate_limits import Pace
from libs.flask_celery.reconcile import Reconciliation
from libs.flask_celery.turns import SharedBucket, set_paces, take_turn

LIMIT = "test.work"

#: Of the tests that wait for no turn.
HOURLY = "1/h"


@pytest.fixture
def channel(celery_app: Celery) -> Iterator[ClaimingChannelMixin]:
    """The channel that publishes, as if it consumed."""
    with celery_app.producer_pool.acquire() as producer:
        yield producer.channel


class Claims:
    """A worker of some queues, as far as its channel goes."""

    def __init__(self, celery_app: Celery, channel: ClaimingChannelMixin) -> None:
        self.app = celery_app
        self.channel = channel

    def submit(self, count: int = 1, *, queue: str = "default", **options: Any) -> list[str]:
        return [self.app.send_task(LIMIT, ("a",), queue=queue, **options).id for _ in range(count)]

    def claim(self, *queues: str) -> Any:
        """Returns: a message as it would be delivered, or the milliseconds to the next turn."""
        tag, names = str(uuid4()), list(queues or ("default",))
        keys = [*self.channel.lease_keys, *names]
        reply = self.channel.run_script(CLAIM, keys, [tag, *(f'"{name}"' for name in names), 0, 0, "", "", "", 0])
        if not isinstance(reply, list):
            return reply
        [(place, message, _, in_turn, _)] = reply
        payload = loads(message)
        info = {CLAIMED_FROM: names[place - 1], IN_TURN: bool(in_turn)}
        return SimpleNamespace(
            channel=self.channel,
            delivery_tag=tag,
            delivery_info=info,
            headers=payload["headers"],
            properties=payload["properties"],
            id=payload["headers"]["id"],
        )

    def take(self, rate: str, *queues: str) -> tuple[str, bool]:
        """Claim the next job and ask for its turn. Returns: its id, and whether it may begin."""
        message = self.claim(*queues)
        pace = Pace.of_rate(rate)
        assert pace is not None
        return message.id, take_turn(message, SharedBucket(self.app.tasks[LIMIT], pace))


@pytest.fixture
def claims(celery_app: Celery, channel: ClaimingChannelMixin) -> Claims:
    return Claims(celery_app, channel)


def hourly(claims: Claims) -> SharedBucket:
    pace = Pace.of_rate(HOURLY)
    assert pace is not None
    return SharedBucket(claims.app.tasks[LIMIT], pace)


def forget_the_last_run(broker: "Redis[bytes]") -> None:
    """As if an interval had passed."""
    broker.hset(f"taskgate-limit-{LIMIT}", "next", 0)


def test_one_begins_and_the_others_stand_in_line_in_no_place_twice(claims: Claims, broker: "Redis[bytes]") -> None:
    first, *others = claims.submit(4)

    assert [claims.take(HOURLY) for _ in range(4)] == [(first, True), *((other, False) for other in others)]

    assert 3_500_000 < claims.claim() <= 3_600_000  # to the next turn
    assert broker.zrange(f"default:taskgate-line-{LIMIT}", 0, -1) == [other.encode() for other in others]
    assert set(broker.hkeys("taskgate-delayed-messages")) == {other.encode() for other in others}
    assert broker.hkeys("taskgate-held") == [first.encode()]
    assert (broker.hlen("unacked"), broker.zcard("unacked_index"), broker.llen("default")) == (1, 1, 0)


def test_turns_are_taken_in_order_before_what_comes_later(claims: Claims, broker: "Redis[bytes]") -> None:
    _, second, third = claims.submit(3)
    for _ in range(3):
        claims.take(HOURLY)
    (late,) = claims.submit()

    forget_the_last_run(broker)
    assert (claims.take(HOURLY), claims.take(HOURLY)) == ((second, True), (late, False))
    forget_the_last_run(broker)
    assert claims.take(HOURLY) == (third, True)
    forget_the_last_run(broker)
    assert claims.take(HOURLY) == (late, True)

    assert claims.claim() == 0
    assert broker.smembers("taskgate-lines") == set()


def test_a_turn_that_has_come_is_the_lines_and_not_of_who_asks_just_then(
    claims: Claims, broker: "Redis[bytes]"
) -> None:
    _, second, late = claims.submit(3)
    for _ in range(2):
        claims.take(HOURLY)
    held = claims.claim()
    forget_the_last_run(broker)

    assert not take_turn(held, hourly(claims))

    assert broker.zrange(f"default:taskgate-line-{LIMIT}", 0, -1) == [second.encode(), late.encode()]
    assert claims.take(HOURLY) == (second, True)


def test_a_line_is_taken_from_by_workers_of_its_queue_alone(claims: Claims, broker: "Redis[bytes]") -> None:
    claims.submit(1)
    (other,) = claims.submit(queue="other")
    claims.take(HOURLY)
    claims.take(HOURLY, "other")
    forget_the_last_run(broker)

    assert claims.claim("default") == 0
    assert claims.take(HOURLY, "default", "other") == (other, True)


def test_a_job_that_comes_back_does_not_go_to_the_end(claims: Claims) -> None:
    claims.submit(1)
    claims.take(HOURLY)
    second, third = claims.submit(2)
    held = claims.claim()
    assert claims.take(HOURLY) == (third, False)

    claims.channel.qos.restore_by_tag(held.delivery_tag)

    assert claims.take(HOURLY) == (second, False)
    line = claims.channel.plain_client.zrange(f"default:taskgate-line-{LIMIT}", 0, -1)
    assert line == [second.encode(), third.encode()]


def test_a_cancelled_job_gives_its_place_up(claims: Claims, broker: "Redis[bytes]") -> None:
    _, second, third = claims.submit(3)
    for _ in range(3):
        claims.take(HOURLY)

    claims.app.backend.records.cancel(second)
    forget_the_last_run(broker)

    assert claims.take(HOURLY) == (third, True)
    assert broker.hlen("taskgate-delayed-messages") == broker.zcard("taskgate-delayed") == 0


def test_a_cancelled_job_leaves_no_trace_in_a_line_that_does_not_move(claims: Claims, broker: "Redis[bytes]") -> None:
    _, second, third, fourth = claims.submit(4)
    for _ in range(4):
        claims.take(HOURLY)

    for job in (third, fourth):
        claims.app.backend.records.cancel(job)

    assert broker.zrange(f"default:taskgate-line-{LIMIT}", 0, -1) == [second.encode()]


def test_a_job_that_was_cancelled_in_its_queue_takes_no_turn(claims: Claims) -> None:
    cancelled, job, late = claims.submit(3)
    claims.app.backend.records.cancel(cancelled)

    taken = [claims.take(HOURLY) for _ in range(3)]

    assert taken == [(cancelled, True), (job, True), (late, False)]  # the first one to be skipped


@pytest.mark.parametrize("rate", ["1000/s", None])
def test_those_in_line_keep_to_the_rate_that_is_set_meanwhile(rate: str | None, claims: Claims) -> None:
    first, *others = claims.submit(4)
    assert [claims.take(HOURLY) for _ in range(4)] == [(first, True), *((other, False) for other in others)]

    set_paces(claims.channel, {LIMIT: Pace.of_rate(rate)})

    assert [claims.claim().id for _ in others] == others


def test_a_rate_that_nobody_waits_for_is_not_kept(claims: Claims, broker: "Redis[bytes]") -> None:
    set_paces(claims.channel, {LIMIT: Pace.of_rate(HOURLY)})

    assert not broker.exists(f"taskgate-limit-{LIMIT}")


def test_jobs_in_line_are_told_apart_from_those_that_wait_for_their_time(claims: Claims) -> None:
    claims.submit(3)
    for _ in range(3):
        claims.take(HOURLY)
    claims.submit(countdown=3600)

    found = read_figures(claims.app).broker

    assert found is not None
    assert (found.queues["default"].waiting, found.held, found.in_line, found.delayed) == (0, 1, 2, 1)


def test_a_waiting_job_is_in_a_place_to_the_reconciler(claims: Claims) -> None:
    claims.submit(2)
    for _ in range(2):
        claims.take(HOURLY)

    assert Reconciliation(claims.app, grace=0.0).run(claims.channel) == []


def test_a_second_message_of_a_waiting_job_takes_nothing_from_it(claims: Claims, broker: "Redis[bytes]") -> None:
    """A retry waits for its time, and its forerunner is delivered once more."""
    claims.submit(1)
    claims.take(HOURLY)
    (job,) = claims.submit(countdown=3600)
    (kept,) = broker.hvals("taskgate-delayed-messages")
    broker.lpush("default", kept.split(b"\n", 3)[3])

    assert claims.take(HOURLY) == (job, True)

    assert broker.hvals("taskgate-delayed-messages") == [kept]
    assert broker.smembers("taskgate-lines") == set()


def test_a_job_whose_lease_is_over_is_left_to_whom_it_was_given(claims: Claims, broker: "Redis[bytes]") -> None:
    claims.submit(2)
    claims.take(HOURLY)
    held = claims.claim()
    claims.channel.qos.restore_by_tag(held.delivery_tag)

    assert not take_turn(held, hourly(claims))

    assert broker.llen("default") == 1
    assert broker.hlen("taskgate-delayed-messages") == 0


def test_the_urgent_go_first_and_keep_their_priority_in_line(claims: Claims) -> None:
    claims.submit(1)
    claims.take(HOURLY)
    (urgent,) = claims.submit(priority=0)
    (usual,) = claims.submit(priority=9)
    lists = ("default", "default\x06\x169")
    assert [claims.take(HOURLY, *lists) for _ in range(2)] == [(urgent, False), (usual, False)]
    forget_the_last_run(claims.channel.plain_client)

    assert claims.take(HOURLY, *lists) == (urgent, True)


@pytest.mark.parametrize(("rate", "runs", "at_once"), [("10/s", 10, 1), ("50/s", 50, 5), ("1000/s", 1000, 100)])
def test_no_stretch_of_time_has_more_runs_than_the_rate_allows(
    rate: str, runs: int, at_once: int, broker: "Redis[bytes]"
) -> None:
    """By the server's clock, and whoever asks how often; at a high rate a tenth of a second's runs more."""
    pace = Pace.of_rate(rate)
    assert pace is not None
    begun: list[float] = []
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        with broker.pipeline() as pipe:  # one after the other, with nothing in between
            pipe.time()
            pipe.eval(BEGIN, 0, "any", pace.interval, pace.tolerance, "")
            (seconds, microseconds), wait = pipe.execute()
        if wait == 0:
            begun.append(seconds + microseconds / 1_000_000)

    assert len(begun) >= 3
    for place, first in enumerate(begun):
        for count, last in enumerate(begun[place:], start=1):
            assert count <= (last - first + 0.011) * runs + at_once


@pytest.mark.parametrize("change", ["slower before", "clock set back"])
def test_a_time_that_no_run_can_have_set_counts_for_nothing(
    change: str, claims: Claims, broker: "Redis[bytes]"
) -> None:
    if change == "slower before":
        claims.submit(1)
        claims.take(HOURLY)
    else:
        broker.hset(f"taskgate-limit-{LIMIT}", "next", time.time_ns() // 1000 + 86_400_000_000)
    (job,) = claims.submit(1)

    assert claims.take("10/s") == (job, True)
