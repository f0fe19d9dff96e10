"""One import, one table and two databases: SQLite, and PostgreSQL in a throw-away server."""

import csv
import zipfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import pytest
from openpyxl import Workbook
from sqlalchemy import (
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    create_engine,
    event,
    select,
)
from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Session

from app.jobs.maintenance.services.onboarding import RefreshReport, refresh_parts

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ZONE = ZoneInfo("Asia/Shanghai")


@pytest.fixture
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def table() -> Table:
    return Table(
        "parts",
        MetaData(),
        Column("id", Integer, primary_key=True),
        Column("code", String(128), unique=True, nullable=False),
        Column("name", String(512), nullable=False),
        Column("description", Text, nullable=False, default=""),
        Column("manufacturer", String(255), nullable=False, default=""),
        Column("price", Numeric(18, 4)),
        Column("add_time", DateTime(timezone=True), nullable=False, index=True),
        Column("updated_at", DateTime(timezone=True), nullable=False),
    )


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{tmp_path / 'parts.db'}")
    yield engine
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest, table: Table) -> Engine:
    engine: Engine = request.getfixturevalue(request.param)
    table.metadata.drop_all(engine)
    table.metadata.create_all(engine)
    return engine


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as session:
        yield session


class Refresh(Protocol):
    def __call__(
        self,
        content: bytes | str | Path,
        *,
        newer_than: datetime | None = None,
        now: datetime = NOW,
        timezone: tzinfo = ZONE,
        batch_size: int = 2000,
        on_progress: Callable[[int, int | None, str], None] = ...,
        processes: int | None = ...,
    ) -> RefreshReport: ...


@pytest.fixture
def rejected_path(tmp_path: Path) -> Path:
    return tmp_path / "rejected.csv"


@pytest.fixture
def refresh(session: Session, table: Table, tmp_path: Path, rejected_path: Path) -> Refresh:
    """Import a text, bytes or a file, with the arguments that do not matter filled in."""

    def run(
        content: bytes | str | Path,
        *,
        newer_than: datetime | None = None,
        now: datetime = NOW,
        timezone: tzinfo = ZONE,
        batch_size: int = 2000,
        on_progress: Callable[[int, int | None, str], None] = lambda current, total, message: None,
        processes: int | None = None,
    ) -> RefreshReport:
        if isinstance(content, Path):
            source = content
        else:
            source = tmp_path / "upload"
            source.write_bytes(content.encode() if isinstance(content, str) else content)
        return refresh_parts(
            session,
            table,
            source,
            newer_than=newer_than,
            rejected_path=rejected_path,
            timezone=timezone,
            now=now,
            on_progress=on_progress,
            batch_size=batch_size,
            processes=processes,
        )

    return run


@pytest.fixture
def stored(session: Session, table: Table) -> Callable[[], dict[str, RowMapping]]:
    """The rows of the table by code, as this transaction sees them."""
    return lambda: {row["code"]: row for row in session.execute(select(table).order_by(table.c.id)).mappings()}


@pytest.fixture
def read_rejected(rejected_path: Path) -> Callable[[], list[list[str]]]:
    def read() -> list[list[str]]:
        with rejected_path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))

    return read


@pytest.fixture
def workbook(tmp_path: Path) -> Callable[..., Path]:
    """Save rows as an XLSX and give its path."""

    def save(*rows: Sequence[object]) -> Path:
        book = Workbook()
        sheet: Any = book.active
        for number, row in enumerate(rows, 1):
            for column, value in enumerate(row, 1):
                sheet.cell(number, column, value)
        path = tmp_path / "upload.bin"
        book.save(path)
        return path

    return save


@pytest.fixture(scope="session")
def repack() -> Callable[..., Path]:
    """Write a zip archive anew with each part passed through `change`; None leaves the part out."""

    def run(path: Path, change: Callable[[str, bytes], bytes | None], extra: dict[str, bytes] | None = None) -> Path:
        with zipfile.ZipFile(path) as archive:
            parts = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in {**parts, **(extra or {})}.items():
                changed = change(name, content)
                if changed is not None:
                    archive.writestr(name, changed)
        return path

    return run


@pytest.fixture
def statements(engine: Engine) -> Iterator[list[str]]:
    """The SQL that reaches the database, one entry an execution."""
    seen: list[str] = []

    def note(conn: object, cursor: object, statement: str, *rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield seen
    event.remove(engine, "before_cursor_execute", note)
