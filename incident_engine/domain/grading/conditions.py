"""Conditions of a rule, each a function from the downtime to the earliest instant at which it holds.

    reach(condition, downtime) → the instant at which it holds if nothing new happens, or NEVER

The whole engine grades by this one question. A condition is not asked whether it holds now, again and again; `reach`
computes when it will. For "two regions down for 30 minutes", if the second one broke at 10:05, it returns 10:35 already
at 10:06, so that the level at any instant, the forecast and the timers follow from one computation. If both regions are
restored at 10:20, it returns NEVER: the last instant that a datetime can hold, later than all others, so that `min`,
`max` and sorting treat an unreached condition like any other.

Every condition is monotone: once it holds it goes on holding. So `any` is the earliest, `all` the latest and
`at_least n of` the n-th earliest, and a strict `more_than` is the smallest step after `at_least`.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Self

from pydantic import Field, StrictBool, StrictFloat, StrictInt, model_validator

from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.events.harm import HarmAssessed, HarmCause, HarmKind, Seriousness
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.interpretation import HoursClock
from incident_engine.domain.incidents.incident import Measurement
from incident_engine.domain.values import NEVER, RESOLUTION, Duration, Identifier


class DurationLimit(Strict):
    """A limit of time: `at_least` includes the limit itself, `more_than` does not."""

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
    """A limit of a count: `at_least` includes the limit itself, `more_than` does not."""

    at_least: int | None = Field(default=None, ge=1, strict=True)
    more_than: int | None = Field(default=None, ge=0, strict=True)

    @property
    def least(self) -> int:
        """Return the smallest count that satisfies the limit."""
        return self.at_least if self.at_least is not None else (self.more_than or 0) + 1


class RegionsDown(CountLimit):
    """A number of regions have each been unable to do business for a length of time."""

    for_: DurationLimit = Field(alias="for")
    clock: HoursClock | None = None
    """Which minutes count. Default: those of the pack's interpretation."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        _exactly_one(self, "at_least", "more_than")
        return self


class OutageFor(Strict):
    """At least one service in at least one region has been down for a length of time, all regions taken together."""

    for_: DurationLimit = Field(alias="for")
    clock: HoursClock | None = None
    """Which minutes count. Default: those of the pack's interpretation."""


class CountriesHit(CountLimit):
    """An outage that counts has hit regions in a number of countries."""

    at_least: int | None = Field(default=None, ge=1, strict=True)
    more_than: int | None = Field(default=None, ge=1, strict=True)
    among: tuple[str, ...] = ()
    """The countries that count (ISO 3166-1 alpha-2). Default: all."""

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        _exactly_one(self, "at_least", "more_than")
        return self


class HarmLimit(Strict):
    """A person has judged a harm of one of these kinds, of at least this seriousness, by one of these causes."""

    kinds: tuple[HarmKind, ...] = Field(min_length=1)
    at_least: Seriousness = Seriousness.CONSIDERABLE
    causes: tuple[HarmCause, ...] = Field(default=tuple(HarmCause), min_length=1)

    def is_met_by(self, harm: HarmAssessed) -> bool:
        """Return whether a judged harm meets the limit."""
        judged = harm.data
        is_such = judged.kind in self.kinds and judged.cause in self.causes
        return is_such and judged.seriousness.rank >= self.at_least.rank


class MeasureLimit(Strict):
    """A reported figure of the impact has passed a limit, or a yes-or-no question has this answer."""

    name: Identifier
    """One of the pack's `measures`."""
    at_least: StrictInt | StrictFloat | None = None
    more_than: StrictInt | StrictFloat | None = None
    is_: StrictBool | None = Field(default=None, alias="is")

    @model_validator(mode="after")
    def _one_bound(self) -> Self:
        bounds = {"at_least": self.at_least, "more_than": self.more_than, "is": self.is_}
        exactly_one(bounds)
        return self

    def is_met_by(self, measurement: Measurement) -> bool:
        """Return whether a measurement meets the limit."""
        if measurement.name != self.name:
            return False
        if self.is_ is not None:
            return measurement.value is self.is_
        value = measurement.value
        if isinstance(value, bool):  # in Python True >= 1
            return False
        return value >= self.at_least if self.at_least is not None else value > (self.more_than or 0)


class Forecast(Strict):
    """Outside service hours, an unrepaired failure is expected to meet another rule's condition.

    银监办发〔2008〕53号 Art. 9, clause 3 of each level. Without an estimate of the recovery, the failure is expected to
    last, and the level is provisional.
    """

    rule: Identifier
    """The rule with the condition; it must not be a forecast itself."""


class Condition(Strict):
    """One condition, named by its single key."""

    any: tuple["Condition", ...] | None = Field(default=None, min_length=1)
    all: tuple["Condition", ...] | None = Field(default=None, min_length=1)
    n_of: "NOf | None" = None
    regions_down: RegionsDown | None = None
    outage: OutageFor | None = None
    countries_hit: CountriesHit | None = None
    harm: HarmLimit | None = None
    measured: MeasureLimit | None = None
    forecast: Forecast | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        _exactly_one(self, *type(self).model_fields)
        return self

    @property
    def parts(self) -> "tuple[Condition, ...]":
        """Return the conditions that this one combines; empty for a leaf."""
        return self.any or self.all or (self.n_of.of if self.n_of else ())


class NOf(Strict):
    """At least a number of several conditions hold."""

    at_least: int = Field(ge=1, strict=True)
    of: tuple[Condition, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _enough(self) -> Self:
        if self.at_least > len(self.of):
            raise invalid(f"at least {self.at_least} of {len(self.of)} can never hold", "a smaller at_least")
        return self


def _exactly_one(model: Strict, *keys: str) -> None:
    exactly_one({key: getattr(model, key) for key in keys})


def exactly_one(values: Mapping[str, object]) -> None:
    """Raise a validation error that names the keys if not exactly one of the values is given (is not None)."""
    keys, present = list(values), [key for key, value in values.items() if value is not None]
    if len(present) != 1:
        problem = "none is given" if not present else f"{' and '.join(present)} are given"
        raise invalid(f"exactly one of {', '.join(keys)} must be given: {problem}", f"one of: {', '.join(keys)}")


Rules = Mapping[str, Condition]
"""The conditions of a pack's rules by id; a `forecast` refers to one of them."""


_NONE: Rules = MappingProxyType({})


def reach(
    condition: Condition,
    downtime: Downtime,
    rules: Rules = _NONE,
    *,
    confirmed_only: bool = False,
    since: datetime | None = None,
) -> datetime:
    """Return the earliest instant at which the condition holds if nothing new happens, or NEVER.

    `rules` are the conditions to which a `forecast` may refer. With `confirmed_only`, forecasts that rest on the worst
    credible case alone (an unrepaired failure without an estimate of its recovery) do not count; with `since`, neither
    do forecasts made up to then.
    """
    if condition.any is not None:
        return min(reach(part, downtime, rules, confirmed_only=confirmed_only, since=since) for part in condition.any)
    if condition.all is not None:
        return max(reach(part, downtime, rules, confirmed_only=confirmed_only, since=since) for part in condition.all)
    if condition.n_of is not None:
        of = sorted(
            reach(part, downtime, rules, confirmed_only=confirmed_only, since=since) for part in condition.n_of.of
        )
        return of[condition.n_of.at_least - 1]
    if condition.forecast is not None:
        return _reach_forecast(
            rules[condition.forecast.rule], downtime, rules, confirmed_only=confirmed_only, since=since
        )
    return _reach_leaf(condition, downtime)


def _reach_leaf(condition: Condition, downtime: Downtime) -> datetime:
    incident = downtime.incident
    if condition.regions_down is not None:
        limit = condition.regions_down
        return downtime.reach(limit.least, limit.for_.least, limit.clock)
    if condition.outage is not None:
        return downtime.reach_anywhere(condition.outage.for_.least, condition.outage.clock)
    if condition.countries_hit is not None:
        return _reach_countries(condition.countries_hit, downtime)
    if condition.harm is not None:
        harms = incident.events(HarmAssessed)
        return min((harm.occurred_at for harm in harms if condition.harm.is_met_by(harm)), default=NEVER)
    assert condition.measured is not None  # noqa: S101 - the validator requires it
    return min((figure.at for figure in incident.measurements if condition.measured.is_met_by(figure)), default=NEVER)


def _reach_countries(limit: CountriesHit, downtime: Downtime) -> datetime:
    first: dict[str, datetime] = {}
    for region in downtime.regions:
        country = region.partition("-")[0]
        if not limit.among or country in limit.among:
            first[country] = min(first.get(country, NEVER), downtime.first_in(region))
    hit = sorted(first.values())  # `first` may hold NEVER: outages in closed hours hit no country
    return hit[limit.least - 1] if len(hit) >= limit.least else NEVER


def _reach_forecast(
    condition: Condition, downtime: Downtime, rules: Rules, *, confirmed_only: bool, since: datetime | None
) -> datetime:
    """Return the first forecast point at which an unrepaired failure was expected to meet the condition."""
    for moment in downtime.moments():
        is_expected = (not confirmed_only or moment.recovery_at is not None) and (since is None or moment.at > since)
        if is_expected and reach(condition, downtime.expected_at(moment), rules) < NEVER:
            return moment.at
    return NEVER


def leaves(condition: Condition) -> Iterator[Condition]:
    """Yield the conditions at the leaves."""
    if not condition.parts:
        yield condition
    for part in condition.parts:
        yield from leaves(part)
