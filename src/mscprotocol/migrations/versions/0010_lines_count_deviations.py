"""A subject's line counts its protocol deviations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column, in a table that is emptied: a line is made anew from the entries when it is first read."""
    op.execute("DELETE FROM subject_line")
    with op.batch_alter_table("subject_line") as table:
        table.add_column(sa.Column("deviations", sa.Integer(), nullable=False))


def downgrade() -> None:
    """Without it."""
    with op.batch_alter_table("subject_line") as table:
        table.drop_column("deviations")
