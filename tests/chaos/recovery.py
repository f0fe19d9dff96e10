"""How long a job waits after its worker was killed.

A *recovery* is the time from a SIGKILL or SIGTERM of a process that was running a job (it has a start in the journal,
and neither an end nor an exception) to the job's next sign of life: an entry in the journal, or its final state in
Redis. A job that runs on to its end in a warm shutdown has recovered by that.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tests.chaos.evidence import Evidence
from tests.chaos.plan import Target

_WORKERS = (Target.PREFORK, Target.THREADS)


@dataclass(frozen=True, slots=True)
class Recovery:
    """Of one job from one kill; ``served`` leaves out the time when Redis was away or no worker was there."""

    task_id: str
    began: float  # Unix seconds
    ended: float
    served: float

    @property
    def seconds(self) -> float:
        """From the kill to the sign of life."""
        return self.ended - self.began


def recoveries(evidence: Evidence) -> list[Recovery]:
    """Of every job that a killed process was running."""
    absences = list(_absences(evidence))
    found = []
    for strike in evidence.strikes:
        if strike.attack.target not in _WORKERS or strike.attack.signal is signal.SIGSTOP:
            continue
        for task_id, starts in evidence.starts.items():
            left = [*evidence.ends.get(task_id, ()), *evidence.raises.get(task_id, ())]
            ends = {entry.run: entry.at for entry in left}
            finished = _finished_at(evidence, task_id)
            running = any(
                not strike.pids.isdisjoint({entry.pid, entry.parent})
                and entry.at < strike.began < ends.get(entry.run, finished)
                for entry in starts
            )
            signs = [*(entry.at for entry in starts), *ends.values(), finished]
            later = [at for at in signs if at > strike.began]
            if running and later:
                found.append(_recovery(task_id, strike.began, min(later), absences))
    return found


def _finished_at(evidence: Evidence, task_id: str) -> float:
    done = (evidence.records.get(task_id) or {}).get("date_done")
    return datetime.fromisoformat(done).timestamp() if done else float("inf")


def _recovery(task_id: str, began: float, ended: float, absences: list[tuple[float, float]]) -> Recovery:
    away, covered = 0.0, began
    for start, end in sorted(absences):
        from_here, to_here = max(start, covered), min(end, ended)
        if to_here > from_here:
            away, covered = away + to_here - from_here, to_here
    return Recovery(task_id, began, ended, ended - began - away)


def _absences(evidence: Evidence) -> Iterator[tuple[float, float]]:
    """When Redis was stopped, frozen or starting; and when all workers were."""
    away = {target: list(evidence.outages[target]) for target in (Target.REDIS, *_WORKERS)}
    for strike in evidence.strikes:
        if strike.attack.target in away and strike.attack.signal is signal.SIGSTOP:
            away[strike.attack.target].append((strike.began, strike.ended))
    yield from away[Target.REDIS]
    for first in away[Target.PREFORK]:
        for second in away[Target.THREADS]:
            both = max(first[0], second[0]), min(first[1], second[1])
            if both[0] < both[1]:
                yield both
