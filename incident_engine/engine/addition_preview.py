"""The words of a step that a person wants to add, before it is added."""

from datetime import datetime

from sqlalchemy import Connection

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.domain.events.actions import StepAdded
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.incidents.fold import fold
from incident_engine.engine.messages import StepMessages
from incident_engine.engine.reader import Reader
from incident_engine.engine.report_facts import facts_of
from incident_engine.store.events import events_of
from incident_engine.store.steps import started_steps, steps_of


def addition_texts(
    connection: Connection, settings: Settings, reader: Reader, event: StepAdded, now: datetime
) -> list[dict[str, str]]:
    """Return the messages that an addition would send at once, one for each reader's language.

    Shape: `[{"audience", "locale", "subject", "body"}]`. Nothing is stored.
    """
    incident_id = event.incident or ""
    incident = fold(incident_id, [*events_of(connection, incident_id), Recorded(event, now)])
    case, stored = reader.graded(connection, incident, now), steps_of(connection, incident_id)
    messages = StepMessages(settings, reader.rulebook, Links())
    facts = facts_of(settings, incident, case.packs, case.assessments, reader.rulebook.playbooks)
    texts: dict[tuple[str, str], dict[str, str]] = {}
    for step in case.type.plan(incident, case.assessments, now, started_steps(stored)):
        is_new = step.step == event.data.step and step.parent_id is None and step.due_at <= now
        if not is_new or (step.id in stored and stored[step.id].started_at is not None):
            continue
        for row in messages.build_deliveries(messages.context(step, facts, now)):
            text = {"audience": step.audience, **{name: row[name] for name in ("locale", "subject", "body")}}
            texts.setdefault((step.audience, row["locale"]), text)
    return list(texts.values())
