"""When each obligation of a pack applies, by when it is due, and when it was met."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.working_days import working_day_after, working_day_from
from incident_engine.domain.events.actions import StepCompleted
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.obligation import Anchor, DayOff, Deadline, Obligation
from incident_engine.domain.grading.obligation_series import ended_at, instances_of, series_of
from incident_engine.domain.grading.obligation_status import ObligationState, ObligationStatus
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER, months_later, stamp

_A_DAY = timedelta(days=1)


_NOON = time(12)

_published_calendar = cache(Calendar)  # a calendar is costly to build
"""The calendar of a country as the library has it, without corrections by operators."""


@dataclass(frozen=True, slots=True)
class _Context:
    """The facts from which the statuses follow."""

    incident: Incident
    pack: Pack
    history: Sequence[LevelChange]
    downtime: Downtime
    calendar: Calendar | None
    now: datetime
    in_force: bool


class _Due(NamedTuple):
    """The deadline of an obligation; None while its clock has not started."""

    at: datetime | None
    guessed_years: frozenset[int] = frozenset()
    """Years without published days off in which working days were counted."""


def statuses(
    incident: Incident,
    pack: Pack,
    history: Sequence[LevelChange],
    downtime: Downtime,
    calendars: Mapping[str, Calendar],
    now: datetime,
    *,
    in_force: bool,
) -> tuple[ObligationStatus, ...]:
    """Return the status of each obligation of the pack at `now`. `history` is every level change, past and to come."""
    calendar = None if pack.calendar is None else calendars.get(pack.calendar) or _published_calendar(pack.calendar)
    context = _Context(incident, pack, history, downtime, calendar, now, in_force)
    by_id: dict[str, list[ObligationStatus]] = {}
    for obligation in pack.obligations:
        by_id[obligation.id] = list(_of(obligation, context, by_id)) or [
            ObligationStatus(obligation.id, obligation.cite, obligation.to, ObligationState.NOT_APPLICABLE)
        ]
    return tuple(status for instances in by_id.values() for status in instances)


def _of(
    obligation: Obligation, context: _Context, before: Mapping[str, Sequence[ObligationStatus]]
) -> Iterator[ObligationStatus]:
    completions = context.incident.handling.completions_of(obligation.id)
    for instance, applies_at in _applications(obligation, context):
        due = _due(obligation, applies_at, context, before)
        guessed_years = tuple(sorted(due.guessed_years))
        if obligation.every is not None and due.at is not None:
            for status in _repeated(obligation, obligation.every, applies_at, due.at, completions, context):
                yield replace(status, guessed_years=guessed_years)
            continue
        # A report before the level was reached fulfils the first instance, but none after a correction.
        since = applies_at if instance else None
        met = next((completion for completion in completions if since is None or completion.occurred_at >= since), None)
        if met is None and _is_corrected_away(obligation, applies_at, context):
            continue
        status = _status(obligation, instance, applies_at, due.at, met, context)
        yield replace(status, guessed_years=guessed_years)


def _applications(obligation: Obligation, context: _Context) -> Iterator[tuple[str, datetime]]:
    """Yield (name, instant) of each instance of an obligation, when it comes to apply."""
    incident = context.incident
    if not context.in_force or incident.occurred_at is None:
        return
    if obligation.levels is not None:
        instants = [change.at for change in context.history if change.level in obligation.levels]
        corrected = [c.at for c in context.history if c.correction is not None and c.level not in obligation.levels]
        if instants:
            since = max((at for at in corrected if at < instants[-1]), default=None)
            is_met = obligation.every is None and bool(incident.handling.completions_of(obligation.id))
            at = min(at for at in instants if since is None or is_met or at > since)
            # After a correction to none the level counts as new, and so does the obligation.
            yield "" if at == instants[0] else stamp(at), at
    elif obligation.when is not None:
        at = reach(obligation.when, context.downtime, context.pack.conditions)
        if at < NEVER:
            yield "", at
    else:
        for at in incident.reported.instants([obligation.on or ""]):
            yield stamp(at), at


def _is_corrected_away(obligation: Obligation, applies_at: datetime, context: _Context) -> bool:
    """Return whether the latest correction since names a level for which the obligation does not hold."""
    if obligation.levels is None:
        return False
    corrections = [c for c in context.history if c.correction is not None and applies_at <= c.at <= context.now]
    return bool(corrections) and corrections[-1].level not in obligation.levels


def _status(
    obligation: Obligation,
    instance: str,
    applies_at: datetime,
    due_at: datetime | None,
    met: StepCompleted | None,
    context: _Context,
) -> ObligationStatus:
    detected_at, now = context.incident.detected_at, context.now
    if met is not None and met.occurred_at <= now:
        state = ObligationState.MET
    elif due_at is None or applies_at > now:
        state = ObligationState.NOT_APPLICABLE
    else:
        state = ObligationState.OVERDUE if now > due_at else ObligationState.PENDING
    return ObligationStatus(
        id=obligation.id,
        cite=obligation.cite,
        to=obligation.to,
        state=state,
        due_at=due_at,
        applies_at=applies_at,
        met_at=met.occurred_at if met else None,
        met_by=met.data.by if met else None,
        met_late=met is not None and due_at is not None and met.occurred_at > due_at,
        overdue_at_detection=detected_at is not None and due_at is not None and detected_at > due_at,
        instance=instance,
    )


def _repeated(
    obligation: Obligation,
    every: timedelta,
    applies_at: datetime,
    first_due_at: datetime,
    completions: Sequence[StepCompleted],
    context: _Context,
) -> Iterator[ObligationStatus]:
    """Yield the instances that were met, the latest missed one, and the next.

    A report settles all missed instances (late), or, if none, the next one. After everything has worked for as long
    as from one deadline to the next, a new outage starts a new series.
    """
    number = 1
    series = list(series_of(every, applies_at, context.incident))
    begins = [begins_at for begins_at, _ in series]
    is_corrected_away = _is_corrected_away(obligation, applies_at, context)
    for (begins_at, ends_at), following in zip(series, [*begins[1:], NEVER], strict=False):
        until = min(context.now, following)
        reports = [report for report in completions if begins_at <= report.occurred_at <= until]
        due_at, latest = begins_at + (first_due_at - applies_at), number - 1
        for instance in instances_of(every, due_at, begins_at, ends_at, reports, until):
            latest = number + instance.number
            if instance.met is not None or not is_corrected_away:
                status = _status(obligation, str(latest), applies_at, instance.due_at, instance.met, context)
                yield replace(status, missed=instance.missed)
        number = latest + 1


def _due(
    obligation: Obligation, applies_at: datetime, context: _Context, before: Mapping[str, Sequence[ObligationStatus]]
) -> _Due:
    """Return by when an obligation is due."""
    deadlines = [_instant(deadline, applies_at, context, before) for deadline in obligation.due.deadlines]
    reached = [deadline.at for deadline in deadlines if deadline.at is not None]
    if not reached:
        return _Due(None)
    # Of several deadlines, one in a year that is a guess may turn out to be the earliest.
    guessed_years = frozenset[int]().union(*(deadline.guessed_years for deadline in deadlines))
    # A deadline that had passed before the obligation applied cannot be kept any more: a later one counts.
    due_at = min([instant for instant in reached if instant >= applies_at] or reached)
    if obligation.due.on_day_off is DayOff.KEEP:
        return _Due(due_at, guessed_years)
    zone = ZoneInfo(context.pack.timezone)
    day = due_at.astimezone(zone).date()
    working_day = working_day_from(day, context.calendar)
    if working_day.day != day:
        due_at = datetime.combine(working_day.day, _NOON, zone).astimezone(UTC)
    return _Due(due_at, guessed_years | working_day.guessed_years)


def _instant(
    deadline: Deadline, applies_at: datetime, context: _Context, before: Mapping[str, Sequence[ObligationStatus]]
) -> _Due:
    start = _anchor(deadline, applies_at, context, before)
    if start.at is None:
        return start
    if deadline.within is not None:
        return _Due(start.at + deadline.within, start.guessed_years)
    local = start.at.astimezone(ZoneInfo(context.pack.timezone))
    if deadline.months is not None:
        return _Due(months_later(local, deadline.months).astimezone(UTC), start.guessed_years)
    last = working_day_after(local.date(), deadline.working_days or 0, context.calendar)
    end = context.pack.midnight(last.day + _A_DAY).astimezone(UTC)
    return _Due(end, start.guessed_years | last.guessed_years)


def _anchor(
    deadline: Deadline, applies_at: datetime, context: _Context, before: Mapping[str, Sequence[ObligationStatus]]
) -> _Due:
    """Return the instant from which a deadline runs."""
    incident = context.incident
    match deadline.after:
        case Anchor.OCCURRENCE:
            return _Due(incident.occurred_at)
        case Anchor.AWARENESS:
            return _Due(incident.detected_at)
        case Anchor.APPLIES:
            return _Due(applies_at)
        case Anchor.CLASSIFIED:
            # An incident cannot be classified before it is known.
            return _Due(max(applies_at, incident.detected_at or applies_at))
        case Anchor.RESTORED:
            return _Due(ended_at(incident, applies_at))
        case Anchor.MET | Anchor.LAST_MET:
            completions = incident.handling.completions_of(deadline.of)
            instants = [completion.occurred_at for completion in completions if completion.occurred_at <= context.now]
            if not instants:
                status = before[deadline.of or ""][0]
                return _Due(status.due_at, frozenset(status.guessed_years))
            return _Due(min(instants) if deadline.after is Anchor.MET else max(instants))
