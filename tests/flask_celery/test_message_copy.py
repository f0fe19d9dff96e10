"""The copy of a message is the message: whatever was published comes out of it field by field."""

from __future__ import annotations

import json
from typing import Any

import pytest
from celery import chain, chord, group
from flask import Flask, g
from redis import Redis

from libs.flask_celery import FlaskCelery, JobState, NotRepeatableError, run_again, submit
from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.message_copy import (
    body_of,
    compact,
    compacted,
    expanded,
    facts_as_kept,
    facts_in_copy,
    message_of,
)
from libs.flask_celery.reconcile import Reconciliation
from libs.flask_celery.transport import messages_caught

ADDS = "maintenance.adds"


def publish_all_kinds(celery_app: FlaskCelery) -> None:
    adds = celery_app.tasks[ADDS]
    submit(celery_app, ADDS, {"a": 1, "b": 2})
    adds.delay(1, b=2)
    adds.apply_async((1, 2), expires=60, priority=3, time_limit=9, soft_time_limit=8, shadow="another name")
    adds.apply_async((1, 2), link=adds.s(3), link_error=adds.s(4), ignore_result=True, headers={"of": "ours"})
    adds.apply_async(("ключ", '"id": "no id"'), retries=2, serializer="yaml")
    celery_app.send_task("some.other.task", kwargs={"x": [1, None, {"y": 2.5}]}, compression="zlib")
    chain(adds.s(1, 2), adds.s(3)).apply_async()
    group(adds.s(1, 2), adds.s(3, 4)).apply_async()
    chord([adds.s(1, 2), adds.s(3, 4)])(adds.s(5))
    celery_app.signature(ADDS, (1, 2)).stamp(stamped="yes").apply_async()


def test_every_kind_of_message_comes_out_as_it_went_in(app: Flask, celery_app: FlaskCelery, redis_url: str) -> None:
    with app.app_context():
        g.principal = "ann"
        publish_all_kinds(celery_app)
    with Redis.from_url(redis_url, db=2) as broker, Redis.from_url(redis_url, db=1) as results:
        messages = [
            json.loads(message)
            for list_name in ("default", "default\x06\x163")
            for message in broker.lrange(list_name, 0, -1)
        ]
        assert len(messages) == 12
        for message in messages:
            kept = results.get(f"taskgate-message-{message['headers']['id']}")
            assert kept is not None
            copy, queue = expanded(kept)
            del message["properties"]["delivery_tag"]
            assert (copy, queue) == (message, "default")
            args, kwargs, embed = body_of(copy, ["json", "yaml"])
            assert isinstance(embed, dict)
            assert args or kwargs
            assert len(kept) < len(json.dumps(message)) * 0.6


BODY = "W1tdLCB7ImEiOiAxLCAiYiI6IDJ9LCB7ImNhbGxiYWNrcyI6IG51bGwsICJlcnJiYWNrcyI6IG51bGwsICJjaGFpbiI6IG51bGwsICJjaG9yZCI6IG51bGx9XQ=="  # noqa: E501

FACTS = {"submitted_at": 1795821412021, "owner": "ann", "request_id": "413a692fd9e145a5", "locale": "en"}

#: As earlier versions have written it, of a client's job.
OLD_COPY: Any = {
    "queue": "default",
    "body": BODY,
    "headers": {
        "task": ADDS,
        "id": "old",
        "timelimit": [10, None],
        "kwargsrepr": "{…}",
        "origin": "gen1@host",
        "taskgate": FACTS,
    },
    "properties": {"reply_to": "an address", "argsrepr": "()", "kwargsrepr": "{…}"},
}


def test_what_an_earlier_version_has_kept_is_read_and_means_the_same() -> None:
    old = json.dumps(OLD_COPY)

    message, queue = expanded(old)

    assert queue == "default"
    assert body_of(message, ["json"])[1] == {"a": 1, "b": 2}
    assert message["headers"]["taskgate"] == FACTS
    assert (message["headers"]["argsrepr"], message["headers"]["kwargsrepr"]) == ("()", "{…}")
    now = compacted({**message, "properties": {**message["properties"], "delivery_tag": "a tag"}}, queue)
    assert expanded(now) == (message, queue)
    assert len(now) < len(old) * 0.5


def test_a_job_that_an_earlier_version_has_queued_is_found_lost_and_put_back(
    celery_app: FlaskCelery, redis_url: str
) -> None:
    """The upgrade is in place: what is queued stays as it is, and whatever is written anew is in the new form."""
    task_id = submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id
    headers = {**OLD_COPY["headers"], "id": task_id}
    old_record = {
        "status": "PENDING",
        "result": None,
        "traceback": None,
        "children": [],
        "date_done": None,
        "task_id": task_id,
        "name": ADDS,
        "queue": "default",
        "retries": 0,
        "owner": "ann",
        **FACTS,
        "next_run_at": None,
        "retry_of": None,
        "batch_id": None,
        "schedule_id": None,
    }
    del old_record["locale"]
    keys = celery_app.backend.keys
    with Redis.from_url(redis_url, db=2) as broker, Redis.from_url(redis_url, db=1) as results:
        results.set(keys.message(task_id), json.dumps({**OLD_COPY, "headers": headers}))
        results.set(keys.meta(task_id), json.dumps(old_record))
        broker.delete("default")
        with broker_channel(celery_app) as channel:
            assert channel is not None
            assert Reconciliation(celery_app, grace=0).run(channel) == [task_id]
        [again] = map(json.loads, broker.lrange("default", 0, -1))
    assert again["headers"].items() >= headers.items()
    assert again["body"] == BODY
    record = celery_app.backend.records.get(task_id)
    assert (record.state, record.owner, record.batch_id) == (JobState.PENDING, "ann", None)
    assert celery_app.backend.records.cancel(task_id) is JobState.REVOKED


@pytest.mark.parametrize(
    "params", [{}, {"quoted": '"\\ \n', "ключ": [1e5, 2**70, None, {"x": {}}]}], ids=["none", "odd"]
)
def test_params_are_kept_as_they_were_sent(params: dict[str, Any], app: Flask, celery_app: FlaskCelery) -> None:
    with app.app_context(), messages_caught() as caught:
        celery_app.send_task("some.task", kwargs=params)
    [(message, queue)] = caught
    copy = compacted(message, queue)

    assert json.loads(copy)[3] == params
    assert expanded(copy)[0]["body"] == message["body"]


@pytest.mark.parametrize("serializer", ["json", "yaml"])
def test_a_message_for_another_broker_is_copied_with_its_body(serializer: str) -> None:
    body: Any = [[1, "ключ"], {"a": None}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}]
    headers = {"id": "some-id", "task": ADDS, "retries": 3}

    message, queue = expanded(compacted(message_of(headers, {"priority": 4}, body, serializer), "reports"))

    assert queue == "reports"
    assert list(body_of(message, ["json", "yaml"])) == body
    assert headers.items() <= message["headers"].items()
    assert (message["properties"]["priority"], message["properties"]["correlation_id"]) == (4, "some-id")
    if serializer == "yaml":
        with pytest.raises(Exception, match="Refusing to deserialize"):
            body_of(message, ["json"])


def test_what_is_not_accepted_now_cannot_be_run_again(celery_app: FlaskCelery) -> None:
    """It was submitted under another CELERY_TASK_SERIALIZER."""
    job = submit(celery_app, ADDS, {"a": 1, "b": 2}, serializer="yaml")
    celery_app.backend.store_state(job.task_id, 3, JobState.SUCCESS.value)

    with pytest.raises(NotRepeatableError):
        run_again(celery_app, job.task_id)


@pytest.mark.parametrize(
    "facts",
    [
        SubmissionFacts(1),
        SubmissionFacts(1, "ann", "request", "zh", "00-trace"),
        SubmissionFacts(1, "", 'é"', retry_of="other", deadline=2),
        SubmissionFacts(1, "ann", batch_id="batch"),
        SubmissionFacts(1, "ann", schedule_id="nightly", due_at=3),
    ],
)
def test_facts_are_written_as_their_header_would_be(facts: SubmissionFacts) -> None:
    assert facts.to_json() == compact(facts.to_header())
    assert facts_in_copy(facts) == compact(facts_as_kept(facts.to_header()))
