"""What was measured, and what the hours came to. Times are UTC."""

from datetime import datetime

from sqlalchemy import BigInteger, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base
from app.models import UtcDateTime


class ProbeSample(Base):
    """One probe of one target; see ``services.probing.Probe``."""

    __tablename__ = "probe_samples"
    __table_args__ = (Index(None, "target", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    target: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    is_up: Mapped[bool]
    status: Mapped[int | None]
    latency_ms: Mapped[float | None]
    error: Mapped[str | None] = mapped_column(String(16))


class HostSample(Base):
    """The figures of one host; see ``services.host.HostFigures``."""

    __tablename__ = "host_samples"

    id: Mapped[int] = mapped_column(primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    cpu_percent: Mapped[float]
    memory_percent: Mapped[float]
    disk_percent: Mapped[float]
    load_1: Mapped[float]
    sent_bytes: Mapped[int] = mapped_column(BigInteger)
    received_bytes: Mapped[int] = mapped_column(BigInteger)


class MetricSummary(Base):
    """What one metric of one target or host came to in an hour; see ``services.reducing.Figures``."""

    __tablename__ = "metric_summaries"
    __table_args__ = (UniqueConstraint("window_end", "kind", "name", "metric"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    window_start: Mapped[datetime] = mapped_column(UtcDateTime)
    window_end: Mapped[datetime] = mapped_column(UtcDateTime)
    kind: Mapped[str] = mapped_column(String(8))  # target or host
    name: Mapped[str] = mapped_column(String(255))
    metric: Mapped[str] = mapped_column(String(32))
    samples: Mapped[int]
    failed: Mapped[int]
    availability: Mapped[float | None]
    min: Mapped[float | None]
    median: Mapped[float | None]
    p95: Mapped[float | None]
    p99: Mapped[float | None]
