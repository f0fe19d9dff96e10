"""The jobs of a batch as they end, whichever ends first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from . import requests
from .flow import Emit, Flow, Pause
from .model import BatchOutcome, Completed, JobState
from .reading import job_of, problem_of, read_object
from .sending import Terms
from .waiting import Patience, patient_send

#: Seconds between two polls: what ends meanwhile is told together.
_TOGETHER = 0.1

#: Seconds for which jobs are watched when there are more than one poll may ask for, before others are.
_TURN = 2.0

_NOT_MODIFIED = 304


def completed(terms: Terms, outcomes: Iterable[BatchOutcome], *, timeout: float | None) -> Flow[None]:
    """Emits a :class:`Completed` for each: at once for what was refused. Raises: as ``ended_job``."""
    patience = Patience(timeout)
    places: dict[str, list[int]] = {}
    for outcome in outcomes:
        if outcome.task_id is None or outcome.problem is not None:
            yield Emit(Completed(outcome.index, None, outcome.problem))
        else:
            places.setdefault(outcome.task_id, []).append(outcome.index)
    waiting = list(places)
    asked: list[str] = []
    etag: str | None = None
    while waiting:
        some, rest = waiting[: requests.MOST_POLLED], waiting[requests.MOST_POLLED :]
        # Held until something is another: so jobs are first looked at, which may have ended since the last look.
        if some != asked:
            etag = None
        wait = patience.left(_TURN if rest else requests.LONGEST_WAIT) if etag else 0.0
        answer = yield from patient_send(
            terms, requests.poll_many(some, wait=wait, etag=etag), patience, "A job of the batch", None
        )
        ended: set[str] = set()
        if answer.reply.status != _NOT_MODIFIED:
            asked, etag = some, answer.reply.headers.get("etag")
            for entry in read_object(answer.reply)["results"]:
                if (found := _end(entry)) is not None:
                    ended.add(entry["task_id"])
                    for index in places[entry["task_id"]]:
                        yield Emit(_at(index, found))
        left = [task_id for task_id in some if task_id not in ended]
        # Who has shown nothing new makes room for the others.
        waiting = [*left, *rest] if ended else [*rest, *left]
        if waiting and patience.is_over:
            raise patience.over("A job of the batch")
        if waiting and not ended:
            yield Pause(patience.left(_TOGETHER))


def _end(entry: Mapping[str, Any]) -> Completed | None:
    """None while it has not ended."""
    if "state" not in entry:
        return Completed(0, None, problem_of(entry))
    return Completed(0, job_of(entry)) if JobState(entry["state"]).ready else None


def _at(index: int, found: Completed) -> Completed:
    return Completed(index, found.job, found.problem)
