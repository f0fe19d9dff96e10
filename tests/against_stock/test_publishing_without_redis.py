"""Publishes while Redis is stopped, and while it accepts connections and is silent.

Stock: stopped, a publish retries for 19 s and then says that the application must be restarted
(``celery/backends/redis.py``, ``on_task_call``); silent, it hangs, for no timeout is set.
"""

from __future__ import annotations

from enum import StrEnum

import pytest

from tests.against_stock.systems import ClientError, NoAnswerError, System, contrast, frozen

#: Seconds. Ours needs half a second; the rest is for a busy machine. Stock needs 19, or for ever.
PATIENCE = 5.0


class Answer(StrEnum):
    NONE = "none in time"
    UNAVAILABLE = "kombu.exceptions.OperationalError"
    PUBLISHED = "published"


@pytest.fixture(autouse=True)
def _as_in_production(system: System) -> None:
    system.patient = False


def observe(system: System) -> set[Answer]:
    """Of a few publishes, one after the other: the first of a process that was connected may fail in another way.

    One without an answer is what counts.
    """
    answers = set()
    for _ in range(3):
        try:
            system.client.ask("publish", "probe.work", ["job"], {}, timeout=PATIENCE)
        except NoAnswerError:
            return {Answer.NONE}
        except ClientError as error:
            answers.add(Answer(str(error)))
        else:
            answers.add(Answer.PUBLISHED)
    return answers


@contrast(stock={Answer.NONE}, ours={Answer.UNAVAILABLE})
def test_a_redis_that_stops_is_reported_at_once(system: System, expected: set[Answer]) -> None:
    system.publish("probe.work", "before")
    system.redis.stop()

    assert observe(system) == expected


@contrast(stock={Answer.NONE}, ours={Answer.UNAVAILABLE})
def test_a_redis_that_was_never_there_is_reported_at_once(system: System, expected: set[Answer]) -> None:
    system.client.ask("let_go")  # the process has loaded what it needs and connected to nothing
    system.redis.stop()

    assert observe(system) == expected


@contrast(stock={Answer.NONE}, ours={Answer.UNAVAILABLE})
def test_a_silent_redis_is_reported_at_once(system: System, expected: set[Answer]) -> None:
    system.publish("probe.work", "before")
    with frozen(system.redis):
        assert observe(system) == expected
