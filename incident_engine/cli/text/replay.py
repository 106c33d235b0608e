"""A replay as a table for a terminal: what differs first, then the counts."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from unicodedata import east_asian_width

from incident_engine.common.i18n import Translator
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import LocalizedText
from incident_engine.engine.replay import Difference, Replay, Row, Verdict

_MARKS: Mapping[Difference | None, str] = {Difference.LEVEL: "≠", Difference.INSTANT: "~", None: "="}
_GAP = "  "
_NARROWEST = 16
"""Display columns that services and regions have at least."""
_LONGEST_NAME = 40


def replay_text(found: Replay, settings: Settings, translate: Translator, width: int, *, only_differences: bool) -> str:
    """Return a replay as text for a terminal of so many columns."""
    if not found.rows:
        return translate("no incidents")
    rows = [row for row in found.rows if row.difference is not None or not only_differences]
    lines = [*_table(rows, found, settings, translate, width), *([""] if rows else [])]
    return "\n".join(lines + list(_summary(found, translate)))


# The table


def _table(rows: Sequence[Row], found: Replay, settings: Settings, translate: Translator, width: int) -> Iterator[str]:
    if not rows:
        return
    zone = settings.bank.zone
    head = ["", translate("occurred"), translate("incident"), f"{translate('services')}, {translate('regions')}"]
    head += [each.label for each in found.candidates]
    cells = [[head]] + [_lines_of(row, settings.service_names, zone, translate) for row in rows]
    widths = [
        max(map(display_width, column)) for column in zip(*(line for lines in cells for line in lines), strict=True)
    ]
    widths[2] = min(widths[2], _LONGEST_NAME)
    others = sum(widths) - widths[3] + len(_GAP) * (len(widths) - 1)
    widths[3] = min(widths[3], max(_NARROWEST, width - others))
    for line in (line for lines in cells for line in lines):
        yield _GAP.join(fitted(text, columns) for text, columns in zip(line, widths, strict=True)).rstrip()


def _lines_of(row: Row, names: Mapping[str, LocalizedText], zone: tzinfo, translate: Translator) -> list[list[str]]:
    """Return the lines of a row: of what differs the whole course, else the level in the end."""
    begun = row.occurred_at.astimezone(zone) if row.occurred_at else None
    courses = [_course(verdict, begun, zone, translate) for verdict in row.verdicts]
    if row.difference is None:
        courses = [course[-1:] for course in courses]
    services = ", ".join(
        names[service].in_(translate.locale) if service in names else service for service in row.services
    )
    regions = ", ".join(region_name(region, translate.locale) for region in row.regions)
    name = "+".join(row.incidents) if row.root_cause is None else f"{translate('recurring')}: {row.root_cause}"
    first = [
        _MARKS[row.difference],
        f"{begun:%Y-%m-%d %H:%M}" if begun else "—",
        name,
        "; ".join(filter(None, (services, regions))) or "—",
    ]
    height = max(len(course) for course in courses)
    return [
        (first if place == 0 else [""] * len(first))
        + [course[place] if place < len(course) else "" for course in courses]
        for place in range(height)
    ]


def _course(verdict: Verdict, begun: datetime | None, zone: tzinfo, translate: Translator) -> list[str]:
    if not verdict.in_force:
        return [translate("out of force")]
    return [
        f"{step.level or '—'} {_short_time(step.at.astimezone(zone), begun)}{'*' if step.correction else ''}"
        for step in verdict.course
    ] or ["—"]


def _short_time(at: datetime, begun: datetime | None) -> str:
    """Return a local time without the parts of the date that it shares with the incident's beginning."""
    if begun is not None and at.date() == begun.date():
        return f"{at:%H:%M:%S}"
    return f"{at:%m-%d %H:%M:%S}" if begun is not None and at.year == begun.year else f"{at:%Y-%m-%d %H:%M:%S}"


# The summary


def _summary(found: Replay, translate: Translator) -> Iterator[str]:
    counted = found.differences
    line = f"{translate('incidents')}: {len(found.rows)}"
    if len(found.candidates) > 1:
        line += f"    {translate('differ')}: {sum(counted.values())}"
        line += f" ({_MARKS[Difference.LEVEL]} {translate('in the level')}: {counted[Difference.LEVEL]}"
        line += f", {_MARKS[Difference.INSTANT]} {translate('only in the time')}: {counted[Difference.INSTANT]})"
    yield line
    for place, each in enumerate(found.candidates):
        if found.out_of_force(place):
            since = f"{each.pack.in_force.from_} – {each.pack.in_force.until or ''}".rstrip()
            yield f"! {each.label}: {found.out_of_force(place)} {translate('outside its time')} ({since})"
    if any(step.correction for row in found.rows for verdict in row.verdicts for step in verdict.course):
        yield f"* {translate('corrected by a person')}"
    yield ""
    if len(found.candidates) == 1:
        yield from _counts(found, translate)
    for place in range(1, len(found.candidates)):
        yield from _matrix(found, place, translate)


def _counts(found: Replay, translate: Translator) -> Iterator[str]:
    """Yield how many incidents have which level by the only pack."""
    pack = found.candidates[0].pack
    counted = found.matrix(0)
    names = {level: _level_name(level, pack, translate) for level in _levels(pack)}
    widest = max(map(display_width, names.values()))
    for level, name in names.items():
        yield f"{fitted(name, widest)}  {counted.get((level, level), 0)}"


def _matrix(found: Replay, place: int, translate: Translator) -> Iterator[str]:
    """Yield how many incidents have which level by the first pack (lines) and by another (columns)."""
    first, other = found.candidates[0], found.candidates[place]
    counted = found.matrix(place)
    yield f"{first.label} ↓    {other.label} →"
    lines = [["", *(_short_level(level, translate) for level in _levels(other.pack))]]
    for level in _levels(first.pack):
        counts = [counted.get((level, there), 0) for there in _levels(other.pack)]
        lines.append([_level_name(level, first.pack, translate), *(str(count) if count else "·" for count in counts)])
    widths = [max(map(display_width, column)) for column in zip(*lines, strict=True)]
    for name, *cells in lines:
        right = [" " * (columns - display_width(cell)) + cell for cell, columns in zip(cells, widths[1:], strict=True)]
        yield _GAP.join([fitted(name, widths[0]), *right])


def _levels(pack: Pack) -> list[str | None]:
    """Return a pack's levels, the least first, with what lies below them."""
    return [None, *(level.id for level in reversed(pack.levels))]


def _level_name(level: str | None, pack: Pack, translate: Translator) -> str:
    return (
        _short_level(level, translate) if level is None else f"{level} {pack.level_names[level].in_(translate.locale)}"
    )


def _short_level(level: str | None, translate: Translator) -> str:
    return translate("no level") if level is None else level


# Columns of a terminal


def display_width(text: str) -> int:
    """Return how many columns a text takes: a Chinese character takes two."""
    return len(text) if text.isascii() else sum(2 if east_asian_width(each) in "WF" else 1 for each in text)


def fitted(text: str, columns: int) -> str:
    """Return a text in exactly so many columns: filled with spaces, or cut and marked so."""
    spare = columns - display_width(text)
    if spare >= 0:
        return text + " " * spare
    kept = text
    while display_width(kept) > columns - 1:
        kept = kept[:-1]
    return fitted(f"{kept}…", columns)
