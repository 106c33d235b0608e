"""Marks that identify every message of a drill."""

from collections.abc import Mapping

from incident_engine.domain.messages.templates import Message, MessageForm

DRILL_MARKS: Mapping[str, str] = {"zh-CN": "【演练】", "en": "[DRILL]"}
"""The mark at the beginning of every message of a drill, by language."""

_DRILL_NOTICE: Mapping[str, str] = {
    "zh-CN": "这是一次应急演练，没有发生真实事件。",
    "en": "This is an exercise; nothing has really happened.",
}


def marked(message: Message, form: MessageForm = MessageForm.LONG) -> Message:
    """Return a message with the drill's mark at the beginning of its subject and its text.

    A mark that is there already is not repeated: a person may have edited a marked draft.
    """
    mark, notice = DRILL_MARKS[message.locale], _DRILL_NOTICE[message.locale]
    gap = " " if message.locale == "en" else ""
    subject, body = message.subject, message.body
    if not subject.startswith(mark):
        subject = f"{mark}{gap}{subject}"
    if not body.startswith(mark):
        between = gap if form is MessageForm.SHORT else "\n\n"
        body = f"{mark}{gap}{notice}{between}{body}"
    if form is MessageForm.SHORT:
        subject = body.strip()  # a text message has no subject of its own
    return Message(subject, body, message.locale)


def marked_wording(wording: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return texts that a person wrote, (subject, body) by language, with the drill's mark."""
    messages = {locale: marked(Message(subject, body, locale)) for locale, (subject, body) in wording.items()}
    return {locale: (message.subject, message.body) for locale, message in messages.items()}
