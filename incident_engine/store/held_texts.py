"""Held texts: the deliveries of a step that wait for an approval."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, or_, select, update

from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.store.tables import deliveries, steps


@dataclass(frozen=True, slots=True)
class HeldText:
    """The text that goes out in one language once it is approved."""

    locale: str
    subject: str
    body: str


def held_texts_of(connection: Connection, step_id: str) -> list[HeldText]:
    """Return the texts that wait for a step's approval, one for each language."""
    rows = connection.execute(
        select(deliveries.c.locale, deliveries.c.subject, deliveries.c.body)
        .where(deliveries.c.step_id == step_id, deliveries.c.state == DeliveryState.HELD)
        .order_by(deliveries.c.locale.desc(), deliveries.c.position)
    )
    by_locale: dict[str, HeldText] = {}
    for row in rows:
        text = by_locale.get(row.locale)
        if text is None or len(row.body) > len(text.body):  # the long form contains everything that short forms say
            by_locale[row.locale] = HeldText(row.locale, row.subject, row.body)
    return list(by_locale.values())


def release_held(
    connection: Connection, step_id: str, now: datetime, wording: Mapping[str, tuple[str, str]] | None = None
) -> int:
    """Make a step's held deliveries due and return their number.

    `wording` replaces (subject, body) by language, for an approver who corrected the text.
    """
    for locale, (subject, body) in (wording or {}).items():
        connection.execute(
            update(deliveries)
            .where(
                deliveries.c.step_id == step_id,
                deliveries.c.state == DeliveryState.HELD,
                deliveries.c.locale == locale,
            )
            .values(subject=subject, body=body)
        )
    held = connection.execute(
        select(deliveries.c.id, deliveries.c.delay_seconds).where(
            deliveries.c.step_id == step_id, deliveries.c.state == DeliveryState.HELD
        )
    ).all()
    for row in held:
        # Delays of fallback channels count from the approval, not from the time when the text was written.
        due_at = now + timedelta(seconds=row.delay_seconds)
        connection.execute(
            update(deliveries).where(deliveries.c.id == row.id).values(state=DeliveryState.PENDING, due_at=due_at)
        )
    return len(held)


def refresh_held_texts(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace subject and body of held deliveries; `rows` have the columns of `deliveries`."""
    for row in rows:
        connection.execute(
            update(deliveries)
            # An approval in the same transaction may have released it; a released text must not change.
            .where(deliveries.c.id == row["id"], deliveries.c.state == DeliveryState.HELD)
            .values(subject=row["subject"], body=row["body"])
        )


def drop_held(connection: Connection, step_ids: Collection[str]) -> None:
    """Delete the held deliveries of steps; the approval request that quoted them stays on record."""
    if step_ids:
        connection.execute(
            delete(deliveries).where(deliveries.c.step_id.in_(step_ids), deliveries.c.state == DeliveryState.HELD)
        )


def latest_text(connection: Connection, step_id: str, contact: str) -> tuple[str, str] | None:
    """Return (subject, body) of a step's latest message to a contact, in its longest form; None if there is none.

    Messages of steps that derive from it, such as reminders, count as its own.
    """
    family = select(steps.c.id).where(or_(steps.c.id == step_id, steps.c.parent_id == step_id))
    rows = connection.execute(
        select(deliveries.c.subject, deliveries.c.body, deliveries.c.created_at).where(
            deliveries.c.step_id.in_(family),
            deliveries.c.contact == contact,
            deliveries.c.state != DeliveryState.HELD,
        )
    ).all()
    # The channels of one message are written at one instant; the longest body is the form with all particulars.
    latest = max(rows, key=lambda row: (row.created_at, len(row.body)), default=None)
    return None if latest is None else (latest.subject, latest.body)


def latest_message_at(connection: Connection, step_id: str, contact: str) -> datetime | None:
    """Return the instant of a step's latest message to a contact, or of a step that derives from it; None if none."""
    family = select(steps.c.id).where(or_(steps.c.id == step_id, steps.c.parent_id == step_id))
    query = select(func.max(deliveries.c.created_at)).where(
        deliveries.c.step_id.in_(family), deliveries.c.contact == contact
    )
    latest: datetime | None = connection.scalar(query)
    return latest
