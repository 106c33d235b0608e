"""Events about the handling: actions of people on steps, notes, report entries, lessons, the closing."""

from hashlib import sha256
from typing import Literal, Self

from pydantic import Field, model_validator

from incident_engine.common.validation import Strict, invalid
from incident_engine.domain.events.fields import Instant, Name, PersonName, PlainText, Text
from incident_engine.domain.events.types import LINK, EventType, PersonEvent
from incident_engine.domain.values import Identifier, stamp


class NoteData(Strict):
    """The text of a note."""

    text: Text
    by: PersonName | None = None


class NoteAdded(PersonEvent):
    """A note for the record."""

    type: Literal[EventType.NOTE_ADDED]
    data: NoteData


class LinkableData(Strict):
    """The person, and the contact for whom the link was made if the action came by a signed link."""

    by: PersonName
    link_of: Identifier | None = None
    """The contact for whom the link was made. Only the daemon's own pages set it."""


class LinkableEvent(PersonEvent):
    """An action that may come by a signed link."""

    data: LinkableData

    @model_validator(mode="after")
    def _link_is_ours(self) -> Self:
        # Anyone else could put an action on record as if it had come by a colleague's link.
        if self.data.link_of is not None and self.source != LINK:
            raise invalid("data.link_of names a contact's link, but the event came by none", "no link_of")
        return self


class CompletionData(LinkableData):
    """The step that a person completed, by its id, or the obligation that the action fulfils."""

    step: Name | None = None
    fulfils: Name | None = None
    note: Text | None = None
    with_gaps: bool = False
    """The report is handed in although required fields are empty."""


class StepCompleted(LinkableEvent):
    """A person completed a step, for example submitted the first report."""

    type: Literal[EventType.STEP_COMPLETED]
    data: CompletionData


class StepActionData(LinkableData):
    """The person, and the step by its id."""

    step: Name
    note: Text | None = None


class StepAcknowledged(LinkableEvent):
    """A person acknowledges a step and takes care of it. Its escalation stops."""

    type: Literal[EventType.STEP_ACKNOWLEDGED]
    data: StepActionData


class MessageText(Strict):
    """The text of a message as a person edited it."""

    subject: Name
    body: Text


class ApprovalData(StepActionData):
    """The approval. `wording` replaces the text of the draft, by language."""

    wording: dict[Literal["zh-CN", "en"], MessageText] = {}
    with_gaps: bool = False
    """The report is approved although required fields are empty."""

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


class StepApproved(LinkableEvent):
    """A person approves the message of a step. It goes out only then."""

    type: Literal[EventType.STEP_APPROVED]
    data: ApprovalData


class SkippingData(Strict):
    """The decision that a step is not done, with its reason."""

    by: PersonName
    step: Name
    reason: Text


class StepSkipped(PersonEvent):
    """A person decides that a step is not done. The obligation that it would have fulfilled stays due."""

    type: Literal[EventType.STEP_SKIPPED]
    data: SkippingData


class AssignmentData(Strict):
    """The assignment of a step to another person, with its reason."""

    by: PersonName
    step: Name
    to: Name
    reason: Text


class StepAssigned(PersonEvent):
    """A person assigns a step to another person. The latest assignment counts."""

    type: Literal[EventType.STEP_ASSIGNED]
    data: AssignmentData


class AdditionData(Strict):
    """A step of a playbook that starts now (`step`), or a task in free words (`title`), with its reason."""

    by: PersonName
    reason: Text
    step: Identifier | None = None
    title: Name | None = None
    assignee: Name | None = None
    due_at: Instant | None = None
    confirm: bool = False
    """The person has seen the words that go outside the bank, or means a due time that is past."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.step is None) == (self.title is None):
            raise invalid("does not say what is added", "exactly one of: step, title")
        if self.step is not None and (self.assignee or self.due_at):
            raise invalid("a playbook's step has an audience and a deadline of its own", "step alone")
        return self


class StepAdded(PersonEvent):
    """A person adds a step: one of a playbook before its time, or a task with its owner and due date."""

    type: Literal[EventType.STEP_ADDED]
    data: AdditionData

    @property
    def key(self) -> str:
        """Return the unique name of the addition, as it stands in a step's id."""
        digest = sha256(f"{self.source}\0{self.id}".encode()).hexdigest()[:8]
        return f"{stamp(self.occurred_at)}-{digest}"


class ReportEntryData(Strict):
    """The texts of a report's fields, by their ids. An empty text takes a field back."""

    by: PersonName
    report: Identifier
    fields: dict[Identifier, PlainText] = Field(min_length=1)


class ReportWritten(PersonEvent):
    """A person fills in fields of a report. The latest text of each counts, and every version is kept."""

    type: Literal[EventType.REPORT_WRITTEN]
    data: ReportEntryData


class LessonData(Strict):
    """A lesson. `for_customers` is the text that customers may read."""

    by: PersonName
    text: Text
    for_customers: Text | None = None


class LessonRecorded(PersonEvent):
    """A lesson of the incident."""

    type: Literal[EventType.LESSON_RECORDED]
    data: LessonData


class OverdueReason(Strict):
    """An obligation that is overdue at the closing, by its id and instance, and the reason to close all the same."""

    obligation: Name
    reason: Text


class ClosingData(LinkableData):
    """The person, the reason if there is one, and a reason for each obligation that is overdue."""

    reason: Text | None = None
    overdue: tuple[OverdueReason, ...] = Field(default=(), max_length=100)


class IncidentClosed(LinkableEvent):
    """The handling of an incident ends (Art. 42)."""

    type: Literal[EventType.INCIDENT_CLOSED]
    data: ClosingData
