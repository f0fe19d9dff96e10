"""What the reconciler costs with many jobs queued, and what a queued job costs in Redis' memory.

``python -m bench.reconciling [jobs …]`` fills a Redis of its own through the script that accepts jobs, then measures.
"""

from __future__ import annotations

import base64
import json
import statistics
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from flask import Flask
from redis import Redis

from libs.flask_celery.accept_script import ACCEPT
from libs.flask_celery.acceptance import SubmissionTerms, publication
from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.facts import SubmissionFacts
from libs.flask_celery.reconcile import Reconciliation
from tests.installation import an_installation

PASSES = 15


def fill(app: Flask, redis_url: str, count: int) -> None:
    """Accept so many small jobs, pipelined."""
    celery_app = app.extensions["celery"]
    message = celery_app.amqp.as_task_v2(str(uuid4()), "maintenance.adds", (), {"a": 1, "b": 2}, argsrepr="()")
    with broker_channel(celery_app) as channel, Redis.from_url(redis_url, db=2) as client:
        assert channel is not None
        facts = SubmissionFacts(submitted_at=time.time_ns() // 1_000_000, owner="ann", locale="en").to_header()
        body = base64.b64encode(json.dumps(message.body).encode()).decode()
        sha = client.script_load(ACCEPT)
        pipe = client.pipeline(transaction=False)
        for number in range(count):
            task_id = str(uuid4())
            headers = {**message.headers, "id": task_id, "root_id": task_id, "taskgate": facts}
            properties = {
                "correlation_id": task_id,
                "reply_to": "",
                "delivery_mode": 2,
                "priority": 0,
                "delivery_info": {"exchange": "", "routing_key": "default"},
                "body_encoding": "base64",
                "delivery_tag": str(uuid4()),
            }
            whole = {
                "body": body,
                "content-encoding": "utf-8",
                "content-type": "application/json",
                "headers": headers,
                "properties": properties,
            }
            arguments = publication(whole, "default", push=True).arguments(SubmissionTerms(), "", 2, 1)
            lists = channel.lists_of("default")
            pipe.evalsha(sha, 1 + len(lists), "default", *lists, *arguments, "")
            if number % 500 == 499:
                pipe.execute()
        pipe.execute()


def milliseconds(reconciliation: Reconciliation, channel: object) -> list[float]:
    times = []
    for _ in range(PASSES):
        started = time.perf_counter()
        reconciliation.run(channel)  # type: ignore[arg-type]
        times.append((time.perf_counter() - started) * 1000)
    return times


def main(counts: list[int]) -> None:
    print(f"{'queued':>10} {'bytes a job':>12} {'pass p50 ms':>12} {'slowest':>8} {'one lost: p50':>14}")
    with (
        TemporaryDirectory() as folder,
        an_installation(Path(folder), QUEUE_LIMIT="0", OWNER_LIMIT="0") as installation,
    ):
        app, url = installation.app, installation.redis.url
        queued = 0
        with Redis.from_url(url, db=2) as broker, broker_channel(app.extensions["celery"]) as channel:
            assert channel is not None
            channel._active_queues = ["default"]
            empty = broker.info("memory")["used_memory"]
            for count in counts:
                fill(app, url, count - queued)
                queued = count
                each = (broker.info("memory")["used_memory"] - empty) / count
                whole = milliseconds(Reconciliation(app.extensions["celery"], grace=3600), channel)
                lost = broker.lpop("default")
                assert lost is not None
                one_lost = milliseconds(Reconciliation(app.extensions["celery"], grace=3600), channel)
                broker.lpush("default", lost)
                p50, p50_lost = statistics.median(whole), statistics.median(one_lost)
                print(f"{count:>10,} {each:>12,.0f} {p50:>12.2f} {max(whole):>8.1f} {p50_lost:>14.2f}")


if __name__ == "__main__":
    main([int(argument) for argument in sys.argv[1:]] or [1_000, 100_000, 1_000_000])
