"""What lies in Redis: messages, field by field beside those of a stock Celery for the same calls.

Both systems run here, each on a Redis of its own. That a stock client and a stock worker do with these what they do
with their own is shown by ``tests/functional/test_worker_stock_celery.py``. Records are in ``test_wire_records``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import pytest

from tests.against_stock.systems import System
from tests.conftest import wait_until
from tests.notes.result_systems import working_system
from tests.notes.wire import EMBED, HEADERS, PROPERTIES, comparable, opened, raw_messages, without_ours

VARIANTS = (
    *("plain", "words", "options", "headers", "eta", "countdown", "expires", "expires in seconds", "priority"),
    *("compressed", "ignored", "link", "chain", "group", "chord", "stamped"),
)
#: What Celery adds to the message where it was asked for something.
FURTHER_HEADERS = {"headers": {"customer", "n"}, "compressed": {"compression"}}
FURTHER_PROPERTIES = {
    "options": {"argsrepr", "kwargsrepr", "root_id", "parent_id", "shadow", "ignore_result"},
    "expires": {"expiration"},
    "expires in seconds": {"expiration"},
}
#: What depends on the moment.
VOLATILE = {"countdown": ("eta",), "expires": ("expiration",), "expires in seconds": ("expires", "expiration")}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[System, System]]:
    """Stock and ours; their workers consume another queue than those that are looked at."""
    with ExitStack() as stack:
        start = working_system
        stock, ours = (
            stack.enter_context(start(name, tmp_path_factory.mktemp(name), "-Q", "work"))
            for name in ("stock", "ours")
        )
        yield stock, ours


def call(system: System, name: str, *arguments: Any) -> Any:
    return system.client.ask(f"tests.notes.wire_calls:{name}", *arguments)


def published(system: System, action: Callable[[], object], queue: str = "kept") -> list[dict[str, Any]]:
    """The messages that ``action`` puts into the queue, opened, oldest first."""
    before = set(raw_messages(system, queue))
    action()

    def new() -> list[str]:
        return [raw for raw in raw_messages(system, queue) if raw not in before]

    wait_until(new, what="the message")
    return [opened(raw) for raw in new()]


def split(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Without our headers, and these."""
    parts = [without_ours(message) for message in messages]
    return [message for message, _ in parts], [headers for _, headers in parts]


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_message_is_that_of_stock_celery_and_one_header(variant: str, both: tuple[System, System]) -> None:
    stock, ours = (published(system, lambda: call(system, "publish", variant)) for system in both)  # noqa: B023
    plain, own = split(ours)

    volatile = VOLATILE.get(variant, ())
    assert comparable(plain, volatile=volatile) == comparable(stock, volatile=volatile)
    assert len(ours) == (2 if variant in ("group", "chord") else 1)
    for message in plain:
        assert set(message["headers"]) - HEADERS == FURTHER_HEADERS.get(variant, set())
        assert set(message["headers"]) >= HEADERS
        assert set(message["properties"]) - PROPERTIES - FURTHER_PROPERTIES.get(variant, set()) == set()
        assert set(message["properties"]) >= PROPERTIES
        assert (len(message["body"]), set(message["body"][2])) == (3, EMBED)
        assert message["properties"]["correlation_id"] == message["headers"]["id"]
    for headers in own:
        assert headers.keys() == {"taskgate"}
        assert headers["taskgate"].keys() == {"submitted_at"}
    for name in ("eta", "expires"):
        moments = [datetime.fromisoformat(one[0]["headers"][name] or "2000-01-01T00:00Z") for one in (stock, ours)]
        assert abs(moments[0] - moments[1]).total_seconds() < 30


@pytest.mark.parametrize(
    ("what", "own_headers"),
    [
        ("retry", {"taskgate", "taskgate_fence"}),
        ("replacement", {"taskgate", "taskgate_fence"}),
        ("next of a chain", {"taskgate"}),
        ("callback", {"taskgate"}),
        ("errback", {"taskgate"}),
        ("body of a chord", {"taskgate"}),
    ],
)
def test_what_a_worker_publishes_is_that_of_stock_celery(
    what: str, own_headers: set[str], both: tuple[System, System]
) -> None:
    stock, ours = (published(system, lambda: call(system, "publish_from_job", what)) for system in both)  # noqa: B023
    plain, [own] = split(ours)

    assert comparable(plain) == comparable(stock)
    assert own.keys() == own_headers
    headers = plain[0]["headers"]
    assert (headers["retries"], headers["replaced_task_nesting"]) == (
        int(what == "retry"),
        int(what == "replacement"),
    )
    if "taskgate_fence" in own_headers:
        assert isinstance(own["taskgate_fence"], int)


def test_a_schedules_message_is_that_of_stock_beat(both: tuple[System, System]) -> None:
    stock, ours = (published(system, lambda: call(system, "submit_by_beat")) for system in both)  # noqa: B023
    plain, [own] = split(ours)

    # Stock beat makes a list of the arguments, and shows that.
    assert [message[0]["headers"]["argsrepr"] for message in (stock, plain)] == ["[1]", "(1,)"]
    assert comparable(plain, volatile=("argsrepr",)) == comparable(stock, volatile=("argsrepr",))
    assert own.keys() == {"taskgate"}
    assert own["taskgate"].keys() == {"submitted_at", "schedule_id", "due_at"}
    assert plain[0]["headers"]["celery_beat_task"] is True


#: What a client of HTTP submits, as a stock client would send it with the options that the task was declared with.
#: Its params are shown to nobody who watches the broker.
PARAMS = {"a": 1, "b": 2}
SUBMITTED = {"kwargs": PARAMS, "argsrepr": "()", "kwargsrepr": "{…}", "time_limit": 10, "ignore_result": False}
FACTS = {"submitted_at", "owner", "request_id", "locale"}


@pytest.mark.parametrize(
    ("path", "body", "options", "facts"),
    [
        ("tasks/maintenance.adds/jobs", PARAMS, {}, FACTS),
        ("tasks/maintenance.adds/jobs?priority=6", PARAMS, {"priority": 6}, FACTS),
        ("batches", [{"task": "maintenance.adds", "params": PARAMS}] * 2, {}, FACTS | {"batch_id"}),
    ],
)
def test_what_is_submitted_over_http_is_as_a_stock_client_sends_it(
    path: str, body: Any, options: dict[str, Any], facts: set[str], both: tuple[System, System]
) -> None:
    stock_system, our_system = both
    sent = {**SUBMITTED, **options, "queue": "default"}
    stock = published(stock_system, lambda: call(stock_system, "send", "maintenance.adds", [], sent), "default")
    ours = published(our_system, lambda: call(our_system, "submit_over_http", path, body), "default")
    plain, own = split(ours)

    assert len(plain) == (len(body) if isinstance(body, list) else 1)
    for message, headers in zip(plain, own, strict=True):
        assert comparable(message) == comparable(stock[0])
        assert headers.keys() == {"taskgate"}
        assert headers["taskgate"].keys() == facts
        assert (headers["taskgate"]["owner"], headers["taskgate"]["locale"]) == ("ann", "zh")


def test_a_dead_letter_that_is_run_again_is_as_it_was(both: tuple[System, System]) -> None:
    _, system = both
    path = "tasks/maintenance.adds/jobs?priority=6"
    [first] = published(system, lambda: call(system, "submit_over_http", path, PARAMS), "default")
    failed = first["headers"]["id"]
    call(system, "fail_in_queue", failed)

    again = published(system, lambda: call(system, "retry_dead_letter", failed), "default")

    before, _ = split([first])
    after, [own] = split(again)
    assert comparable(after) == comparable(before)
    assert own.keys() == {"taskgate"}
    assert own["taskgate"].keys() == FACTS | {"retry_of"}
    assert own["taskgate"]["retry_of"] == failed


@pytest.mark.parametrize(
    "variant", ["plain", "options", "headers", "expires", "compressed", "link", "chain", "stamped"]
)
def test_a_message_that_is_put_back_is_the_one_that_was_lost(variant: str, both: tuple[System, System]) -> None:
    _, system = both
    [lost] = published(system, lambda: call(system, "publish", variant))
    system.broker.delete("kept")  # the others with it, for it is missed when its turn has come

    again = published(system, lambda: call(system, "put_back"))

    [found] = [message for message in again if message["headers"]["id"] == lost["headers"]["id"]]
    assert found["properties"].pop("delivery_tag") != lost["properties"].pop("delivery_tag")
    assert found == lost


def test_what_is_not_due_waits_elsewhere_as_it_will_be_queued(both: tuple[System, System]) -> None:
    """Stock puts it into the queue at once, for a worker to hold."""
    stock, ours = both
    ids = [call(system, "publish", "eta")[0] for system in both]

    queued = ["".join(system.broker.lrange("kept", 0, -1)) for system in both]

    assert ids[0] in queued[0]
    assert ids[1] not in queued[1]
    due = ours.broker.zscore("taskgate-delayed", ids[1])
    assert due == datetime.fromisoformat("2030-01-02T03:04:05+00:00").timestamp()
    assert stock.broker.exists("taskgate-delayed") == 0


def test_what_has_a_priority_is_in_the_same_list_as_stock_puts_it(both: tuple[System, System]) -> None:
    for system in both:
        [task_id] = call(system, "publish", "priority")

        assert task_id in "".join(system.broker.lrange("kept\x06\x166", 0, -1))
