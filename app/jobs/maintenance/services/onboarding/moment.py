"""Points in time as people and spreadsheets write them."""

import re
from datetime import UTC, date, datetime, time, tzinfo

from .errors import RowError

FIRST_YEAR = 1900
LAST_YEAR = 2100

# datetime.fromisoformat() takes more than people mean, such as any character between date and time, or week
# dates.
_WRITTEN = re.compile(r"[0-9]{4}([-/]?)[0-9]{2}\1[0-9]{2}(?:[Tt ][0-9:.,]+(?:[Zz]|[+-][0-9:]{2,8})?)?")


def parse_moment(cell: object, zone: tzinfo) -> datetime | None:
    """The moment in a cell, in UTC, or None where the cell is blank.

    Taken are ISO 8601 dates and times (`2024-03-01`, `2024-03-01T08:30:00Z`, `20240301T083000`),
    `2024-03-01 08:30[:00]` and the same with slashes, and the date cells of a workbook. A date alone is its
    midnight. What names no offset is local time in `zone`.
    Raises: RowError for anything else, and for years outside 1900 to 2100.
    """
    if cell is None:
        return None
    if isinstance(cell, str):
        text = cell.strip()
        if not text:
            return None
        moment = _parse_written(text)
    elif isinstance(cell, datetime):
        moment = cell
    elif isinstance(cell, date):
        moment = datetime.combine(cell, time.min, tzinfo=zone)
    else:
        raise RowError("add_time is not a time; format the cell as a date")
    # Checked before the conversion, which cannot leave the calendar from inside these years.
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise RowError(f"add_time is in the year {moment.year}; only {FIRST_YEAR} to {LAST_YEAR} are taken")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone)
    return moment.astimezone(UTC)


def _parse_written(text: str) -> datetime:
    if len(text) <= 64 and _WRITTEN.fullmatch(text):
        try:
            return datetime.fromisoformat(text.replace("/", "-").upper())
        except ValueError:
            pass  # The shape is right and the day is not, such as 2024-02-30: the same answer as below.
    raise RowError(f"add_time {text[:40]!r} is not a time; write it like 2024-03-01 or 2024-03-01 08:30:00")
