"""archived incidents."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "archived_incidents",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("service_group", sa.String(), nullable=False),
        sa.Column("levels", sa.JSON(), nullable=False),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("file", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=True),
        sa.Column("archived_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("(sha256 IS NULL) = (archived_at IS NULL)", name=op.f("ck_archived_incidents_whole")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_archived_incidents")),
    )
    op.create_index("ix_archived_incidents_occurred", "archived_incidents", ["occurred_at"], unique=False)
