"""Coverage of a pack by its cases: limits without cases around them, and rules or levels without effect."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from incident_engine.common.errors import Problem
from incident_engine.domain.events.fields import Figure
from incident_engine.domain.events.harm import HarmAssessed, Seriousness
from incident_engine.domain.grading.conditions import (
    Condition,
    DurationLimit,
    HarmLimit,
    MeasureLimit,
    leaves,
)
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import day_of
from incident_engine.domain.regions import PROVINCES
from incident_engine.domain.values import write_duration

_A_MINUTE = timedelta(minutes=1)


def uncovered(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each limit without cases just below, on and above it, and each rule that no case reaches."""
    for index, rule in enumerate(pack.rules):
        named = f"rule '{rule.id}' ({rule.cite}): "
        for leaf in leaves(rule.when):
            for gap in _missing(leaf, pack):
                yield Problem(("rules", index, "when"), named + gap, "such cases under cases")
        if not any(step.rule == rule.id for case in pack.cases for step in case.expect):
            yield Problem(("rules", index), f"{named}no case is reached by it", "a case that expects it")


def idle(pack: Pack) -> Iterator[Problem]:
    """Yield a problem for each level without a rule, and each rule that can never hold or repeats a condition."""
    for index, level in enumerate(pack.levels):
        if all(rule.level != level.id for rule in pack.rules):
            yield Problem(("levels", index), f"no rule gives level '{level.id}'", "a rule for it, or no such level")
    for index, rule in enumerate(pack.rules):
        for limit in (leaf.regions_down for leaf in leaves(rule.when)):
            # Of other countries the number of regions is not known here.
            if limit is not None and pack.country == "CN" and limit.least > len(PROVINCES):
                problem = f"rule '{rule.id}' ({rule.cite}) can never hold: CN has {len(PROVINCES)} provinces"
                yield Problem(("rules", index, "when"), problem, f"at_least: {len(PROVINCES)} or fewer")
        for other in pack.rules[:index]:
            if other.when == rule.when:
                problem = f"rule '{rule.id}' ({rule.cite}) has the condition of '{other.id}'"
                yield Problem(("rules", index, "when"), problem, "a condition of its own")


def _missing(leaf: Condition, pack: Pack) -> list[str]:
    """Return the messages about the limits of a condition that no case tries."""
    # Service hours, other interpretations and events could move the total away from the times that a case lists.
    plain = [case for case in pack.cases if not (case.hours or case.interpretation or case.events)]
    if leaf.regions_down is not None:
        down = leaf.regions_down
        # The shortest total of a case, if exactly as many regions are down as the limit asks for.
        lengths = [min(case.totals.values()) for case in plain if len(case.totals) == down.least]
        return _untried_length(down.for_, lengths, f"in {down.least} region(s)")
    if leaf.outage is not None:
        return _untried_length(leaf.outage.for_, [case.total for case in plain], "anywhere")
    if leaf.measured is not None:
        return _untried_figure(leaf.measured, [f for case in pack.cases for f in case.measured.values()])
    if leaf.countries_hit is not None:
        among, least = leaf.countries_hit.among, leaf.countries_hit.least
        hit = [{region.partition("-")[0] for region in case.down} for case in plain]
        counts = [len(countries & set(among) if among else countries) for countries in hit]
        tries = {"below": least - 1 in counts, "exactly on": least in counts, "above": max(counts, default=0) > least}
        return _untried(tries, f"the limit of {least} countries")
    if leaf.harm is not None:
        return _untried_harm(leaf.harm, pack)
    return []


def _untried(tries: Mapping[str, bool], limit: str) -> list[str]:
    missing = [name for name, is_there in tries.items() if not is_there]
    return [f"no case is {' or '.join(missing)} {limit}"] if missing else []


def _untried_length(limit: DurationLimit, lengths: list[timedelta], where: str) -> list[str]:
    wanted = limit.at_least if limit.at_least is not None else limit.more_than or timedelta(0)
    if limit.least == timedelta(0):
        return []  # any outage meets the limit: nothing lies below it
    tries = {
        "just below (by less than a minute)": any(_A_MINUTE > wanted - has > timedelta(0) for has in lengths),
        "exactly on": wanted in lengths,
        "above": any(has > wanted for has in lengths),
    }
    return _untried(tries, f"the limit of {write_duration(wanted)} {where}")


def _untried_figure(limit: MeasureLimit, figures: list[dict[str, Figure]]) -> list[str]:
    tried = [figure[limit.name] for figure in figures if limit.name in figure]
    if limit.is_ is not None:
        answers = {"'true' for": True in tried, "'false' for": False in tried}
        return _untried(answers, f"the question '{limit.name}'")
    wanted = limit.at_least if limit.at_least is not None else limit.more_than or 0
    tries = {
        "below": any(value < wanted for value in tried),
        "exactly on": wanted in tried,
        "above": any(value > wanted for value in tried),
    }
    return _untried(tries, f"the limit of {wanted} for '{limit.name}'")


def _untried_harm(limit: HarmLimit, pack: Pack) -> list[str]:
    judged = [
        event.data
        for case in pack.cases
        for event in case.history(day_of(case, pack))
        if isinstance(event, HarmAssessed)
    ]
    missing: list[str] = []
    for kind in limit.kinds:
        ranks = {harm.seriousness.rank for harm in judged if harm.kind is kind and harm.cause in limit.causes}
        tries: dict[str, bool] = {"on": limit.at_least.rank in ranks}
        if limit.at_least is not Seriousness.CONSIDERABLE:  # nothing lies below the least seriousness
            tries["below"] = any(rank < limit.at_least.rank for rank in ranks)
        missing += _untried(tries, f"'{limit.at_least}' for harm of kind '{kind}'")
    return missing
