"""The facts of an incident on which its plan rests: outages, levels, answers, and the settings of the bank."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import cached_property

from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.working_days import working_day_after
from incident_engine.domain.events.model import RecoveryEstimated
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.incidents.incident import Incident, LateStart
from incident_engine.domain.response.playbook import by_level
from incident_engine.domain.response.step import Step
from incident_engine.domain.response.triggers import LengthByLevel
from incident_engine.domain.step_id import ASK, derived_name
from incident_engine.domain.values import NEVER


@dataclass(frozen=True, slots=True)
class PlanSettings:
    """The settings of the bank on which a plan rests. Without a calendar every day is a working day."""

    zone: tzinfo = UTC
    calendar: Calendar | None = None
    observation: timedelta = timedelta(0)
    """How long a restored incident is watched before it should be closed."""
    confirm_after: timedelta | None = None
    """How late an outage may be reported before a person must confirm its time; None: as late as may be."""

    def working_day(self, start: datetime, days: int, at: time) -> tuple[datetime, frozenset[int]]:
        """Return `at`, local time, on the n-th working day after the day of `start`, and the years that are a guess."""
        counted = working_day_after(start.astimezone(self.zone).date(), days, self.calendar)
        return datetime.combine(counted.day, at, self.zone).astimezone(UTC), counted.guessed_years


@dataclass(frozen=True, slots=True)
class Questions:
    """The questions whether the time of an outage is right, and the answers of people."""

    late_starts: Sequence[LateStart] = ()
    """The beginnings of outages that were reported late, in order of receipt."""
    asked: Mapping[str, datetime] = field(default_factory=dict)
    """When each was asked, by the instance of its step."""
    confirmed: Sequence[datetime] = ()

    def is_answered(self, since: datetime, until: datetime = NEVER) -> bool:
        """Return whether a person confirmed the time from `since` on and before `until`."""
        return any(since <= at < until for at in self.confirmed)


@dataclass(frozen=True)  # no slots: the episodes are kept
class IncidentView:
    """The facts from which the occurrences follow. The first assessment is that of the primary pack."""

    incident: Incident
    assessments: Sequence[Assessment]
    now: datetime
    settle: timedelta
    settings: PlanSettings
    started: Mapping[str, datetime]
    """When steps started, by their ids."""
    questions: Questions = Questions()

    @property
    def unsettled(self) -> Sequence[str]:
        """Return the questions of which the time was corrected, while the level that it gave is retained."""
        if not self.primary.level_retained:
            return ()
        return [instance for instance, at in self.questions.asked.items() if not self.questions.is_answered(at)]

    @property
    def is_unconfirmed(self) -> bool:
        """Return whether an outage was reported late and nobody has confirmed its time since, or corrected it."""
        latest = max((start.known_at for start in self.questions.late_starts), default=None)
        return bool(self.unsettled) or (latest is not None and not self.questions.is_answered(latest))

    def severity_of(self, level: str | None) -> int:
        """Return how severe a level is; 0 below the lowest."""
        return 0 if level is None else self.primary.severities[level]

    def corrected_down_at(self, level: str | None, since: datetime) -> datetime:
        """Return when a person first corrected to below `level` after `since`, or NEVER."""
        corrections = [change for change in self.level_changes if change.correction is not None and change.at > since]
        severity = self.severity_of(level)
        return min((c.at for c in corrections if self.severity_of(c.level) < severity), default=NEVER)

    def started_at(self, step: Step) -> datetime:
        """Return when the people who must answer a step were asked, or will be."""
        asked = derived_name(step.id, ASK) if step.approval is not None else step.id
        return self.started.get(asked, max(step.due_at, self.now))

    def by_rhythm(self, start: datetime, lengths: LengthByLevel) -> datetime:
        """Return `start` plus the interval for the level; a rising level can only shorten it."""
        due_at = start + by_level(lengths, self.primary.level_at(start))
        for change in self.level_changes:
            if start < change.at < due_at:
                due_at = min(due_at, change.at + by_level(lengths, change.level))
        return due_at

    @cached_property
    def episodes(self) -> Sequence[tuple[datetime, datetime]]:
        """Return the stretches of impairment, those less than `settle` apart as one."""
        # Many triggers need them, and finding them looks at every outage.
        return self.incident.episodes(self.settle)

    def episode_at(self, at: datetime) -> tuple[datetime, datetime] | None:
        """Return the episode of impairment in which an instant lies."""
        return next(((start, end) for start, end in self.episodes if start <= at < end), None)

    def is_notified(self, estimate: RecoveryEstimated, at: datetime) -> bool:
        """Return whether, at an instant, an outage of the estimate is down in an incident with a level."""
        is_down = any(
            interval.start <= at < interval.end
            for outage in self.incident.outages
            if estimate.concerns(outage.service, outage.region)
            for interval in outage.intervals
        )
        episode = self.episode_at(at)
        return is_down and self.primary.level_at(at) is not None and episode is not None and self.now < episode[1]

    @property
    def primary(self) -> Assessment:
        """Return the verdict of the primary pack."""
        return self.assessments[0]

    @property
    def level_changes(self) -> Sequence[LevelChange]:
        """Return every change of the level, past and to come."""
        return (*self.primary.trajectory, *self.primary.forecast)
