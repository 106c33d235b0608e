"""Write the review of a period as tables of text, for a terminal and for a page."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.common.terminal import display_width, fitted
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.formatting import format_duration, format_local, format_names
from incident_engine.domain.regions import region_name
from incident_engine.domain.reports.statistics import IncidentFigures, Milestone
from incident_engine.review.documents import Review, stamp_of
from incident_engine.store.reports import Version

Row = tuple[str, ...]


def tables(review: Review, settings: Settings, locale: str) -> dict[str, Any]:
    """Return the review in one language: locale, title, period, key figures, tables (title, head, rows) and footer."""
    content = _Tables(review, settings, Translator(locale))
    translate = content.translate
    sections = [
        (
            translate("times from occurrence"),
            (translate("milestone"), translate("median"), translate("worst"), translate("incidents")),
            content.times(),
        ),
        (translate("deadlines and messages"), (), content.counts()),
        (translate("incidents by"), (), content.breakdown()),
        (
            translate("list of incidents"),
            (translate("incident"), translate("level"), *content.short(), translate("root cause")),
            content.list(),
        ),
        (
            translate("lessons"),
            (translate("incident"), translate("lesson"), translate("recorded by")),
            content.lessons(),
        ),
        (
            translate("tasks"),
            (translate("incident"), translate("task"), translate("owner"), translate("due"), translate("done")),
            content.tasks(),
        ),
    ]
    return {
        "locale": locale,
        "title": f"{settings.bank.name.in_(locale)} · {translate('review')}",
        "period": f"{review.period.first} – {review.period.last}",
        "key_figures": list(content.key_figures()),
        "sections": [(title, head, rows) for title, head, lines in sections if (rows := list(lines))],
        "footer": f"{translate('as of')} {format_local(review.at, settings.bank.zone)}",
    }


def review_text(review: Review, settings: Settings, locale: str) -> str:
    """Return the review as text for a terminal."""
    content = tables(review, settings, locale)
    lines = [content["title"], content["period"], "", *(f"{name}: {value}" for name, value in content["key_figures"])]
    for title, head, rows in content["sections"]:
        lines += ["", title, *(f"  {line}" for line in _aligned([head, *rows] if head else rows))]
    return "\n".join([*lines, "", content["footer"]]) + "\n"


def figures_text(figures: IncidentFigures, settings: Settings, locale: str) -> str:
    """Return the figures of one incident as text for a terminal."""
    translate = Translator(locale)
    rows = [(translate(name.value), _length(figures.times.get(name), locale)) for name in Milestone]
    deadlines, messages = figures.deadlines, figures.messages
    counts = {
        "deadlines": {"met": deadlines.met, "late": deadlines.late, "missed deadlines": deadlines.missed},
        "messages": {"delivered": messages.delivered, "not delivered": messages.failed},
    }
    for kind, numbers in counts.items():
        rows.append((translate(kind), ", ".join(f"{translate(name)} {number}" for name, number in numbers.items())))
    head = f"{translate('incident')} {figures.incident}  {translate('level')}: {figures.level or translate('below')}"
    return "\n".join([head, *(f"  {line}" for line in _aligned(rows))]) + "\n"


def versions_text(
    versions_by_report: Mapping[tuple[str, str], Sequence[Version]], settings: Settings, locale: str
) -> str:
    """Return an incident's reports as text for a terminal, one line per version."""
    translate = Translator(locale)
    rows = [
        (f"{report} {instance}".strip(), *stamp_of(row, settings.bank.zone).line(locale).split(" · "))
        for (report, instance), versions in versions_by_report.items()
        for row in versions
    ]
    lines = [" · ".join(row) for row in rows]
    head = f"{translate('reports')}: {'' if rows else translate('none')}".rstrip()
    return "\n".join([head, *(f"  {line}" for line in lines)]) + "\n"


class _Tables:
    """Writes the rows of a review's tables in one language."""

    def __init__(self, review: Review, settings: Settings, translate: Translator) -> None:
        self.translate = translate
        self._review = review
        self._settings = settings

    def key_figures(self) -> Iterator[tuple[str, str]]:
        totals = self._review.totals
        yield self.translate("incidents"), str(totals.incidents)
        yield self.translate("with a level"), str(totals.graded)
        # The review is still useful without an unreadable file, but it must say that figures are missing.
        for file, count in self._review.archived.items():
            if file in self._review.unread:
                problem = f"{self.translate('missing from the figures')}: {self._review.unread[file]}"
                yield self.translate("archived"), f"{count} · {problem}"
            else:
                yield self.translate("archived"), f"{count} · {file}"

    def times(self) -> Iterator[Row]:
        for name, spread in self._review.totals.times.items():
            worst = f"{_length(spread.worst, self.translate.locale)} ({spread.worst_incident})"
            yield self.translate(name.value), _length(spread.median, self.translate.locale), worst, str(spread.count)

    def counts(self) -> Iterator[Row]:
        deadlines, messages = self._review.totals.deadlines, self._review.totals.messages
        yield self.translate("deadlines met"), str(deadlines.met)
        yield self.translate("deadlines met late"), str(deadlines.late)
        yield self.translate("deadlines missed"), str(deadlines.missed)
        yield self.translate("messages delivered"), str(messages.delivered)
        yield self.translate("messages failed"), str(messages.failed)

    def breakdown(self) -> Iterator[Row]:
        totals, names = self._review.totals, self._settings.service_names
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
        for incident in self._review.figures:
            services = [names[service].in_(locale) if service in names else service for service in incident.services]
            regions = [region_name(region, locale) for region in incident.regions]
            started = format_local(incident.occurred_at, self._settings.bank.zone) if incident.occurred_at else "—"
            restored, reported = (
                _length(incident.times.get(name), locale) for name in (Milestone.RESTORED, Milestone.REPORTED)
            )
            details = (format_names(services, locale), format_names(regions, locale), started, restored, reported)
            yield incident.incident, incident.level or self.translate("below"), *details, incident.root_cause or "—"

    def lessons(self) -> Iterator[Row]:
        for lesson in self._review.totals.lessons:
            # People write lessons in several lines; a table has one.
            yield lesson.incident, " ".join(lesson.text.split()), lesson.by

    def tasks(self) -> Iterator[Row]:
        for task in self._review.totals.tasks:
            state = self._instant(task.done_at) if task.done_at else self.translate("task open")
            state += f" ({self.translate('late')})" if task.is_late(self._review.at) else ""
            yield task.incident, task.title, task.owner or "—", self._instant(task.due_at), state

    def _instant(self, at: Any) -> str:
        return format_local(at, self._settings.bank.zone) if at else "—"


def _length(length: timedelta | None, locale: str) -> str:
    return "—" if length is None else format_duration(length, locale)


def _aligned(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(display_width(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [fitted(text, width) for text, width in zip(row, widths, strict=True)]
        yield "  ".join(cells).rstrip()
