"""The log of decisions: one line for each, once the decision is on disk."""

from enum import StrEnum

from incident_engine.common.telemetry import logger
from incident_engine.store.unit_of_work import UnitOfWork

_LOG = "engine"


class Reason(StrEnum):
    """The reason for a decision. It is the name of the log event, too."""

    EVENT_ACCEPTED = "event_accepted"
    EVENT_DUPLICATE = "event_duplicate"
    EVENT_CONFLICT = "event_conflict"
    EVENT_ISOLATED = "event_isolated"
    REPORT_QUARANTINED = "report_quarantined"
    REPORT_MAPPED = "report_mapped"
    REPORT_DISMISSED = "report_dismissed"
    REPORT_UNMAPPABLE = "report_unmappable"
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
    """Log a decision after the commit, because a decision that is rolled back was never taken."""
    unit.after_commit.append(lambda: log(reason, **fields))


def log(reason: Reason, **fields: object) -> None:
    """Log a decision that is already on disk."""
    logger(_LOG).info(reason.value, reason=reason.value, **fields)


def warn(reason: Reason, error: Exception, **fields: object) -> None:
    """Log a failure at once, even if the transaction is rolled back."""
    logger(_LOG).warning(reason.value, reason=reason.value, error=repr(error), **fields)
