"""A window of samples reduced to figures, as data and as a CSV file."""

import csv
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from app.jobs.monitoring.services.reducing import (
    Figures,
    Reading,
    Series,
    in_rfc_3339,
    rates,
    reduce_readings,
    thin_out,
)

_LEVELS = ("cpu_percent", "memory_percent", "disk_percent", "load_1")
_COUNTERS = ("sent_bytes", "received_bytes")
_COLUMNS = ("kind", "name", "metric", "samples", "failed", "availability", "min", "median", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Summary:
    """What the readings of one metric of one target or host come to."""

    kind: str  # target or host
    name: str
    metric: str
    figures: Figures
    series: Series

    def row(self) -> dict[str, Any]:
        """By the names of the columns. Only a target has an availability."""
        figures = {name: getattr(self.figures, name) for name in _COLUMNS[3:]}
        if self.kind == "host":
            figures["availability"] = None
        return {"kind": self.kind, "name": self.name, "metric": self.metric, **figures}


def window_before(end: datetime, minutes: int) -> tuple[datetime, datetime]:
    """The window of this length that ends at ``end``, in UTC; an empty one where the calendar does not have it."""
    try:
        end = end.astimezone(UTC)
        return end - timedelta(minutes=minutes), end
    except OverflowError:
        edge = datetime.min.replace(tzinfo=UTC) if end.year == 1 else datetime.max.replace(tzinfo=UTC)
        return edge, edge


def summarize_targets(
    session: Session, table: Table, *, start: datetime, end: datetime, known: Collection[str], only: bool
) -> Iterator[Summary]:
    """The latency of each target in the window, in the order of their names; failed probes have none.

    Args:
        known: names that have a summary even without a sample.
        only: leave other targets out, which may be those of an earlier setting.
    """
    columns = table.c
    query = select(columns.target, columns.at, columns.is_up, columns.latency_ms)
    query = query.where(columns.at >= start, columns.at < end)
    if only:
        query = query.where(columns.target.in_(known))
    query = query.order_by(columns.target, columns.at, columns.id).execution_options(yield_per=5_000)
    missing = set(known)
    for name, rows in groupby(session.execute(query), lambda row: row.target):
        missing.discard(name)
        readings = [Reading(row.at, row.latency_ms if row.is_up else None) for row in rows]
        yield _summary("target", name, "latency_ms", readings, start, end)
    for name in sorted(missing):
        yield _summary("target", name, "latency_ms", [], start, end)


def summarize_hosts(session: Session, table: Table, *, start: datetime, end: datetime) -> Iterator[Summary]:
    """Each figure of each host in the window; of the counters of bytes, how many a second."""
    columns = table.c
    query = select(table).where(columns.at >= start, columns.at < end)
    query = query.order_by(columns.host, columns.at, columns.id).execution_options(yield_per=5_000)
    for host, rows in groupby(session.execute(query), lambda row: row.host):
        samples = list(rows)
        for metric in (*_LEVELS, *_COUNTERS):
            readings = [Reading(row.at, getattr(row, metric)) for row in samples]
            if metric in _COUNTERS:
                metric, readings = f"{metric}_per_second", rates(readings)  # noqa: PLW2901
            yield _summary("host", host, metric, readings, start, end)


def as_json(summaries: Iterable[Summary], *, start: datetime, end: datetime, series: bool) -> dict[str, Any]:
    """What clients are answered; with the series on request."""

    def one(summary: Summary) -> dict[str, Any]:
        columns = summary.series
        points = {"at": list(columns.at), "value": list(columns.value), "failed": list(columns.failed)}
        return {**summary.row(), "series": points} if series else summary.row()

    window = {"from": in_rfc_3339(start), "until": in_rfc_3339(end)}
    return {"window": window, "metrics": [one(summary) for summary in summaries]}


def write_csv(summaries: Iterable[Summary], path: Path) -> None:
    """A row for each, without the series. What is not known is empty."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        writer.writerows(summary.row() for summary in summaries)


def _summary(kind: str, name: str, metric: str, readings: list[Reading], start: datetime, end: datetime) -> Summary:
    return Summary(kind, name, metric, reduce_readings(readings), thin_out(readings, start=start, end=end))
