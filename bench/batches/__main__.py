"""What a job of a batch costs to submit, beside one that is submitted alone, and what a batch costs the API process.

``python -m bench.batches [--jobs 10000] [--rounds 3]`` starts a Redis and a gunicorn of its own, with one process.
Each round submits in all ways; what is printed are medians: jobs a second, and the CPU time of the serving process
for each, which says the same on a busy machine. Redis syncs once a second. The peer is the pattern of Flask's
documentation, ``delay()`` of a stock Celery app behind gunicorn's threads (``bench/peers/flask_docs``).
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil
from redis import Redis

from bench.rates.peers import environment_of
from tests.conftest import ROOT, wait_until
from tests.installation import API, ApiServer, Installation, an_installation

SINGLES = 400
SUBMIT = f"{API}/tasks/maintenance.adds/jobs"


def single(url: str, path: str, headers: dict[str, str], count: int, *, form: bool = False) -> float:
    """Jobs a second, one request each, from four clients that keep their connections."""
    kind = "data" if form else "json"

    def submit() -> None:
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            for number in range(count // 4):
                client.post(path, **{kind: {"a": number, "b": 1}}).raise_for_status()

    threads = [threading.Thread(target=submit) for _ in range(4)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return count / (time.perf_counter() - started)


def batch(url: str, headers: dict[str, str], count: int, *, lines: bool) -> float:
    """Jobs a second, in one request."""
    jobs = [json.dumps({"task": "maintenance.adds", "params": {"a": number, "b": 1}}) for number in range(count)]
    body = "\n".join(jobs) if lines else f"[{','.join(jobs)}]"
    kind = {"Content-Type": "application/x-ndjson" if lines else "application/json"}
    started = time.perf_counter()
    answer = httpx.post(f"{url}{API}/batches", content=body.encode(), headers={**headers, **kind}, timeout=300)
    took = time.perf_counter() - started
    assert answer.status_code == 202, answer.text[:500]
    assert answer.json()["accepted"] == count
    return count / took


class Watched:
    """The API's process while something goes on: its memory, and how long others wait."""

    def __init__(self, server: ApiServer) -> None:
        [self.process] = psutil.Process(server.process.pid).children()
        self.before = self.most = self.process.memory_info().rss
        self.longest = 0.0
        self._url = f"{server.url}/healthz"
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._weigh), threading.Thread(target=self._ask)]

    def _weigh(self) -> None:
        while not self._over.wait(0.01):
            self.most = max(self.most, self.process.memory_info().rss)

    def _ask(self) -> None:
        with httpx.Client(timeout=60) as client:
            while not self._over.wait(0.02):
                started = time.perf_counter()
                client.get(self._url)
                self.longest = max(self.longest, time.perf_counter() - started)

    def __enter__(self) -> Watched:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()


@dataclass
class Peer:
    url: str
    pid: int


def cpu(pid: int) -> float:
    """Seconds that gunicorn's one serving process has used."""
    [process] = psutil.Process(pid).children()
    return process.cpu_times().user + process.cpu_times().system


@contextmanager
def the_docs_pattern(installation: Installation) -> Iterator[Peer]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        *(str(environment_of("flask_docs") / "gunicorn"), "app:flask_app"),
        *("--bind", f"127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "4"),
    ]
    environment = {**os.environ, "REDIS_SOCKET": str(installation.redis.folder / "redis.sock")}
    folder = ROOT / "bench" / "peers" / "flask_docs"
    process = subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: answers(port), what="the peer")
        yield Peer(f"http://127.0.0.1:{port}", process.pid)
    finally:
        process.terminate()
        process.wait(20)


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/nothing").status_code == 404
    except httpx.TransportError:
        return False


def main(jobs: int, rounds: int) -> None:
    measured: dict[str, list[tuple[float, float]]] = {}
    limits = {"QUEUE_LIMIT": "0", "OWNER_LIMIT": "0"}
    patient = {"CELERY_REDIS_SOCKET_TIMEOUT": "10", "CELERY_BROKER_TRANSPORT_OPTIONS": '{"socket_timeout": 10}'}
    with (
        TemporaryDirectory() as folder,
        an_installation(Path(folder), **limits, **patient) as installation,
        Redis.from_url(installation.redis.url) as redis,
        the_docs_pattern(installation) as peer,
    ):
        redis.config_set("appendfsync", "everysec")
        server, ann = installation.start_api(), installation.headers("ann")
        api = server.process.pid
        for _ in range(rounds):
            ways: dict[str, tuple[int, int, Callable[[], float]]] = {
                "docs' pattern, alone": (peer.pid, SINGLES, lambda: single(peer.url, "/add", {}, SINGLES, form=True)),
                "this, alone": (api, SINGLES, lambda: single(server.url, SUBMIT, ann, SINGLES)),
                "this, a batch as JSON": (
                    server.process.pid,
                    jobs,
                    lambda: batch(server.url, ann, jobs, lines=False),
                ),
                "this, a batch as NDJSON": (
                    server.process.pid,
                    jobs,
                    lambda: batch(server.url, ann, jobs, lines=True),
                ),
            }
            for name, (pid, count, way) in ways.items():
                before = cpu(pid)
                rate = way()
                measured.setdefault(name, []).append((rate, (cpu(pid) - before) / count * 1e6))
        with Watched(server) as watched:
            batch(server.url, ann, jobs, lines=False)
    medians = {
        name: [statistics.median(column) for column in zip(*values, strict=True)] for name, values in measured.items()
    }
    base_rate, base_cpu = medians["docs' pattern, alone"]
    print(f"{'':<26}{'jobs/s':>9}{'ratio':>8}{'CPU µs/job':>12}{'ratio':>8}")
    for name, (rate, each) in medians.items():
        print(f"{name:<26}{rate:>9,.0f}{rate / base_rate:>8.1f}{each:>12,.0f}{base_cpu / each:>8.1f}")
    grown = f"{watched.before / 2**20:.0f} MiB before, {watched.most / 2**20:.0f} MiB at the most"
    print(f"its memory in a batch of {jobs:,}: {grown}; others waited {watched.longest * 1000:.0f} ms at the most")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.batches")
    parser.add_argument("--jobs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    main(**vars(parser.parse_args()))
