"""Conditions of a rule, each a function from the downtime to the earliest instant at which it holds.

    reach(condition, downtime) → the instant at which it holds if nothing new happens, or NEVER

Every condition is monotone: once it holds it goes on holding. So `any` is the earliest, `all` the latest and
`at_least n of` the n-th earliest, and a strict `more_than` is the smallest step after `at_least`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from incident_engine.facts.hours import ALWAYS, Segment, ServiceHours, elapsed, union
from incident_engine.facts.hours import reach as reach_length
from incident_engine.facts.incident import Incident, Outage
from incident_engine.facts.values import NEVER, RESOLUTION, Duration
from incident_engine.validation import Strict, invalid


class HoursClock(StrEnum):
    """Which minutes of an outage count."""

    SERVICE_HOURS = "service_hours"
    WALL_CLOCK = "wall_clock"


class DurationLimit(Strict):
    """A limit of time, which says whether the limit itself counts."""

    at_least: Duration | None = None
    more_than: Duration | None = None

    @model_validator(mode="before")
    @classmethod
    def _no_bare_limit(cls, value: object) -> object:
        if isinstance(value, str):
            raise invalid(f"a bare limit: {value!r}", f"{{at_least: {value}}} or {{more_than: {value}}}")
        return value

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        _exactly_one(self, "at_least", "more_than")
        return self

    @property
    def least(self) -> timedelta:
        """Return the shortest length that satisfies the limit."""
        if self.at_least is not None:
            return self.at_least
        return (self.more_than or timedelta(0)) + RESOLUTION


class CountLimit(Strict):
    """A limit of a count, which says whether the limit itself counts."""

    at_least: int | None = Field(default=None, ge=1, strict=True)
    more_than: int | None = Field(default=None, ge=0, strict=True)

    @property
    def least(self) -> int:
        """Return the smallest count that satisfies the limit."""
        return self.at_least if self.at_least is not None else (self.more_than or 0) + 1


class RegionsDown(CountLimit):
    """So many regions cannot do business, each for so long (its own total), counted by a clock."""

    for_: DurationLimit = Field(alias="for")
    clock: HoursClock = HoursClock.SERVICE_HOURS

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        _exactly_one(self, "at_least", "more_than")
        return self


class Condition(Strict):
    """One condition: exactly one of its keys is given."""

    any: tuple["Condition", ...] | None = Field(default=None, min_length=1)
    all: tuple["Condition", ...] | None = Field(default=None, min_length=1)
    n_of: "NOf | None" = None
    regions_down: RegionsDown | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, "any", "all", "n_of", "regions_down")
        return self


class NOf(Strict):
    """At least so many of several conditions."""

    at_least: int = Field(ge=1, strict=True)
    of: tuple[Condition, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.at_least > len(self.of):
            raise invalid(f"at least {self.at_least} of {len(self.of)} can never hold", "a smaller at_least")
        return self


def _exactly_one(model: Strict, *keys: str) -> None:
    given = [key for key in keys if getattr(model, key) is not None]
    if len(given) != 1:
        said = "none is given" if not given else f"{' and '.join(given)} are given"
        raise invalid(f"exactly one of {', '.join(keys)} must be given: {said}", f"one of: {', '.join(keys)}")


class Downtime:
    """The time in which each region of a country cannot do business: the union over the services hit there."""

    def __init__(self, incident: Incident, hours: Mapping[str, ServiceHours], region_prefix: str) -> None:
        self._hours = hours
        self._by_region: dict[str, list[Outage]] = {}
        for outage in incident.outages:
            if outage.region.startswith(region_prefix):
                self._by_region.setdefault(outage.region, []).append(outage)

    @property
    def regions(self) -> tuple[str, ...]:
        """Return the regions hit, sorted."""
        return tuple(sorted(self._by_region))

    def segments(self, region: str, clock: HoursClock) -> Iterator[Segment]:
        """Yield the stretches that count in one region, in order and without overlap; lazily, they may be endless."""
        return union(
            self._hours_of(outage.service, clock).segments(interval.start, interval.end)
            for outage in self._by_region[region]
            for interval in outage.intervals
        )

    def elapsed(self, region: str, clock: HoursClock, until: datetime) -> timedelta:
        """Return how long one region could not do business before `until`."""
        hours = self._shared_hours(region, clock)
        if hours is None:
            return elapsed(self.segments(region, clock), until)
        spans = ((start, min(end, until)) for start, end in self._impaired(region) if start < until)
        return sum((hours.elapsed(*span) for span in spans), timedelta(0))

    def reach(self, limit: RegionsDown) -> datetime:
        """Return when enough regions have been down for long enough."""
        if limit.least > len(self._by_region):
            return NEVER
        return sorted(self.reach_in(region, limit) for region in self._by_region)[limit.least - 1]

    def reach_in(self, region: str, limit: RegionsDown) -> datetime:
        """Return when one region has been down for long enough."""
        hours, missing = self._shared_hours(region, limit.clock), limit.for_.least
        if hours is None:
            return reach_length(self.segments(region, limit.clock), missing)
        for start, end in self._impaired(region):
            reached = hours.reach(start, missing)
            if reached <= end:
                return reached
            missing -= hours.elapsed(start, end)
        return NEVER

    def _impaired(self, region: str) -> Iterator[Segment]:
        """Yield the wall-clock stretches in which anything is impaired in a region, in order and without overlap."""
        return union(iter([(i.start, i.end) for i in outage.intervals]) for outage in self._by_region[region])

    def _shared_hours(self, region: str, clock: HoursClock) -> ServiceHours | None:
        """Return the hours of all services hit in a region, if they are the same: then sums kept by year answer."""
        hours = [self._hours_of(outage.service, clock) for outage in self._by_region[region]]
        return hours[0] if all(each is hours[0] for each in hours) else None

    def guessed_years(self, until: datetime) -> tuple[int, ...]:
        """Return the years before `until` whose days off are not officially published but decide what counts."""
        years = [
            self._hours_of(outage.service, HoursClock.SERVICE_HOURS).guessed_years(
                interval.start, max(interval.start, min(interval.end, until))
            )
            for outages in self._by_region.values()
            for outage in outages
            for interval in outage.intervals
        ]
        return tuple(sorted(frozenset().union(*years)))

    def _hours_of(self, service: str, clock: HoursClock) -> ServiceHours:
        return ALWAYS if clock is HoursClock.WALL_CLOCK else self._hours.get(service, ALWAYS)


def reach(condition: Condition, downtime: Downtime) -> datetime:
    """Return the earliest instant at which the condition holds if nothing new happens, or NEVER."""
    if condition.any is not None:
        return min(reach(part, downtime) for part in condition.any)
    if condition.all is not None:
        return max(reach(part, downtime) for part in condition.all)
    if condition.n_of is not None:
        return sorted(reach(part, downtime) for part in condition.n_of.of)[condition.n_of.at_least - 1]
    assert condition.regions_down is not None  # noqa: S101 - the validator saw to it
    return downtime.reach(condition.regions_down)


def leaves(condition: Condition) -> Iterator[RegionsDown]:
    """Yield the limits at the leaves of a condition."""
    if condition.regions_down is not None:
        yield condition.regions_down
    of = condition.n_of.of if condition.n_of else ()
    for part in (*(condition.any or ()), *(condition.all or ()), *of):
        yield from leaves(part)
