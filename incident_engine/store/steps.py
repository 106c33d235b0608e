"""Steps as they are stored, and the words that wait for an approval."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from incident_engine.domain.response.reconcile import Changes
from incident_engine.domain.response.step import NOT_STORED, Step, StepState
from incident_engine.store.held_texts import drop_held
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import steps


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A step as it is stored, with its state."""

    step: Step
    state: StepState
    generation: int = 1
    """How often it was wanted, counting from 1: what was given up and is wanted again is told anew."""
    started_at: datetime | None = None
    approved: bool = False
    assignee: str | None = None


_COLUMNS = tuple(name for name in Step.__slots__ if name not in NOT_STORED)


def steps_of(connection: Connection, case_id: str) -> dict[str, StoredStep]:
    """Return an incident's steps by id."""
    return {row.id: _stored(row) for row in _STEPS.rows(connection, id=case_id)}


_STEPS = Prepared(select(steps).where(steps.c.case_id == bindparam("id")))
_STEP = Prepared(select(steps).where(steps.c.id == bindparam("id")))


def _stored(row: Any) -> StoredStep:
    step = Step(**{name: getattr(row, name) for name in _COLUMNS})
    return StoredStep(
        step, StepState(row.state), row.generation, row.started_at, row.approved_at is not None, row.assignee
    )


def next_due_at(connection: Connection, case_id: str) -> datetime | None:
    """Return when the next of an incident's steps is due; None: none is."""
    found: datetime | None = _NEXT_DUE.value(connection, id=case_id)
    return found


_NEXT_DUE = Prepared(
    select(func.min(steps.c.due_at)).where(steps.c.case_id == bindparam("id"), steps.c.state == StepState.PENDING)
)


def started_steps(stored: Mapping[str, StoredStep]) -> dict[str, datetime]:
    """Return when each of an incident's steps began, of those that have and were not given up since."""
    given_up = {name for name, each in stored.items() if each.state is StepState.WITHDRAWN}
    return {
        name: each.started_at
        for name, each in stored.items()
        if each.started_at is not None and name not in given_up and each.step.parent_id not in given_up
    }


def case_of_step(connection: Connection, step_id: str) -> str | None:
    """Return the incident that a step belongs to; None: there is no such step."""
    return connection.scalar(select(steps.c.case_id).where(steps.c.id == step_id))


def apply_changes(
    connection: Connection,
    case_id: str,
    changes: Changes,
    reasons: Mapping[str, str],
    restarted: Collection[str] = (),
) -> None:
    """Store what `reconcile` found; `reasons` say why what is withdrawn is, `anew` which steps live a second time."""
    for step in changes.insert:
        values = {name: getattr(step, name) for name in _COLUMNS}
        insert_row(connection, steps, values | {"case_id": case_id, "state": StepState.PENDING})
    for step in changes.reschedule:
        _set(
            connection,
            step.id,
            due_at=step.due_at,
            deadline=step.deadline,
            level=step.level,
            audience=step.audience,
            state=StepState.PENDING,
            reason=None,
        )
        if step.id in restarted:
            again = {"started_at": None, "approved_at": None, "approved_by": None, "completed_at": None}
            this = update(steps).where(steps.c.id == step.id)
            connection.execute(this.values(generation=steps.c.generation + 1, completed_by=None, **again))
    for name in changes.withdraw:
        _set(connection, name, state=StepState.WITHDRAWN, reason=reasons.get(name))
    drop_held(connection, changes.withdraw)


def readdress_step(connection: Connection, step_id: str, audience: str) -> None:
    """Note that another audience hears of a step that has not begun."""
    _set(connection, step_id, audience=audience)


def move_deadline(connection: Connection, step_id: str, deadline: datetime | None) -> None:
    """Note by when a step is due now, as late reports have it."""
    _set(connection, step_id, deadline=deadline)


def await_approval(connection: Connection, step: Step) -> None:
    """Mark a step whose words are written and wait for a person's approval."""
    _set(connection, step.id, state=StepState.AWAITING, audience=step.audience, template=step.template)


def start_step(connection: Connection, step: Step, now: datetime) -> None:
    """Mark a step as begun, with the audience and template that it has now."""
    _set(connection, step.id, state=StepState.STARTED, started_at=now, audience=step.audience, template=step.template)


def approve_step(connection: Connection, step_id: str, at: datetime, by: str) -> None:
    """Note who approved a step."""
    _set(connection, step_id, approved_at=at, approved_by=by)


def complete_step(connection: Connection, step_id: str, at: datetime, by: str | None) -> None:
    """Mark a step as completed."""
    _set(connection, step_id, state=StepState.COMPLETED, completed_at=at, completed_by=by)


def skip_step(connection: Connection, step_id: str, at: datetime, by: str, reason: str | None) -> None:
    """Mark a step that a person decided not to do."""
    _set(connection, step_id, state=StepState.SKIPPED, completed_at=at, completed_by=by, reason=reason)
    drop_held(connection, [step_id])


def withdraw_step(connection: Connection, step_id: str, reason: str) -> None:
    """Mark a step that is no longer wanted."""
    _set(connection, step_id, state=StepState.WITHDRAWN, reason=reason)


def assign_step(connection: Connection, step_id: str, assignee: str | None) -> None:
    """Note to whom a step was handed over."""
    _set(connection, step_id, assignee=assignee)


def _set(connection: Connection, step_id: str, **values: object) -> None:
    update_row(connection, steps, step_id, values)


def step_ids(connection: Connection, case_id: str) -> list[str]:
    """Return the ids of an incident's steps."""
    return list(connection.scalars(select(steps.c.id).where(steps.c.case_id == case_id)))


def stored_step(connection: Connection, step_id: str) -> StoredStep | None:
    """Return one step."""
    row = _STEP.row(connection, id=step_id)
    return None if row is None else _stored(row)


def answer_to(connection: Connection, step_id: str) -> tuple[datetime, str] | None:
    """Return when and by whom a step was approved or done."""
    row = _STEP.row(connection, id=step_id)
    if row is None:
        return None
    answers = (row.approved_at, row.approved_by), (row.completed_at, row.completed_by)
    return next(((at, by) for at, by in answers if at is not None and by is not None), None)


@dataclass(frozen=True, slots=True)
class ReportStep:
    """A step for which a report is drafted, with who did what to it."""

    id: str
    report: str
    instance: str
    state: str
    approved_at: datetime | None
    approved_by: str | None
    completed_at: datetime | None
    completed_by: str | None


def report_steps(connection: Connection, case_id: str) -> list[ReportStep]:
    """Return an incident's steps with a report, in the order in which they are due; without what was derived."""
    return [ReportStep(*row) for row in _REPORT_STEPS.rows(connection, id=case_id)]


_REPORT_STEPS = Prepared(
    select(*(steps.c[name] for name in ReportStep.__slots__))
    .where(steps.c.case_id == bindparam("id"), steps.c.report.is_not(None), steps.c.parent_id.is_(None))
    .order_by(steps.c.due_at, steps.c.id)
)
