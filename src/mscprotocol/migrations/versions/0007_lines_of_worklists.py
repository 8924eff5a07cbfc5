"""What worklists show of each subject; lines of subjects that were there before are made when one is read."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One table."""
    op.create_table(
        "subject_line",
        sa.Column("subject_id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("protocol_id", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("outlook", sa.String(length=16), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("screened_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_critical", sa.Boolean(), nullable=False),
        sa.Column("gate", sa.String(length=8), nullable=True),
        sa.Column("assessment_id", sa.String(length=36), nullable=True),
        sa.Column("consent_version", sa.String(length=200), nullable=True),
        sa.Column("consent_given", sa.DateTime(timezone=True), nullable=True),
        sa.Column("infusions", sa.Integer(), nullable=False),
        sa.Column("is_stopped", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_subject_line_subject_id_subject")),
        sa.PrimaryKeyConstraint("subject_id", name=op.f("pk_subject_line")),
    )
    op.create_index("ix_subject_line_protocol", "subject_line", ["protocol_id", "number"], unique=False)


def downgrade() -> None:
    """Without it."""
    op.drop_table("subject_line")
