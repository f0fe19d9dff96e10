"""Which digests there have been, and what other jobs have found for the next one. Times are Unix times in ms."""

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.extensions import Base


class AlertDigest(Base):
    """A digest. Each begins where the one before it ends, so ``since`` names it, and no two can be of one time."""

    __tablename__ = "alert_digests"

    since: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    until: Mapped[int] = mapped_column(BigInteger)
    message_id: Mapped[str] = mapped_column(String(255))
    status: Mapped[str] = mapped_column(String(16))  # a DigestStatus
    claimed_by: Mapped[str] = mapped_column(String(255))  # the task id of the job that sees to it
    claimed_at: Mapped[int] = mapped_column(BigInteger)
    taken: Mapped[str] = mapped_column(Text)  # JSON: who has got it
    refused: Mapped[str] = mapped_column(Text)  # JSON: who never will, by address, and why


class AlertFinding(Base):
    """What one job has found, and the digest that tells it. It is written in the job's own transaction."""

    __tablename__ = "alert_findings"

    task_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    kind: Mapped[str] = mapped_column(String(32), primary_key=True)  # a FindingKind
    task: Mapped[str] = mapped_column(String(255))
    owner: Mapped[str] = mapped_column(String(64))
    count: Mapped[int] = mapped_column(BigInteger)
    examples: Mapped[str] = mapped_column(Text)  # JSON: the first of them, a line each
    found_at: Mapped[int] = mapped_column(BigInteger, index=True)
    digest: Mapped[int | None] = mapped_column(BigInteger, index=True)  # its ``since``; None until it is in one
