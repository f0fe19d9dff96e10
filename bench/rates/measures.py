"""What is measured of a system in one round. Each function returns figures by name.

Rates are operations a second. ``…_cpu`` is the processor time of the serving processes for each operation, in µs, and
``…_redis_cpu`` that of its Redis; both say the same on a busy machine.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.rates.http import request
from bench.rates.load import Load, put_load, send_each
from bench.rates.system import System, cpu_seconds, resident

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Extent:
    """How much is done in one round."""

    seconds: float = 3.0  # of load
    ids: int = 500  # jobs that are polled
    drain_seconds: float = 4.0
    drain_jobs: tuple[int, int] = (1_500, 10_000)  # at least, at most
    round_trips: int = 150
    batch: int = 10_000


#: To see that all works.
QUICK = Extent(seconds=1, ids=200, drain_jobs=(500, 2_000), round_trips=50, batch=1_000)


@dataclass
class State:
    """What one round of a system leaves to the next, and one measure to another."""

    final: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)  # final, and not polled since
    drained: float = 0.0  # jobs a second, the last time
    grown: int = 0  # bytes of the API
    submitted: int = 0  # meanwhile
    rounds: int = 0


class Spent:
    """The processor time of the API and of its Redis, of workers, while the context lasts."""

    def __init__(self, system: System, *, workers: bool = False) -> None:
        serving = system.worker_processes if workers else [system.api_process]
        self._serving = [process for process in serving if process is not None]
        self._redis = [system.redis_process] if system.redis_process is not None else []

    def __enter__(self) -> Spent:
        self._before = cpu_seconds(self._serving), cpu_seconds(self._redis)
        return self

    def __exit__(self, *_: object) -> None:
        self.serving = cpu_seconds(self._serving) - self._before[0]
        self.redis = cpu_seconds(self._redis) - self._before[1]

    def each(self, name: str, count: int) -> Figures:
        return {f"{name}_cpu": self.serving / count * 1e6, f"{name}_redis_cpu": self.redis / count * 1e6}


def _loaded(name: str, system: System, requests: Sequence[bytes], extent: Extent) -> tuple[Figures, Load]:
    with system.connect() as connection:
        for raw in requests[:20]:  # the first ones load what is loaded late
            connection.ask(raw)
    with Spent(system) as spent:
        load = put_load(system.port, requests, extent.seconds)
    return {name: load.rate, **spent.each(name, load.requests), **_errors(name, load)}, load


def _errors(name: str, load: Load) -> Figures:
    """Only where there were any: a share of the requests."""
    return {f"{name}_errors": load.errors / load.requests} if load.errors else {}


def submit(system: System, state: State, extent: Extent) -> Figures:
    """One job a request, eight connections, no worker running."""
    assert system.api_process is not None
    before = resident(system.api_process)
    figures, load = _loaded("submit", system, [system.protocol.submission()], extent)
    if state.rounds:  # the first one loads and fills what is kept
        state.grown += resident(system.api_process) - before
        state.submitted += load.requests
        figures["memory_100k"] = state.grown / state.submitted * 1e5 / 2**20
    return figures


def batch(system: System, state: State, extent: Extent) -> Figures:
    """Jobs a second in one request of many, and the processor time of each job."""
    if system.protocol.batch is None:
        return {}
    one = f'{{"task": "maintenance.adds", "params": {system.protocol.body}}}'
    headers = {"Content-Type": "application/json", **system.protocol.headers}
    raw = request("POST", system.protocol.batch, headers, f"[{','.join([one] * extent.batch)}]")
    with Spent(system) as spent, system.connect() as connection:
        started = time.perf_counter()
        answer = connection.ask(raw)
        took = time.perf_counter() - started
    assert answer.status == 202, answer.body[:300]
    assert json.loads(answer.body)["accepted"] == extent.batch
    return {"batch": extent.batch / took, **spent.each("batch", extent.batch)}


def poll_pending(system: System, state: State, extent: Extent) -> Figures:
    """Of some hundred jobs that wait in turn."""
    ids = submitted(system, extent.ids)
    return _loaded("poll_pending", system, [system.protocol.reading(each) for each in ids], extent)[0]


def work(system: System, state: State, extent: Extent) -> Figures:
    """The workers, and a job's whole way.

    ``drain``: jobs a second of a full queue, from when a tenth of them has ended, so that starting counts in no way.
    ``end_to_end``: ms from a submission to its end's being seen, one at a time, by the best that the system offers;
    ``end_to_end_polled``: by asking each ms.
    """
    if not system.workers:
        state.final = submitted(system, 1)
        return {}
    system.forget_jobs()
    least, most = extent.drain_jobs
    count = min(most, max(least, int(state.drained * extent.drain_seconds)))
    ids = submitted(system, count)
    system.start_workers()
    try:
        with system.connect() as connection:
            system.wait_final(connection, ids[count // 10])
            with Spent(system, workers=True) as spent:
                started = time.perf_counter()
                for last in ids[-8:]:
                    system.wait_final(connection, last)
                took = time.perf_counter() - started
        jobs = count - count // 10
        state.drained, state.final, state.unread = jobs / took, ids[: extent.ids], ids[extent.ids :]
        figures = {"drain": state.drained, **spent.each("drain", jobs)}
        for name, way in _ways(system).items():
            figures |= _end_to_end(name, system, way, extent)
    finally:
        system.stop_workers()
    return figures


def _ways(system: System) -> dict[str, Callable[[], None]]:
    protocol, connection = system.protocol, system.connect()

    def polled() -> None:
        task_id = protocol.id_in(connection.ask(protocol.submission()).body)
        system.wait_final(connection, task_id, pause=0.001)

    def held() -> None:
        task_id = protocol.id_in(connection.ask(protocol.submission()).body)
        assert protocol.is_final(connection.ask(protocol.reading(task_id, held=True)).body)

    def waited() -> None:
        answer = connection.ask(protocol.submission(**protocol.wait or {}))
        assert protocol.is_final(answer.body), answer.body[:300]

    ways: dict[str, Callable[[], None]] = {"end_to_end_polled": polled}
    if protocol.held_poll is not None:
        ways["held_poll"] = held
    ways["end_to_end"] = polled if protocol.wait is None else waited
    return ways


def _end_to_end(name: str, system: System, way: Callable[[], None], extent: Extent) -> Figures:
    for _ in range(10):
        way()
    times = []
    with Spent(system) as spent:
        for _ in range(extent.round_trips):
            started = time.perf_counter()
            way()
            times.append((time.perf_counter() - started) * 1000)
    times.sort()
    at = {f"{name}_p{share}": times[min(len(times) - 1, len(times) * share // 100)] for share in (50, 95, 99)}
    return {**at, **spent.each(name, extent.round_trips)}


def poll_final(system: System, state: State, extent: Extent) -> Figures:
    """Of some hundred jobs that have ended, in turn, again and again."""
    return _loaded("poll_final", system, [system.protocol.reading(each) for each in state.final], extent)[0]


def poll_once(system: System, state: State, extent: Extent) -> Figures:
    """Of jobs that have ended and that nobody has polled before: each once."""
    requests = [system.protocol.reading(each) for each in state.unread]
    state.unread = []
    if len(requests) < 100:
        return {}
    with Spent(system) as spent:
        load = send_each(system.port, requests)
    return {"poll_once": load.rate, **spent.each("poll_once", load.requests), **_errors("poll_once", load)}


def not_modified(system: System, state: State, extent: Extent) -> Figures:
    """Polls that are answered 304, since the client has the answer."""
    with system.connect() as connection:
        requests = []
        for task_id in state.final:
            tag = connection.ask(system.protocol.reading(task_id)).header(b"etag")
            if tag is None:
                return {}
            requests.append(system.protocol.reading(task_id, **{"If-None-Match": tag.decode()}))
        assert connection.ask(requests[0]).status == 304
    return _loaded("not_modified", system, requests, extent)[0]


def submitted(system: System, count: int) -> list[str]:
    """Task ids, in the order in which the jobs were accepted, but for those under way at the same time."""
    load = send_each(system.port, [system.protocol.submission()] * count)
    return [system.protocol.id_in(body) for body in load.bodies]


#: In the order in which they can be taken: some need what others leave.
MEASURES: dict[str, Callable[[System, State, Extent], Figures]] = {
    "submit": submit,
    "batch": batch,
    "poll_pending": poll_pending,
    "work": work,
    "poll_final": poll_final,
    "poll_once": poll_once,
    "not_modified": not_modified,
}

#: What each has to have been taken before in the same round.
NEEDS = {"poll_final": "work", "poll_once": "work", "not_modified": "work"}
