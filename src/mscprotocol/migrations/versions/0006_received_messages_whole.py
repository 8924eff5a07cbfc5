"""Received messages are kept whole: content, whether it was taken, and known by sender, control id and content."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table anew, for nothing ever wrote to it; source units follow from the messages and need none."""
    op.drop_table("source_unit")
    op.drop_table("received_message")
    op.create_table(
        "received_message",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("application", sa.String(length=300), nullable=False),
        sa.Column("facility", sa.String(length=300), nullable=False),
        sa.Column("control_id", sa.String(length=300), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("is_accepted", sa.Boolean(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("acknowledgement", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_received_message")),
        sa.UniqueConstraint(
            "application", "facility", "control_id", "sha256", name=op.f("uq_received_message_application")
        ),
    )
    with op.batch_alter_table("received_message", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_received_message_sha256"), ["sha256"], unique=False)
