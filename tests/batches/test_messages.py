"""A batch's messages and records are those of jobs that are published one by one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from celery.signals import before_task_publish
from flask import g
from marshmallow import Schema, fields
from redis import Redis

from config import Config
from libs.flask_celery import (
    BatchItem,
    ContextTask,
    FlaskCelery,
    job,
    submit,
    submit_many,
)
from libs.flask_celery.batches.filling import BatchFilling
from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.reconcile_scripts import MISSING
from tests.batches.submitting import ADDS, adds, queued, task_ids
from tests.conftest import built_app


def without_what_is_its_own(stored: Any, task_id: str) -> Any:
    """What is stored about a job, but for its id, its message's tag, its time and its batch."""
    text = json.dumps(stored).replace(task_id, "its id")
    stored = json.loads(text)
    if isinstance(stored, list):  # a message's copy, with the facts in their order
        stored[5] = stored[5][1:4]
        return stored
    for name in ("submitted_at", "batch_id"):
        stored.get("headers", {}).get("taskgate", stored).pop(name, None)
    stored.get("properties", {}).pop("delivery_tag", None)
    return stored


@pytest.mark.parametrize("encoding", ["base64", "utf-8"])
@pytest.mark.parametrize("eta", [None, datetime(2100, 1, 2, 3, 4, 5, 678, tzinfo=UTC)], ids=["now", "later"])
@pytest.mark.parametrize("others", [{}, {"priority": 6}, {"priority": 0, "queue": "default"}], ids=str)
@pytest.mark.usefixtures("redis_url")
def test_what_is_stored_is_what_publishing_one_by_one_stores(
    config: Config,
    broker: Redis,
    results: Redis,
    eta: datetime | None,
    others: dict[str, Any],
    encoding: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transport = {"CELERY_BROKER_TRANSPORT_OPTIONS": json.dumps({"body_encoding": encoding})}
    options: dict[str, Any] = others if eta is None else {"eta": eta, **others}
    monkeypatch.delattr(BatchFilling, "_one_by_one")
    params = {"a": 1, "b": 2}
    with built_app(replace(config, celery=transport)) as app, app.app_context():
        celery_app: FlaskCelery = app.extensions["celery"]
        g.principal, g.request_id, g.locale, g.traceparent = 'ann "quoted" \\', "request-1", "zh", None
        single = submit(celery_app, ADDS, params, **options).task_id
        other = BatchItem(ADDS, {"a": 7, "b": 7}, options=options)
        _, second = task_ids(submit_many(celery_app, [other, BatchItem(ADDS, params, options=options)]))

        waits_in = "default\x06\x166" if others.get("priority") == 6 else "default"
        messages = {message["headers"]["id"]: message for message in queued(broker, waits_in)} or {
            task_id: json.loads(held.split("\n", 3)[3])
            for task_id, held in broker.hgetall("taskgate-delayed-messages").items()
        }
        assert without_what_is_its_own(messages[second], second) == without_what_is_its_own(messages[single], single)
        tags = [message["properties"]["delivery_tag"] for message in messages.values()]
        assert len(set(tags)) == len(messages) == 3
        keys = celery_app.backend.keys
        for key in (keys.meta, keys.message):
            ours, theirs = (json.loads(results.get(key(task_id)) or "") for task_id in (second, single))
            assert without_what_is_its_own(ours, second) == without_what_is_its_own(theirs, single)
        ledgers = [results.hgetall(keys.ledger(task_id)) for task_id in (second, single)]
        assert ledgers[0].pop("batch")
        assert {**ledgers[0], "submitted": ""} == {**ledgers[1], "submitted": ""}
        for index in (keys.unfinished, keys.owner(g.principal)):
            assert results.zscore(index, second) == int(ledgers[0]["submitted"])
        assert results.hget(f"{keys.prefix}taskgate-unfinished-by-owner", g.principal) == "3"


class OddParams(Schema):
    a = fields.Integer()


@pytest.mark.usefixtures("own_tasks")
def test_tasks_whose_messages_differ_in_more_are_published_one_by_one(config: Config, broker: Redis) -> None:
    def shadowed(a: int) -> None:
        """Its message says more than others."""

    class Shadowed:
        def shadow_name(self, args: Any, kwargs: dict[str, Any], options: Any) -> str:
            return f"shadow {kwargs['a']}"

    base = type("ShadowedTask", (Shadowed, ContextTask), {"abstract": True})
    job("odd.shadowed", params=OddParams, base=base)(shadowed)
    with built_app(config) as app, app.app_context():
        odd = [BatchItem("odd.shadowed", {"a": number}) for number in range(3)]
        batch = submit_many(app.extensions["celery"], [*adds(2), *odd, *adds(2)])

    assert batch.accepted == 7
    shadows = [message["headers"]["shadow"] for message in queued(broker)]
    assert shadows == [None, None, "shadow 0", "shadow 1", "shadow 2", None, None]


@pytest.mark.usefixtures("ann")
def test_who_listens_to_publishes_is_told_of_each(celery_app: FlaskCelery, broker: Redis) -> None:
    def mark(headers: dict[str, Any], **_: Any) -> None:
        headers["marked"] = headers["id"]

    before_task_publish.connect(mark)
    try:
        batch = submit_many(celery_app, adds(3))
    finally:
        before_task_publish.disconnect(mark)

    assert [message["headers"]["marked"] for message in queued(broker)] == task_ids(batch)


@pytest.mark.usefixtures("ann")
def test_jobs_queue_in_the_order_sent_behind_what_was_there(celery_app: FlaskCelery, broker: Redis) -> None:
    first = submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id
    batch = submit_many(celery_app, adds(600))
    last = submit(celery_app, ADDS, {"a": 1, "b": 2}).task_id

    expected = [first, *task_ids(batch), last]
    assert [message["headers"]["id"] for message in queued(broker)] == expected
    assert broker.zrange("default:taskgate-order", 0, -1) == expected
    with broker_channel(celery_app) as channel:
        assert channel is not None
        assert channel.run_script(MISSING, ["default"], [1000]) == []
    assert 0 < broker.llen("taskgate-wake-default") <= 64
