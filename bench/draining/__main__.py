"""How fast two worker slots empty a queue of small jobs, in each layout, beside a stock Celery worker.

``python -m bench.draining [--jobs 3000] [--rounds 3] [--layouts prefork-2,…]`` starts a Redis of its own. Each round
fills the queue for each layout anew, ours through acceptance, and lets the workers run it empty; the layouts take
turns. What is printed are medians from a fifth of the jobs on, when all processes are at work: jobs a second, the
CPU time of the workers and of Redis for each job, which says the same on a busy machine, and Redis's commands a job.
The peer is the pattern of Flask's documentation with ``--concurrency 2``.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from flask import g
from redis import Redis

from libs.flask_celery import submit
from tests.conftest import ROOT, wait_until
from tests.installation import Installation, an_installation

STOCK = "bench.batches.docs_pattern:celery"
OURS = "libs.flask_celery:celery_app"
TASK = "maintenance.adds"

#: What each worker of a layout is started with.
LAYOUTS: dict[str, tuple[str, list[list[str]]]] = {
    "stock": (STOCK, [["--concurrency", "2"]]),
    "prefork-2": (OURS, [["--concurrency", "2"]]),
    "prefork-1x2": (OURS, [["--concurrency", "1"]] * 2),
    "solo-x2": (OURS, [["--pool", "solo"]] * 2),
    "threads-1x2": (OURS, [["--pool", "threads", "--concurrency", "1"]] * 2),
}


@dataclass(frozen=True, slots=True)
class Drained:
    """Of one job, but for the first."""

    rate: float  # jobs a second
    workers: float  # µs of CPU
    redis: float  # likewise
    commands: float


def cpu(processes: list[psutil.Process]) -> float:
    """Seconds that these and their children have used."""
    times = [each.cpu_times() for process in processes for each in (process, *process.children(recursive=True))]
    return sum(each.user + each.system for each in times)


@contextmanager
def workers(installation: Installation, layout: str) -> Iterator[list[psutil.Process]]:
    application, options = LAYOUTS[layout]
    started = []
    for number, words in enumerate(options):
        command = [
            *(sys.executable, "-m", "celery", "-A", application, "worker", "--hostname", f"w{number}@bench"),
            *("--loglevel", "INFO", *words),
        ]
        with (installation.folder / f"{layout}.log").open("ab") as log:
            started.append(subprocess.Popen(command, env=installation.environment, cwd=ROOT, stdout=log, stderr=log))
    try:
        yield [psutil.Process(process.pid) for process in started]
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait(30)


def fill(installation: Installation, layout: str, jobs: int) -> Callable[[], int]:
    """Submit so many. Returns: what says how many have ended."""
    if LAYOUTS[layout][0] == STOCK:
        os.environ["REDIS_URL"] = installation.redis.url
        from bench.batches import docs_pattern  # noqa: PLC0415 - reads the environment as it is imported

        for number in range(jobs):
            docs_pattern.adds.delay(number, 1)
        results = Redis.from_url(f"{installation.redis.url}/6")
        return results.dbsize
    app = installation.app
    backend = installation.backend
    with app.app_context():
        g.principal = "ann"
        for number in range(jobs):
            submit(app.extensions["celery"], TASK, {"a": number, "b": 1})
    ended = f"ended\nSUCCESS\n{TASK}"
    return lambda: int(backend.client.hget(backend.keys.counts, ended) or 0)


def drain(installation: Installation, redis: Redis, layout: str, jobs: int) -> Drained:
    redis.flushall()
    ended = fill(installation, layout, jobs)
    server = psutil.Process(redis.info("server")["process_id"])
    with workers(installation, layout) as processes:
        wait_until(lambda: ended() >= jobs // 5, timeout=300, what=f"a fifth of {layout}")
        redis.config_resetstat()
        first, began, used, served = ended(), time.perf_counter(), cpu(processes), cpu([server])
        wait_until(lambda: ended() >= jobs - 10, timeout=600, what=f"the end of {layout}")
        took, count = time.perf_counter() - began, ended() - first
        commands = {name: each["calls"] for name, each in redis.info("commandstats").items()}
        used, served = cpu(processes) - used, cpu([server]) - served
    mine = commands.pop("cmdstat_hget", 0) if LAYOUTS[layout][0] == OURS else commands.pop("cmdstat_dbsize", 0)
    del mine  # this process's own question, again and again
    return Drained(count / took, used / count * 1e6, served / count * 1e6, sum(commands.values()) / count)


def main(jobs: int, rounds: int, layouts: list[str]) -> None:
    measured: dict[str, list[Drained]] = {layout: [] for layout in layouts}
    limits = {"QUEUE_LIMIT": "0", "OWNER_LIMIT": "0"}
    with (
        TemporaryDirectory() as folder,
        an_installation(Path(folder), **limits) as installation,
        Redis.from_url(installation.redis.url) as redis,
    ):
        redis.config_set("appendfsync", "everysec")
        for number in range(rounds):
            for layout in layouts:
                measured[layout].append(drain(installation, redis, layout, jobs))
                print(f"round {number + 1}: {layout}: {measured[layout][-1]}", file=sys.stderr)
    print(f"{'':<14}{'jobs/s':>8}{'ratio':>7}{'worker µs':>11}{'ratio':>7}{'Redis µs':>10}{'commands':>10}")
    medians = {
        layout: Drained(
            *(statistics.median(getattr(each, name) for each in all_) for name in Drained.__dataclass_fields__)
        )
        for layout, all_ in measured.items()
    }
    base = medians.get("stock") or next(iter(medians.values()))
    for layout, median in medians.items():
        print(
            f"{layout:<14}{median.rate:>8,.0f}{median.rate / base.rate:>7.2f}{median.workers:>11,.0f}"
            f"{base.workers / median.workers:>7.2f}{median.redis:>10,.0f}{median.commands:>10.1f}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.draining")
    parser.add_argument("--jobs", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--layouts", type=lambda text: text.split(","), default=list(LAYOUTS))
    main(**vars(parser.parse_args()))
