"""Decides whether a link still stands for its reader: the step exists, and nobody else has it."""

from datetime import datetime

from sqlalchemy import Connection

from incident_engine.common.signed_links import Link
from incident_engine.config.people import People
from incident_engine.domain.events.actions import StepAssigned
from incident_engine.domain.step_id import StepId
from incident_engine.store import held_texts, steps
from incident_engine.store.archive import archived
from incident_engine.store.events import events_of
from incident_engine.store.steps import StoredStep
from incident_engine.web.links.errors import LinkError, LinkRefusedError


def step_of(connection: Connection, link: Link, people: People, now: datetime) -> tuple[str, StoredStep]:
    """Return the case and the step of a link.

    Raises LinkRefusedError if the step is gone, or was assigned to somebody else.
    """
    stored = steps.stored_step(connection, link.step)
    case_id = steps.case_of_step(connection, link.step)
    if stored is None or case_id is None:
        parsed = StepId.parse(link.step)
        is_archived = parsed is not None and archived(connection, parsed.case_id) is not None
        raise LinkRefusedError(LinkError.ARCHIVED if is_archived else LinkError.STEP_GONE)
    if stored.assignee is not None and link.contact not in {
        member.id for member in people.members(stored.assignee, now)
    }:
        assigned_at = _assigned_at(connection, case_id, link.step)
        # An escalation after the assignment calls further people; their links are as good as the new owner's.
        asked_at = held_texts.latest_message_at(connection, link.step, link.contact)
        if assigned_at is not None and (asked_at is None or asked_at <= assigned_at):
            raise LinkRefusedError(LinkError.ASSIGNED)
    return case_id, stored


def _assigned_at(connection: Connection, case_id: str, step_id: str) -> datetime | None:
    """Return the instant at which a step was last assigned."""
    events = (recorded.event for recorded in events_of(connection, case_id))
    assignments = [event for event in events if isinstance(event, StepAssigned)]
    family = [event for event in assignments if event.data.step.partition("~")[0] == step_id]
    return max((event.occurred_at for event in family), default=None)
