"""Held texts: the deliveries of a step that wait for an approval."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from incident_engine.store.deliveries import DeliveryState
from incident_engine.store.tables import deliveries, steps


@dataclass(frozen=True, slots=True)
class HeldText:
    """What would go out in one language, once it is approved."""

    locale: str
    subject: str
    body: str


def held_texts_of(connection: Connection, step_id: str) -> list[HeldText]:
    """Return what waits for a step's approval, once in each language."""
    rows = connection.execute(
        select(deliveries.c.locale, deliveries.c.subject, deliveries.c.body)
        .where(deliveries.c.step_id == step_id, deliveries.c.state == DeliveryState.HELD)
        .order_by(deliveries.c.locale.desc(), deliveries.c.position)
    )
    by_locale: dict[str, HeldText] = {}
    for row in rows:
        known = by_locale.get(row.locale)
        if known is None or len(row.body) > len(known.body):  # the long form says everything
            by_locale[row.locale] = HeldText(row.locale, row.subject, row.body)
    return list(by_locale.values())


def release_held(
    connection: Connection, step_id: str, now: datetime, wording: Mapping[str, tuple[str, str]] | None = None
) -> int:
    """Let go out what was held; `wording` replaces subject and body by language. Return how many deliveries."""
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
        due_at = now + timedelta(seconds=row.delay_seconds)
        connection.execute(
            update(deliveries).where(deliveries.c.id == row.id).values(state=DeliveryState.PENDING, due_at=due_at)
        )
    return len(held)


def refresh_held_texts(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Replace the words that are held by newer ones, delivery by delivery."""
    for row in rows:
        connection.execute(
            update(deliveries)
            .where(deliveries.c.id == row["id"], deliveries.c.state == DeliveryState.HELD)
            .values(subject=row["subject"], body=row["body"])
        )


def drop_held(connection: Connection, step_ids: Collection[str]) -> None:
    """Forget words that nobody approved; the request in which they were shown stays on record."""
    if step_ids:
        connection.execute(
            delete(deliveries).where(deliveries.c.step_id.in_(step_ids), deliveries.c.state == DeliveryState.HELD)
        )


def latest_text(connection: Connection, step_id: str, contact: str) -> tuple[str, str] | None:
    """Return subject and text of what a step said to a contact last, in its longest form."""
    of_step = select(steps.c.id).where(or_(steps.c.id == step_id, steps.c.parent_id == step_id))
    rows = connection.execute(
        select(deliveries.c.subject, deliveries.c.body, deliveries.c.created_at).where(
            deliveries.c.step_id.in_(of_step),
            deliveries.c.contact == contact,
            deliveries.c.state != DeliveryState.HELD,
        )
    ).all()
    latest = max(rows, key=lambda row: (row.created_at, len(row.body)), default=None)
    return None if latest is None else (latest.subject, latest.body)
