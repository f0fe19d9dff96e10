"""Digests by mail, and what jobs have found for them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "alert_digests",
        sa.Column("since", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("claimed_by", sa.String(255), nullable=False),
        sa.Column("claimed_at", sa.BigInteger(), nullable=False),
        sa.Column("taken", sa.Text(), nullable=False),
        sa.Column("refused", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("since", name=op.f("pk_alert_digests")),
    )
    op.create_table(
        "alert_findings",
        sa.Column("task_id", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("task", sa.String(255), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("examples", sa.Text(), nullable=False),
        sa.Column("found_at", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("task_id", "kind", name=op.f("pk_alert_findings")),
    )
    op.create_index("ix_alert_findings_found_at", "alert_findings", ["found_at"])
    op.create_index("ix_alert_findings_digest", "alert_findings", ["digest"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_alert_findings_digest", "alert_findings")
    op.drop_index("ix_alert_findings_found_at", "alert_findings")
    op.drop_table("alert_findings")
    op.drop_table("alert_digests")
