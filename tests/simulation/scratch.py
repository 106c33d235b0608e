"""What an engine without any memory would do with what is stored, compared with what has been done."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select, text
from support.outage_model import folded, modelled

from incident_engine.domain.events.model import OutageEvent
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.assessment_document import assessment_document, trajectory_from
from incident_engine.domain.grading.obligation_status import ObligationState
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.response.incident_view import PlanSettings
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.step import Step, StepState
from incident_engine.domain.response.triggers import ObligationMoment
from incident_engine.store import steps
from incident_engine.store.assessments import latest_assessments
from incident_engine.store.events import events_of
from incident_engine.store.packs import stored_pack
from incident_engine.store.tables import assessments, cases
from simulation.bank import Bank
from simulation.invariants import OBLIGATION_FORGOTTEN, ViolationError
from simulation.machine import Machine

TWICE_CHANGES = "brought up to date twice changes nothing, whatever the engine remembers (decisions 2 and 17)"
OVERSLEPT = "who is woken early finds nothing to do: every instant that matters has a timer (decision 1)"
VERDICT_DIFFERS = "the stored verdict is that of the stored events, worked out anew (decision 7)"
OUTAGE_DIFFERS = "a service is down while the latest start of any signal has no end (decision 4)"
STEP_MISSING = "every wanted step is stored, and has begun if it is due (decision 17)"
_CHANGES = "SELECT kind, id, before, after FROM watched WHERE seq > :seq ORDER BY seq"


def unchanged_by_another_look(machine: Machine, incident_id: str, now: datetime) -> None:
    """Check that an engine that remembers nothing leaves an incident that was just touched as it is."""
    changes, timers = _another_look(machine, incident_id, now)
    changes = [change for change in changes if change[0] != "cases" or change[2] != change[3]]
    if changes:
        raise ViolationError(TWICE_CHANGES, f"{incident_id} at {now.isoformat()}: {_spelled(changes)}")
    if timers[0] != timers[1]:
        raise ViolationError(TWICE_CHANGES, f"{incident_id} at {now.isoformat()}: timer {timers[0]} → {timers[1]}")


def nothing_overslept(machine: Machine, incident_id: str, now: datetime) -> None:
    """Check that nothing has become due that no timer stands for: `now` is just before the next alarm."""
    changes, _ = _another_look(machine, incident_id, now)
    done = [change for change in changes if _is_verdict(change) or _begins(change)]
    if done:
        raise ViolationError(OVERSLEPT, f"{incident_id} at {now.isoformat()}: {_spelled(done)}")


def _is_verdict(change: tuple[str, Any, str | None, str | None]) -> bool:
    """Other readings are for who reads the evidence; nothing follows from them, so that nobody is woken for them."""
    return change[0] == "assessments" and set(json.loads(change[3] or "{}")) != {"interpretations"}


def _begins(change: tuple[str, Any, str | None, str | None]) -> bool:
    kind, _, _, after = change
    return (kind == "deliveries" and after is not None) or (kind == "steps" and '"state":"started"' in (after or ""))


def _another_look(
    machine: Machine, incident_id: str, now: datetime
) -> tuple[list[tuple[str, Any, str | None, str | None]], list[Any]]:
    timers: list[Any] = []
    found: list[tuple[str, Any, str | None, str | None]] = []
    changed_until = verdicts_until = 0
    for connection in machine.again(incident_id, now):
        timers.append(_scalar(connection, "SELECT due_at FROM timers WHERE case_id = :id", id=incident_id))
        if len(timers) == 1:
            changed_until = _scalar(connection, "SELECT coalesce(max(seq), 0) FROM watched")
            verdicts_until = _scalar(connection, "SELECT coalesce(max(seq), 0) FROM assessments")
            continue
        rows = connection.execute(text(_CHANGES), {"seq": changed_until}).all()
        found = [(row.kind, row.id, row.before, row.after) for row in rows]
        verdicts = connection.execute(
            select(assessments.c.seq, assessments.c.pack, assessments.c.document)
            .where(assessments.c.case_id == incident_id)
            .order_by(assessments.c.seq)
        ).all()
        before = {row.pack: row.document for row in verdicts if row.seq <= verdicts_until}
        for row in verdicts:
            if row.seq > verdicts_until:
                found.append(("assessments", row.pack, *_differences(before.get(row.pack, {}), row.document)))
    return found, timers


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[str, str]:
    """Return what is not the same in two verdicts, apart from when they were reached."""
    given = before | before.get("evidence", {}), after | after["evidence"]
    names = sorted(name for name in given[1] if given[0].get(name) != given[1][name])
    names = [name for name in names if name not in ("at", "evidence", "regions", "rules", "next")]
    return tuple(json.dumps({name: each.get(name) for name in names}, ensure_ascii=False) for each in given)  # type: ignore[return-value]


def _scalar(connection: Connection, query: str, **given: object) -> Any:
    return connection.execute(text(query), given).scalar()


def _spelled(changes: Sequence[tuple[str, Any, str | None, str | None]]) -> str:
    first = changes[:4]
    return "; ".join(f"{kind} {name}: {(was or '')[:300]} → {(now or '')[:300]}" for kind, name, was, now in first)


def worked_out_anew(bank: Bank, connection: Connection, incident_id: str, now: datetime) -> None:
    """Check verdict, summary, plan and obligations of an incident against the pure rooms, from its events alone."""
    incident = fold(incident_id, events_of(connection, incident_id))
    row = connection.execute(select(cases).where(cases.c.id == incident_id)).one()
    found: list[Assessment] = []
    for name, content_hash in row.packs.items():
        pack = stored_pack(connection, content_hash)
        assert pack is not None
        stored = latest_assessments(connection, incident_id).get(name)
        if stored is None:
            raise ViolationError(VERDICT_DIFFERS, f"{incident_id}: no verdict by {name}")
        calendars = bank.rulebook.calendars
        verdict = assess(incident, pack, bank.rulebook.hours, now, trajectory_from(stored), calendars)
        document = assessment_document(verdict, bank.settings.bank.zone)
        for key in ("level", "severity", "level_retained", "provisional", "trajectory", "forecast"):
            if document[key] != stored[key]:
                said = f"{incident_id} by {name}: {key} {stored[key]}, worked out anew {document[key]}"
                raise ViolationError(VERDICT_DIFFERS, said)
        found.append(verdict)
    found.sort(key=lambda verdict: verdict.pack != bank.settings.grading.primary)
    closing = incident.closing.at if incident.closing else None
    if (row.level, row.closed_at) != (found[0].level, closing):
        said = f"{incident_id}: {row.level}, {row.closed_at}; worked out anew {found[0].level}, {closing}"
        raise ViolationError(VERDICT_DIFFERS, said)
    stored_steps = steps.steps_of(connection, incident_id)
    settings = bank.settings
    basis = PlanSettings(
        settings.bank.zone,
        bank.rulebook.bank_calendar(settings.bank.calendar),
        settings.closing.observation,
        settings.intake.confirm_after,
    )
    begun = steps.started_steps(stored_steps)
    wanted = plan(incident, found, bank.rulebook.playbooks, now, basis, begun)
    _wanted_is_stored(incident_id, wanted, stored_steps, now, closing)
    _obligations_have_steps(bank, incident_id, found, stored_steps, now)


def down_as_defined(connection: Connection, incident_id: str) -> None:
    """Check the outages of an incident against a model that knows only their definition."""
    recorded = events_of(connection, incident_id)
    incident = fold(incident_id, recorded)
    lines = {
        (each.event.service, region)
        for each in recorded
        if isinstance(each.event, OutageEvent)
        for region in each.event.regions
    }
    for service, region in sorted(lines):
        expected = modelled(recorded, service, region)
        found = folded(incident, service, region, [instant for instant, _ in expected])
        if found != expected:
            raise ViolationError(
                OUTAGE_DIFFERS, f"{service} in {region} of {incident_id}: {found}, defined: {expected}"
            )


def _wanted_is_stored(
    incident_id: str,
    wanted: Sequence[Step],
    stored: dict[str, steps.StoredStep],
    now: datetime,
    closing: datetime | None,
) -> None:
    for step in wanted:
        each = stored.get(step.id)
        is_past = closing is not None and step.due_at <= closing  # not played to what was over already
        if each is None and not (is_past and step.obligation is None):
            raise ViolationError(STEP_MISSING, f"{step.id}, due {step.due_at.isoformat()}, is not stored")
        if each is not None and each.state is StepState.WITHDRAWN:
            raise ViolationError(STEP_MISSING, f"{step.id} is wanted, but withdrawn")
        if each is not None and each.state is StepState.PENDING and step.due_at <= now:
            raise ViolationError(STEP_MISSING, f"{step.id} is due since {step.due_at.isoformat()}, and has not begun")
    known = {step.id for step in wanted}
    for name, each in stored.items():
        if each.state is StepState.PENDING and name not in known:
            raise ViolationError(STEP_MISSING, f"{name} of {incident_id} is pending, but not wanted")


def _obligations_have_steps(
    bank: Bank,
    incident_id: str,
    verdicts: Sequence[Assessment],
    stored: dict[str, steps.StoredStep],
    now: datetime,
) -> None:
    asked = {
        template.on.obligation.id: template.offset
        for playbook in bank.rulebook.playbooks
        for template in playbook.steps
        if template.on.obligation is not None and template.on.obligation.when is ObligationMoment.APPLIES
    }
    for status in (status for verdict in verdicts for status in verdict.obligations):
        is_owed = status.state in (ObligationState.PENDING, ObligationState.OVERDUE)
        is_late = status.due_at is not None and now > status.due_at
        if is_owed and is_late and status.state is not ObligationState.OVERDUE:
            raise ViolationError(OBLIGATION_FORGOTTEN, f"{incident_id}: {status.key} is not marked as overdue")
        wait = max(asked.get(status.id, {}).values(), default=timedelta(0))
        if status.id in asked and is_owed and status.applies_at is not None and status.applies_at + wait <= now:
            names = [name for name, each in stored.items() if each.step.obligation == status.id]
            if not names:
                raise ViolationError(OBLIGATION_FORGOTTEN, f"{incident_id}: nobody is asked for {status.key}")
