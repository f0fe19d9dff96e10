"""Whether a run that was repeated had a reason: its worker or its Redis was attacked meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.evidence import Evidence
from tests.chaos.journal import Entry
from tests.chaos.plan import Target


def runs_without_cause(evidence: Evidence) -> Iterator[str]:
    """Jobs that started again while an earlier run of the same attempt went on in a process that nobody had touched.

    An attack on the run's own process or its parent counts as a reason, and so does one on Redis, since no lease can
    be renewed without it.
    """
    for task_id, starts in evidence.starts.items():
        ends = {entry.run: entry.at for entry in evidence.ends.get(task_id, ())}
        ordered = sorted(starts, key=lambda entry: entry.at)
        for first, second in pairwise(ordered):
            overlaps = first.attempt == second.attempt and ends.get(first.run, 0.0) > second.at
            if overlaps and not _attacked(evidence, first, second.at):
                yield f"{task_id}: again {second.at - first.at:.1f} s after its start"


def _attacked(evidence: Evidence, run: Entry, until: float) -> bool:
    for strike in evidence.strikes:
        meant = strike.attack.target is Target.REDIS or not strike.pids.isdisjoint({run.pid, run.parent})
        if meant and strike.began < until and strike.ended > run.at - 1:
            return True
    # A Redis that is being started again is as absent as a stopped one.
    return any(down < until and up > run.at - 1 for down, up in evidence.outages[Target.REDIS])
