"""Which transactional jobs are completed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "job_completions",
        sa.Column("task_id", sa.String(255), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.Column("record_fields", sa.Text(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_job_completions"),
    )
    op.create_index("ix_job_completions_finished_at", "job_completions", ["finished_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("job_completions")
