"""The onboard table matched against itself, with its outcome as a summary and a CSV file."""

import csv
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path

from sqlalchemy import Table, select
from sqlalchemy.orm import Session

from app.jobs.maintenance.services.matching import Match, PartText, find_matches

#: Pairs in the summary; the file has all.
SHOWN = 100


@dataclass(frozen=True, slots=True)
class MatchReport:
    """``pairs`` were found among ``parts`` parts; ``best`` are the first hundred of them."""

    parts: int
    pairs: int
    best: tuple[Match, ...]


def match_parts(
    session: Session,
    table: Table,
    *,
    month: str | None,
    timezone: tzinfo,
    pairs_path: Path,
    on_progress: Callable[[int, int | None, str], None],
) -> MatchReport:
    """Match the parts added in ``month`` (``YYYYMM``, in ``timezone``), or all, and write every pair to a CSV.

    The file has the columns code_a, name_a, code_b, name_b, score, reason, best pair first. Nothing is written to
    the table.
    """
    on_progress(0, None, "reading parts")
    parts = _read_parts(session, table, month, timezone)
    matches = find_matches(parts, on_progress=on_progress)
    names = {part.code: part.name for part in parts}
    with pairs_path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["code_a", "name_a", "code_b", "name_b", "score", "reason"])
        for match in matches:
            row = [match.code_a, names[match.code_a], match.code_b, names[match.code_b]]
            writer.writerow([*map(_inert, row), f"{match.score:.4f}", match.reason])
    return MatchReport(parts=len(parts), pairs=len(matches), best=tuple(matches[:SHOWN]))


def _read_parts(session: Session, table: Table, month: str | None, timezone: tzinfo) -> list[PartText]:
    columns = table.c
    query = select(columns.code, columns.name, columns.description, columns.manufacturer, columns.price)
    if month is not None:
        start, end = month_bounds(month, timezone)
        query = query.where(columns.add_time >= start, columns.add_time < end)
    rows = session.execute(query.order_by(columns.code).execution_options(yield_per=5_000))
    return [
        PartText(code, name, description, manufacturer, None if price is None else float(price))
        for code, name, description, manufacturer, price in rows
    ]


def month_bounds(month: str, timezone: tzinfo) -> tuple[datetime, datetime]:
    """First moment of ``YYYYMM`` in ``timezone`` and of the month after it, in UTC."""
    year, number = int(month[:4]), int(month[4:])
    start = datetime(year, number, 1, tzinfo=timezone)
    if (year, number) == (9999, 12):  # the calendar's last month
        return start.astimezone(UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
    end = datetime(year + number // 12, number % 12 + 1, 1, tzinfo=timezone)
    return start.astimezone(UTC), end.astimezone(UTC)


def _inert(cell: str) -> str:
    """A cell that a spreadsheet will not take for a formula."""
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
