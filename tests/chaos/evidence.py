"""What is known when a run is over, gathered from sources that do not know of one another."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

from tests.chaos import effects, journal
from tests.chaos.append_only_file import FINAL, WrittenEnds, written_ends
from tests.chaos.attacked_installation import PRINCIPAL, AttackedInstallation
from tests.chaos.attackers import Strike
from tests.chaos.clients import Submission
from tests.chaos.plan import Target

_AT_ONCE = 1_000
_LEDGER = "taskgate-job-"


@dataclass(frozen=True, slots=True)
class Evidence:
    submissions: list[Submission]
    strikes: list[Strike]
    outages: Mapping[Target, list[tuple[float, float]]]  # of each service, Unix seconds
    unprovoked_exits: Mapping[Target, list[tuple[int, float]]]
    starts: Mapping[str, list[journal.Entry]]  # by task id
    ends: Mapping[str, list[journal.Entry]]
    raises: Mapping[str, list[journal.Entry]]
    effects: Mapping[str, list[str]]  # the runs that left a row, by task id
    written: WrittenEnds  # from the append-only file
    records: Mapping[str, Mapping[str, Any]]  # from Redis, of every job that a client holds or that has started
    answers: Mapping[str, int]  # what GET results/{id} says to a client in the end: 200 for a final job, else why not
    unheld: Mapping[str, str]  # states of jobs of the clients' principal that no client holds
    unfinished: list[str]  # every job of whomever, beat's too, that is not final


def wait_for_the_end(installation: AttackedInstallation, submissions: Iterable[Submission], stalled: float) -> float:
    """Until every accepted job is final, or none has ended for ``stalled`` seconds. Returns: seconds waited."""
    began = moved = time.monotonic()
    open_ids = {submission.task_id for submission in submissions if submission.task_id}
    while open_ids and time.monotonic() - moved < stalled:
        records = _records(installation, sorted(open_ids))
        ended = {task_id for task_id, record in records.items() if record["status"] in FINAL}
        if ended:
            open_ids -= ended
            moved = time.monotonic()
        time.sleep(0.3)
    return time.monotonic() - began


def gather(installation: AttackedInstallation, submissions: list[Submission], strikes: list[Strike]) -> Evidence:
    """Read everything, the services being up."""
    held = sorted({submission.task_id for submission in submissions if submission.task_id})
    journaled: dict[str, dict[str, list[journal.Entry]]] = {
        name: defaultdict(list) for name in ("start", "end", "raise")
    }
    for entry in journal.read(installation.journal):
        journaled[entry.event][entry.task_id].append(entry)
    runs = defaultdict(list)
    for task_id, run in effects.applied_effects(installation.database_url):
        runs[task_id].append(run)
    unheld, unfinished = _ledger(installation, set(held))
    return Evidence(
        submissions=submissions,
        strikes=strikes,
        outages={target: service.outages for target, service in installation.services.items()},
        unprovoked_exits={target: service.unprovoked for target, service in installation.services.items()},
        starts=dict(journaled["start"]),
        ends=dict(journaled["end"]),
        raises=dict(journaled["raise"]),
        effects=dict(runs),
        written=written_ends(installation.redis_folder),
        records=_records(installation, sorted({*held, *journaled["start"]})),
        answers=_final_answers(installation, held),
        unheld=unheld,
        unfinished=unfinished,
    )


def _records(installation: AttackedInstallation, task_ids: list[str]) -> dict[str, dict[str, Any]]:
    found = {}
    with installation.results() as client:
        for start in range(0, len(task_ids), _AT_ONCE):
            some = task_ids[start : start + _AT_ONCE]
            for task_id, record in zip(some, client.mget([f"celery-task-meta-{t}" for t in some]), strict=True):
                if record is not None:
                    found[task_id] = json.loads(record)
    return found


def _ledger(installation: AttackedInstallation, held: set[str]) -> tuple[dict[str, str], list[str]]:
    unheld, unfinished = {}, []
    with installation.results() as client:
        keys = [key.decode() for key in client.scan_iter(f"{_LEDGER}*", count=_AT_ONCE)]
        for start in range(0, len(keys), _AT_ONCE):
            with client.pipeline(transaction=False) as pipe:
                for key in keys[start : start + _AT_ONCE]:
                    pipe.hmget(key, "state", "owner")
                for key, (state, owner) in zip(keys[start : start + _AT_ONCE], pipe.execute(), strict=True):
                    task_id = key.removeprefix(_LEDGER)
                    if owner == PRINCIPAL.encode() and task_id not in held:
                        unheld[task_id] = (state or b"").decode()
                    if (state or b"").decode() not in FINAL:
                        unfinished.append(task_id)
    return unheld, unfinished


def _final_answers(installation: AttackedInstallation, task_ids: list[str]) -> dict[str, int]:
    def ask(client: httpx.Client, task_id: str) -> int:
        for _ in range(10):
            answer = client.get(f"{installation.base_url}/api/1.0/results/{task_id}")
            if answer.status_code != 503:
                return 202 if answer.status_code == 200 and not answer.json()["ready"] else answer.status_code
            time.sleep(0.3)
        return answer.status_code

    with httpx.Client(headers=installation.headers, timeout=30) as client, ThreadPoolExecutor(6) as executor:
        return dict(zip(task_ids, executor.map(lambda task_id: ask(client, task_id), task_ids), strict=True))
