"""Alembic's environment: migrations run on the engine that the record store hands over."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Engine, text

from node.records.schema import Base

LOCK_KEY = 0x0FE44EAD
"""PostgreSQL advisory lock that keeps two processes from migrating at once."""


def run(engine: Engine) -> None:
    """Run all pending migrations in one transaction, one process at a time."""
    with engine.connect().execution_options(overread_write=True) as connection:
        context.configure(
            connection=connection, target_metadata=Base.metadata, render_as_batch=True, transaction_per_migration=False
        )
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK_KEY})
            with context.begin_transaction():
                context.run_migrations()


run(context.config.attributes["engine"])
