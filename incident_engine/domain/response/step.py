"""A step: something that must happen at an instant."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from incident_engine.domain.events.actions import StepAdded
from incident_engine.domain.incidents.incident import LateStart


class Awaits(StrEnum):
    """The action of a person that ends a step."""

    ACKNOWLEDGEMENT = "acknowledgement"
    COMPLETION = "completion"


class StepState(StrEnum):
    """How far a step has come."""

    PENDING = "pending"
    AWAITING = "awaiting"
    """Its message is written and waits for a person's approval."""
    STARTED = "started"
    FAILED = "failed"
    """None of its messages could be delivered."""
    COMPLETED = "completed"
    SKIPPED = "skipped"
    """A person decided that it need not be done."""
    WITHDRAWN = "withdrawn"


class Withdrawal(StrEnum):
    """Why a step was withdrawn before it began."""

    DONE = "done"
    """It had been acknowledged, approved, completed or met."""
    SKIPPED = "skipped"
    RESTORED = "restored"
    CLOSED = "closed"
    SUPERSEDED = "superseded"
    """A later step of the same series replaces it."""
    FACTS_CHANGED = "facts_changed"


@dataclass(frozen=True, slots=True)
class Escalation:
    """A notification because the step is unanswered: its round, its tier (0: the audience), and since when."""

    round: int
    tier: int
    since: datetime


@dataclass(frozen=True, slots=True)
class Handover:
    """An assignment of a step to another person."""

    at: datetime
    by: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Step:
    """An action that is due at `due_at`. `instance` tells apart the occurrences of one step of a playbook."""

    id: str
    playbook: str
    step: str
    instance: str
    due_at: datetime
    audience: str
    template: str
    level: str | None = None
    obligation: str | None = None
    fulfils: str | None = None
    deadline: datetime | None = None
    awaits: Awaits | None = None
    approval: str | None = None
    """The audience whose approval it needs before it goes out."""
    report: str | None = None
    parent_id: str | None = None
    """The step from which this one is derived."""
    # The fields below are not stored, since every plan computes them again.
    episode: tuple[datetime, datetime] | None = None
    """The (start, end) of the impairment that the step is about."""
    channels: tuple[str, ...] | None = None
    request: str | None = None
    """The template that asks for the approval."""
    next_update_at: datetime | None = None
    """The time of the next update to the same audience, if nothing changes."""
    escalation: Escalation | None = None
    handover: Handover | None = None
    task: StepAdded | None = None
    late_start: LateStart | None = None
    """The beginning of an outage that a person must confirm."""
    base_awaits: Awaits | None = None
    """The action that the parent step awaits."""
    guessed_years: tuple[int, ...] = ()
    """Years without published days off in which working days up to `due_at` or `deadline` were counted."""

    @property
    def base(self) -> str:
        """Return the id of the step from which this one is derived, or its own."""
        return self.parent_id or self.id


NOT_STORED = (
    "episode",
    "channels",
    "request",
    "next_update_at",
    "escalation",
    "handover",
    "task",
    "late_start",
    "base_awaits",
    "guessed_years",
)
