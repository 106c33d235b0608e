"""Write a replay as text for a terminal: the table of incidents, differences first, then the counts."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo

from incident_engine.common.i18n import Translator
from incident_engine.common.terminal import display_width, fitted
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import LocalizedText
from incident_engine.engine.replay import Difference, Replay, Row, Verdict

_MARKS: Mapping[Difference | None, str] = {Difference.LEVEL: "≠", Difference.INSTANT: "~", None: "="}
_GAP = "  "
_NARROWEST = 16
"""The least number of display columns for services and regions."""
_LONGEST_NAME = 40


def replay_text(
    replay: Replay, settings: Settings, translate: Translator, width: int, *, only_differences: bool
) -> str:
    """Return a replay as text for a terminal of `width` columns."""
    if not replay.rows:
        return translate("no incidents")
    rows = [row for row in replay.rows if row.difference is not None or not only_differences]
    lines = [*_table(rows, replay, settings, translate, width), *([""] if rows else [])]
    return "\n".join(lines + list(_summary(replay, translate)))


# The table


def _table(rows: Sequence[Row], replay: Replay, settings: Settings, translate: Translator, width: int) -> Iterator[str]:
    if not rows:
        return
    zone = settings.bank.zone
    head = ["", translate("occurred"), translate("incident"), f"{translate('services')}, {translate('regions')}"]
    head += [candidate.label for candidate in replay.candidates]
    cells = [[head]] + [_lines_of(row, settings.service_names, zone, translate) for row in rows]
    widths = [
        max(map(display_width, column)) for column in zip(*(line for lines in cells for line in lines), strict=True)
    ]
    widths[2] = min(widths[2], _LONGEST_NAME)
    others = sum(widths) - widths[3] + len(_GAP) * (len(widths) - 1)
    # Names are the only cells that stay useful when cut: they get the columns that are left.
    widths[3] = min(widths[3], max(_NARROWEST, width - others))
    for line in (line for lines in cells for line in lines):
        yield _GAP.join(fitted(text, columns) for text, columns in zip(line, widths, strict=True)).rstrip()


def _lines_of(row: Row, names: Mapping[str, LocalizedText], zone: tzinfo, translate: Translator) -> list[list[str]]:
    """Return the lines of a row: the whole level history if the packs differ, else only the final level."""
    started = row.occurred_at.astimezone(zone) if row.occurred_at else None
    histories = [_history(verdict, started, zone, translate) for verdict in row.verdicts]
    if row.difference is None:
        histories = [history[-1:] for history in histories]
    services = ", ".join(
        names[service].in_(translate.locale) if service in names else service for service in row.services
    )
    regions = ", ".join(region_name(region, translate.locale) for region in row.regions)
    name = "+".join(row.incidents) if row.root_cause is None else f"{translate('recurring')}: {row.root_cause}"
    first = [
        _MARKS[row.difference],
        f"{started:%Y-%m-%d %H:%M}" if started else "—",
        name,
        "; ".join(filter(None, (services, regions))) or "—",
    ]
    height = max(len(history) for history in histories)
    return [
        (first if index == 0 else [""] * len(first))
        + [history[index] if index < len(history) else "" for history in histories]
        for index in range(height)
    ]


def _history(verdict: Verdict, started: datetime | None, zone: tzinfo, translate: Translator) -> list[str]:
    if not verdict.in_force:
        return [translate("not in force, short")]
    lines: list[str] = []
    for change in verdict.history:
        at = change.at.astimezone(zone)
        time = f"{at:%Y-%m-%d %H:%M:%S}"
        # The parts of the date that the line's first column shows already would only widen the table.
        if started is not None and at.year == started.year:
            time = f"{at:%H:%M:%S}" if at.date() == started.date() else f"{at:%m-%d %H:%M:%S}"
        lines.append(f"{change.level or '—'} {time}{'*' if change.correction else ''}")
    return lines or ["—"]


# The summary


def _summary(replay: Replay, translate: Translator) -> Iterator[str]:
    counts = replay.differences
    line = f"{translate('incidents')}: {len(replay.rows)}"
    if len(replay.candidates) > 1:
        line += f"    {translate('differ')}: {sum(counts.values())}"
        line += f" ({_MARKS[Difference.LEVEL]} {translate('differ in level')}: {counts[Difference.LEVEL]}"
        line += f", {_MARKS[Difference.INSTANT]} {translate('differ in time')}: {counts[Difference.INSTANT]})"
    yield line
    for index, candidate in enumerate(replay.candidates):
        if replay.out_of_force(index):
            period = f"{candidate.pack.in_force.from_} – {candidate.pack.in_force.until or ''}".rstrip()
            yield f"! {candidate.label}: {replay.out_of_force(index)} {translate('not in force then')} ({period})"
    if any(step.correction for row in replay.rows for verdict in row.verdicts for step in verdict.history):
        yield f"* {translate('corrected by a person')}"
    yield ""
    if len(replay.candidates) == 1:
        pack, counted = replay.candidates[0].pack, replay.matrix(0)
        names = {level: _level_name(level, pack, translate) for level in _levels(pack)}
        widest = max(map(display_width, names.values()))
        for level, name in names.items():
            yield f"{fitted(name, widest)}  {counted.get((level, level), 0)}"
    for index in range(1, len(replay.candidates)):
        yield from _matrix(replay, index, translate)


def _matrix(replay: Replay, index: int, translate: Translator) -> Iterator[str]:
    """Yield the numbers of incidents per level under the first pack (lines) and another pack (columns)."""
    first, other = replay.candidates[0], replay.candidates[index]
    counts = replay.matrix(index)
    yield f"{first.label} ↓    {other.label} →"
    lines = [["", *(level or translate("no level, short") for level in _levels(other.pack))]]
    for level in _levels(first.pack):
        numbers = [counts.get((level, column), 0) for column in _levels(other.pack)]
        lines.append([_level_name(level, first.pack, translate), *(str(count) if count else "·" for count in numbers)])
    widths = [max(map(display_width, column)) for column in zip(*lines, strict=True)]
    for name, *cells in lines:
        right = [" " * (columns - display_width(cell)) + cell for cell, columns in zip(cells, widths[1:], strict=True)]
        yield _GAP.join([fitted(name, widths[0]), *right])


def _levels(pack: Pack) -> list[str | None]:
    """Return a pack's levels, the lowest first; None, for no level, comes before them."""
    return [None, *(level.id for level in reversed(pack.levels))]


def _level_name(level: str | None, pack: Pack, translate: Translator) -> str:
    if level is None:
        return translate("no level, short")
    return f"{level} {pack.level_names[level].in_(translate.locale)}"
