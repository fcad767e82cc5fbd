"""What Alembic runs: every migration in a transaction of its own, on the connection that hub/migrate.py gives."""

from __future__ import annotations

from alembic import context

from hub.database import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # Alembic assumes that SQLite's driver commits before DDL; hub/migrate.py begins the transactions itself.
    transactional_ddl=True,
    transaction_per_migration=True,
)
context.run_migrations()
