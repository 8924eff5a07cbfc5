"""A subject's line says why the subject is off study; entries may record a death."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The column, in a table that is emptied: a line is made anew from the entries when it is first read."""
    op.execute("DELETE FROM subject_line")
    with op.batch_alter_table("subject_line") as table:
        table.add_column(sa.Column("off_study", sa.String(length=16), nullable=True))


def downgrade() -> None:
    """Without it."""
    with op.batch_alter_table("subject_line") as table:
        table.drop_column("off_study")
