"""Exports that wait in a screening form."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "screening_draft",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_screening_draft")),
    )
    op.create_index(op.f("ix_screening_draft_made_at"), "screening_draft", ["made_at"], unique=False)


def downgrade() -> None:
    """Without it."""
    op.drop_table("screening_draft")
