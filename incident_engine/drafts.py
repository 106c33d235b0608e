"""From a step that begins to the deliveries it asks for: each contact's message, rendered once and kept."""

import hashlib
from collections.abc import Mapping
from typing import Any

from incident_engine.configuration.settings import Settings
from incident_engine.decisions import Reason, warn
from incident_engine.links import Links
from incident_engine.response.messages import Form, Message, MessageBook
from incident_engine.response.reader import Situation
from incident_engine.response.step import Step
from incident_engine.store.outgoing import DeliveryState, Priority

DRILL_MARKS: Mapping[str, str] = {"zh-CN": "【演练】", "en": "[DRILL]"}
"""With what every message of a drill begins, by language."""
_DRILL_SAYS: Mapping[str, str] = {
    "zh-CN": "这是一次应急演练，没有发生真实事件。",
    "en": "This is an exercise; nothing has really happened.",
}


def deliveries(
    situation: Situation, settings: Settings, messages: MessageBook, links: Links, *, held: bool = False, life: int = 1
) -> list[dict[str, Any]]:
    """Return the rows of the deliveries that a step asks for: due at once, or held until their words are approved.

    A contact's further channels are due after their delay.
    """
    step, now = situation.step, situation.now
    rows: list[dict[str, Any]] = []
    for contact in settings.people.members(step.audience, now):
        # Customers and the like get no link: what is asked for is asked of those who are to answer.
        asks = step.awaits is not None or step.of is not None
        own_links = links.of(step.base, contact.id) if asks else None
        variables = situation.variables(contact.locale, contact.name.in_(contact.locale), own_links)
        chosen = [each for each in contact.via if step.channels is None or each.channel in step.channels]
        for place, address in enumerate(chosen or contact.via):
            form = Form(settings.channels[address.channel].form)
            message = _message(step, contact.locale, variables, messages, form)
            if situation.drill:
                message = marked(message, form)
            rows.append(
                {
                    "id": _delivery_id(step.id, contact.id, place, life),
                    "step_id": step.id,
                    "incident_id": situation.incident.id,
                    "contact": contact.id,
                    "channel": address.channel,
                    "address": address.to,
                    "locale": message.locale,
                    "subject": message.subject,
                    "body": message.body,
                    "priority": _priority(step),
                    "delay_seconds": int(address.after.total_seconds()),
                    "place": place,
                    "state": DeliveryState.HELD if held else DeliveryState.PENDING,
                    "attempts": 0,
                    "due_at": None if held else now + address.after,
                    "created_at": now,
                }
            )
    return rows


def marked(message: Message, form: Form = Form.LONG) -> Message:
    """Return a message that says first of all, in its subject and in its text, that it belongs to an exercise.

    One that says so already is left as it is: a person may have worded it anew from a marked draft.
    """
    mark, said = DRILL_MARKS[message.locale], _DRILL_SAYS[message.locale]
    gap = " " if message.locale == "en" else ""
    subject, body = message.subject, message.body
    if not subject.startswith(mark):
        subject = f"{mark}{gap}{subject}"
    if not body.startswith(mark):
        between = gap if form is Form.SHORT else "\n\n"
        body = f"{mark}{gap}{said}{between}{body}"
    if form is Form.SHORT:
        subject = body.strip()  # a text message has no subject of its own
    return Message(subject, body, message.locale)


def marked_wording(wording: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return words that a person gave, by language, marked as those of an exercise."""
    found = {locale: marked(Message(subject, body, locale)) for locale, (subject, body) in wording.items()}
    return {locale: (message.subject, message.body) for locale, message in found.items()}


def _priority(step: Step) -> Priority:
    if step.fulfils or step.obligation:
        return Priority.STATUTORY
    return Priority.URGENT if step.awaits == "acknowledgement" or step.escalation is not None else Priority.OTHER


def _message(step: Step, locale: str, variables: Mapping[str, Any], messages: MessageBook, form: Form) -> Message:
    """Return the message of a step; if its template fails, the bare facts: a plain notice is better than none.

    Only those who work on it read the level and what is owed; nobody reads there what people noted.
    """
    try:
        return messages.render(step.template, locale, variables, form)
    except Exception as error:  # noqa: BLE001 - whatever a template does, the notice goes out
        warn(Reason.TEMPLATE_FAILED, error, template=step.template, step=step.id)
        is_internal = step.awaits is not None or step.of is not None or step.obligation is not None
        return messages.plain(locale, variables, step.base if is_internal else None)


def _delivery_id(step_id: str, contact: str, place: int, life: int) -> str:
    """Return the idempotency key of a delivery: the same wish always has the same key."""
    step_id = step_id if life == 1 else f"{step_id}\0{life}"
    return "msg_" + hashlib.sha256(f"{step_id}\0{contact}\0{place}".encode()).hexdigest()[:32]
