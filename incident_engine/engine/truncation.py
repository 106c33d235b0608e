"""Notes about alerts that a monitor left out of its notification: the incident may be wider than reported."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from incident_engine.common.telemetry import EventOutcome
from incident_engine.domain.events.model import EVENT, Event
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.engine.receipts import EventReporter, Receipt
from incident_engine.store.unit_of_work import UnitOfWork


def record_truncation(
    unit: UnitOfWork,
    engine: EventReporter,
    events: Sequence[Event],
    receipts: Sequence[Receipt],
    truncated: int,
    now: datetime,
) -> bool:
    """Note in each incident of a notification how many alerts were left out of it.

    Return whether this is new: a note was added, or there is no incident to bear one.
    """
    first_at: dict[str, datetime] = {}
    for event, receipt in zip(events, receipts, strict=True):
        if receipt.incident is not None:
            at = first_at.get(receipt.incident, event.occurred_at)
            first_at[receipt.incident] = min(at, event.occurred_at)
    notes = [_truncation_note(incident, at, truncated) for incident, at in first_at.items()]
    results = engine.report(unit, notes, now) if notes else []
    return not notes or any(receipt.outcome is EventOutcome.ACCEPTED for receipt in results)


def _truncation_note(incident: str, at: datetime, truncated: int) -> Event:
    zh_cn = f"监控系统的通知略去了 {truncated} 条告警（truncatedAlerts）：实际影响范围可能更大。"
    en = f"The monitor left {truncated} alert(s) out of its notification (truncatedAlerts): more may be down."
    # All of the note follows from the parts of its id, so that a repeated notification is a duplicate.
    digest = hashlib.sha256(f"{incident}\0{at.isoformat()}\0{truncated}".encode()).hexdigest()[:32]
    return EVENT.validate_python(
        {
            "source": ITSELF,
            "id": f"truncated/{digest}",
            "type": EventType.NOTE_ADDED,
            "incident": incident,
            "occurred_at": at,
            "data": {"by": ITSELF, "text": f"{zh_cn} {en}"},
        }
    )
