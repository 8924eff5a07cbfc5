"""A client may be registered with the address that publishes its keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column, empty for the clients that there are."""
    op.add_column("api_client", sa.Column("keys_url", sa.String(length=2000), nullable=True))


def downgrade() -> None:
    """Without it; clients with an address and no keys can prove nothing any more."""
    with op.batch_alter_table("api_client") as table:
        table.drop_column("keys_url")
