"""What webhooks are signed with, and the addresses that belong to keys."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "webhook_secrets",
        sa.Column("principal", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("encrypted", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("principal", "number", name=op.f("pk_webhook_secrets")),
    )
    op.create_table(
        "key_webhooks",
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["key_id"], ["api_keys.id"], name=op.f("fk_key_webhooks_key_id_api_keys")),
        sa.PrimaryKeyConstraint("key_id", name=op.f("pk_key_webhooks")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("key_webhooks")
    op.drop_table("webhook_secrets")
