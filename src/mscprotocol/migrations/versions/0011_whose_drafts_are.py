"""A draft of a screening says whom it is of, so that deleting a subject takes only what may be of the same person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The columns; of drafts that wait it cannot be told."""
    with op.batch_alter_table("screening_draft") as table:
        table.add_column(sa.Column("patient", sa.JSON(), nullable=True))
        table.add_column(sa.Column("subject_number", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Without them."""
    with op.batch_alter_table("screening_draft") as table:
        table.drop_column("subject_number")
        table.drop_column("patient")
