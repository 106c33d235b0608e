"""Compare the outcome of a drill with the expectations of its scenario."""

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
    """One expectation and its result."""

    kind: str
    """The kind of expectation: the key of a phrase."""
    subject: str
    ok: bool
    actual: str = ""
    """The actual result as text that needs no translation, such as a number or a length of time."""
    actual_keys: Sequence[str] = ()
    """The actual result as keys of phrases and terms; empty if `actual` says it."""

    def text(self, translate: Translator) -> str:
        """Return the expectation on one line, with the actual result if it was not met."""
        line = f"{translate(self.kind)}: {self.subject}"
        actual = ", ".join(map(translate, self.actual_keys)) or self.actual
        return line if self.ok else f"{line} — {translate('actual result')} {actual}"


@dataclass(frozen=True, slots=True)
class ObligationOutcome:
    """One deadline of the primary pack and its state at the end of the drill."""

    incident: str
    obligation: str
    instance: str
    cite: str
    due_at: datetime
    met_at: datetime | None
    state: ObligationState
    is_missed: bool
    """Whether the deadline was met late or not at all."""


def checks(
    scenario: Scenario,
    incidents: Rows,
    refused: Sequence[str],
    *,
    same_readers: bool = True,
    slack: timedelta = timedelta(0),
) -> list[Check]:
    """Return a check for every expectation of a scenario.

    `incidents` are documents of GET /api/v1/incidents/ID. Over real channels other people get the messages
    (`same_readers` is False), and under a fast clock messages come up to `slack` late. Then only the presence of
    messages is compared, and expected absences are left out.
    """
    expected, steps = scenario.expect, [step for incident in incidents for step in incident["steps"]]
    results = [Check("event refused", reason, ok=False, actual_keys=("request refused",)) for reason in refused]
    results += _levels(scenario, incidents)
    statuses = [status for incident in incidents for status in incident["assessments"][0]["obligations"]]
    results += [_obligation(name, state, statuses) for name, state in expected.obligations.items()]
    for name in expected.steps:
        has_started = _first_start(name, steps) is not None
        results.append(Check("step started", name, ok=has_started, actual_keys=("not started",)))
    # A fast clock delays acknowledgements, too: steps derived from a missing one may start although they should not.
    for name in (name for name in expected.not_steps if not slack or not is_derived(name)):
        started_at = _first_start(name, steps)
        results.append(Check("step must not start", name, started_at is None, *_start_result(started_at, scenario)))
    for name, within in expected.steps_by.items():
        started_at, latest = _first_start(name, steps), scenario.start + within
        subject, ok = f"{name} ≤ {write_duration(within)}", started_at is not None and started_at <= latest + slack
        results.append(Check("step must start by", subject, ok, *_start_result(started_at, scenario)))
    is_exact = same_readers and not slack
    counts = {name: count for name, count in expected.messages.items() if count or not slack}
    results += [_messages(name, count, incidents, exact=is_exact) for name, count in counts.items()]
    met, missed = deadlines(incidents)
    for kind, wanted, count in (
        ("deadlines met", expected.deadlines.met, met),
        ("deadlines missed", expected.deadlines.missed, missed),
    ):
        if wanted is not None:
            results.append(Check(kind, str(wanted), wanted == count, str(count)))
    if expected.closed is not None:
        states = [incident["state"] for incident in incidents]
        ok = bool(states) and all((state == "closed") is expected.closed for state in states)
        kind = "closed" if expected.closed else "not closed"
        results.append(Check(kind, str(len(states)), ok, actual_keys=states))
    return results


def _levels(scenario: Scenario, incidents: Rows) -> Iterator[Check]:
    expected = scenario.expect.levels
    if expected is None:
        return
    trajectories = [incident["assessments"][0]["trajectory"] for incident in incidents]
    changes = [(instant(change["at"]), change["level"]) for trajectory in trajectories for change in trajectory]
    unexpected = sorted(changes, key=lambda change: change[0])
    actual = "; ".join(f"{level or '—'} {_after_start(at, scenario)}" for at, level in unexpected)
    keys = () if actual else ("none",)
    for level in expected:
        change = (scenario.start + level.at, level.level)
        ok = change in unexpected
        if ok:
            unexpected.remove(change)
        yield Check("level reached", f"{level.level} {write_duration(level.at)}", ok, actual, keys)
    if not expected:
        yield Check("level reached", "—", not unexpected, actual, keys)
    elif unexpected:
        yield Check("no other level", ", ".join(level or "—" for _, level in unexpected), ok=False, actual=actual)


def _obligation(name: str, expected: ObligationState, statuses: Rows) -> Check:
    named = [status for status in statuses if name in (status["id"], key_of(status))]
    states = {status["state"] for status in named} - {ObligationState.NOT_APPLICABLE}
    states = states or {ObligationState.NOT_APPLICABLE}
    subject = f"{name} {expected.value}"
    return Check("obligation", subject, states == {expected}, actual_keys=sorted(states))


def _messages(name: str, expected: int, incidents: Rows, *, exact: bool) -> Check:
    audience, _, step = name.partition("/")
    step_ids = {
        row["id"]
        for incident in incidents
        for row in incident["steps"]
        if row["audience"] == audience and is_named(step, row)
    }
    count = sum(
        delivery["step_id"] in step_ids and delivery["state"] == "delivered"
        for incident in incidents
        for delivery in incident["deliveries"]
    )
    ok = count == expected if exact else bool(count) == bool(expected)
    return Check("messages to audience", f"{name} {expected}", ok, str(count))


def is_named(name: str, row: Mapping[str, Any]) -> bool:
    """Return whether a stored step has a short name: its id, or id/instance."""
    return has_short_name(name, row["step"], row["instance"])


def _first_start(name: str, steps: Rows) -> datetime | None:
    started = [instant(row["started_at"]) for row in steps if row["started_at"] and is_named(name, row)]
    return min(started, default=None)


def _start_result(started_at: datetime | None, scenario: Scenario) -> tuple[str, Sequence[str]]:
    return ("", ("not started",)) if started_at is None else (_after_start(started_at, scenario), ())


def _after_start(at: datetime, scenario: Scenario) -> str:
    offset = at - scenario.start
    return f"-{write_duration(-offset)}" if offset < timedelta(0) else write_duration(offset)


def deadlines(incidents: Rows) -> tuple[int, int]:
    """Return the number of deadlines met in time and of deadlines missed."""
    outcomes = list(obligation_outcomes(incidents))
    missed = sum(outcome.is_missed for outcome in outcomes)
    # An obligation that was met late counts as missed.
    return sum(outcome.state is ObligationState.MET and not outcome.is_missed for outcome in outcomes), missed


def obligation_outcomes(incidents: Rows) -> Iterator[ObligationOutcome]:
    """Yield every deadline of the primary pack that applied, in order of due date."""
    outcomes = [
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
    yield from sorted(outcomes, key=lambda outcome: (outcome.due_at, outcome.obligation, outcome.instance))


def key_of(status: Mapping[str, Any]) -> str:
    """Return the name of an obligation's instance, such as progress-report.2."""
    return f"{status['id']}.{status['instance']}" if status["instance"] else str(status["id"])


def failed(results: Iterable[Check]) -> list[Check]:
    """Return the expectations that were not met."""
    return [check for check in results if not check.ok]


def instant(text: str) -> datetime:
    """Return an instant from a document of the API."""
    return datetime.fromisoformat(text)
