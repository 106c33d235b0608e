"""Templates and the messages made of them, in the reader's language.

A template is Markdown for Jinja's immutable sandbox. Its first line is the subject, the second is empty.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from babel import Locale
from babel.dates import format_datetime, format_timedelta, get_timezone_gmt
from babel.lists import format_list
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, meta, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from incident_engine.errors import Problem
from incident_engine.validation import nearest

LOCALES = ("zh-CN", "en")

VARIABLES: Mapping[str, Mapping[str, str]] = {
    "bank": {"name": "the bank's name"},
    "incident": {
        "id": "the incident's id",
        "services": "names of the services hit",
        "regions": "names of the regions hit",
        "occurred_at": "when the first outage began",
        "detected_at": "when the first event reached us",
        "restored_at": "when everything worked again, or none",
        "duration": "how long, from the occurrence to the restoration or now",
        "recovery_at": "the latest estimate of the recovery, or none",
        "notes": "words that people added, in order",
        "has_outage": "whether anything is or was down; without, there is harm or a figure alone",
        "harms": "harm as people judged it: who and why, in order",
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
    },
    "recipient": {"name": "the reader's name"},
    "step": {"id": "the step, to be named when it is reported completed"},
    "now": {},
}
"""The variables of a template: their parts and what these mean. `next`, `correction` and `obligation` may be none;
`provisional` says that the level rests on the worst credible case and nobody has confirmed it."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one recipient reads: a line of subject and a text in Markdown."""

    subject: str
    body: str
    locale: str


class MessageBook:
    """All templates, by locale and name."""

    def __init__(self, sources: Mapping[tuple[str, str], str], zone: tzinfo) -> None:
        self._sources = dict(sources)
        self._zone = zone
        self._environments = {locale: _environment(locale, zone) for locale in LOCALES}

    def names(self) -> set[str]:
        """Return the names of the templates that exist in every locale."""
        return set.intersection(*({name for where, name in self._sources if where == locale} for locale in LOCALES))

    def render(self, name: str, locale: str, variables: Mapping[str, Any]) -> Message:
        """Return the message of a template. Raises KeyError for an unknown template, jinja2.TemplateError else."""
        template = self._environments[locale].from_string(self._sources[locale, name])
        subject, _, body = template.render(variables).partition("\n")
        return Message(" ".join(subject.split()), body.strip() + "\n", locale)


def template_problems(source: str) -> Iterator[Problem]:
    """Yield what is wrong with a template's source; the path is (line,)."""
    environment = ImmutableSandboxedEnvironment()
    _add_filters(environment, "en", None)
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
    undeclared = meta.find_undeclared_variables(tree) - set(VARIABLES) - set(environment.globals)
    local = {name.name for name in tree.find_all(nodes.Name)} - set(VARIABLES)
    for name in tree.find_all(nodes.Name):
        if name.name in undeclared:
            expected = f"one of: {', '.join(VARIABLES)}"
            yield Problem((name.lineno,), f"unknown variable '{name.name}'", expected, nearest(name.name, VARIABLES))
    for part in tree.find_all(nodes.Getattr):
        yield from _unknown_part(part, local)
    if len(source.splitlines()) < 3 or source.splitlines()[1].strip():
        yield Problem((1,), "no subject", "the subject on the first line, then an empty line, then the text")


def _unknown_part(part: nodes.Getattr, local: set[str]) -> Iterator[Problem]:
    if not isinstance(part.node, nodes.Name) or part.node.name in local:
        return
    parts = VARIABLES.get(part.node.name)
    if parts is not None and part.attr not in parts:
        expected = f"one of: {', '.join(parts) or '(it has no parts)'}"
        said = f"'{part.node.name}' has no '{part.attr}'"
        yield Problem((part.lineno,), said, expected, nearest(part.attr, parts))


def _environment(locale: str, zone: tzinfo) -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    _add_filters(environment, locale, zone)
    return environment


def _add_filters(environment: ImmutableSandboxedEnvironment, locale: str, zone: tzinfo | None) -> None:
    environment.filters["instant"] = lambda value: spell_instant(value, locale, zone)
    environment.filters["duration"] = lambda value: spell_duration(value, locale)
    environment.filters["names"] = lambda value: spell_names(value, locale)


def spell_instant(value: datetime, locale: str, zone: tzinfo | None) -> str:
    """Return an instant in the bank's local time, in the reader's language; seconds only where there are any."""
    local = value.astimezone(zone)
    if locale.startswith("zh"):
        form = "y年M月d日HH:mm:ss" if local.second else "y年M月d日HH:mm"
        return format_datetime(local, form, tzinfo=local.tzinfo, locale=_babel(locale))
    form = "HH:mm:ss 'on' d MMMM y" if local.second else "HH:mm 'on' d MMMM y"
    text = format_datetime(local, form, tzinfo=local.tzinfo, locale=_babel(locale))
    return f"{text} (UTC{get_timezone_gmt(local, width='iso8601')})"


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


def spell_names(value: Sequence[str], locale: str) -> str:
    """Return a list of names as the reader's language joins them."""
    return format_list(list(value), locale=_babel(locale)) if value else "—"


def _babel(locale: str) -> Locale:
    return Locale.parse(locale, sep="-")
