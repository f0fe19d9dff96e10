"""Writing a batch's results to one file."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class CollectedJob:
    """What came of one job."""

    task_id: str
    state: str | None  # None when its result has expired
    result: Any
    error: str | None


def write_results(
    jobs: Iterable[CollectedJob], path: Path, *, total: int, on_progress: Callable[[int, int], None]
) -> dict[str, int]:
    """Write a line of JSON for each job. Returns: how many ended how, ``EXPIRED`` among it."""
    counts: Counter[str] = Counter()
    with path.open("w", encoding="utf-8") as file:
        for number, job in enumerate(jobs, start=1):
            state = job.state or "EXPIRED"
            counts[state] += 1
            line = {"task_id": job.task_id, "state": state, "result": job.result, "error": job.error}
            file.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
            on_progress(number, total)
    return dict(sorted(counts.items()))
