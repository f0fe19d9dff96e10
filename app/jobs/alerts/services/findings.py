"""What jobs have found that somebody should look at."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.jobs.alerts.models import AlertFinding
from app.jobs.alerts.services.lines import one_line

#: For how long findings are kept, told or not, in ms: 30 days.
KEPT = 30 * 24 * 3_600_000

_EXAMPLES = 5


class FindingKind(StrEnum):
    """What was found, in the singular. A digest has a part for each."""

    REJECTED_ROWS = "rejected row"
    DUPLICATES = "duplicate"


@dataclass(frozen=True, slots=True)
class Finding:
    """``count`` things that a job of ``owner`` has found, and the first of them, each told in a line."""

    kind: FindingKind
    count: int
    examples: Sequence[str]
    task_id: str
    task: str
    owner: str


def keep_finding(session: Session, finding: Finding, now: int) -> None:
    """Write it for the next digest, uncommitted. The same job's finding once more replaces it, and is told once.

    Raises: ValueError for a database other than PostgreSQL or SQLite.
    """
    dialect = session.get_bind().dialect.name
    if dialect not in ("postgresql", "sqlite"):
        raise ValueError(f"findings can be kept in PostgreSQL or SQLite, not {dialect}")
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(AlertFinding)
    values = {
        "task_id": finding.task_id,
        "kind": finding.kind.value,
        "task": finding.task,
        "owner": finding.owner,
        "count": finding.count,
        "examples": json.dumps([one_line(example) for example in finding.examples[:_EXAMPLES]]),
        "found_at": now,
    }
    # Two runs of one job may be at this at once, and neither is to fail for it.
    changed = {name: insert.excluded[name] for name in ("count", "examples")}
    session.execute(insert.values(values).on_conflict_do_update(index_elements=["task_id", "kind"], set_=changed))


def forget_old_findings(session: Session, now: int) -> None:
    """Uncommitted. They are as old as that where nobody is to be mailed."""
    session.execute(delete(AlertFinding).where(AlertFinding.found_at < now - KEPT))
