"""Trial subjects with their entries and screening log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Trial subjects with their entries and screening log."""
    op.create_table(
        "subject",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("number", sa.String(length=64), nullable=False),
        sa.Column("protocol_id", sa.String(length=64), nullable=False),
        sa.Column("dose_level", sa.String(length=32), nullable=True),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject")),
        sa.UniqueConstraint("protocol_id", "number", name=op.f("uq_subject_protocol_id")),
        sa.UniqueConstraint("token", name=op.f("uq_subject_token")),
    )
    op.create_table(
        "screening",
        sa.Column("assessment_id", sa.String(length=36), nullable=False),
        sa.Column("subject_id", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("evaluated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("stage", sa.String(length=16), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("outlook", sa.String(length=16), nullable=True),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("valid_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("time_critical", sa.Boolean(), nullable=False),
        sa.Column("gate", sa.String(length=8), nullable=True),
        sa.Column("infusion", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(
            ["assessment_id"], ["assessment.id"], name=op.f("fk_screening_assessment_id_assessment")
        ),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_screening_subject_id_subject")),
        sa.PrimaryKeyConstraint("assessment_id", name=op.f("pk_screening")),
    )
    with op.batch_alter_table("screening", schema=None) as batch_op:
        batch_op.create_index("ix_screening_subject", ["subject_id", "sequence"], unique=False)

    op.create_table(
        "subject_entry",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("subject_id", sa.String(length=36), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("made_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=200), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("supersedes", sa.String(length=36), nullable=True),
        sa.Column("reason", sa.String(length=2000), nullable=True),
        sa.Column("slot", sa.String(length=64), nullable=True),
        sa.Column("token", sa.String(length=64), nullable=False),
        sa.Column("salt", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["subject_id"], ["subject.id"], name=op.f("fk_subject_entry_subject_id_subject")),
        sa.ForeignKeyConstraint(
            ["supersedes"], ["subject_entry.id"], name=op.f("fk_subject_entry_supersedes_subject_entry")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subject_entry")),
        sa.UniqueConstraint("subject_id", "sequence", name="uq_subject_entry_sequence"),
        sa.UniqueConstraint("subject_id", "slot", name="uq_subject_entry_slot"),
        sa.UniqueConstraint("subject_id", "token", name="uq_subject_entry_token"),
        sa.UniqueConstraint("supersedes", name=op.f("uq_subject_entry_supersedes")),
    )


def downgrade() -> None:
    """Without them."""
    for table in ("subject_entry", "screening", "subject"):
        op.drop_table(table)
