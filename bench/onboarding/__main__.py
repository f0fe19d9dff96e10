"""Measure the refresh of the parts table: rows a second and the peak memory of the process.

python -m bench.onboarding --rows 1000000 [--format csv|xlsx|xlsx-shared] [--database URL] [--again]
"""

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import DateTime, Engine, Integer, MetaData, Numeric, String, Table, Text, create_engine
from sqlalchemy.orm import Session
from sqlalchemy.schema import Column

from app.jobs.maintenance.services.onboarding import RefreshReport, refresh_parts
from bench.onboarding.catalogues import write_csv, write_shared_xlsx, write_xlsx

WRITERS: dict[str, Callable[[Path, int], None]] = {
    "csv": write_csv,
    "xlsx": write_xlsx,
    "xlsx-shared": write_shared_xlsx,
}

parts = Table(
    "parts",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("code", String(128), unique=True, nullable=False),
    Column("name", String(512), nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("manufacturer", String(255), nullable=False, server_default=""),
    Column("price", Numeric(18, 4)),
    Column("add_time", DateTime(timezone=True), nullable=False, index=True),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.onboarding", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--format", choices=WRITERS, default="csv")
    parser.add_argument("--database", help="URL of a database in which `parts` may be dropped; default: a new SQLite")
    parser.add_argument(
        "--again", action="store_true", help="import the same file a second time, which changes nothing"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = folder / "upload"
        # Written by another process, so that its memory is not counted here.
        writing = multiprocessing.get_context("spawn").Process(
            target=WRITERS[options.format], args=(source, options.rows)
        )
        writing.start()
        writing.join()
        if writing.exitcode:
            raise SystemExit("the catalogue could not be written")
        print(f"{options.format}: {options.rows} rows, {source.stat().st_size / 2**20:.1f} MiB")
        engine = create_engine(options.database or f"sqlite:///{folder / 'parts.db'}")
        parts.drop(engine, checkfirst=True)
        parts.create(engine)
        measure("import", engine, source, folder)
        if options.again:
            measure("again", engine, source, folder)


def measure(label: str, engine: Engine, source: Path, folder: Path) -> None:
    """Import once, commit included, and print what it took."""
    started = time.perf_counter()
    with Session(engine) as session, session.begin():
        report = refresh(session, source, folder)
    seconds = time.perf_counter() - started
    # Linux counts ru_maxrss in KiB.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{label}: {report.read / seconds:,.0f} rows/s in {seconds:.1f} s, peak RSS {peak:.0f} MiB;"
        f" inserted {report.inserted}, updated {report.updated}, unchanged {report.unchanged},"
        f" rejected {report.rejected}"
    )


def refresh(session: Session, source: Path, folder: Path) -> RefreshReport:
    """Import with nothing older and nobody watching."""
    return refresh_parts(
        session,
        parts,
        source,
        newer_than=None,
        rejected_path=folder / "rejected.csv",
        timezone=UTC,
        now=datetime.now(UTC),
        on_progress=lambda current, total, message: None,
    )


if __name__ == "__main__":
    main()
