"""The check of a closing against its incident as of the closing's own time."""

from datetime import timedelta

from sqlalchemy import Connection

from incident_engine.common.errors import Problem
from incident_engine.domain.events.actions import IncidentClosed
from incident_engine.domain.incidents.closing_check import Overdue, closing_problem, overdue_problems
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.response.completion import overdue_obligations
from incident_engine.engine.reader import Reader
from incident_engine.store.events import events_of


def closing_problems(
    connection: Connection, event: IncidentClosed, case_id: str, reader: Reader, observation: timedelta
) -> list[Problem]:
    """Return the reasons why an incident cannot be closed, or the overdue obligations without a person's reason.

    `observation` is the time that all services must have worked before a closing.
    """
    closed_at = event.occurred_at
    # Later events may have re-opened it; a closing that arrives late is judged as of its own time.
    recorded = [other for other in events_of(connection, case_id) if other.event.occurred_at <= closed_at]
    as_of_then = fold(case_id, recorded)
    problem = closing_problem(as_of_then, closed_at, observation)
    if problem is not None:
        return [problem]
    unmet = overdue_obligations(reader.graded(connection, as_of_then, closed_at).assessments)
    overdue = [Overdue(status.key, status.due_at) for status in unmet if status.due_at is not None]
    return overdue_problems(overdue, event.data.overdue)
