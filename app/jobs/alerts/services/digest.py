"""What there is to say of a time: the failed jobs and what jobs have found, counted, with examples."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.jobs.alerts.models import AlertFinding
from app.jobs.alerts.services.chain import OpenDigest
from app.jobs.alerts.services.findings import FindingKind
from app.jobs.alerts.services.lines import one_line

#: Failed jobs that are told one by one, the newest; as many tasks, and jobs of each kind of finding.
SHOWN = 20


@dataclass(frozen=True, slots=True)
class FailedJobLine:
    """A failed job."""

    task_id: str
    task: str
    owner: str
    failed_at: datetime
    error: str


@dataclass(frozen=True, slots=True)
class FailedJobsPart:
    """The failed jobs: how many of each task, the newest one by one. Not ``complete``: there were more."""

    by_task: Mapping[str, int]
    newest: tuple[FailedJobLine, ...]
    complete: bool = True

    @property
    def total(self) -> int:
        """How many failed jobs there are."""
        return sum(self.by_task.values())

    @property
    def most_failed(self) -> dict[str, int]:
        """How many of each task that is told by its name: who sends messages makes up as many as they like."""
        return dict(Counter(self.by_task).most_common(SHOWN))


class DigestSource(Protocol):
    """Where failed jobs are known."""

    def now(self) -> int:
        """The time that they are listed by (ms)."""

    def between(self, since: int, until: int, *, newest: int) -> FailedJobsPart:
        """Those of a time (ms)."""


@dataclass(frozen=True, slots=True)
class FindingLine:
    """What one job has found."""

    task_id: str
    task: str
    owner: str
    found_at: datetime
    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FindingsPart:
    """What was found of one kind: how many things by how many jobs, the newest of those one by one."""

    kind: FindingKind
    total: int
    jobs: int
    newest: tuple[FindingLine, ...]


@dataclass(frozen=True, slots=True)
class Digest:
    """What is reported. Every text in it is one line. ``since`` is None for the first of all."""

    since: datetime | None
    until: datetime
    failed: FailedJobsPart
    findings: tuple[FindingsPart, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many there are of each kind of thing, by its name in the singular, those of which there are any."""
        every = {"failed job": self.failed.total} | {part.kind.value: part.total for part in self.findings}
        return {name: count for name, count in every.items() if count}


def read_digest(session: Session, source: DigestSource, digest: OpenDigest) -> Digest:
    """The same however often it is read, but for what has expired meanwhile."""
    since = _time(digest.since) if digest.since else None
    failed = _cleaned(source.between(digest.since, digest.until, newest=SHOWN))
    findings = tuple(part for kind in FindingKind if (part := _findings(session, digest, kind)).total)
    return Digest(since, _time(digest.until), failed, findings)


def _cleaned(part: FailedJobsPart) -> FailedJobsPart:
    newest = tuple(
        FailedJobLine(
            task_id=one_line(job.task_id),
            task=one_line(job.task),
            owner=one_line(job.owner),
            failed_at=job.failed_at,
            error=one_line(job.error),
        )
        for job in part.newest
    )
    by_task = Counter[str]()
    for task, count in part.by_task.items():
        by_task[one_line(task)] += count  # names that differ in what is not shown are one
    return FailedJobsPart(by_task, newest, part.complete)


def _findings(session: Session, digest: OpenDigest, kind: FindingKind) -> FindingsPart:
    chosen = (AlertFinding.digest == digest.since, AlertFinding.kind == kind.value)
    jobs, total = session.execute(
        select(func.count(), func.coalesce(func.sum(AlertFinding.count), 0)).where(*chosen)
    ).one()
    newest = session.scalars(
        select(AlertFinding).where(*chosen).order_by(AlertFinding.found_at.desc(), AlertFinding.task_id).limit(SHOWN)
    )
    lines = tuple(
        FindingLine(
            task_id=one_line(found.task_id),
            task=one_line(found.task),
            owner=one_line(found.owner),
            found_at=_time(found.found_at),
            count=found.count,
            examples=tuple(json.loads(found.examples)),
        )
        for found in newest
    )
    return FindingsPart(kind, int(total), jobs, lines)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)
