"""What-if: the events of a hypothetical course of an incident."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.domain.events.model import EVENT, Event
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER

_SOURCE = "what-if"


@dataclass(frozen=True, slots=True)
class WhatIf:
    """Everything works again at an instant; more regions are hit (since an instant, by default now)."""

    restored_at: datetime | None = None
    add_regions: tuple[str, ...] = ()
    since: datetime | None = None


def what_if_events(incident: Incident, what_if: WhatIf, now: datetime) -> list[Event]:
    """Return the events of a hypothesis: in the services that are impaired now.

    Raises InvalidDocumentError if nothing is impaired, or if it would end before it began.
    """
    impaired = [outage for outage in incident.outages if outage.intervals[-1].end == NEVER]
    problems = list(_problems(incident, what_if, now))
    if problems:
        raise InvalidDocumentError(problems)
    events: list[Event] = []
    for service in sorted({outage.service for outage in impaired}):
        regions = {outage.region for outage in impaired if outage.service == service}
        # Regions that are impaired already would only repeat their outage.
        added = sorted(set(what_if.add_regions) - regions)
        if added:
            events.append(_event(EventType.OUTAGE_STARTED, service, added, what_if.since or now))
        if what_if.restored_at is not None:
            everywhere = sorted({*regions, *added})
            events.append(_event(EventType.OUTAGE_RESTORED, service, everywhere, what_if.restored_at))
    return events


def _problems(incident: Incident, what_if: WhatIf, now: datetime) -> Iterator[Problem]:
    if not incident.is_down:
        yield Problem((), f"nothing is impaired in incident '{incident.id}'", "an incident that goes on")
        return
    if what_if.since is not None and not what_if.add_regions:
        yield Problem(("since",), "has no effect without add_region", "add_region, or no since")
    starts = [outage.intervals[-1].start for outage in incident.outages if outage.intervals[-1].end == NEVER]
    if what_if.add_regions:
        starts.append(what_if.since or now)
    if what_if.restored_at is not None and what_if.restored_at <= max(starts):
        message = f"restored at {what_if.restored_at.isoformat()}, before it began ({max(starts).isoformat()})"
        yield Problem(("restored_at",), message, "a later instant")


def _event(kind: EventType, service: str, regions: list[str], at: datetime) -> Event:
    return EVENT.validate_python(
        {
            "source": _SOURCE,
            "id": f"{kind}/{service}",
            "type": kind,
            "service": service,
            "regions": regions,
            "occurred_at": at,
        }
    )
