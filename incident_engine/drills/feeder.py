"""Post the events of a scenario to the daemon of a drill, as monitors and people would."""

from collections.abc import Mapping, Sequence
from typing import Any

import httpx2

from incident_engine.config.scenario import STEP_ACTIONS
from incident_engine.config.settings import Settings
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.correlation import group_of
from incident_engine.domain.response.step import StepState
from incident_engine.drills.checks import is_named

_ROUTED = frozenset(
    {
        EventType.OUTAGE_STARTED,
        EventType.OUTAGE_DEGRADED,
        EventType.OUTAGE_RESTORED,
        EventType.MAINTENANCE_ANNOUNCED,
        EventType.HARM_ASSESSED,
        EventType.IMPACT_MEASURED,
    }
)
"""Events that the engine assigns to an incident, or that open one."""


class EventFeeder:
    """Posts the events of a scenario, as monitors and people would, and collects the refusals."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._groups = settings.groups
        self._incidents: dict[str | None, str] = {}
        self.refused: list[str] = []

    async def push(self, document: dict[str, Any]) -> None:
        """Post one event."""
        name = f"{document['id']} ({document['type']})"
        group = group_of(document["service"], self._groups) if document.get("service") else None
        incident = document.get("incident") or self._incidents.get(group)
        if document["type"] not in _ROUTED or document.get("service") is None:
            document["incident"] = incident  # people name the incident, even after it is closed
        data = document["data"]
        if document["type"] in STEP_ACTIONS and data.get("step") and ":" not in data["step"]:
            step_id = None
            if incident is not None:
                view = await self._client.get(f"/api/v1/incidents/{incident}")
                steps = view.json().get("steps", []) if view.status_code == 200 else []
                step_id = step_id_of(data["step"], steps)
            if step_id is None:
                self.refused.append(f"{name}: step {data['step']}")
                return
            data["step"] = step_id
        answer = await self._client.post("/api/v1/events", json=document)
        if answer.status_code != 202:
            self.refused.append(f"{name}: {_refusal(answer)}")
            return
        incident = answer.json()["events"][0]["incident"]
        if incident is not None:
            # Events without a service go to the incident of the event before them.
            self._incidents[group] = self._incidents[None] = incident


def _refusal(answer: httpx2.Response) -> str:
    try:
        return "; ".join(str(error["detail"]) for error in answer.json()["errors"])
    except (ValueError, KeyError, TypeError):
        return answer.text


def step_id_of(name: str, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the id of an incident's step by its short name, `page` or `page/II`; None if there is none.

    Of several steps, prefer the latest one that awaits a person, then the next one to start, then the latest one.
    """
    named = [row for row in rows if is_named(name, row) and (row["parent_id"] is None or "/" in name)]
    named = sorted((row for row in named if row["state"] != StepState.WITHDRAWN), key=lambda row: str(row["due_at"]))
    awaiting = [row for row in named if row["state"] in (StepState.STARTED, StepState.AWAITING)]
    pending = [row for row in named if row["state"] == StepState.PENDING]
    by_preference = [*awaiting[-1:], *pending[:1], *named[-1:]]
    return str(by_preference[0]["id"]) if by_preference else None
