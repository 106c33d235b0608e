"""The table of steps: the planned steps of each case with their state."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from incident_engine.domain.response.reconcile import Changes
from incident_engine.domain.response.step import NOT_STORED, Awaits, Step, StepState
from incident_engine.store.held_texts import drop_held
from incident_engine.store.prepared import Prepared, insert_row, update_row
from incident_engine.store.tables import steps


@dataclass(frozen=True, slots=True)
class StoredStep:
    """A stored step with its state."""

    step: Step
    state: StepState
    generation: int = 1
    """1, and one more each time a withdrawn step is planned again; then its messages are sent again as well."""
    started_at: datetime | None = None
    approved: bool = False
    assignee: str | None = None


_COLUMNS = tuple(name for name in Step.__slots__ if name not in NOT_STORED)


def steps_of(connection: Connection, case_id: str) -> dict[str, StoredStep]:
    """Return a case's steps by id."""
    return {row.id: _stored(row) for row in _STEPS.rows(connection, id=case_id)}


_STEPS = Prepared(select(steps).where(steps.c.case_id == bindparam("id")))
_STEP = Prepared(select(steps).where(steps.c.id == bindparam("id")))


def _stored(row: Any) -> StoredStep:
    awaits = Awaits(row.awaits) if row.awaits is not None else None
    step = Step(**{name: getattr(row, name) for name in _COLUMNS} | {"awaits": awaits})
    return StoredStep(
        step, StepState(row.state), row.generation, row.started_at, row.approved_at is not None, row.assignee
    )


def next_due_at(connection: Connection, case_id: str) -> datetime | None:
    """Return the due instant of a case's next pending step; None if there is none."""
    due_at: datetime | None = _NEXT_DUE.value(connection, id=case_id)
    return due_at


_NEXT_DUE = Prepared(
    select(func.min(steps.c.due_at)).where(steps.c.case_id == bindparam("id"), steps.c.state == StepState.PENDING)
)


def started_steps(stored: Mapping[str, StoredStep]) -> dict[str, datetime]:
    """Return the start of each step that has started and, like its parent, was not withdrawn since, by id."""
    withdrawn = {step_id for step_id, entry in stored.items() if entry.state is StepState.WITHDRAWN}
    return {
        step_id: entry.started_at
        for step_id, entry in stored.items()
        if entry.started_at is not None and step_id not in withdrawn and entry.step.parent_id not in withdrawn
    }


def case_of_step(connection: Connection, step_id: str) -> str | None:
    """Return the id of the case that a step belongs to; None if there is no such step."""
    return connection.scalar(select(steps.c.case_id).where(steps.c.id == step_id))


def apply_changes(
    connection: Connection,
    case_id: str,
    changes: Changes,
    reasons: Mapping[str, str],
    restarted: Collection[str] = (),
) -> None:
    """Store the changes that `reconcile` returned.

    `reasons` has the reason for each withdrawn step. Steps in `restarted` had started before they were withdrawn; they
    start again with a higher generation.
    """
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
            blank = dict.fromkeys(("started_at", "approved_at", "approved_by", "completed_at", "completed_by"))
            restart = update(steps).where(steps.c.id == step.id)
            # Counted up by the database, in the same statement that forgets the answers to the old generation.
            connection.execute(restart.values(generation=steps.c.generation + 1, **blank))
    for step_id in changes.withdraw:
        _set(connection, step_id, state=StepState.WITHDRAWN, reason=reasons.get(step_id))
    drop_held(connection, changes.withdraw)


def readdress_step(connection: Connection, step_id: str, audience: str) -> None:
    """Set the audience of a step that has not started."""
    _set(connection, step_id, audience=audience)


def move_deadline(connection: Connection, step_id: str, deadline: datetime | None) -> None:
    """Set the deadline of a step; late events may move it."""
    _set(connection, step_id, deadline=deadline)


def await_approval(connection: Connection, step: Step) -> None:
    """Mark a step whose texts are written and wait for a person's approval."""
    _set(connection, step.id, state=StepState.AWAITING, audience=step.audience, template=step.template)


def start_step(connection: Connection, step: Step, now: datetime) -> None:
    """Mark a step as started, with its present audience and template."""
    _set(connection, step.id, state=StepState.STARTED, started_at=now, audience=step.audience, template=step.template)


def approve_step(connection: Connection, step_id: str, at: datetime, by: str) -> None:
    """Record the approval of a step."""
    _set(connection, step_id, approved_at=at, approved_by=by)


def complete_step(connection: Connection, step_id: str, at: datetime, by: str | None) -> None:
    """Mark a step as completed; `by` is None if no person did it."""
    _set(connection, step_id, state=StepState.COMPLETED, completed_at=at, completed_by=by)


def skip_step(connection: Connection, step_id: str, at: datetime, by: str, reason: str | None) -> None:
    """Mark a step as skipped by a person's decision."""
    _set(connection, step_id, state=StepState.SKIPPED, completed_at=at, completed_by=by, reason=reason)
    drop_held(connection, [step_id])


def withdraw_step(connection: Connection, step_id: str, reason: str) -> None:
    """Mark a step as withdrawn: it is no longer planned."""
    _set(connection, step_id, state=StepState.WITHDRAWN, reason=reason)


def assign_step(connection: Connection, step_id: str, assignee: str | None) -> None:
    """Set the person to whom a step is assigned."""
    _set(connection, step_id, assignee=assignee)


def _set(connection: Connection, step_id: str, **values: object) -> None:
    update_row(connection, steps, step_id, values)


def step_ids(connection: Connection, case_id: str) -> list[str]:
    """Return the ids of a case's steps."""
    return list(connection.scalars(select(steps.c.id).where(steps.c.case_id == case_id)))


def stored_step(connection: Connection, step_id: str) -> StoredStep | None:
    """Return one step; None if there is no such step."""
    row = _STEP.row(connection, id=step_id)
    return None if row is None else _stored(row)


def answer_to(connection: Connection, step_id: str) -> tuple[datetime, str] | None:
    """Return (instant, person) of the approval or completion of a step; None if there was neither."""
    row = _STEP.row(connection, id=step_id)
    if row is None:
        return None
    answers = (row.approved_at, row.approved_by), (row.completed_at, row.completed_by)
    return next(((at, by) for at, by in answers if at is not None and by is not None), None)


@dataclass(frozen=True, slots=True)
class ReportStep:
    """A step with a report, and its approval and completion."""

    id: str
    report: str
    instance: str
    state: str
    approved_at: datetime | None
    approved_by: str | None
    completed_at: datetime | None
    completed_by: str | None


def report_steps(connection: Connection, case_id: str) -> list[ReportStep]:
    """Return a case's steps with a report, in the order of their due instants, without derived steps."""
    return [ReportStep(*row) for row in _REPORT_STEPS.rows(connection, id=case_id)]


_REPORT_STEPS = Prepared(
    select(*(steps.c[name] for name in ReportStep.__slots__))
    .where(steps.c.case_id == bindparam("id"), steps.c.report.is_not(None), steps.c.parent_id.is_(None))
    .order_by(steps.c.due_at, steps.c.id)
)
