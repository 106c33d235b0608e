"""Templates and the messages made of them, in the reader's language.

A template is Markdown for Jinja's immutable sandbox. Its first line is the subject, the second is empty. Beside this
long form a message may have a short one (text messages) and one for the web page.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from typing import Any

from babel import Locale
from babel.dates import format_date, format_datetime, format_timedelta, get_timezone_gmt
from babel.lists import format_list
from babel.numbers import format_decimal
from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from incident_engine.errors import Problem
from incident_engine.validation import nearest

LOCALES = ("zh-CN", "en")

VARIABLES: Mapping[str, Mapping[str, str]] = {
    "bank": {
        "name": "the bank's name",
        "unit": "the unit that reports",
        "regulator": "whom it reports to",
        "reporter": "the reporter filed with the regulator, or none",
        "reporter_phone": "the reporter's telephone, or none",
        "hotline": "the customers' hotline, or none",
        "status_page": "the address of the status page, or none",
        "compensation": "the published standard by which losses are made good, or none",
    },
    "incident": {
        "id": "the incident's id",
        "services": "names of the services hit",
        "regions": "names of the regions hit",
        "occurred_at": "when the first outage began",
        "detected_at": "when the first event reached us",
        "restored_at": "when everything worked again, or none",
        "duration": "how long, from the occurrence to the restoration or now",
        "recovery_at": "the latest estimate of the recovery, or none",
        "previous_recovery_at": "the estimate before it, or none",
        "notes": "words that people added, in order",
        "has_outage": "whether anything is or was down; without, there is harm or a figure alone",
        "harms": "harm as people judged it: who and why, in order",
        "plan_failures": "plans or decisions that failed: who said so and why, in order",
        "lessons": "what was learned, in order",
        "customer_lessons": "what customers may read of it, in order",
        "closed_at": "when it was closed, or none",
    },
    "level": {
        "id": "the level, such as II",
        "name": "its name",
        "at": "when it was reached",
        "cite": "the clause",
        "says": "the clause in our words",
        "is_worst": "whether no level of the regulation is worse",
    },
    "current": {
        "id": "the level now, which may be worse than the one that the message is about",
        "name": "its name",
        "at": "when it was reached",
        "cite": "the clause",
        "says": "the clause in our words",
        "is_worst": "whether no level of the regulation is worse",
    },
    "provisional": {},
    "correction": {
        "level": "the level that a person says it is, or none: below the lowest",
        "name": "its name",
        "at": "since when",
        "by": "who said so",
        "reason": "why",
    },
    "next": {
        "id": "the level after the present one",
        "name": "its name",
        "at": "when it will be reached",
        "cite": "the clause",
        "says": "the clause in our words",
        "is_worst": "whether no level of the regulation is worse",
    },
    "obligation": {
        "id": "the obligation",
        "says": "what it demands",
        "cite": "the clause",
        "due_at": "by when",
        "state": "pending, met, overdue or not_applicable",
        "to": "who gets it",
    },
    "recipient": {"name": "the reader's name"},
    "step": {
        "id": "the step, to be named when it is acknowledged, approved or completed",
        "level": "the level that the step is about, or none",
        "awaits": "the deed that ends it: acknowledgement, completion or none",
    },
    "deadline": {},
    "next_update_at": {},
    "escalation": {
        "round": "which round of telling this is, from 1",
        "tier": "which tier is told: 0 is the audience itself",
        "since": "since when nobody has answered",
        "waited": "how long nobody has answered",
    },
    "drafts": {},
    "links": {
        "acknowledge": "the signed link to acknowledge",
        "approve": "the signed link to approve",
        "complete": "the signed link to report it done",
    },
    "task": {"title": "what is to be done", "by": "who asks", "reason": "why", "due_at": "by when, or none"},
    "handover": {"by": "who handed the step over", "reason": "why", "at": "when"},
    "report": {
        "id": "the report",
        "title": "its title",
        "gaps": "how many fields are to be filled in",
        "url": "where, or none",
    },
    "drill": {},
    "now": {},
}
"""The variables of a template: their parts and what these mean. `next`, `correction`, `obligation`, `deadline`,
`next_update_at`, `escalation`, `links`, `task`, `handover` and `report` may be none. `provisional` says that the level
rests on the worst credible case and nobody has confirmed it, `drill` that all this is an exercise. `drafts` are the
words that wait for an approval: locale, subject and body of each."""

LONGEST = 60_000
"""How many characters a message may have."""
SMS_PART = 70
"""How many characters one part of a text message holds."""
_FILTERS = frozenset({"default", "first", "int", "join", "last", "length", "list", "lower", "round", "trim", "upper"})
_FORBIDDEN: tuple[tuple[type[nodes.Node], str], ...] = (
    (nodes.Macro, "macro"),
    (nodes.CallBlock, "call"),
    (nodes.Include, "include"),
    (nodes.Import, "import"),
    (nodes.FromImport, "from"),
    (nodes.Extends, "extends"),
    (nodes.Block, "block"),
    (nodes.AssignBlock, "set … endset"),
)


class Form(StrEnum):
    """How long a message may be: e-mail and chat, text messages, the status page."""

    LONG = "long"
    SHORT = "short"
    WEB = "web"


SUFFIXES: Mapping[Form, str] = {Form.LONG: ".md.j2", Form.SHORT: ".sms.j2", Form.WEB: ".web.j2"}
"""How the file of a template ends in each form."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one recipient reads: a line of subject and a text in Markdown."""

    subject: str
    body: str
    locale: str

    @property
    def sms_parts(self) -> int:
        """Return how many text messages the body takes."""
        return -(-len(self.body.strip()) // SMS_PART)


class MessageBook:
    """All templates, by locale and name; those of another form than the long one by their name and the form."""

    def __init__(self, sources: Mapping[tuple[str, str], str], zone: tzinfo) -> None:
        self._sources = dict(sources)
        self._zone = zone
        self._environments = {locale: sandbox(locale, zone) for locale in LOCALES}
        self._compiled: dict[tuple[str, str], Template] = {}

    def names(self) -> set[str]:
        """Return the names of the templates that exist in every locale."""
        return set.intersection(
            *({name for where, name in self._sources if where == locale and "." not in name} for locale in LOCALES)
        )

    def forms(self, name: str, locale: str) -> list[Form]:
        """Return the forms that a template has of its own."""
        return [form for form in Form if (locale, form_name(name, form)) in self._sources]

    def render(self, name: str, locale: str, variables: Mapping[str, Any], form: Form = Form.LONG) -> Message:
        """Return the message of a template in a form; where it has no such form, the subject (short) or the long one.

        Raises KeyError for an unknown template, jinja2.TemplateError else; TemplateTooLongError is one.
        """
        if form is not Form.LONG and (locale, form_name(name, form)) in self._sources:
            text = self._text(form_name(name, form), locale, variables)
            if form is Form.SHORT:
                text = " ".join(text.split())
                return Message(text, text + "\n", locale)
        else:
            text = self._text(name, locale, variables)
        subject, _, body = text.partition("\n")
        subject = " ".join(subject.split())
        return Message(subject, (subject if form is Form.SHORT else body.strip()) + "\n", locale)

    def plain(self, locale: str, variables: Mapping[str, Any], step: str | None) -> Message:
        """Return the bare facts, for a template that fails; with a step, also what those need who work on it."""
        incident, obligation, level = (variables[name] for name in ("incident", "obligation", "level"))
        is_chinese = locale.startswith("zh")
        lines = [
            ("系统" if is_chinese else "Services", spell_names(incident["services"], locale)),
            ("地区" if is_chinese else "Regions", spell_names(incident["regions"], locale)),
            ("发生" if is_chinese else "Since", spell_instant(incident["occurred_at"], locale, self._zone)),
        ]
        if incident["restored_at"] is not None:
            ended = spell_instant(incident["restored_at"], locale, self._zone)
            lines.append(("恢复" if is_chinese else "Restored", ended))
        lines.append(("事件" if is_chinese else "Incident", incident["id"]))
        if step is not None:
            lines.append(("步骤" if is_chinese else "Step", step))
            if level is not None:
                lines.append(("级别" if is_chinese else "Level", level["id"]))
            if obligation is not None:
                due = spell_instant(obligation["due_at"], locale, self._zone)
                lines.append((obligation["says"], f"{'期限' if is_chinese else 'due'} {due}"))
        subject = f"{variables['bank']['name']}: {spell_names(incident['services'], locale)}"
        colon = "：" if is_chinese else ": "
        return Message(subject, "".join(f"- {name}{colon}{text}\n" for name, text in lines), locale)

    def _text(self, name: str, locale: str, variables: Mapping[str, Any]) -> str:
        parts: list[str] = []
        length = 0
        key = locale, name
        if key not in self._compiled:
            self._compiled[key] = self._environments[locale].from_string(self._sources[key])
        for part in self._compiled[key].generate(variables):
            length += len(part)
            if length > LONGEST:
                raise TemplateTooLongError(f"longer than {LONGEST} characters")
            parts.append(part)
        return "".join(parts)


class TemplateTooLongError(TemplateError):
    """A template does not come to an end within the length that a message may have."""


def form_name(name: str, form: Form) -> str:
    """Return the key of a template in a form."""
    return name if form is Form.LONG else f"{name}.{form}"


def template_problems(source: str, form: Form = Form.LONG) -> Iterator[Problem]:
    """Yield what is wrong with a template's source; the path is (line,)."""
    found = list(source_problems(source, VARIABLES))
    yield from found
    is_jinja = not any(problem.message.startswith("not a valid template") for problem in found)
    if form is not Form.SHORT and is_jinja and (len(source.splitlines()) < 3 or source.splitlines()[1].strip()):
        yield Problem((1,), "no subject", "the subject on the first line, then an empty line, then the text")


def source_problems(source: str, variables: Mapping[str, Mapping[str, str]]) -> Iterator[Problem]:
    """Yield what is wrong with a text in Jinja that may name these variables and their parts; the path is (line,)."""
    environment = _for_checking()
    try:
        tree = environment.parse(source)
    except TemplateSyntaxError as error:
        yield Problem((error.lineno,), f"not a valid template: {error.message}")
        return
    try:
        environment.compile(tree)
    except TemplateError as error:
        yield Problem((getattr(error, "lineno", 1) or 1,), f"not a valid template: {error}")
        return
    undeclared = meta.find_undeclared_variables(tree) - set(variables) - set(environment.globals)
    local = {name.name for name in tree.find_all(nodes.Name)} - set(variables)
    for name in tree.find_all(nodes.Name):
        if name.name in undeclared:
            expected = f"one of: {', '.join(variables)}"
            yield Problem((name.lineno,), f"unknown variable '{name.name}'", expected, nearest(name.name, variables))
    for part in tree.find_all(nodes.Getattr):
        yield from _unknown_part(part, local, variables)
    yield from _forbidden(tree)
    yield from _loops_too_deep(tree, 0)


def _forbidden(tree: nodes.Template) -> Iterator[Problem]:
    for kind, said in _FORBIDDEN:
        for node in tree.find_all(kind):
            yield Problem((node.lineno,), f"'{said}' is not allowed here", "text, if, for and set")
    for assigned in tree.find_all(nodes.Assign):
        if next(assigned.node.find_all(nodes.Concat), None) is not None or isinstance(assigned.node, nodes.Concat):
            yield Problem((assigned.lineno,), "'set' with '~' could grow without end", "the texts one after the other")


@cache
def _for_checking() -> ImmutableSandboxedEnvironment:
    return sandbox("en", None)


def _loops_too_deep(node: nodes.Node, depth: int) -> Iterator[Problem]:
    """Yield a problem for each loop that could make a template take long: it must end in time for the notice."""
    for child in node.iter_child_nodes():
        is_loop = isinstance(child, nodes.For)
        if isinstance(child, nodes.For) and (depth >= 2 or child.recursive):
            yield Problem((child.lineno,), "loops within loops within loops, or a recursive one", "two deep at most")
        else:
            yield from _loops_too_deep(child, depth + is_loop)


def _unknown_part(
    part: nodes.Getattr, local: set[str], variables: Mapping[str, Mapping[str, str]]
) -> Iterator[Problem]:
    if not isinstance(part.node, nodes.Name) or part.node.name in local:
        return
    parts = variables.get(part.node.name)
    if parts is not None and part.attr not in parts:
        expected = f"one of: {', '.join(parts) or '(it has no parts)'}"
        said = f"'{part.node.name}' has no '{part.attr}'"
        yield Problem((part.lineno,), said, expected, nearest(part.attr, parts))


class _Sandbox(ImmutableSandboxedEnvironment):
    """A sandbox in which a text can neither call methods nor grow what it was given."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Return whether a template may read an attribute: data, never a method."""
        return super().is_safe_attribute(obj, attr, value) and not callable(value)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute with numbers and lengths of time alone: text times a number could be of any size."""
        if operator == "**" or isinstance(left, str | list | tuple) or isinstance(right, str | list | tuple):
            raise SecurityError(f"'{operator}' is not allowed here")
        return super().call_binop(context, operator, left, right)


def sandbox(locale: str, zone: tzinfo | None) -> ImmutableSandboxedEnvironment:
    """Return the environment in which texts are rendered for readers of a language, in local time."""
    environment = _Sandbox(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.globals.clear()
    environment.filters = {name: environment.filters[name] for name in _FILTERS}
    _add_filters(environment, locale, zone)
    return environment


def _add_filters(environment: ImmutableSandboxedEnvironment, locale: str, zone: tzinfo | None) -> None:
    environment.filters["instant"] = lambda value: spell_instant(value, locale, zone)
    environment.filters["date"] = lambda value: spell_date(value, locale, zone)
    environment.filters["number"] = lambda value: format_decimal(value, locale=_babel(locale))
    environment.filters["duration"] = lambda value: spell_duration(value, locale)
    environment.filters["names"] = lambda value, most=None: spell_names(value, locale, most)
    environment.filters["local"] = lambda value: spell_local(value, zone)
    environment.filters["iso"] = lambda value: (
        value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    )


def spell_instant(value: datetime, locale: str, zone: tzinfo | None) -> str:
    """Return an instant in the bank's local time, in the reader's language; seconds only where there are any."""
    local = value.astimezone(zone)
    if locale.startswith("zh"):
        form = "y年M月d日HH:mm:ss" if local.second else "y年M月d日HH:mm"
        return format_datetime(local, form, tzinfo=local.tzinfo, locale=_babel(locale))
    form = "HH:mm:ss 'on' d MMMM y" if local.second else "HH:mm 'on' d MMMM y"
    text = format_datetime(local, form, tzinfo=local.tzinfo, locale=_babel(locale))
    return f"{text} (UTC{get_timezone_gmt(local, width='iso8601')})"


def spell_date(value: datetime, locale: str, zone: tzinfo | None) -> str:
    """Return the day of an instant in the bank's zone, in the reader's language: 23 June 2013."""
    form = "y年M月d日" if locale.startswith("zh") else "d MMMM y"
    return format_date(value.astimezone(zone), form, _babel(locale))


def spell_local(value: datetime, zone: tzinfo | None) -> str:
    """Return an instant in the bank's local time, short and the same in every language: 2013-06-23 10:35."""
    local = value.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}" if local.second else f"{local:%Y-%m-%d %H:%M}"


def spell_duration(value: timedelta, locale: str) -> str:
    """Return a length of time in hours and minutes (seconds below a minute), in the reader's language."""
    seconds = int(value.total_seconds())
    days, rest = divmod(seconds, 86_400)
    hours, rest = divmod(rest, 3_600)
    minutes, seconds = divmod(rest, 60)
    babel = _babel(locale)
    spelled = [
        format_timedelta(timedelta(days=days), granularity="day", threshold=10**6, locale=babel) if days else "",
        format_timedelta(timedelta(hours=hours), granularity="hour", threshold=25, locale=babel) if hours else "",
        format_timedelta(timedelta(minutes=minutes), granularity="minute", threshold=61, locale=babel)
        if minutes
        else "",
    ]
    if seconds and not days and not hours:
        spelled.append(format_timedelta(timedelta(seconds=seconds), granularity="second", threshold=61, locale=babel))
    spelled = [part for part in spelled if part]
    if not spelled:
        return "0 秒" if locale.startswith("zh") else "0 seconds"
    return "".join(spelled) if locale.startswith("zh") else " ".join(spelled)


def spell_names(value: Sequence[str], locale: str, most: int | None = None) -> str:
    """Return a list of names as the reader's language joins them; of more than `most`, the first and how many."""
    if most is not None and len(value) > most:
        first = list(value)[:most]
        if locale.startswith("zh"):
            return f"{'、'.join(first)}等{len(value)}处"
        return f"{', '.join(first)} and {len(value) - most} more"
    return format_list(list(value), locale=_babel(locale)) if value else "—"


@cache
def _babel(locale: str) -> Locale:
    return Locale.parse(locale, sep="-")
