"""The marks by which every message of a drill says that it is one."""

from collections.abc import Mapping

from incident_engine.domain.messages.templates import Message, MessageForm

DRILL_MARKS: Mapping[str, str] = {"zh-CN": "【演练】", "en": "[DRILL]"}
"""With what every message of a drill begins, by language."""


_DRILL_SAYS: Mapping[str, str] = {
    "zh-CN": "这是一次应急演练，没有发生真实事件。",
    "en": "This is an exercise; nothing has really happened.",
}


def marked(message: Message, form: MessageForm = MessageForm.LONG) -> Message:
    """Return a message that says first of all, in its subject and in its text, that it belongs to an exercise.

    One that says so already is left as it is: a person may have worded it anew from a marked draft.
    """
    mark, said = DRILL_MARKS[message.locale], _DRILL_SAYS[message.locale]
    gap = " " if message.locale == "en" else ""
    subject, body = message.subject, message.body
    if not subject.startswith(mark):
        subject = f"{mark}{gap}{subject}"
    if not body.startswith(mark):
        between = gap if form is MessageForm.SHORT else "\n\n"
        body = f"{mark}{gap}{said}{between}{body}"
    if form is MessageForm.SHORT:
        subject = body.strip()  # a text message has no subject of its own
    return Message(subject, body, message.locale)


def marked_wording(wording: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return words that a person gave, by language, marked as those of an exercise."""
    found = {locale: marked(Message(subject, body, locale)) for locale, (subject, body) in wording.items()}
    return {locale: (message.subject, message.body) for locale, message in found.items()}
