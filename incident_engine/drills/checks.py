"""Whether in a drill happened what the scenario expects, one expectation after the other."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.config.scenario import Scenario
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.step_id import has_short_name, is_derived
from incident_engine.domain.values import write_duration

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Check:
    """One expectation: of what kind, what of it, whether it came true, and what was found instead."""

    kind: str
    about: str
    ok: bool
    found: str = ""

    def text(self, translate: Translator) -> str:
        """Return it on one line."""
        about = f"{translate(self.kind)}: {self.about}"
        return about if self.ok else f"{about} — {translate('found')} {translate(self.found)}"


@dataclass(frozen=True, slots=True)
class ObligationOutcome:
    """One deadline of the primary pack as it stands in the end."""

    incident: str
    obligation: str
    instance: str
    cite: str
    due_at: datetime
    met_at: datetime | None
    state: ObligationState
    is_missed: bool


def checks(
    scenario: Scenario,
    incidents: Rows,
    refused: Sequence[str],
    *,
    same_readers: bool = True,
    slack: timedelta = timedelta(0),
) -> list[Check]:
    """Return every expectation of a scenario, and whether it came true.

    Over real channels other people get the messages, and under a fast clock they come late by `slack`: then only
    whether there are any is compared, and nothing that must not have been said.
    """
    expected, steps = scenario.expect, [step for incident in incidents for step in incident["steps"]]
    found = [Check("event refused", said, ok=False, found="refused") for said in refused]
    found += _levels(scenario, incidents)
    statuses = [status for incident in incidents for status in incident["assessments"][0]["obligations"]]
    found += [_obligation(name, state, statuses) for name, state in expected.obligations.items()]
    for name in expected.steps:
        found.append(Check("step begun", name, ok=_first_begun(name, steps) is not None, found="not begun"))
    for name in (name for name in expected.not_steps if not slack or not is_derived(name)):
        begun = _first_begun(name, steps)
        found.append(Check("step not begun", name, ok=begun is None, found=_since(begun, scenario)))
    for name, within in expected.steps_by.items():
        begun, by = _first_begun(name, steps), scenario.start + within
        about = f"{name} ≤ {write_duration(within)}"
        found.append(Check("step begun by", about, begun is not None and begun <= by + slack, _since(begun, scenario)))
    is_exact = same_readers and not slack
    counts = {name: count for name, count in expected.messages.items() if count or not slack}
    found += [_messages(name, count, incidents, exact=is_exact) for name, count in counts.items()]
    met, missed = deadlines(incidents)
    for kind, wanted, counted in (
        ("deadlines met", expected.deadlines.met, met),
        ("deadlines missed", expected.deadlines.missed, missed),
    ):
        if wanted is not None:
            found.append(Check(kind, str(wanted), wanted == counted, str(counted)))
    if expected.closed is not None:
        states = [incident["state"] for incident in incidents]
        ok = bool(states) and all((state == "closed") is expected.closed for state in states)
        found.append(Check("closed" if expected.closed else "not closed", str(len(states)), ok, ", ".join(states)))
    return found


def _levels(scenario: Scenario, incidents: Rows) -> Iterator[Check]:
    wanted = scenario.expect.levels
    if wanted is None:
        return
    rises = [
        (instant(rise["at"]), rise["level"])
        for incident in incidents
        for rise in incident["assessments"][0]["trajectory"]
    ]
    left = sorted(rises, key=lambda rise: rise[0])
    said = "; ".join(f"{level or '—'} {_after(at, scenario)}" for at, level in left) or "none"
    for each in wanted:
        rise = (scenario.start + each.at, each.level)
        ok = rise in left
        if ok:
            left.remove(rise)
        yield Check("level reached", f"{each.level} {write_duration(each.at)}", ok, said)
    if not wanted:
        yield Check("level reached", "—", not left, said)
    elif left:
        yield Check("no other level", ", ".join(level or "—" for _, level in left), ok=False, found=said)


def _obligation(name: str, state: ObligationState, statuses: Rows) -> Check:
    mine = [status for status in statuses if name in (status["id"], key_of(status))]
    states = {status["state"] for status in mine} - {ObligationState.NOT_APPLICABLE}
    found = states or {ObligationState.NOT_APPLICABLE}
    return Check("obligation", f"{name} {state.value}", found == {state}, ", ".join(sorted(found)))


def _messages(name: str, wanted: int, incidents: Rows, *, exact: bool) -> Check:
    audience, _, step = name.partition("/")
    told = {
        row["id"]
        for incident in incidents
        for row in incident["steps"]
        if row["audience"] == audience and is_named(step, row)
    }
    got = [
        each
        for incident in incidents
        for each in incident["deliveries"]
        if each["step_id"] in told and each["state"] == "delivered"
    ]
    count = len(got)
    return Check(
        "messages of", f"{name} {wanted}", count == wanted if exact else bool(count) == bool(wanted), str(count)
    )


def is_named(name: str, row: Mapping[str, Any]) -> bool:
    """Return whether a step, as it is stored, is meant by its short name: its id, or id/instance."""
    return has_short_name(name, row["step"], row["instance"])


def _first_begun(name: str, steps: Rows) -> datetime | None:
    begun = [instant(row["started_at"]) for row in steps if row["started_at"] and is_named(name, row)]
    return min(begun, default=None)


def _since(begun: datetime | None, scenario: Scenario) -> str:
    return "not begun" if begun is None else _after(begun, scenario)


def _after(at: datetime, scenario: Scenario) -> str:
    offset = at - scenario.start
    return f"-{write_duration(-offset)}" if offset < timedelta(0) else write_duration(offset)


def deadlines(incidents: Rows) -> tuple[int, int]:
    """Return how many deadlines were met in time and how many missed."""
    owed = list(obligation_outcomes(incidents))
    missed = [each for each in owed if each.is_missed]
    met = [each for each in owed if each.state is ObligationState.MET and not each.is_missed]
    return len(met), len(missed)


def obligation_outcomes(incidents: Rows) -> Iterator[ObligationOutcome]:
    """Yield every deadline of the primary pack that came to apply, in order."""
    found = [
        ObligationOutcome(
            incident["id"],
            status["id"],
            status["instance"],
            status["cite"],
            instant(status["due_at"]),
            instant(status["met_at"]) if status["met_at"] else None,
            ObligationState(status["state"]),
            is_missed=status["met_late"] or status["state"] == ObligationState.OVERDUE,
        )
        for incident in incidents
        for status in incident["assessments"][0]["obligations"]
        if status["due_at"] is not None and status["state"] != ObligationState.NOT_APPLICABLE
    ]
    yield from sorted(found, key=lambda each: (each.due_at, each.obligation, each.instance))


def key_of(status: Mapping[str, Any]) -> str:
    """Return the name of an obligation's instance: progress-report.2."""
    return f"{status['id']}.{status['instance']}" if status["instance"] else str(status["id"])


def failed(found: Iterable[Check]) -> list[Check]:
    """Return the expectations that did not come true."""
    return [check for check in found if not check.ok]


def instant(text: str) -> datetime:
    """Return an instant as the API spells it."""
    return datetime.fromisoformat(text)
