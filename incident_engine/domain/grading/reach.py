"""The earliest instant at which a condition holds, computed from the downtime.

    reach(condition, downtime) → the instant at which it holds if nothing new happens, or NEVER

The whole engine grades by this one question. A condition is not asked whether it holds now, again and again; `reach`
computes when it will. For "two regions down for 30 minutes", if the second one broke at 10:05, it returns 10:35 already
at 10:06, so that the level at any instant, the forecast and the timers follow from one computation. If both regions are
restored at 10:20, it returns NEVER: the last instant that a datetime can hold, later than all others, so that `min`,
`max` and sorting treat an unreached condition like any other.

Every condition is monotone: once it holds it goes on holding. So `any` is the earliest, `all` the latest and
`at_least n of` the n-th earliest.
"""

from datetime import datetime
from types import MappingProxyType

from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.grading.conditions import Condition, Rules
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.values import NEVER

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
        return downtime.reach_countries(condition.countries_hit.least, condition.countries_hit.among)
    if condition.harm is not None:
        harms = incident.events(HarmAssessed)
        return min((harm.occurred_at for harm in harms if condition.harm.is_met_by(harm.data)), default=NEVER)
    assert condition.measured is not None  # noqa: S101 - the validator requires it
    return min(
        (figure.at for figure in incident.measurements if condition.measured.is_met_by(figure.name, figure.value)),
        default=NEVER,
    )


def _reach_forecast(
    condition: Condition, downtime: Downtime, rules: Rules, *, confirmed_only: bool, since: datetime | None
) -> datetime:
    """Return the first forecast point at which an unrepaired failure was expected to meet the condition."""
    for point in downtime.forecast_points():
        is_expected = (not confirmed_only or point.recovery_at is not None) and (since is None or point.at > since)
        if is_expected and reach(condition, downtime.expected_at(point), rules) < NEVER:
            return point.at
    return NEVER
