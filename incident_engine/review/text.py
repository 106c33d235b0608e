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
    translate = teller.translate
    sections = [
        (
            translate("times from occurrence"),
            (translate("milestone"), translate("median"), translate("worst"), translate("incidents")),
            teller.times(),
        ),
        (translate("deadlines and messages"), (), teller.counts()),
        (translate("incidents by"), (), teller.breakdown()),
        (
            translate("list of incidents"),
            (translate("incident"), translate("level"), *teller.short(), translate("root cause")),
            teller.list(),
        ),
        (translate("lessons"), (translate("incident"), translate("lesson"), translate("by")), teller.lessons()),
        (
            translate("tasks"),
            (translate("incident"), translate("task"), translate("owner"), translate("due"), translate("done")),
            teller.tasks(),
        ),
    ]
    return {
        "locale": locale,
        "title": f"{settings.bank.name.in_(locale)} · {translate('review')}",
        "about": f"{found.period.first} – {found.period.last}",
        "heads": list(teller.heads()),
        "sections": [(title, head, rows) for title, head, each in sections if (rows := list(each))],
        "foot": f"{translate('as of')} {format_local(found.at, settings.bank.zone)}",
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
    translate = Translator(locale)
    rows = [(translate(name.value), _length(found.times.get(name), locale)) for name in Milestone]
    kept = found.deadlines
    rows.append(
        (
            translate("deadlines"),
            f"{translate('met')} {kept.met}, {translate('late')} {kept.late}, {translate('missed ones')} {kept.missed}",
        )
    )
    sent = found.messages
    rows.append(
        (
            translate("messages"),
            f"{translate('delivered')} {sent.delivered}, {translate('not delivered')} {sent.failed}",
        )
    )
    level = f"{translate('level')}: {found.level or translate('below')}"
    return (
        "\n".join([f"{translate('incident')} {found.incident}  {level}", *(f"  {line}" for line in _aligned(rows))])
        + "\n"
    )


def versions_text(found: Mapping[tuple[str, str], Sequence[Version]], settings: Settings, locale: str) -> str:
    """Return which reports of an incident there are, a line for each version, as text for a terminal."""
    translate = Translator(locale)
    rows = [
        (f"{report} {instance}".strip(), *stamp_of(row, settings.bank.zone).line(locale).split(" · "))
        for (report, instance), versions in found.items()
        for row in versions
    ]
    lines = [" · ".join(row) for row in rows]
    return (
        "\n".join(
            [f"{translate('reports')}: {'' if rows else translate('none')}".rstrip(), *(f"  {line}" for line in lines)]
        )
        + "\n"
    )


class _Teller:
    """Spells the figures for readers of one language."""

    def __init__(self, found: Review, settings: Settings, translate: Translator) -> None:
        self.translate = translate
        self._found = found
        self._settings = settings

    def heads(self) -> Iterator[tuple[str, str]]:
        totals = self._found.totals
        yield self.translate("incidents"), str(totals.incidents)
        yield self.translate("with a level"), str(totals.graded)
        for file, count in self._found.archived.items():
            if file in self._found.unread:
                said = f"{self.translate('missing from the figures')}: {self._found.unread[file]}"
                yield self.translate("archived"), f"{count} · {said}"
            else:
                yield self.translate("archived"), f"{count} · {file}"

    def times(self) -> Iterator[Row]:
        for name, spread in self._found.totals.times.items():
            worst = f"{_length(spread.worst, self.translate.locale)} ({spread.worst_incident})"
            yield self.translate(name.value), _length(spread.median, self.translate.locale), worst, str(spread.count)

    def counts(self) -> Iterator[Row]:
        kept, sent = self._found.totals.deadlines, self._found.totals.messages
        yield self.translate("deadlines met"), str(kept.met)
        yield self.translate("deadlines met late"), str(kept.late)
        yield self.translate("deadlines missed"), str(kept.missed)
        yield self.translate("messages delivered"), str(sent.delivered)
        yield self.translate("messages failed"), str(sent.failed)

    def breakdown(self) -> Iterator[Row]:
        totals, names = self._found.totals, self._settings.service_names
        locale = self.translate.locale
        services = {names[s].in_(locale) if s in names else s: count for s, count in totals.by_service.items()}
        causes = {cause or self.translate("unknown cause"): count for cause, count in totals.by_root_cause.items()}
        levels = {level or self.translate("below"): count for level, count in totals.by_level.items()}
        for kind, counted in (("level", levels), ("services", services), ("root cause", causes)):
            for name, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
                yield self.translate(kind), name, str(count)

    def short(self) -> Row:
        return tuple(
            self.translate(name) for name in ("services", "regions", "occurred", "restored after", "reported after")
        )

    def list(self) -> Iterator[Row]:
        locale, names = self.translate.locale, self._settings.service_names
        for each in self._found.figures:
            services = [names[service].in_(locale) if service in names else service for service in each.services]
            regions = [region_name(region, locale) for region in each.regions]
            began = format_local(each.occurred_at, self._settings.bank.zone) if each.occurred_at else "—"
            lasted, reported = (
                _length(each.times.get(name), locale) for name in (Milestone.RESTORED, Milestone.REPORTED)
            )
            about = (format_names(services, locale), format_names(regions, locale), began, lasted, reported)
            yield each.incident, each.level or self.translate("below"), *about, each.root_cause or "—"

    def lessons(self) -> Iterator[Row]:
        for lesson in self._found.totals.lessons:
            yield lesson.incident, " ".join(lesson.text.split()), lesson.by

    def tasks(self) -> Iterator[Row]:
        for task in self._found.totals.tasks:
            yield task.incident, task.title, task.owner or "—", self._instant(task.due_at), self._done(task)

    def _done(self, task: Task) -> str:
        state = self._instant(task.done_at) if task.done_at else self.translate("open")
        return f"{state} ({self.translate('late')})" if task.is_late(self._found.at) else state

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
