"""Pinned versions, shadow runs, and what drift is watched by.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from node.records.schema import Utc

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("jobs", sa.Column("shadow", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "drift_samples",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("job_fk", sa.String(36), sa.ForeignKey("jobs.id"), nullable=False, unique=True),
        sa.Column("at", Utc(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("version", sa.String(32), nullable=False),
        sa.Column("scanner", sa.String(64), nullable=False),
        sa.Column("numbers", sa.JSON(), nullable=False),
    )
    op.create_index("ix_drift_samples_model_at", "drift_samples", ["model", "at"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("drift_samples")
    op.drop_column("jobs", "shadow")
