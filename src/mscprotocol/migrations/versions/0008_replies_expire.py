"""A stored reply says until when it is given out again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table anew: replies are kept for a day only, and what they tell of is stored elsewhere."""
    _make_anew("expires_at")
    op.create_index(op.f("ix_idempotent_reply_expires_at"), "idempotent_reply", ["expires_at"])


def downgrade() -> None:
    """The table as it was."""
    _make_anew("made_at")


def _make_anew(time: str) -> None:
    op.drop_table("idempotent_reply")
    op.create_table(
        "idempotent_reply",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("client", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("request_sha256", sa.String(length=64), nullable=False),
        sa.Column(time, sa.DateTime(timezone=True), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("content_type", sa.String(length=100), nullable=False),
        sa.Column("location", sa.String(length=2000), nullable=True),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_idempotent_reply")),
        sa.UniqueConstraint("client", "key", name=op.f("uq_idempotent_reply_client")),
    )
