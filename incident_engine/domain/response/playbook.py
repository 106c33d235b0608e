"""Playbooks: the bank's steps of an incident, with audiences, deadlines and escalation."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self, TypeVar

from pydantic import Field, ValidationError, model_validator

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.validation import Strict, invalid, problems_of, unknown_name
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.response.step import Awaits
from incident_engine.domain.response.triggers import ANY_LEVEL, DaysByLevel, LengthByLevel, Trigger
from incident_engine.domain.values import RESOLUTION, Duration, Identifier, LocalizedText

T = TypeVar("T")


class DeadlineFrom(StrEnum):
    """The start of a deadline that the bank sets itself."""

    OCCURRENCE = "occurrence"
    START = "start"
    """The step's own beginning."""


class StepDeadline(Strict):
    """The deadline that the bank sets for a step: a length of time by level, or whole working days after the day."""

    after: DeadlineFrom
    within: LengthByLevel | None = None
    working_days: DaysByLevel | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.within is None) == (self.working_days is None):
            raise invalid("does not say how long", "exactly one of: within, working_days")
        return self


class RepeatEnd(StrEnum):
    """The end of a repeated step."""

    RESTORED = "restored"
    CLOSED = "closed"


class Repeat(Strict):
    """The rhythm of a repeated step. It quickens when the level rises; a promised update never moves back."""

    every: LengthByLevel
    until: RepeatEnd

    @model_validator(mode="after")
    def _moves(self) -> Self:
        short = [level for level, every in self.every.items() if every < timedelta(minutes=1)]
        if short:
            raise invalid(f"every {self.every[short[0]]} is too often", "a minute at least")
        return self


class Until(StrEnum):
    """The event after which a step is dropped, unless it has gone out."""

    RESTORED = "restored"


class Claim(StrEnum):
    """What the words of a step say of the outage. They never go out when it is not so."""

    DOWN = "down"
    RESTORED = "restored"


class Approval(Strict):
    """The approval that a message needs before it goes out. A `preapproved` message goes out at once."""

    by: Identifier
    preapproved: bool = False
    template: Identifier = "approval-request"


class Tier(Strict):
    """A tier of the escalation: notified at a time after the start of an unanswered step, or by its deadline."""

    to: Identifier
    after: Duration | None = None
    before_deadline: Duration | None = None
    after_deadline: Duration | None = None
    template: Identifier | None = None
    """Default: the step's template, or its approval request."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        keys = ("after", "before_deadline", "after_deadline")
        present = [key for key in keys if getattr(self, key) is not None]
        if len(present) != 1:
            raise invalid(f"a tier has one time, not {len(present)}", f"one of: {', '.join(keys)}")
        if self.after == timedelta(0):
            raise invalid(
                "a tier that is notified at once leaves no time to answer", "a longer time, or a step of its own"
            )
        return self

    def first_at(self, deadline: datetime | None, now: datetime, since: datetime) -> datetime | None:
        """Return when the tier of a step asked `since` is notified for the first time; None if it is not."""
        if self.after is not None:
            return since + self.after
        if deadline is None:
            return None  # a task that a person added without a due date
        if self.after_deadline is not None:
            return max(deadline + RESOLUTION, since) + self.after_deadline
        reminded_at = deadline - (self.before_deadline or timedelta(0))
        is_news = reminded_at > since  # a reminder of a step that has only just begun is noise
        is_in_time = max(reminded_at, now) < deadline  # after the deadline, `after_deadline` tiers apply
        return reminded_at if is_news and is_in_time else None


class StepTemplate(Strict):
    """One step of a playbook."""

    id: Identifier
    title: LocalizedText | None = None
    """The name of the step in reports."""
    on: Trigger
    offset: LengthByLevel = {ANY_LEVEL: timedelta(0)}
    """The time from its trigger to its start."""
    offset_working_days: int | None = Field(default=None, ge=1, le=250)
    """Or the number of the working day after it, at nine in the morning."""
    repeat: Repeat | None = None
    until: Until | None = None
    """Once everything has worked for `settle`, the step does not start, needs no approval and does not escalate."""
    requires: Identifier | None = None
    """A step of this playbook that must have started before, such as the alarm before the all-clear."""
    audience: Identifier
    channels: tuple[Identifier, ...] | None = Field(default=None, min_length=1)
    """The only channels over which it goes; all of a contact's if not given."""
    template: Identifier
    approval: Approval | None = None
    awaits: Awaits | None = None
    """The action of a person that completes the step."""
    deadline: StepDeadline | None = None
    """The bank's own; a step about an obligation has that obligation's."""
    escalation: tuple[Tier, ...] = ()
    repeat_every: Duration | None = Field(default=None, ge=timedelta(minutes=1))
    """How often the audience and all tiers are notified again."""
    fulfils: Identifier | None = None
    """The obligation that a person fulfils by this step; the step stays open until somebody reports it completed."""
    report: Identifier | None = None
    """The report that is drafted for this step."""

    claims: Claim | None = None
    """What its words say: something is down, or everything works.

    Default: `down` for the triggers `first_level`, `scope_grew` and `estimate`.
    """
    outside: bool | None = None
    """Whether its words go to people outside the bank. Default: if they need an approval, preapproved or not."""

    @property
    def claim(self) -> Claim | None:
        """Return what the words of the step say of the outage; None: nothing that could be wrong."""
        if self.claims is not None:
            return self.claims
        is_of_lasting = self.on.first_level or self.on.scope_grew or self.on.estimate is not None
        return Claim.DOWN if is_of_lasting else None

    @property
    def goes_outside(self) -> bool:
        """Return whether the words of the step go to people outside the bank."""
        return self.outside if self.outside is not None else self.approval is not None

    def is_contradicted(self, incident: Incident) -> bool:
        """Return whether the facts are not as the words of the step say."""
        if self.claim is Claim.DOWN:
            return incident.restored_at is not None  # without an outage, the words speak of harm
        return self.claim is Claim.RESTORED and incident.is_down

    @property
    def asks(self) -> bool:
        """Return whether only the action of a person completes the step."""
        return self.awaits is not None or self.fulfils is not None

    @property
    def has_deadline(self) -> bool:
        """Return whether the step has a deadline. A task may get one from the person who adds it."""
        return self.deadline is not None or self.on.obligation is not None

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        waits = self.asks or (self.approval is not None and not self.approval.preapproved)
        if (self.escalation or self.repeat_every) and not waits:
            raise invalid(
                "the step awaits no answer, so it cannot escalate", "awaits, fulfils or approval, or no escalation"
            )
        if not (self.has_deadline or self.on.task_added) and any(tier.after is None for tier in self.escalation):
            raise invalid("the step has no deadline", "deadline, or tiers with after")
        if self.deadline is not None and self.on.obligation is not None:
            raise invalid("a step about an obligation has that obligation's deadline", "no deadline")
        if self.approval is not None and not self.approval.preapproved and self.asks:
            raise invalid("a step waits for an approval or for an action, not both", "two steps")
        if self.fulfils is not None and self.awaits is Awaits.ACKNOWLEDGEMENT:
            raise invalid("a step that fulfils an obligation awaits its completion", "awaits left out")
        if self.repeat is not None and (self.asks or self.offset_working_days):
            expected = "escalation with repeat_every, or no repeat"
            raise invalid("a step that waits for an answer cannot repeat", expected)
        return self

    @property
    def counts_working_days(self) -> bool:
        """Return whether its start or its deadline is counted in working days."""
        has_days = self.deadline is not None and self.deadline.working_days is not None
        return has_days or self.offset_working_days is not None


class Playbook(Strict):
    """Steps that belong together."""

    playbook: Identifier
    title: LocalizedText
    settle: Duration = timedelta(0)
    """How long everything must have worked before it counts as restored; shorter gaps are part of the outage."""
    steps: tuple[StepTemplate, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [step.id for step in self.steps]
        doubles = sorted({name for name in ids if ids.count(name) > 1})
        if doubles:
            raise invalid(f"steps named twice: {', '.join(doubles)}", "an id of its own for each step")
        lost = [step for step in self.steps if step.requires is not None and step.requires not in ids]
        if lost:
            raise unknown_name("step", lost[0].requires or "", ids)
        return self


def closing_requests(playbooks: Iterable[Playbook]) -> frozenset[tuple[str, str]]:
    """Return the steps that ask a person for the closing, as (playbook, step): only the closing completes them."""
    return frozenset((book.playbook, step.id) for book in playbooks for step in book.steps if step.on.observed)


def by_level(values: Mapping[str, T], level: str | None) -> T:
    """Return the value of a level: its own, else that of any level, else the last in the mapping."""
    value = values.get(level or ANY_LEVEL, values.get(ANY_LEVEL))
    return value if value is not None else list(values.values())[-1]


def duty_audience(playbooks: Iterable[Playbook]) -> str | None:
    """Return the audience that is paged when a level is reached; None if no playbook does so.

    A page that awaits an acknowledgement goes before a notice that awaits nothing.
    """
    steps = [step for playbook in playbooks for step in playbook.steps if step.on.level_reached is not None]
    pages = [step for step in steps if step.awaits is Awaits.ACKNOWLEDGEMENT]
    return next((step.audience for step in [*pages, *steps]), None)


def audiences_of(step: StepTemplate) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every audience that a step names, after its path in the step."""
    yield ("audience",), step.audience
    if step.approval is not None:
        yield ("approval", "by"), step.approval.by
    for index, tier in enumerate(step.escalation):
        yield ("escalation", index, "to"), tier.to


def templates_of(step: StepTemplate) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield every message template that a step names, after its path in the step."""
    yield ("template",), step.template
    if step.approval is not None and not step.approval.preapproved:
        yield ("approval", "template"), step.approval.template
    for index, tier in enumerate(step.escalation):
        if tier.template is not None:
            yield ("escalation", index, "template"), tier.template


def parse_playbook(document: object) -> Playbook:
    """Return the playbook that a document describes; raises InvalidDocumentError with every problem and its path."""
    try:
        return Playbook.model_validate(document)
    except ValidationError as error:
        raise InvalidDocumentError(problems_of(error, Playbook, document)) from None
