"""How soon the clients that one API process holds have their answers, and what holding them costs.

``python -m bench.waiting [--mode poll|events] [--clients 2000] [--rounds 3] [--unsynced]`` holds so many clients on
``?wait``, or on the event stream, and ends their jobs as fast as results can be stored: a job for each client, then
one for all. Ends with 1 when an answer did not come or, with a job for each client, came later than a second after
the job's end. Thousands of clients of one job are a burst, whose time says how many answers a second the process
can give.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from redis import Redis

from bench.waiting.clients import Answer, Clients
from tests.conftest import wait_until
from tests.installation import API, ApiServer, Installation, an_installation

#: Seconds from a job's end to the answer.
LIMIT = 1.0

PATHS = {"poll": f"{API}/results/{{}}?wait=30", "events": f"{API}/results/{{}}/events"}


def resident(server: ApiServer) -> float:
    """Of the process that serves, in MiB."""
    (worker,) = psutil.Process(server.process.pid).children()
    return float(worker.memory_info().rss) / 2**20


def wait_until_held(installation: Installation, jobs: int) -> None:
    """The process is subscribed to each job, and what it has to do before that is done."""
    with Redis.from_url(installation.redis.url) as redis:
        wait_until(
            lambda: len(redis.pubsub_channels("*celery-task-meta-*")) == jobs, timeout=60, what="the subscription"
        )
    time.sleep(1)  # of many clients of one job the last ones are not seen from outside


def hold_and_answer(
    installation: Installation, server: ApiServer, headers: dict[str, str], mode: str, clients: int, jobs: int
) -> bool:
    """One round. Returns: whether all were answered in time."""
    ids = [installation.accept("ann") for _ in range(jobs)]
    before = resident(server)
    held = Clients(server.port, [PATHS[mode].format(ids[number % jobs]) for number in range(clients)], headers)
    try:
        wait_until_held(installation, jobs)
    except AssertionError as error:
        print(f"  not held: {error}")
    holding = resident(server)
    changed = {}
    for task_id in ids:
        changed[task_id] = time.monotonic()
        installation.backend.store_state(task_id, 3, "SUCCESS")
    storing = time.monotonic() - changed[ids[0]]
    answers = held.answers()
    passed = tell(answers, [changed[ids[number % jobs]] for number in range(clients)], jobs, storing)
    print(f"{'':>12} resident: {before:.0f} MiB before, {holding:.0f} while held, {resident(server):.0f} after")
    return passed


def tell(answers: Sequence[Answer], changed: Sequence[float], jobs: int, storing: float) -> bool:
    times = sorted(
        answer.told_at - at for answer, at in zip(answers, changed, strict=True) if answer.told_at is not None
    )
    statuses = Counter(answer.status for answer in answers)
    whole = [answer for answer in answers if answer.status == 200 and answer.told_at and answer.ended_at]
    early = sum(seconds < 0 for seconds in times)
    judged = jobs > 1
    passed = len(whole) == len(answers) and not early and (not judged or times[-1] < LIMIT)
    label = f"{jobs:,} job{'s' if jobs > 1 else ''}"
    verdict = (": pass" if passed else ": FAIL") if judged else ""
    if times:
        print(
            f"{label:>12} ended within {storing:.2f} s: median {statistics.median(times):.3f} s, "
            f"p99 {times[int(len(times) * 0.99)]:.3f} s, slowest {times[-1]:.3f} s{verdict}"
        )
    if len(whole) < len(answers):
        print(f"{label:>12} {len(answers) - len(whole)} without the whole answer; statuses {dict(statuses)}: FAIL")
    return passed


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.waiting", description=__doc__)
    parser.add_argument("--mode", choices=PATHS, default="poll")
    parser.add_argument("--clients", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--unsynced", action="store_true", help="a Redis that does not sync its file")
    options = parser.parse_args()
    print(f"{options.clients:,} clients held by one API process, {options.mode}; at most {LIMIT:g} s:")
    passed = True
    with TemporaryDirectory() as folder, an_installation(Path(folder)) as installation:
        with Redis.from_url(installation.redis.url) as redis:
            # As the product's own Redis is set; without it the jobs end faster than any worker could end them.
            redis.config_set("appendfsync", "no" if options.unsynced else "always")
        server, headers = installation.start_api(), installation.headers("ann")
        httpx.get(f"{server.url}{API}/tasks", headers=headers).raise_for_status()
        for _ in range(options.rounds):
            for jobs in (options.clients, 1):
                passed &= hold_and_answer(installation, server, headers, options.mode, options.clients, jobs)
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
