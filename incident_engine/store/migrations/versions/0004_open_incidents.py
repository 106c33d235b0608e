"""indexes by which open incidents are counted and the worst are found, without walking over all."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OPEN = sa.text("closed_at IS NULL")


def upgrade() -> None:
    for name, columns in (("ix_incidents_level", ["level"]), ("ix_incidents_worst", ["severity", "first_at"])):
        op.create_index(name, "incidents", columns, sqlite_where=_OPEN, postgresql_where=_OPEN)
