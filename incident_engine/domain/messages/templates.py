"""Templates, and the messages rendered from them in the reader's language.

A template is Markdown with Jinja in an immutable sandbox. Its first line is the subject, the second is empty. Beside
this long form a template may have a short form (text messages) and a web form (status page).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum
from functools import lru_cache
from typing import Any

from jinja2 import Template, TemplateError

from incident_engine.common.errors import Problem
from incident_engine.domain.messages.formatting import format_deadline, format_instant, format_names, to_minute
from incident_engine.domain.messages.sandbox import sandbox, source_problems
from incident_engine.domain.messages.variables import VARIABLES
from incident_engine.domain.values import LOCALES

LONGEST = 60_000
"""The greatest number of characters in a message."""
SMS_PART = 70
"""The number of characters in one part of a text message (UCS-2)."""


class MessageForm(StrEnum):
    """The form of a message: for e-mail and chat, for text messages, for the status page."""

    LONG = "long"
    SHORT = "short"
    WEB = "web"


SUFFIXES: Mapping[MessageForm, str] = {
    MessageForm.LONG: ".md.j2",
    MessageForm.SHORT: ".sms.j2",
    MessageForm.WEB: ".web.j2",
}
"""The suffix of a template's file, by form."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message for one recipient: a subject, and a body in Markdown."""

    subject: str
    body: str
    locale: str

    @property
    def sms_parts(self) -> int:
        """Return the number of text messages that the body takes."""
        return -(-len(self.body.strip()) // SMS_PART)


class MessageBook:
    """Renders templates. `sources` maps (locale, `form_name`) to the text of each."""

    def __init__(self, sources: Mapping[tuple[str, str], str], zone: tzinfo) -> None:
        self.sources = dict(sources)
        self.zone = zone

    def names(self) -> set[str]:
        """Return the names of the templates that exist in every locale."""
        return set.intersection(
            *({name for where, name in self.sources if where == locale and "." not in name} for locale in LOCALES)
        )

    def forms(self, name: str, locale: str) -> list[MessageForm]:
        """Return the forms for which a template has a text of its own."""
        return [form for form in MessageForm if (locale, form_name(name, form)) in self.sources]

    def render(
        self, name: str, locale: str, variables: Mapping[str, Any], form: MessageForm = MessageForm.LONG
    ) -> Message:
        """Return the message of a template in a form.

        A template without the form gives its subject (for the short form) or its long form. Raises KeyError for an
        unknown template, and jinja2.TemplateError (also TemplateTooLongError) if rendering fails.
        """
        if form is not MessageForm.LONG and (locale, form_name(name, form)) in self.sources:
            text = self._text(form_name(name, form), locale, variables)
            if form is MessageForm.SHORT:
                text = " ".join(text.split())
                return Message(text, text + "\n", locale)
        else:
            text = self._text(name, locale, variables)
        subject, _, body = text.partition("\n")
        subject = " ".join(subject.split())
        return Message(subject, (subject if form is MessageForm.SHORT else body.strip()) + "\n", locale)

    def plain(self, locale: str, variables: Mapping[str, Any], step: str | None) -> Message:
        """Return a message of the bare facts, for a template that fails; with a step, also its level and deadline."""
        incident, obligation, level = (variables[name] for name in ("incident", "obligation", "level"))
        is_chinese = locale.startswith("zh")
        lines = [
            ("系统" if is_chinese else "Services", format_names(incident["services"], locale)),
            ("地区" if is_chinese else "Regions", format_names(incident["regions"], locale)),
            ("发生" if is_chinese else "Since", format_instant(to_minute(incident["occurred_at"]), locale, self.zone)),
        ]
        if incident["restored_at"] is not None:
            ended = format_instant(to_minute(incident["restored_at"]), locale, self.zone)
            lines.append(("恢复" if is_chinese else "Restored", ended))
        lines.append(("事件" if is_chinese else "Incident", incident["id"]))
        if step is not None:
            lines.append(("步骤" if is_chinese else "Step", step))
            if level is not None:
                lines.append(("级别" if is_chinese else "Level", level["id"]))
            if obligation is not None:
                due = format_deadline(to_minute(obligation["due_at"]), locale, self.zone)
                lines.append((obligation["says"], f"{'期限' if is_chinese else 'due'} {due}"))
        subject = f"{variables['bank']['name']}: {format_names(incident['services'], locale)}"
        colon = "：" if is_chinese else ": "
        return Message(subject, "".join(f"- {name}{colon}{text}\n" for name, text in lines), locale)

    def _text(self, name: str, locale: str, variables: Mapping[str, Any]) -> str:
        parts: list[str] = []
        length = 0
        template = _compiled(self.sources[locale, name], locale, self.zone)
        # In parts, so that a template that loops without limit is stopped before it fills the memory.
        for part in template.generate(variables):
            length += len(part)
            if length > LONGEST:
                raise TemplateTooLongError(f"longer than {LONGEST} characters")
            parts.append(part)
        return "".join(parts)


@lru_cache(maxsize=1024)  # when the rules are loaded again most of them are as they were, and compiling is slow
def _compiled(source: str, locale: str, zone: tzinfo) -> Template:
    # People plan by minutes; the seconds are in the reports and in the record.
    return sandbox(locale, zone, to_the_minute=True).from_string(source)


class TemplateTooLongError(TemplateError):
    """A message is longer than LONGEST characters."""


def form_name(name: str, form: MessageForm) -> str:
    """Return the key of a template in a form."""
    return name if form is MessageForm.LONG else f"{name}.{form}"


@lru_cache(maxsize=512)  # `check` looks at a template as a file, and as one of the rules
def template_problems(source: str, form: MessageForm = MessageForm.LONG) -> tuple[Problem, ...]:
    """Return a problem for each fault in a template's source; the path is (line,)."""
    problems = list(source_problems(source, VARIABLES))
    is_jinja = not any(problem.message.startswith("not a valid template") for problem in problems)
    if form is not MessageForm.SHORT and is_jinja and (len(source.splitlines()) < 3 or source.splitlines()[1].strip()):
        problems.append(Problem((1,), "no subject", "the subject on the first line, then an empty line, then the text"))
    return tuple(problems)
