"""What each operation costs with 10, 10,000 and 1,000,000 jobs queued, all of one owner, and what a job takes.

``python -m bench.growth [--sizes 10 10000 1000000] [--times 60]`` fills a Redis of its own with batches. What is
printed are µs of CPU time for one call, of this process and of Redis: ``api/redis``. Calls are made in this process,
without a server between.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from flask import Flask, g
from redis import Redis

from app.api_1_0.cursors import write_cursor
from libs.flask_celery import BatchItem, JobState, submit_many
from libs.flask_celery.broker_side import broker_channel
from libs.flask_celery.delivery_scripts import ACK, CLAIM
from libs.flask_celery.reconcile import Reconciliation
from tests.installation import API, Installation, an_installation

ADDS = "maintenance.adds"
OTHER = "maintenance.match_self_table"
MOST = 10_000  # in one batch


class Operations:
    """One call of each; what is used up is queued beforehand."""

    def __init__(self, installation: Installation, channel: Any, owner: str) -> None:
        self._client = installation.app.test_client()
        self._headers = installation.headers(owner)
        self._celery = installation.app.extensions["celery"]
        self._channel = channel
        self._index = self._celery.backend.keys.owner(owner)
        self._reconciliation = Reconciliation(self._celery, grace=3600)
        self._deep = ""

    def all(self) -> dict[str, Callable[[], Any]]:
        """By name."""
        newest = self._celery.backend.client.zcard(self._index)
        [(task_id, at)] = self._celery.backend.client.zrevrange(
            self._index, newest // 2, newest // 2, withscores=True
        )
        self._deep = write_cursor((int(at), task_id.decode())) or ""
        ids = iter(self._celery.backend.client.zrevrange(self._index, 0, 400))  # of whom none has been used
        return {
            "submit": lambda: self._call("POST", f"tasks/{ADDS}/jobs", 202, json={"a": 1, "b": 2}),
            "GET jobs": lambda: self._call("GET", "jobs"),
            "GET jobs, by state and task": lambda: self._call("GET", f"jobs?state=PENDING&task={ADDS}"),
            "GET jobs, none matches": lambda: self._call("GET", f"jobs?state=FAILURE&task={ADDS}"),
            "GET jobs, from the middle": lambda: self._call("GET", f"jobs?cursor={self._deep}"),
            "GET results/latest": lambda: self._call("GET", f"results/latest/{ADDS}"),
            "GET results/latest, none": lambda: self._call("GET", f"results/latest/{OTHER}", 404),
            "GET tasks": lambda: self._call("GET", "tasks"),
            "cancel, queued": lambda: self._call("DELETE", f"jobs/{next(ids).decode()}", 202),
            "claim and acknowledge": self._claim,
            "store a result, drop two old": lambda: self._end(next(ids).decode()),
            "reconciler's pass": lambda: self._reconciliation.run(self._channel),
        }

    def _call(self, method: str, path: str, expected: int = 200, **more: Any) -> None:
        answer = self._client.open(f"{API}/{path}", method=method, headers=self._headers, **more)
        assert answer.status_code == expected, (path, answer.status_code, answer.text[:300])

    def _claim(self) -> None:
        tag = str(uuid4())
        lists = self._channel.lists_of("default")
        nothing_more = (0, 0, "", "", "", 0)  # none ahead of it, no permit, nothing to acknowledge
        one = [tag, *['"default"'] * len(lists), *nothing_more]
        taken = self._channel.run_script(CLAIM, [*self._channel.lease_keys, *lists], one)
        assert isinstance(taken, list)
        self._channel.run_script(ACK, self._channel.lease_keys, [tag, ""])

    def _end(self, task_id: str) -> None:
        self._celery.backend.store_state(task_id, 3, JobState.SUCCESS.value)


def fill(app: Flask, owner: str, count: int) -> None:
    """Accept so many small jobs."""
    with app.test_request_context():
        g.principal, g.request_id, g.locale = owner, "413a692fd9e145a5", "en"
        for start in range(0, count, MOST):
            items = (BatchItem(ADDS, {"a": number, "b": 1}) for number in range(min(MOST, count - start)))
            submit_many(app.extensions["celery"], items)


def cpu_of(redis: Redis) -> float:
    """Seconds."""
    used = redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


def wait_for_background(redis: Redis) -> None:
    """While Redis' fork writes its files anew, whoever writes pays for a copy of each page that is written to."""
    while any(redis.info("persistence")[name] for name in ("aof_rewrite_in_progress", "rdb_bgsave_in_progress")):
        time.sleep(0.5)


def cost(operation: Callable[[], Any], redis: Redis, times: int) -> tuple[float, float]:
    """Of one call, in µs: this process, Redis."""
    for _ in range(3):
        operation()
    ours, theirs = time.process_time(), cpu_of(redis)
    for _ in range(times):
        operation()
    return (time.process_time() - ours) / times * 1e6, (cpu_of(redis) - theirs) / times * 1e6


def main(sizes: Sequence[int], times: int) -> None:
    rows: dict[str, list[str]] = {}
    patient = {"CELERY_REDIS_SOCKET_TIMEOUT": "60", "CELERY_BROKER_TRANSPORT_OPTIONS": '{"socket_timeout": 60}'}
    limits = {"QUEUE_LIMIT": "0", "OWNER_LIMIT": "0"}
    with (
        TemporaryDirectory() as folder,
        an_installation(Path(folder), **limits, **patient) as installation,
        Redis.from_url(installation.redis.url, db=1) as redis,
        broker_channel(installation.app.extensions["celery"]) as channel,
        installation.app.app_context(),
    ):
        redis.config_set("list-compress-depth", 1)  # as the Redis that the product starts
        empty, there = redis.info("memory")["used_memory"], 0
        for size in sizes:
            fill(installation.app, "ann", size - there)
            there = size
            each = (redis.info("memory")["used_memory"] - empty) / size
            fill(installation.app, "ann", times * 4)  # to be used up, so that small sizes last
            wait_for_background(redis)
            for name, operation in Operations(installation, channel, "ann").all().items():
                ours, theirs = cost(operation, redis, times)
                rows.setdefault(name, []).append(f"{ours:,.0f}/{theirs:,.0f}")
            rows.setdefault("bytes of Redis for a job", []).append(f"{each:,.0f}")
            print(f"{size:,}: measured", flush=True)
    print(f"{'':<32}" + "".join(f"{size:>18,}" for size in sizes))
    for name, costs in rows.items():
        print(f"{name:<32}" + "".join(f"{one:>18}" for one in costs))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.growth")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10, 10_000, 1_000_000])
    parser.add_argument("--times", type=int, default=60)
    main(**vars(parser.parse_args()))
