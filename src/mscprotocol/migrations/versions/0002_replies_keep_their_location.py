"""Stored replies keep where the assessment stands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One column."""
    with op.batch_alter_table("idempotent_reply", schema=None) as batch_op:
        batch_op.add_column(sa.Column("location", sa.String(length=2000), nullable=True))


def downgrade() -> None:
    """Without it."""
    with op.batch_alter_table("idempotent_reply", schema=None) as batch_op:
        batch_op.drop_column("location")
