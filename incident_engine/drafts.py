"""From a step that begins to the deliveries it asks for: each contact's message, rendered once and kept."""

import hashlib
from collections.abc import Mapping
from typing import Any

from incident_engine.decisions import Reason, warn
from incident_engine.response.messages import Message, MessageBook
from incident_engine.response.plan import Step
from incident_engine.response.reader import Situation
from incident_engine.settings import Settings
from incident_engine.store.outgoing import DeliveryState


def deliveries(situation: Situation, settings: Settings, messages: MessageBook) -> list[dict[str, Any]]:
    """Return the rows of the deliveries that a step asks for, due at once."""
    step = situation.step
    rows: list[dict[str, Any]] = []
    for member in settings.audiences[step.audience]:
        contact = settings.contact_by_id[member]
        variables = situation.variables(contact.locale, contact.name.in_(contact.locale))
        message = _message(step, contact.locale, variables, messages)
        rows += [
            {
                "id": _delivery_id(step.id, contact.id, place),
                "step_id": step.id,
                "incident_id": situation.incident.id,
                "contact": contact.id,
                "channel": address.channel,
                "address": address.to,
                "locale": message.locale,
                "subject": message.subject,
                "body": message.body,
                "state": DeliveryState.PENDING,
                "attempts": 0,
                "due_at": situation.now,
                "created_at": situation.now,
            }
            for place, address in enumerate(contact.via)
        ]
    return rows


def _message(step: Step, locale: str, variables: Mapping[str, Any], messages: MessageBook) -> Message:
    """Return the message of a step; if its template fails, the bare facts: a plain notice is better than none."""
    try:
        return messages.render(step.template, locale, variables)
    except Exception as error:  # noqa: BLE001 - whatever a template does, the notice goes out
        warn(Reason.TEMPLATE_FAILED, error, template=step.template, step=step.id)
        facts = "\n".join(f"- {name}: {parts}" for name, parts in variables.items())
        return Message(f"{step.template}: {step.id}", f"{facts}\n", locale)


def _delivery_id(step_id: str, contact: str, place: int) -> str:
    """Return the idempotency key of a delivery: the same wish always has the same key."""
    return "msg_" + hashlib.sha256(f"{step_id}\0{contact}\0{place}".encode()).hexdigest()[:32]
