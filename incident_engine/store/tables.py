"""The tables. Instants are microseconds since 1970 in UTC; the database itself refuses illegal states."""

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
    """Return an instant in microseconds since 1970, the form in which it is stored."""
    return (instant - _EPOCH) // _MICROSECOND


class Instant(TypeDecorator[datetime]):
    """An aware instant, stored as microseconds since 1970 in UTC."""

    impl = BigInteger  # sorts and compares alike in both databases, and SQLite has no type for instants
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
    Column("opened_at", Instant, nullable=False),  # by our clock, when its first event was received
    Column("first_at", Instant, nullable=False),  # when its first event occurred
    Column("last_at", Instant),  # the end of its window for correlation; null while an outage goes on
    Column("closed_at", Instant),
    Column("level", String),  # of the primary pack; null: below the lowest
    Column("severity", Integer, nullable=False),  # 0 below the lowest level, rising to the worst: SQL can sort by it
    Column("packs", JSON, nullable=False),  # content hash by pack: rules that change later do not apply
    Column("services", JSON, nullable=False),
    Column("regions", JSON, nullable=False),
    Column("heard_at", Instant),  # the last repeat of a known report; null: none
)
# Queries for open cases must not slow down with the number of closed ones.
_OPEN = cases.c.closed_at.is_(None)
Index("ix_cases_open", cases.c.service_group, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_cases_level", cases.c.level, sqlite_where=_OPEN, postgresql_where=_OPEN)
Index("ix_cases_worst", cases.c.severity, cases.c.first_at, sqlite_where=_OPEN, postgresql_where=_OPEN)

packs = Table(
    "packs",
    metadata,
    Column("content_hash", String, primary_key=True),  # not the version: a file may be edited without raising it
    Column("pack", String, nullable=False),
    Column("version", String, nullable=False),
    Column("document", JSON, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("seq", NUMBER, primary_key=True),  # the order of receipt
    Column("source", String, nullable=False),
    Column("event_id", String, nullable=False),
    Column("case_id", String, ForeignKey("cases.id")),  # null: maintenance, or the event of an archived case
    Column("type", String, nullable=False),
    Column("service", String),
    Column("occurred_at", Instant, nullable=False),
    Column("received_at", Instant, nullable=False),
    Column("document", JSON, nullable=False),  # the event in the native format
    UniqueConstraint("source", "event_id"),  # the idempotency key: a repeated event changes nothing
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
    Column("at", Instant, nullable=False),  # the instant as of which the case was graded
    Column("level", String),
    Column("level_retained", Boolean, nullable=False),  # the facts alone would give a lower level by now
    Column("events_until", NUMBER, nullable=False),  # `seq` of the last event it knew, for replays
    Column("document", JSON, nullable=False),
)
Index("ix_assessments_case", assessments.c.case_id, assessments.c.pack, assessments.c.seq)

steps = Table(
    "steps",
    metadata,
    Column("id", String, primary_key=True),  # the same for each planning, so that plans can be reconciled
    Column("case_id", String, ForeignKey("cases.id"), nullable=False),
    Column("playbook", String, nullable=False),
    Column("step", String, nullable=False),
    Column("instance", String, nullable=False),  # the occurrence of the trigger
    Column("due_at", Instant, nullable=False),
    Column("audience", String, nullable=False),
    Column("template", String, nullable=False),
    Column("level", String),
    Column("obligation", String),  # the obligation that the step is about
    Column("fulfils", String),  # the obligation that its completion meets
    Column("deadline", Instant),
    Column("awaits", String),  # acknowledgement or completion by a person; null: nothing
    Column("approval", String),  # the audience that must approve its texts; null: none
    Column("report", String),
    Column("parent_id", String),  # the step that it derives from: an escalation, an assignment, a request for approval
    Column("assignee", String),
    # Raised each time a withdrawn step is planned again; part of the ids of its deliveries, so that they are new.
    Column("generation", Integer, nullable=False, server_default="1"),
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
    Column("address", String),  # null: the channel has one endpoint for all
    Column("locale", String, nullable=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("priority", Integer, nullable=False),  # 0 statutory, 1 urgent, 2 other
    Column("delay_seconds", Integer, nullable=False, server_default="0"),  # after the contact's first channel
    Column("position", Integer, nullable=False),  # in the order in which the contact is to be reached, from 0
    Column("state", String, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant),  # of the next attempt; while it is being sent, the end of the lease
    Column("created_at", Instant, nullable=False),
    Column("ended_at", Instant),
    CheckConstraint("state IN ('pending', 'sending', 'delivered', 'failed', 'cancelled', 'held')", name="state"),
    # Exactly the unfinished deliveries are due: none of them is forgotten, and no other is sent again.
    CheckConstraint("(state IN ('pending', 'sending')) = (due_at IS NOT NULL)", name="due"),
)
Index("ix_deliveries_case", deliveries.c.case_id)
Index("ix_deliveries_step", deliveries.c.step_id)
# Each commit asks for the next due instant; ended deliveries, by far the most, are not in this index.
_DUE = text("due_at IS NOT NULL")
Index("ix_deliveries_due", deliveries.c.due_at, sqlite_where=_DUE, postgresql_where=_DUE)

attempts = Table(
    "attempts",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("delivery_id", String, ForeignKey("deliveries.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant),  # null: under way, or cut off by the end of the process
    Column("outcome", String),
    Column("detail", Text),
    UniqueConstraint("delivery_id", "number"),  # no attempt is claimed twice
)

reports = Table(
    "reports",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("case_id", String, ForeignKey("cases.id"), nullable=False),
    Column("report", String, nullable=False),
    Column("instance", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("state", String, nullable=False),  # a change of state is a new row, so that each stays on record
    Column("by", String),  # the person who approved, submitted or withdrew it
    Column("created_at", Instant, nullable=False),  # when it entered this state
    Column("content_hash", String, nullable=False),  # an unchanged draft is no new version
    Column("gaps", Integer, nullable=False),  # fields without a value
    Column("document", JSON, nullable=False),  # in every language
    UniqueConstraint("case_id", "report", "instance", "version", "state"),
    CheckConstraint("state IN ('draft', 'approved', 'submitted', 'withdrawn')", name="state"),
)

timers = Table(
    "timers",
    metadata,
    Column("case_id", String, ForeignKey("cases.id"), primary_key=True),  # one timer, for the next change of any kind
    Column("due_at", Instant, nullable=False, index=True),
    Column("failed_since", Instant),  # of the first of the updates that failed one after the other; null: it succeeds
)
_FAILED = timers.c.failed_since.is_not(None)
Index("ix_timers_failed", timers.c.failed_since, sqlite_where=_FAILED, postgresql_where=_FAILED)

archived_incidents = Table(
    "archived_incidents",
    metadata,
    Column("id", String, primary_key=True),
    Column("service_group", String, nullable=False),
    Column("levels", JSON, nullable=False),  # level by pack; null: below the lowest
    Column("occurred_at", Instant, nullable=False),
    Column("closed_at", Instant, nullable=False),
    Column("file", String, nullable=False),  # in retention.directory
    Column("sha256", String),  # of its document in the file, without the end of the line
    Column("archived_at", Instant),  # null: chosen for the file but not removed from the other tables yet
    CheckConstraint("(sha256 IS NULL) = (archived_at IS NULL)", name="whole"),
)
Index("ix_archived_incidents_occurred", archived_incidents.c.occurred_at)

quarantine = Table(
    "quarantine",
    metadata,
    Column("seq", NUMBER, primary_key=True),
    Column("source", String, nullable=False),
    Column("key", String, nullable=False),  # the sender's id: repetitions are counted in one row
    Column("reason", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("document", JSON, nullable=False),
    Column("first_received_at", Instant, nullable=False),
    Column("last_received_at", Instant, nullable=False),
    Column("times", Integer, nullable=False),
    Column("state", String, nullable=False, server_default="waiting"),
    Column("service", String),  # by which a person mapped it; null: the report's own
    Column("regions", JSON(none_as_null=True)),
    Column("ended_by", String),  # the person who mapped or dismissed it
    Column("ended_reason", Text),
    Column("ended_at", Instant),
    UniqueConstraint("source", "key"),
    CheckConstraint("state IN ('waiting', 'mapped', 'dismissed')", name="state"),
    CheckConstraint("(state = 'waiting') = (ended_at IS NULL)", name="ended"),
)
# Each commit asks whether anything waits; what people have answered stays on record and must not slow it down.
_WAITING = quarantine.c.state == text("'waiting'")
Index("ix_quarantine_waiting", quarantine.c.first_received_at, sqlite_where=_WAITING, postgresql_where=_WAITING)

# Values of the database as a whole: the key that signs links, the fingerprint of the rules tried last.
keys = Table("keys", metadata, Column("name", String, primary_key=True), Column("value", String, nullable=False))
