"""From readings to figures.

**Percentiles** are linearly interpolated between the two nearest readings (numpy's default; Hyndman and Fan's type 7;
``PERCENTILE.INC`` of spreadsheets; ``statistics.quantiles(method="inclusive")``): of n readings in order, p lies at
the place 1 + (n - 1)·p/100. They never lie outside the readings, and of one reading each is that reading.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import median

import numpy as np

#: Points of a series at the most, and their distance at the least: collectors run once a minute.
MOST_POINTS = 300
_SHORTEST_STEP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was measured at a time; ``value`` is None where that failed, as it does with a target that is down."""

    at: datetime
    value: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What readings come to; those that failed are counted and otherwise left out. None where there is no reading."""

    samples: int
    failed: int
    min: float | None
    median: float | None
    p95: float | None
    p99: float | None

    @property
    def availability(self) -> float | None:
        """The part of the readings that did not fail, 0 to 1; None without any."""
        return round((self.samples - self.failed) / self.samples, 6) if self.samples else None


@dataclass(frozen=True, slots=True)
class Series:
    """Columns of one length: for each step of time with a reading its beginning, the median, and how many failed."""

    at: tuple[str, ...]  # RFC 3339
    value: tuple[float | None, ...]
    failed: tuple[int, ...]


def reduce_readings(readings: Sequence[Reading]) -> Figures:
    """Minimum, median, 95th and 99th percentile, to three decimals."""
    values = [reading.value for reading in readings if reading.value is not None]
    found = np.percentile(values, (0, 50, 95, 99)).tolist() if values else (None,) * 4
    return Figures(
        len(readings), len(readings) - len(values), *(None if value is None else round(value, 3) for value in found)
    )


def thin_out(readings: Sequence[Reading], *, start: datetime, end: datetime) -> Series:
    """The readings of a window, in the order of time, as a series that can be plotted, of ``MOST_POINTS`` or less."""
    step = max((end - start) / MOST_POINTS, _SHORTEST_STEP)
    at, middle, failed = [], [], []
    for number, inside in groupby(readings, lambda reading: (reading.at - start) // step):
        found = [reading.value for reading in inside]
        values = [value for value in found if value is not None]
        at.append(in_rfc_3339(start + number * step))
        middle.append(round(median(values), 3) if values else None)
        failed.append(len(found) - len(values))
    return Series(tuple(at), tuple(middle), tuple(failed))


def rates(counted: Sequence[Reading]) -> list[Reading]:
    """Of a counter, by how much it went up a second, from each reading to the next.

    A counter that went down began anew, with its host, and says nothing for this once.
    """
    return [
        Reading(after.at, (after.value - before.value) / (after.at - before.at).total_seconds())
        for before, after in pairwise(counted)
        if before.value is not None
        and after.value is not None
        and after.value >= before.value
        and after.at > before.at
    ]


def in_rfc_3339(moment: datetime) -> str:
    """A time in UTC as JSON has it."""
    return moment.isoformat().replace("+00:00", "Z")
