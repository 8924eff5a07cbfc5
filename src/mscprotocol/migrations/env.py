"""How Alembic reaches the database: through the connection that it is given."""

from __future__ import annotations

from typing import Literal

from alembic import context

from mscprotocol.store.tables import Instant, Table


def render(kind: str, item: object, _: object) -> str | Literal[False]:
    """Write our own types as SQLAlchemy's: a migration must not change with the program."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, Instant) else False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=Table.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
    compare_type=True,
    render_item=render,
)
with context.begin_transaction():
    context.run_migrations()
connection.commit()
