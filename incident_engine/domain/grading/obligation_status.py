"""How things stand with what a pack demands: when it applies, by when it is due, whether it was met."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.events.actions import StepCompleted
from incident_engine.domain.grading.conditions import reach
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.obligation import Anchor, DayOff, Deadline, Obligation
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.values import NEVER, months_later, stamp

_A_DAY = timedelta(days=1)
_NOON = time(12)


class ObligationState(StrEnum):
    """How things stand with an obligation at an instant."""

    NOT_APPLICABLE = "not_applicable"
    PENDING = "pending"
    MET = "met"
    OVERDUE = "overdue"


@dataclass(frozen=True, slots=True)
class ObligationStatus:
    """An obligation of the pack as it stands for an incident.

    `applies_at` is when a level for which it holds is reached (None: never, as things are). `met_late` says that it
    was met after `due_at`; `overdue_at_detection` that it was due before we knew of the incident. `instance` tells
    apart what is demanded several times; of instances missed one after the other only the latest stands, with how
    many were missed in all.
    """

    id: str
    cite: str
    to: str
    state: ObligationState
    due_at: datetime | None = None
    applies_at: datetime | None = None
    met_at: datetime | None = None
    met_by: str | None = None
    met_late: bool = False
    overdue_at_detection: bool = False
    instance: str = ""
    missed: int = 0

    @property
    def key(self) -> str:
        """Return what names this instance among all of the pack."""
        return f"{self.id}.{self.instance}" if self.instance else self.id


@dataclass(frozen=True, slots=True)
class _Setting:
    """What the statuses are computed from."""

    incident: Incident
    pack: Pack
    course: Sequence[LevelChange]
    downtime: Downtime
    calendar: Calendar | None
    now: datetime
    in_force: bool


def statuses(
    incident: Incident,
    pack: Pack,
    course: Sequence[LevelChange],
    downtime: Downtime,
    calendars: Mapping[str, Calendar],
    now: datetime,
    *,
    in_force: bool,
) -> tuple[ObligationStatus, ...]:
    """Return how things stand with each obligation of the pack at `now`; `course` is every level past and to come."""
    calendar = None if pack.calendar is None else calendars.get(pack.calendar) or _calendar(pack.calendar)
    setting = _Setting(incident, pack, course, downtime, calendar, now, in_force)
    found: dict[str, list[ObligationStatus]] = {}
    for demand in pack.obligations:
        found[demand.id] = list(_of(demand, setting, found)) or [
            ObligationStatus(demand.id, demand.cite, demand.to, ObligationState.NOT_APPLICABLE)
        ]
    return tuple(status for each in found.values() for status in each)


@cache
def _calendar(country: str) -> Calendar:
    """Return the calendar of a country that operators have not set right; it is costly to build."""
    return Calendar(country)


def _of(
    demand: Obligation, setting: _Setting, before: Mapping[str, Sequence[ObligationStatus]]
) -> Iterator[ObligationStatus]:
    done = setting.incident.handling.completions_of(demand.id)
    for instance, applies_at in _occasions(demand, setting):
        due_at = _due_at(demand, applies_at, setting, before)
        if demand.every is not None and due_at is not None:
            yield from _repeated(demand, demand.every, applies_at, due_at, done, setting)
            continue
        since = applies_at if instance else None
        met = next((completion for completion in done if since is None or completion.occurred_at >= since), None)
        if met is None and _is_lifted(demand, applies_at, setting):
            continue
        yield _status(demand, instance, applies_at, due_at, met, setting)


def _occasions(demand: Obligation, setting: _Setting) -> Iterator[tuple[str, datetime]]:
    """Yield the instants at which an obligation comes to apply, each with the name of its instance."""
    incident = setting.incident
    if not setting.in_force or incident.occurred_at is None:
        return
    if demand.levels is not None:
        instants = [step.at for step in setting.course if step.level in demand.levels]
        if instants:
            at = _latest_rise(demand, instants, setting)
            yield "" if at == instants[0] else stamp(at), at  # after a correction it is owed anew
    elif demand.when is not None:
        at = reach(demand.when, setting.downtime, setting.pack.conditions)
        if at < NEVER:
            yield "", at
    else:
        for at in incident.reported.instants([demand.on or ""]):
            yield stamp(at), at


def _latest_rise(demand: Obligation, instants: Sequence[datetime], setting: _Setting) -> datetime:
    """Return when the level was first reached; anew if a person had said that it was not."""
    levels = demand.levels or ()
    lifted = [step.at for step in setting.course if step.correction is not None and step.level not in levels]
    since = max((at for at in lifted if at < instants[-1]), default=None)
    met = demand.every is None and bool(setting.incident.handling.completions_of(demand.id))
    return min(at for at in instants if since is None or met or at > since)


def _is_lifted(demand: Obligation, applies_at: datetime, setting: _Setting) -> bool:
    """Return whether a person has said, since, that the level is none for which the obligation holds."""
    if demand.levels is None:
        return False
    words = [s for s in setting.course if s.correction is not None and applies_at <= s.at <= setting.now]
    return bool(words) and words[-1].level not in demand.levels


def _status(
    demand: Obligation,
    instance: str,
    applies_at: datetime,
    due_at: datetime | None,
    met: StepCompleted | None,
    setting: _Setting,
) -> ObligationStatus:
    detected_at = setting.incident.detected_at
    return ObligationStatus(
        id=demand.id,
        cite=demand.cite,
        to=demand.to,
        state=_state(applies_at, due_at, met, setting.now),
        due_at=due_at,
        applies_at=applies_at,
        met_at=met.occurred_at if met else None,
        met_by=met.data.by if met else None,
        met_late=met is not None and due_at is not None and met.occurred_at > due_at,
        overdue_at_detection=detected_at is not None and due_at is not None and detected_at > due_at,
        instance=instance,
    )


def _state(applies_at: datetime, due_at: datetime | None, met: StepCompleted | None, now: datetime) -> ObligationState:
    if met is not None and met.occurred_at <= now:
        return ObligationState.MET
    if due_at is None or applies_at > now:
        return ObligationState.NOT_APPLICABLE
    return ObligationState.OVERDUE if now > due_at else ObligationState.PENDING


def _repeated(
    demand: Obligation,
    every: timedelta,
    applies_at: datetime,
    first_due_at: datetime,
    done: Sequence[StepCompleted],
    setting: _Setting,
) -> Iterator[ObligationStatus]:
    """Yield the instances that were met, the latest missed one, and the next.

    A report meets what was missed before it, late; or else the instance that is due next. Where everything has worked
    for as long as from one deadline to the next, it begins anew when something breaks again.
    """
    number = 1
    series = list(_series(every, applies_at, setting.incident))
    begins = [begins_at for begins_at, _ in series]
    is_lifted = _is_lifted(demand, applies_at, setting)
    for (begins_at, ends_at), following in zip(series, [*begins[1:], NEVER], strict=False):
        known = min(setting.now, following)
        reports = [report for report in done if begins_at <= report.occurred_at <= known]
        due_at, latest = begins_at + (first_due_at - applies_at), number - 1
        for instance, instance_due_at, met, missed in _instances(every, due_at, begins_at, ends_at, reports, known):
            latest = number + instance
            if met is not None or not is_lifted:
                status = _status(demand, str(latest), applies_at, instance_due_at, met, setting)
                yield replace(status, missed=missed)
        number = latest + 1


def _series(every: timedelta, applies_at: datetime, incident: Incident) -> Iterator[tuple[datetime, datetime]]:
    """Yield from when until when an obligation is owed again and again."""
    if not incident.outages:
        yield applies_at, _ended_at(incident, applies_at) or NEVER
        return
    for start, end in incident.episodes(every):
        if end > applies_at:
            yield max(start, applies_at), end


def _instances(
    every: timedelta,
    due_at: datetime,
    begins_at: datetime,
    ends_at: datetime,
    done: Sequence[StepCompleted],
    now: datetime,
) -> Iterator[tuple[int, datetime, StepCompleted | None, int]]:
    """Yield (number from 0, due instant, what met it, how many were missed up to it) of one series."""
    number, since = 0, begins_at
    for report in done:
        if report.occurred_at < since:
            continue  # one more than the law asks for
        if due_at > ends_at:
            break
        missed = _missed(due_at, every, report.occurred_at, ends_at)
        number, since = number + max(missed - 1, 0), due_at + max(missed - 1, 0) * every
        yield number, since, report, missed
        number, due_at = number + 1, since + every
    missed = _missed(due_at, every, now, ends_at)
    if missed > 0:
        number, latest = number + missed - 1, due_at + (missed - 1) * every
        yield number, latest, None, missed
        number, due_at = number + 1, latest + min(every, NEVER - latest)
    if due_at <= ends_at and due_at < NEVER:
        yield number, due_at, None, 0


def _missed(due_at: datetime, every: timedelta, at: datetime, ends_at: datetime) -> int:
    """Return how many deadlines, the first at `due_at`, had passed at an instant; none comes after `ends_at`."""
    if at <= due_at or due_at > ends_at:
        return 0
    return min(-((due_at - at) // every), (ends_at - due_at) // every + 1)


def _due_at(
    demand: Obligation, applies_at: datetime, setting: _Setting, before: Mapping[str, Sequence[ObligationStatus]]
) -> datetime | None:
    """Return by when an obligation is due; None while what its clock runs from has not come."""
    instants = [_instant(deadline, applies_at, setting, before) for deadline in demand.due.deadlines]
    known = [instant for instant in instants if instant is not None]
    if not known:
        return None
    due_at = min([instant for instant in known if instant >= applies_at] or known)
    if demand.due.on_day_off is DayOff.NOON_NEXT_WORKING_DAY:
        return _on_working_day(due_at, setting)
    return due_at


def _instant(
    deadline: Deadline, applies_at: datetime, setting: _Setting, before: Mapping[str, Sequence[ObligationStatus]]
) -> datetime | None:
    start = _anchor(deadline, applies_at, setting, before)
    if start is None:
        return None
    if deadline.within is not None:
        return start + deadline.within
    zone = ZoneInfo(setting.pack.timezone)
    local = start.astimezone(zone)
    if deadline.months is not None:
        return months_later(local, deadline.months).astimezone(UTC)
    day = local.date()
    for _ in range(deadline.working_days or 0):
        day = _next_working_day(day, setting.calendar)
    return datetime.combine(day + _A_DAY, time(), zone).astimezone(UTC)


def _anchor(
    deadline: Deadline, applies_at: datetime, setting: _Setting, before: Mapping[str, Sequence[ObligationStatus]]
) -> datetime | None:
    incident = setting.incident
    match deadline.after:
        case Anchor.OCCURRENCE:
            return incident.occurred_at
        case Anchor.AWARENESS:
            return incident.detected_at
        case Anchor.APPLIES:
            return applies_at
        case Anchor.CLASSIFIED:
            return max(applies_at, incident.detected_at or applies_at)
        case Anchor.RESTORED:
            return _ended_at(incident, applies_at)
        case Anchor.MET | Anchor.LAST_MET:
            return _met_at(deadline, setting) or before[deadline.of or ""][0].due_at


def _ended_at(incident: Incident, applies_at: datetime) -> datetime | None:
    """Return when everything worked again; without any outage, when it was closed, if anything was owed then."""
    if incident.outages or incident.closing is None:
        return incident.restored_at
    return max(incident.closing.at, applies_at)


def _met_at(deadline: Deadline, setting: _Setting) -> datetime | None:
    completions = setting.incident.handling.completions_of(deadline.of)
    done = [completion.occurred_at for completion in completions if completion.occurred_at <= setting.now]
    if not done:
        return None
    return min(done) if deadline.after is Anchor.MET else max(done)


def _is_working_day(day: date, calendar: Calendar | None) -> bool:
    return calendar is None or calendar.is_workday(day)


def _next_working_day(day: date, calendar: Calendar | None) -> date:
    day += _A_DAY
    while not _is_working_day(day, calendar):
        day += _A_DAY
    return day


def _on_working_day(due_at: datetime, setting: _Setting) -> datetime:
    zone = ZoneInfo(setting.pack.timezone)
    day = due_at.astimezone(zone).date()
    if _is_working_day(day, setting.calendar):
        return due_at
    return datetime.combine(_next_working_day(day, setting.calendar), _NOON, zone).astimezone(UTC)
