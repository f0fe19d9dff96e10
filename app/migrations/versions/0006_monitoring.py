"""What was measured of targets and hosts, and what the hours came to."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "probe_samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(128), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_up", sa.Boolean(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("latency_ms", sa.Double(), nullable=True),
        sa.Column("error", sa.String(16), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_probe_samples")),
    )
    op.create_index(op.f("ix_probe_samples_target"), "probe_samples", ["target", "at"])
    op.create_index(op.f("ix_probe_samples_at"), "probe_samples", ["at"])
    figures = ("cpu_percent", "memory_percent", "disk_percent", "load_1")
    op.create_table(
        "host_samples",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=False) for name in figures),
        sa.Column("sent_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_host_samples")),
    )
    op.create_index(op.f("ix_host_samples_at"), "host_samples", ["at"])
    op.create_table(
        "metric_summaries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("window_start", sa.DateTime(timezone=True), nullable=False),
        sa.Column("window_end", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("failed", sa.Integer(), nullable=False),
        *(sa.Column(name, sa.Double(), nullable=True) for name in ("availability", "min", "median", "p95", "p99")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_metric_summaries")),
        sa.UniqueConstraint("window_end", "kind", "name", "metric", name=op.f("uq_metric_summaries_window_end")),
    )


def downgrade() -> None:
    """Drop them, with all that was measured."""
    op.drop_table("metric_summaries")
    op.drop_table("host_samples")
    op.drop_table("probe_samples")
