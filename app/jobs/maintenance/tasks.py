"""The maintenance jobs: shells that find what a service needs, call it and answer."""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from flask import current_app, g

from app.extensions import db
from app.jobs.alerts.findings import tell_in_digest
from app.jobs.alerts.services import FindingKind
from app.jobs.maintenance.models import Part
from app.jobs.maintenance.schemas import AddsParams, MatchParams, RefreshParams
from app.jobs.maintenance.services.onboarding import refresh_parts
from app.jobs.maintenance.services.self_match import match_parts
from libs.flask_celery import current_job, job


@job("maintenance.adds", params=AddsParams, example={"a": 1, "b": 2}, time_limit=10)
def adds(a: int, b: int) -> int:
    """Add two whole numbers: the smallest job, for trying things."""
    return a + b


@job(
    "maintenance.refresh_onboard_table",
    params=RefreshParams,
    unique="owner",
    soft_time_limit=3300,
    time_limit=3600,
)
def refresh_onboard_table(file_id: str, add_time: datetime | None = None) -> dict[str, Any]:
    """Bring an uploaded catalogue of parts into the onboard table.

    The file is a CSV or XLSX with the columns code and name, and if wanted description, manufacturer, price and
    add_time. Answers how many rows were inserted, updated, unchanged, older than add_time and rejected, the first
    100 rejected rows with line number and reason, and all of them in the file rejected.csv. One transaction: a
    job that fails changes nothing.
    """
    files = current_app.extensions["job_files"]
    with files.workspace() as folder, files.input_path(file_id, owner=g.principal) as catalogue:
        rejected = folder / "rejected.csv"
        report = refresh_parts(
            db.session(),
            Part.__table__,  # type: ignore[arg-type]
            catalogue,
            newer_than=add_time,
            rejected_path=rejected,
            timezone=current_app.config["TIMEZONE"],
            now=datetime.now(UTC),
            on_progress=current_job.progress,
        )
        if report.rejected:
            current_job.attach(rejected, name=rejected.name, content_type="text/csv")
    rows = [f"line {row.line}, {row.code}: {row.reason}" for row in report.rejected_rows[:5]]
    tell_in_digest(FindingKind.REJECTED_ROWS, report.rejected, rows, task="maintenance.refresh_onboard_table")
    return asdict(report)


@job(
    "maintenance.match_self_table",
    params=MatchParams,
    example={"month": None},
    soft_time_limit=3300,
    time_limit=3600,
)
def match_self_table(month: str | None = None) -> dict[str, Any]:
    """Find the pairs of parts that look like the same part.

    Matches the onboard table against itself: the parts added in the month, or all. Answers how many pairs there
    are and the best 100, each with its score (0 to 1) and reason, and all of them, best first, in the file
    pairs.csv.
    """
    files = current_app.extensions["job_files"]
    with files.workspace() as folder:
        pairs = folder / "pairs.csv"
        report = match_parts(
            db.session(),
            Part.__table__,  # type: ignore[arg-type]
            month=month,
            timezone=current_app.config["TIMEZONE"],
            pairs_path=pairs,
            on_progress=current_job.progress,
        )
        current_job.attach(pairs, name=pairs.name, content_type="text/csv")
    best = [f"{match.code_a} and {match.code_b} ({match.score:.2f}): {match.reason}" for match in report.best[:5]]
    tell_in_digest(FindingKind.DUPLICATES, report.pairs, best, task="maintenance.match_self_table")
    return asdict(report)
