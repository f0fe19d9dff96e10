"""When each upload was last used, and which are gone."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns. What is there counts as used when it came in."""
    op.add_column("uploaded_files", sa.Column("used_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("uploaded_files", sa.Column("removed_at", sa.DateTime(timezone=True), nullable=True))
    op.execute("UPDATE uploaded_files SET used_at = created_at")
    op.create_index("ix_uploaded_files_used_at", "uploaded_files", ["used_at"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("ix_uploaded_files_used_at", "uploaded_files")
    for column in ("removed_at", "used_at"):
        op.drop_column("uploaded_files", column)
