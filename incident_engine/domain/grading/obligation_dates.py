"""When each obligation of a pack applies, by when it is due, and when it was met."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from incident_engine.domain.calendar.holidays import Calendar, is_working_day, next_working_day
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
        due_at = _due_at(obligation, applies_at, context, before)
        if obligation.every is not None and due_at is not None:
            yield from _repeated(obligation, obligation.every, applies_at, due_at, completions, context)
            continue
        # A report before the level was reached fulfils the first instance, but none after a correction.
        since = applies_at if instance else None
        met = next((completion for completion in completions if since is None or completion.occurred_at >= since), None)
        if met is None and _is_corrected_away(obligation, applies_at, context):
            continue
        yield _status(obligation, instance, applies_at, due_at, met, context)


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


def _due_at(
    obligation: Obligation, applies_at: datetime, context: _Context, before: Mapping[str, Sequence[ObligationStatus]]
) -> datetime | None:
    """Return by when an obligation is due; None while its clock has not started."""
    instants = [_instant(deadline, applies_at, context, before) for deadline in obligation.due.deadlines]
    reached = [instant for instant in instants if instant is not None]
    if not reached:
        return None
    # A deadline that had passed before the obligation applied cannot be kept any more: a later one counts.
    due_at = min([instant for instant in reached if instant >= applies_at] or reached)
    if obligation.due.on_day_off is DayOff.KEEP:
        return due_at
    zone = ZoneInfo(context.pack.timezone)
    day = due_at.astimezone(zone).date()
    if is_working_day(day, context.calendar):
        return due_at
    return datetime.combine(next_working_day(day, context.calendar), _NOON, zone).astimezone(UTC)


def _instant(
    deadline: Deadline, applies_at: datetime, context: _Context, before: Mapping[str, Sequence[ObligationStatus]]
) -> datetime | None:
    start = _anchor(deadline, applies_at, context, before)
    if start is None:
        return None
    if deadline.within is not None:
        return start + deadline.within
    zone = ZoneInfo(context.pack.timezone)
    local = start.astimezone(zone)
    if deadline.months is not None:
        return months_later(local, deadline.months).astimezone(UTC)
    day = local.date()
    for _ in range(deadline.working_days or 0):
        day = next_working_day(day, context.calendar)
    return context.pack.midnight(day + _A_DAY).astimezone(UTC)


def _anchor(
    deadline: Deadline, applies_at: datetime, context: _Context, before: Mapping[str, Sequence[ObligationStatus]]
) -> datetime | None:
    incident = context.incident
    match deadline.after:
        case Anchor.OCCURRENCE:
            return incident.occurred_at
        case Anchor.AWARENESS:
            return incident.detected_at
        case Anchor.APPLIES:
            return applies_at
        case Anchor.CLASSIFIED:
            # An incident cannot be classified before it is known.
            return max(applies_at, incident.detected_at or applies_at)
        case Anchor.RESTORED:
            return ended_at(incident, applies_at)
        case Anchor.MET | Anchor.LAST_MET:
            completions = incident.handling.completions_of(deadline.of)
            instants = [completion.occurred_at for completion in completions if completion.occurred_at <= context.now]
            if not instants:
                return before[deadline.of or ""][0].due_at
            return min(instants) if deadline.after is Anchor.MET else max(instants)
