"""What alembic runs the steps in: the connection of ``migrating``, whose transaction has begun."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"])
context.run_migrations()
