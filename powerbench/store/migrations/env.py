"""Run by Alembic: the caller's connection and transaction are used, so that an upgrade is whole or absent."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], render_as_batch=True)
context.run_migrations()
