"""What the engine says in the log: one line a decision, once the decision is on disk."""

from enum import StrEnum

from incident_engine.common.telemetry import logger
from incident_engine.store.unit_of_work import UnitOfWork

_LOG = "engine"


class Reason(StrEnum):
    """Why the engine did what it says."""

    EVENT_ACCEPTED = "event_accepted"
    EVENT_DUPLICATE = "event_duplicate"
    EVENT_ISOLATED = "event_isolated"
    INCIDENT_OPENED = "incident_opened"
    LEVEL_REACHED = "level_reached"
    LEVEL_RETAINED = "level_retained"
    LEVEL_CORRECTED = "level_corrected"
    STEP_STARTED = "step_started"
    STEP_AWAITS_APPROVAL = "step_awaits_approval"
    STEP_APPROVED = "step_approved"
    AUDIENCE_GONE = "audience_gone"
    STEP_WITHDRAWN = "step_withdrawn"
    REPORT_VERSION = "report_version"
    TEMPLATE_FAILED = "template_failed"
    UPDATE_FAILED = "update_failed"
    CLOSED_BELOW_LOWEST_LEVEL = "closed_below_lowest_level"


def log_after_commit(unit: UnitOfWork, reason: Reason, **fields: object) -> None:
    """Log a decision after the commit; what is rolled back was never decided."""

    unit.after_commit.append(lambda: log(reason, **fields))


def log(reason: Reason, **fields: object) -> None:
    """Log, at once, a decision that is on disk."""
    logger(_LOG).info(reason.value, reason=reason.value, **fields)


def warn(reason: Reason, error: Exception, **fields: object) -> None:
    """Log, at once, a failure that somebody should look at."""
    logger(_LOG).warning(reason.value, reason=reason.value, error=repr(error), **fields)
