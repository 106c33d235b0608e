"""The tables. Instants are microseconds since 1970 in UTC; states are checked by the database."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from incident_engine.store.dialect import NUMBER

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(instant: datetime) -> int:
    """Return an instant as the database has it."""
    return (instant - _EPOCH) // _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware instant, kept as microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the microseconds of an instant."""
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Return the instant of microseconds."""
        return None if value is None else _EPOCH + timedelta(microseconds=value)


metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

cases = Table(
    "cases",
    metadata,
    Column("id", String, primary_key=True),
    Column("kind", String, nullable=False),  # incident, or another kind of case
    Column("service_group", String, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant),
    Column("closed_at", Instant),
    Column("level", String),
    Column("severity", Integer, nullable=False),
    Column("packs", JSON, nullable=False),
    Column("services", JSON, nullable=False),
    Column("regions", JSON, nullable=False),
)
_OPEN = cases.c.closed_at.is_(None)
Index("ix_cases_open", cases.c.service_group, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_cases_level", cases.c.level, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_cases_worst", cases.c.severity, cases.c.first_at, sqlite_where=_OPEN, postgresql_where=_OPEN)

packs = Table(
    "packs",
    metadata,
    Column("content_hash", String, primary_key=True),
    Column("pack", String, nullable=False),
    Column("version", String, nullable=False),
    Column("document", JSON, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("source", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("case_id", String, ForeignKey("cases.id")),  # null: maintenance, which is of no incident
    Column("type", String, nullable=False),
    Column("service", String),
    Column("occurred_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("document", JSON, nullable=False),
    UniqueConstraint("source", "event_id"),
)
Index("ix_events_case", events.c.case_id, events.c.service)

assessments = Table(
    "assessments",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("case_id", String, ForeignKey("cases.id"), nullable=False),
    Column("pack", String, nullable=False),
    Column("version", String, nullable=False),
    Column("content_hash", String, ForeignKey("packs.content_hash"), nullable=False),
    Column("at", Instant, nullable=False),
    Column("level", String),
    Column("level_retained", Boolean, nullable=False),
    Column("events_until", NUMBER, nullable=False),  # the last event that the verdict knew
    Column("document", JSON, nullable=False),
)
Index("ix_assessments_case", assessments.c.case_id, assessments.c.pack, assessments.c.seq)

steps = Table(
    "steps",
    metadata,
    Column("id", String, primary_key=True),
    Column("case_id", String, ForeignKey("cases.id"), nullable=False),
    Column("playbook", String, nullable=False),
    Column("step", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("audience", String, nullable=False),
    Column("template", String, nullable=False),
    Column("level", String),
    Column("obligation", String),
    Column("fulfils", String),
    Column("deadline", Instant),
    Column("awaits", String),
    Column("approval", String),
    Column("report", String),
    Column("parent_id", String),
    Column("assignee", String),
    Column(
        "generation", Integer, nullable=False, server_default="1"
    ),  # raised each time a withdrawn step is planned again
    Column("state", String, nullable=False),
    Column("started_at", Instant),
    Column("approved_at", Instant),
    Column("approved_by", String),
    Column("completed_at", Instant),
    Column("completed_by", String),
    Column("reason", Text),
    CheckConstraint(
        "state IN ('pending', 'awaiting', 'started', 'failed', 'completed', 'skipped', 'withdrawn')", name="state"
    ),
)
Index("ix_steps_case", steps.c.case_id)
Index(
    "ix_steps_deadline",
    steps.c.state,
    steps.c.deadline,
    sqlite_where=text("deadline IS NOT NULL"),
    postgresql_where=text("deadline IS NOT NULL"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String, primary_key=True),
    Column("step_id", String, ForeignKey("steps.id"), nullable=False),
    Column("case_id", String, ForeignKey("cases.id"), nullable=False),
    Column("contact", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("address", String),
    Column("locale", String, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("priority", Integer, nullable=False),  # 0 statutory, 1 urgent, 2 other
    Column("delay_seconds", Integer, nullable=False, server_default="0"),  # after the contact's first channel
    Column("position", Integer, nullable=False),  # in the order in which the contact is to be reached, from 0
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    CheckConstraint("state IN ('pending', 'sending', 'delivered', 'failed', 'cancelled', 'held')", name="state"),
    CheckConstraint("(state IN ('pending', 'sending')) = (due_at IS NOT NULL)", name="due"),
)
Index("ix_deliveries_case", deliveries.c.case_id)
Index("ix_deliveries_step", deliveries.c.step_id)
_DUE = text("due_at IS NOT NULL")
Index("ix_deliveries_due", deliveries.c.due_at, sqlite_where=_DUE, postgresql_where=_DUE)

attempts = Table(
    "attempts",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("delivery_id", String, ForeignKey("deliveries.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("outcome", String),
    Column("detail", Text),
    UniqueConstraint("delivery_id", "number"),
)

reports = Table(
    "reports",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("case_id", String, ForeignKey("cases.id"), nullable=False),
    Column("report", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String, nullable=False),
    Column("by", String),  # who approved, submitted or withdrew it
    Column("created_at", Instant, nullable=False),  # when it came to this state
    Column("content_hash", String, nullable=False),
    Column("gaps", Integer, nullable=False),
    Column("document", JSON, nullable=False),  # in every language
    UniqueConstraint("case_id", "report", "instance", "version", "state"),
    CheckConstraint("state IN ('draft', 'approved', 'submitted', 'withdrawn')", name="state"),
)

timers = Table(
    "timers",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),
    Column("due_at", Instant, nullable=False, index=True),
)

archived_incidents = Table(
    "archived_incidents",
    metadata,
    Column("id", String, primary_key=True),
    Column("service_group", String, nullable=False),
    Column("levels", JSON, nullable=False),  # the level by pack; null: below the lowest
    Column("occurred_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=False),
    Column("file", String, nullable=False),  # in retention.directory
    Column("sha256", String),  # of its document in the file, without the end of the line
    Column("archived_at", Instant),  # null: chosen for the file, and not removed from the other tables yet
    CheckConstraint("(sha256 IS NULL) = (archived_at IS NULL)", name="whole"),
)
Index("ix_archived_incidents_occurred", archived_incidents.c.occurred_at)

quarantine = Table(
    "quarantine",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("source", String, nullable=False),
    Column("key", String, nullable=False),
    Column("reason", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("document", JSON, nullable=False),
    Column("first_received_at", Instant, nullable=False),
    Column("last_received_at", Instant, nullable=False),
    Column("times", Integer, nullable=False),
    UniqueConstraint("source", "key"),
)

keys = Table("keys", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))
