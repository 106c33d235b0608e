"""From a step that begins to the deliveries it asks for: each contact's message, rendered once and kept."""

import hashlib
from collections.abc import Mapping
from typing import Any

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.context import MessageContext
from incident_engine.domain.messages.drill_marks import marked
from incident_engine.domain.messages.templates import Message, MessageBook, MessageForm
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.domain.response.step import Awaits, Step
from incident_engine.engine.decision_log import Reason, warn
from incident_engine.store.deliveries import Priority


def build_deliveries(
    situation: MessageContext,
    settings: Settings,
    messages: MessageBook,
    links: Links,
    *,
    held: bool = False,
    generation: int = 1,
) -> list[dict[str, Any]]:
    """Return the rows of the deliveries that a step asks for: due at once, or held until their words are approved.

    A contact's further channels are due after their delay.
    """
    step, now = situation.step, situation.now
    rows: list[dict[str, Any]] = []
    for contact in settings.people.members(step.audience, now):
        # Customers and the like get no link: what is asked for is asked of those who are to answer.
        asks = step.awaits is not None or step.parent_id is not None
        own_links = links.for_step(step.base, contact.id) if asks else None
        variables = situation.variables(contact.locale, contact.name.in_(contact.locale), own_links)
        chosen = [each for each in contact.via if step.channels is None or each.channel in step.channels]
        for place, address in enumerate(chosen or contact.via):
            form = MessageForm(settings.channels[address.channel].form)
            message = _message(step, contact.locale, variables, messages, form)
            if situation.drill:
                message = marked(message, form)
            rows.append(
                {
                    "id": _delivery_id(step.id, contact.id, place, generation),
                    "step_id": step.id,
                    "case_id": situation.incident.id,
                    "contact": contact.id,
                    "channel": address.channel,
                    "address": address.to,
                    "locale": message.locale,
                    "subject": message.subject,
                    "body": message.body,
                    "priority": _priority(step),
                    "delay_seconds": int(address.after.total_seconds()),
                    "position": place,
                    "state": DeliveryState.HELD if held else DeliveryState.PENDING,
                    "attempts": 0,
                    "due_at": None if held else now + address.after,
                    "created_at": now,
                }
            )
    return rows


def _priority(step: Step) -> Priority:
    if step.fulfils or step.obligation:
        return Priority.STATUTORY
    return Priority.URGENT if step.awaits is Awaits.ACKNOWLEDGEMENT or step.escalation is not None else Priority.OTHER


def _message(
    step: Step, locale: str, variables: Mapping[str, Any], messages: MessageBook, form: MessageForm
) -> Message:
    """Return the message of a step; if its template fails, the bare facts: a plain notice is better than none.

    Only those who work on it read the level and what is owed; nobody reads there what people noted.
    """
    try:
        return messages.render(step.template, locale, variables, form)
    except Exception as error:  # noqa: BLE001 - whatever a template does, the notice goes out
        warn(Reason.TEMPLATE_FAILED, error, template=step.template, step=step.id)
        is_internal = step.awaits is not None or step.parent_id is not None or step.obligation is not None
        return messages.plain(locale, variables, step.base if is_internal else None)


def _delivery_id(step_id: str, contact: str, place: int, generation: int) -> str:
    """Return the idempotency key of a delivery: the same wish always has the same key."""
    step_id = step_id if generation == 1 else f"{step_id}\0{generation}"
    return "msg_" + hashlib.sha256(f"{step_id}\0{contact}\0{place}".encode()).hexdigest()[:32]
