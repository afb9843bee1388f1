"""Visits, merges, contradictions of identity, what notes say in numbers, and assessments.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from node.records.schema import Utc

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Name, type and default by table; without a default it may be NULL. Added one by one: SQLite's batch mode makes a table
# anew, which others refer to.
_COLUMNS: dict[str, tuple[tuple[str, Any, str | None], ...]] = {
    "patients": (("stated_at", Utc(), None), ("stated", sa.JSON(), "{}"), ("survivor_fk", sa.Integer(), None)),
    "messages": (("told", sa.String(20), ""), ("peer", sa.String(64), "")),
    "orders": (("stated_at", Utc(), None), ("stated", sa.JSON(), "{}")),
    "notes": (
        ("stated_at", Utc(), None),
        ("text_stated_at", Utc(), None),
        ("about", sa.JSON(), "[]"),
        ("replaces", sa.String(250), ""),
        ("engine", sa.String(100), ""),
    ),
    "facts": (
        ("number", sa.Double(), None),
        ("upper", sa.Double(), None),
        ("unit", sa.String(64), ""),
        ("comparator", sa.String(2), ""),
        ("said_when", sa.String(32), ""),
        ("side", sa.String(10), ""),
    ),
    "observations": (("stated_at", Utc(), None),),
    "studies": (("triage", sa.JSON(), "{}"),),
    "jobs": (("assessment", sa.JSON(), "{}"),),
}


def upgrade() -> None:
    """Apply."""
    for table, columns in _COLUMNS.items():
        for name, kind, default in columns:
            column = sa.Column(name, kind, nullable=default is None, server_default=default)
            op.add_column(table, column)
    op.create_index("ix_patients_survivor_fk", "patients", ["survivor_fk"])
    _visits()
    _identity_conflicts()
    _merges()


def _visits() -> None:
    op.create_table(
        "visits",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("patient_fk", sa.Integer(), sa.ForeignKey("patients.id"), nullable=False),
        sa.Column("message_fk", sa.Integer(), sa.ForeignKey("messages.id"), nullable=True),
        sa.Column("source", sa.String(500), nullable=False),
        sa.Column("number", sa.String(250), nullable=False),
        sa.Column("patient_class", sa.String(20), nullable=False),
        sa.Column("location", sa.String(250), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("admitted_at", Utc(), nullable=True),
        sa.Column("discharged_at", Utc(), nullable=True),
        sa.Column("stated_at", Utc(), nullable=True),
        sa.Column("stated", sa.JSON(), nullable=False, server_default="{}"),
        sa.UniqueConstraint("source", "number"),
    )
    op.create_index("ix_visits_patient_fk", "visits", ["patient_fk"])


def _identity_conflicts() -> None:
    op.create_table(
        "identity_conflicts",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("study_fk", sa.Integer(), sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("patient_fk", sa.Integer(), sa.ForeignKey("patients.id"), nullable=False),
        sa.Column("message_fk", sa.Integer(), sa.ForeignKey("messages.id"), nullable=True),
        sa.Column("attributes", sa.JSON(), nullable=False),
        sa.Column("dicom", sa.JSON(), nullable=False),
        sa.Column("found_at", Utc(), nullable=False),
        sa.Column("resolved_at", Utc(), nullable=True),
        sa.Column("resolution", sa.String(20), nullable=False),
        sa.UniqueConstraint("study_fk", "patient_fk"),
    )
    op.create_index("ix_identity_conflicts_study_fk", "identity_conflicts", ["study_fk"])
    op.create_index("ix_identity_conflicts_patient_fk", "identity_conflicts", ["patient_fk"])


def _merges() -> None:
    op.create_table(
        "merges",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("prior_fk", sa.Integer(), sa.ForeignKey("patients.id"), nullable=False),
        sa.Column("survivor_fk", sa.Integer(), sa.ForeignKey("patients.id"), nullable=False),
        sa.Column("message_fk", sa.Integer(), sa.ForeignKey("messages.id"), nullable=True),
        sa.Column("stated_at", Utc(), nullable=False),
        sa.UniqueConstraint("prior_fk", "survivor_fk"),
    )
    op.create_index("ix_merges_prior_fk", "merges", ["prior_fk"])
    op.create_index("ix_merges_survivor_fk", "merges", ["survivor_fk"])


def downgrade() -> None:
    """Undo."""
    op.drop_table("merges")
    op.drop_table("identity_conflicts")
    op.drop_table("visits")
    op.drop_index("ix_patients_survivor_fk", "patients")
    for table, columns in _COLUMNS.items():
        for name, _, _ in columns:
            op.drop_column(table, name)
