"""When an incident may close, when it closes by itself, and which events open it again.

An incident ends when the system serves normally again (银监办发〔2008〕53号 Art. 42). Steps that survive the closing
are the matter of `domain.response.closing`.
"""

from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import Event, ImpactMeasured, OutageEvent
from incident_engine.domain.events.types import ITSELF, EventType


def reopens(event: Event, closed_by: str) -> bool:
    """Return whether an event that follows a closing opens the incident again."""
    if isinstance(event, OutageEvent):
        return event.type != EventType.OUTAGE_RESTORED
    if isinstance(event, HarmAssessed):
        return True  # harm that becomes known after the closing must be handled all the same
    # The engine closed it as too small before it knew the figure; a person's closing stands.
    return isinstance(event, ImpactMeasured) and closed_by == ITSELF
