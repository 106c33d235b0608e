"""When a person may close an incident, and which events open it again.

An incident ends when the system serves normally again (银监办发〔2008〕53号 Art. 42). `response.automatic_closing`
closes blips, and `response.after_closing` keeps the steps that outlive the closing.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from incident_engine.common.errors import Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.domain.events.actions import OverdueReason
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import Event, ImpactMeasured, OutageEvent
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER


def closing_problem(incident: Incident, at: datetime, observation: timedelta) -> Problem | None:
    """Return why a person may not close an incident, folded from the events up to `at`, at that instant.

    "Normally again" (Art. 42) is shown once everything has worked for the time of observation. A closing by the engine
    can be confirmed by a person's.
    """
    if incident.closing is not None and incident.closing.by != ITSELF:
        text = f"incident '{incident.id}' was closed at {incident.closing.at.isoformat()} by {incident.closing.by}"
        return Problem(("type",), text, "an incident that is open")
    if incident.is_down:
        lines = ", ".join(f"{o.service} in {o.region}" for o in incident.outages if o.intervals[-1].end == NEVER)
        return Problem(
            ("type",), f"incident '{incident.id}' is still impaired: {lines}", "outage.restored for these first"
        )
    # An incident without any outage, such as a leak of data, has nothing to be observed.
    until = None if incident.restored_at is None else incident.restored_at + observation
    if until is None or at >= until:
        return None
    text = f"incident '{incident.id}' is under observation until {until.isoformat()} (closing.observation)"
    return Problem(("occurred_at",), text, "a closing from then on")


class Overdue(NamedTuple):
    """An overdue obligation, by its id and instance, and the instant at which it was due."""

    obligation: str
    due_at: datetime


def overdue_problems(overdue: Sequence[Overdue], named: Sequence[OverdueReason]) -> list[Problem]:
    """Return why a closing does not account for each obligation that is overdue then, and for nothing else.

    The closing ends the handling (Art. 42), but lifts no obligation: a person says of each why it is left unmet.
    """
    names = [reason.obligation for reason in named]
    problems = [
        Problem(
            ("data", "overdue"),
            f"obligation '{obligation}' was due at {due_at.isoformat()}, and nobody has met it",
            f'step.completed with "fulfils", or here {{"obligation": "{obligation}", "reason": "…"}}',
        )
        for obligation, due_at in overdue
        if obligation not in names
    ]
    for index, name in enumerate(names):
        path = ("data", "overdue", index, "obligation")
        problems += unknown_problems(path, "overdue obligation", name, [obligation for obligation, _ in overdue])
        if name in names[:index]:
            problems.append(Problem(path, f"'{name}' is named twice", "one reason for each"))
    return problems


def reopens(event: Event, closed_by: str) -> bool:
    """Return whether an event that follows a closing opens the incident again."""
    if isinstance(event, OutageEvent):
        return event.type != EventType.OUTAGE_RESTORED
    if isinstance(event, HarmAssessed):
        return True  # harm that becomes known after the closing must be handled all the same
    # The engine closed it as below any level, before this figure was known. A person's closing is final.
    return isinstance(event, ImpactMeasured) and closed_by == ITSELF
