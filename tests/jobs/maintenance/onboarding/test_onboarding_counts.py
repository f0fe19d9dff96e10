"""The counts of a report, for any two files one after the other."""

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Table, delete
from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Session

from app.jobs.maintenance.services.onboarding import RefreshReport

Refresh = Callable[..., RefreshReport]
Stored = Callable[[], dict[str, RowMapping]]

good = st.sampled_from(["A1", "A2", "A3", "A4"])
rows = st.lists(
    st.tuples(
        st.one_of(good, st.just(""), st.text(max_size=3)),
        st.sampled_from(["x", "y", ""]),
        st.sampled_from(["1", "2", "", "free"]),
        st.sampled_from(["2024-01-01", "2024-06-01", "", "never"]),
    ),
    max_size=12,
)


def quoted(cells: tuple[str, ...]) -> str:
    return ",".join('"' + cell.replace("\0", "").replace('"', '""') + '"' for cell in cells) + "\n"


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=rows, content=rows, batch_size=st.integers(1, 5), bounded=st.booleans())
def test_counts_add_up_and_do_not_depend_on_the_batch(
    refresh: Refresh,
    session: Session,
    table: Table,
    stored: Stored,
    read_rejected: Callable[[], list[list[str]]],
    before: list[tuple[str, ...]],
    content: list[tuple[str, ...]],
    batch_size: int,
    bounded: bool,
) -> None:
    newer_than = datetime(2024, 3, 1, tzinfo=UTC) if bounded else None
    outcomes = []
    for size in (batch_size, 2000):
        session.execute(delete(table))
        for text_rows in (before, content):
            existing = len(stored())
            lines = "".join(map(quoted, text_rows))
            report = refresh("code,name,price,add_time\n" + lines, newer_than=newer_than, batch_size=size)
            assert report.read == report.inserted + report.updated + report.unchanged + report.older + report.rejected
            assert report.inserted == len(stored()) - existing
            assert (
                report.rejected == len(report.rejected_rows) == (len(read_rejected()) - 1 if report.rejected else 0)
            )
            outcomes.append((report, [tuple(row.values())[1:] for row in stored().values()]))
    assert outcomes[:2] == outcomes[2:]
