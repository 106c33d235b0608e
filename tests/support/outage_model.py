"""A second way to tell when services are down: by the definition alone, with no state between events.

A signal of a source is active at an instant if an end did not follow its latest start. It costs the square of the
number of events.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from incident_engine.domain.events.model import OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.incident import Impairment, Incident

STARTS = (EventType.OUTAGE_STARTED, EventType.OUTAGE_DEGRADED)
Signal = tuple[str, str | None]
States = list[tuple[datetime, Impairment | None]]
"""The state from each instant on at which anything was told."""


def outage(recorded: Recorded) -> OutageEvent:
    """Return an event as the outage event that it is."""
    assert isinstance(recorded.event, OutageEvent)
    return recorded.event


def signal(event: OutageEvent) -> Signal:
    """Return the source and name of an event's signal."""
    return event.source, event.data.signal


def modelled(events: Sequence[Recorded], service: str, region: str) -> States:
    """Return the states of a service in a region."""
    outages = [each for each in events if isinstance(each.event, OutageEvent)]
    here = [each for each in outages if outage(each).service == service and region in outage(each).regions]
    here.sort(key=lambda each: each.key)
    ends = [each for each in here if outage(each).type not in STARTS]
    starts = [outage(each) for each in here if each not in ends and not _is_overtaken(each, ends)]
    over = [outage(each) for each in ends]
    standing: list[OutageEvent] = []
    signals = {signal(outage(each)) for each in here}
    states: States = []
    before: set[Signal] = set()
    for now in sorted({outage(each).occurred_at for each in here}):
        for one in signals:
            # An end that had something to end leaves what begins at its instant.
            had_outage = bool(before) if one[1] is None else one in before
            spare = sum(end.occurred_at == now and signal(end) == one for end in over) - had_outage
            for kind in STARTS:
                begun = [each for each in starts if (each.occurred_at, each.type, signal(each)) == (now, kind, one)]
                standing += begun[max(spare, 0) :]
        active = {one: _active(one, now, standing, over) for one in signals}
        before = {one for one, state in active.items() if state is not None}
        worst = [state for state in (Impairment.DOWN, Impairment.DEGRADED) if state in active.values()]
        states.append((now, worst[0] if worst else None))
    return states


def folded(incident: Incident, service: str, region: str, instants: Sequence[datetime]) -> States:
    """Return the states of a folded incident at the same instants."""
    lines = [each for each in incident.outages if (each.service, each.region) == (service, region)]
    intervals = [interval for line in lines for interval in line.intervals]
    return [(at, next((i.impairment for i in intervals if i.start <= at < i.end), None)) for at in instants]


def _active(
    one: Signal, now: datetime, standing: Sequence[OutageEvent], ends: Sequence[OutageEvent]
) -> Impairment | None:
    own = [each for each in standing if signal(each) == one and each.occurred_at <= now]
    if not own:
        return None
    since = max(each.occurred_at for each in own)
    if any(since < end.occurred_at <= now and (end.data.signal is None or signal(end) == one) for end in ends):
        return None
    is_down = any(each.occurred_at == since and each.type is EventType.OUTAGE_STARTED for each in own)
    return Impairment.DOWN if is_down else Impairment.DEGRADED


def _is_overtaken(start: Recorded, ends: Sequence[Recorded]) -> bool:
    """Return whether a start from the future was ended, by the order of receipt, before it."""
    begun, ahead = outage(start), start.event.occurred_at - start.received_at
    if ahead <= timedelta(0):
        return False
    for end in ends:
        over = outage(end)
        if end.received_at <= start.received_at or over.occurred_at >= begun.occurred_at:
            continue
        if signal(over) == signal(begun) and over.occurred_at >= start.received_at - ahead:
            return True
        if over.data.signal is None and over.occurred_at >= start.received_at:
            return True
    return False
