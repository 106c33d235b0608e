"""The review of a period as tables of words, for a terminal and for a page."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.formatting import format_duration, format_local, format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.reports.statistics import IncidentFigures, Milestone, Task
from incident_engine.review.period import Review, stamp_of
from incident_engine.store.reports import Version

Row = tuple[str, ...]


def tables(found: Review, settings: Settings, locale: str) -> dict[str, Any]:
    """Return the review in a language: a title, what it is about, and tables of (title, head, rows)."""
    teller = _Teller(found, settings, Translator(locale))
    say = teller.say
    sections = [
        (
            say("times from occurrence"),
            (say("milestone"), say("median"), say("worst"), say("incidents")),
            teller.times(),
        ),
        (say("deadlines and messages"), (), teller.counts()),
        (say("incidents by"), (), teller.breakdown()),
        (say("list of incidents"), (say("incident"), say("level"), *teller.short(), say("root cause")), teller.list()),
        (say("lessons"), (say("incident"), say("lesson"), say("by")), teller.lessons()),
        (say("tasks"), (say("incident"), say("task"), say("owner"), say("due"), say("done")), teller.tasks()),
    ]
    return {
        "locale": locale,
        "title": f"{settings.bank.name.in_(locale)} · {say('review')}",
        "about": f"{found.period.first} – {found.period.last}",
        "heads": list(teller.heads()),
        "sections": [(title, head, rows) for title, head, each in sections if (rows := list(each))],
        "foot": f"{say('as of')} {format_local(found.at, settings.bank.zone)}",
    }


def review_text(found: Review, settings: Settings, locale: str) -> str:
    """Return the review as text for a terminal."""
    told = tables(found, settings, locale)
    lines = [told["title"], told["about"], "", *(f"{name}: {value}" for name, value in told["heads"])]
    for title, head, rows in told["sections"]:
        lines += ["", title, *(f"  {line}" for line in _aligned([head, *rows] if head else rows))]
    return "\n".join([*lines, "", told["foot"]]) + "\n"


def figures_text(found: IncidentFigures, settings: Settings, locale: str) -> str:
    """Return the figures of one incident as text for a terminal."""
    say = Translator(locale)
    rows = [(say(name.value), _length(found.times.get(name), locale)) for name in Milestone]
    kept = found.deadlines
    rows.append(
        (say("deadlines"), f"{say('met')} {kept.met}, {say('late')} {kept.late}, {say('missed ones')} {kept.missed}")
    )
    sent = found.messages
    rows.append((say("messages"), f"{say('delivered')} {sent.delivered}, {say('not delivered')} {sent.failed}"))
    level = f"{say('level')}: {found.level or say('below')}"
    return "\n".join([f"{say('incident')} {found.incident}  {level}", *(f"  {line}" for line in _aligned(rows))]) + "\n"


def versions_text(found: Mapping[tuple[str, str], Sequence[Version]], settings: Settings, locale: str) -> str:
    """Return which reports of an incident there are, a line for each version, as text for a terminal."""
    say = Translator(locale)
    rows = [
        (f"{report} {instance}".strip(), *stamp_of(row, settings.bank.zone).line(locale).split(" · "))
        for (report, instance), versions in found.items()
        for row in versions
    ]
    lines = [" · ".join(row) for row in rows]
    return (
        "\n".join([f"{say('reports')}: {'' if rows else say('none')}".rstrip(), *(f"  {line}" for line in lines)])
        + "\n"
    )


class _Teller:
    """Spells the figures for readers of one language."""

    def __init__(self, found: Review, settings: Settings, say: Translator) -> None:
        self.say = say
        self._found = found
        self._settings = settings

    def heads(self) -> Iterator[tuple[str, str]]:
        totals = self._found.totals
        yield self.say("incidents"), str(totals.incidents)
        yield self.say("with a level"), str(totals.graded)
        for file, count in self._found.archived.items():
            if file in self._found.unread:
                said = f"{self.say('missing from the figures')}: {self._found.unread[file]}"
                yield self.say("archived"), f"{count} · {said}"
            else:
                yield self.say("archived"), f"{count} · {file}"

    def times(self) -> Iterator[Row]:
        for name, spread in self._found.totals.times.items():
            worst = f"{_length(spread.worst, self.say.locale)} ({spread.worst_incident})"
            yield self.say(name.value), _length(spread.median, self.say.locale), worst, str(spread.count)

    def counts(self) -> Iterator[Row]:
        kept, sent = self._found.totals.deadlines, self._found.totals.messages
        yield self.say("deadlines met"), str(kept.met)
        yield self.say("deadlines met late"), str(kept.late)
        yield self.say("deadlines missed"), str(kept.missed)
        yield self.say("messages delivered"), str(sent.delivered)
        yield self.say("messages failed"), str(sent.failed)

    def breakdown(self) -> Iterator[Row]:
        totals, names = self._found.totals, self._settings.service_names
        locale = self.say.locale
        services = {names[s].in_(locale) if s in names else s: count for s, count in totals.by_service.items()}
        causes = {cause or self.say("unknown cause"): count for cause, count in totals.by_root_cause.items()}
        levels = {level or self.say("below"): count for level, count in totals.by_level.items()}
        for kind, counted in (("level", levels), ("services", services), ("root cause", causes)):
            for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
                yield self.say(kind), name, str(count)

    def short(self) -> Row:
        return tuple(self.say(name) for name in ("services", "regions", "occurred", "restored after", "reported after"))

    def list(self) -> Iterator[Row]:
        locale, names = self.say.locale, self._settings.service_names
        for each in self._found.figures:
            services = [names[service].in_(locale) if service in names else service for service in each.services]
            regions = [region_name(region, locale) for region in each.regions]
            began = format_local(each.occurred_at, self._settings.bank.zone) if each.occurred_at else "—"
            lasted, reported = (
                _length(each.times.get(name), locale) for name in (Milestone.RESTORED, Milestone.REPORTED)
            )
            about = (format_names(services, locale), format_names(regions, locale), began, lasted, reported)
            yield each.incident, each.level or self.say("below"), *about, each.root_cause or "—"

    def lessons(self) -> Iterator[Row]:
        for lesson in self._found.totals.lessons:
            yield lesson.incident, " ".join(lesson.text.split()), lesson.by

    def tasks(self) -> Iterator[Row]:
        for task in self._found.totals.tasks:
            yield task.incident, task.title, task.owner or "—", self._instant(task.due_at), self._done(task)

    def _done(self, task: Task) -> str:
        state = self._instant(task.done_at) if task.done_at else self.say("open")
        return f"{state} ({self.say('late')})" if task.is_late(self._found.at) else state

    def _instant(self, at: Any) -> str:
        return format_local(at, self._settings.bank.zone) if at else "—"


def _length(length: timedelta | None, locale: str) -> str:
    return "—" if length is None else format_duration(length, locale)


def _aligned(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(_width(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [text + " " * (width - _width(text)) for text, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Return how many columns a text takes: a Chinese character takes two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)
