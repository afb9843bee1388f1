"""The delivery ledger: accepted and committed instead of delivered, and what was asked of archives.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from node.records.schema import Utc

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("deliveries") as table:
        table.alter_column("delivered_at", new_column_name="accepted_at")
        table.add_column(sa.Column("commit_at", Utc(), nullable=True))
        table.add_column(sa.Column("commit_asked", sa.Integer(), nullable=False, server_default="0"))
        table.add_column(sa.Column("committed_at", Utc(), nullable=True))
        table.create_index("ix_deliveries_commit", ["destination", "commit_at"])
    op.execute("UPDATE deliveries SET state = 'accepted' WHERE state = 'delivered'")
    op.create_table(
        "commitment_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("transaction_uid", sa.String(length=64), nullable=False),
        sa.Column("destination", sa.String(length=64), nullable=False),
        sa.Column("deliveries", sa.JSON(), nullable=False),
        sa.Column("created_at", Utc(), nullable=False),
        sa.Column("answered_at", Utc(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("transaction_uid"),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("commitment_requests")
    op.execute("UPDATE deliveries SET state = 'delivered' WHERE state IN ('accepted', 'committed')")
    with op.batch_alter_table("deliveries") as table:
        table.drop_index("ix_deliveries_commit")
        table.drop_column("committed_at")
        table.drop_column("commit_asked")
        table.drop_column("commit_at")
        table.alter_column("accepted_at", new_column_name="delivered_at")
