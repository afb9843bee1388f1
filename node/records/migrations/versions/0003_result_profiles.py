"""Results in several profiles.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("results") as table:
        table.add_column(sa.Column("profile", sa.String(length=40), nullable=False, server_default=""))


def downgrade() -> None:
    """Undo."""
    # Not by a new table: on SQLite the deliveries refer to the old one.
    with op.batch_alter_table("results", recreate="never") as table:
        table.drop_column("profile")
