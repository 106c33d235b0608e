"""What people report of the handling: who did, approved, skipped, handed over or added what, and what was learned."""

from hashlib import sha256
from typing import Literal, Self

from pydantic import Field, model_validator

from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.events.fields import Instant, Name, Text
from incident_engine.domain.events.types import EventType, PersonEvent
from incident_engine.domain.values import Identifier, stamp


class NoteData(Strict):
    """Free words for the record."""

    text: Text
    by: Name | None = None


class NoteAdded(PersonEvent):
    """A note for the record."""

    type: Literal[EventType.NOTE_ADDED]
    data: NoteData


class CompletionData(Strict):
    """Who did what: a step by its id, or the obligation that it fulfils."""

    by: Name
    step: Name | None = None
    fulfils: Name | None = None
    note: Text | None = None


class StepCompleted(PersonEvent):
    """A person did what a step asked for, such as handing in the first report."""

    type: Literal[EventType.STEP_COMPLETED]
    data: CompletionData


class StepActionData(Strict):
    """Who did it, to which step (by its id)."""

    by: Name
    step: Name
    note: Text | None = None


class StepAcknowledged(PersonEvent):
    """A person has seen what a step said and takes care of it: nobody else is paged for it."""

    type: Literal[EventType.STEP_ACKNOWLEDGED]
    data: StepActionData


class MessageText(Strict):
    """A message as a person worded it."""

    subject: Name
    body: Text


class ApprovalData(StepActionData):
    """Who approves; `wording` replaces the words of the draft, by language."""

    wording: dict[Literal["zh-CN", "en"], MessageText] = {}

    @property
    def texts(self) -> dict[str, tuple[str, str]]:
        """Return subject and body by language."""
        return {str(locale): (text.subject, text.body) for locale, text in self.wording.items()}

    @model_validator(mode="after")
    def _in_both(self) -> Self:
        if len(self.wording) == 1:
            missing = "en" if "zh-CN" in self.wording else "zh-CN"
            raise invalid(f"the wording is missing in {missing}", "both languages, or none: the readers read either")
        return self


class StepApproved(PersonEvent):
    """A person approves what a step is about to say; only then it goes out."""

    type: Literal[EventType.STEP_APPROVED]
    data: ApprovalData


class SkippingData(Strict):
    """Who decides that a step need not be done, and why."""

    by: Name
    step: Name
    reason: Text


class StepSkipped(PersonEvent):
    """A person decides that a step is not done. What it would have fulfilled is still owed."""

    type: Literal[EventType.STEP_SKIPPED]
    data: SkippingData


class AssignmentData(Strict):
    """Who hands a step over to whom, and why."""

    by: Name
    step: Name
    to: Name
    reason: Text


class StepAssigned(PersonEvent):
    """A person hands a step over to somebody else; the latest word counts."""

    type: Literal[EventType.STEP_ASSIGNED]
    data: AssignmentData


class AdditionData(Strict):
    """A step of a playbook that is wanted now (`step`), or a task in free words (`title`), by whom and why."""

    by: Name
    reason: Text
    step: Identifier | None = None
    title: Name | None = None
    assignee: Name | None = None
    due_at: Instant | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.step is None) == (self.title is None):
            raise invalid("says not what is added", "exactly one of: step, title")
        if self.step is not None and (self.assignee or self.due_at):
            raise invalid("a playbook's step has an audience and a deadline of its own", "step alone")
        return self


class StepAdded(PersonEvent):
    """A person adds a step: one of a playbook before its time, or a task with its owner and due date."""

    type: Literal[EventType.STEP_ADDED]
    data: AdditionData

    @property
    def key(self) -> str:
        """Return the name that tells this addition apart from others, as part of a step's id."""
        digest = sha256(f"{self.source}\0{self.id}".encode()).hexdigest()[:8]
        return f"{stamp(self.occurred_at)}-{digest}"


class ReportEntryData(Strict):
    """What a person writes into a report, by the ids of its fields; an empty text takes a field back."""

    by: Name
    report: Identifier
    fields: dict[Identifier, str] = Field(min_length=1)


class ReportWritten(PersonEvent):
    """A person fills in fields of a report; the latest word on each counts, and every version is kept."""

    type: Literal[EventType.REPORT_WRITTEN]
    data: ReportEntryData


class LessonData(Strict):
    """What was learned, by whom; `for_customers` is what they may read of it."""

    by: Name
    text: Text
    for_customers: Text | None = None


class LessonRecorded(PersonEvent):
    """A lesson of the incident."""

    type: Literal[EventType.LESSON_RECORDED]
    data: LessonData


class ClosingData(Strict):
    """Who closed the incident, and why."""

    by: Name
    reason: Text | None = None


class IncidentClosed(PersonEvent):
    """The incident is over."""

    type: Literal[EventType.INCIDENT_CLOSED]
    data: ClosingData
