"""The handling of a case of any kind: the actions of people on its steps."""

from dataclasses import dataclass
from datetime import datetime

from incident_engine.domain.events.actions import (
    ReportWritten,
    StepAcknowledged,
    StepAdded,
    StepApproved,
    StepAssigned,
    StepCompleted,
    StepSkipped,
)
from incident_engine.domain.events.case_events import EventsByType
from incident_engine.domain.step_id import concerns_step


@dataclass(frozen=True, slots=True)
class Handling:
    """Finds the actions of people by step, obligation, task or report. Each search keeps the order of occurrence."""

    reported: EventsByType

    @property
    def completions(self) -> tuple[StepCompleted, ...]:
        """Return every completion, of steps and of obligations."""
        return self.reported.get(StepCompleted)

    @property
    def acknowledgements(self) -> tuple[StepAcknowledged, ...]:
        """Return every acknowledgement."""
        return self.reported.get(StepAcknowledged)

    @property
    def additions(self) -> tuple[StepAdded, ...]:
        """Return the steps and tasks that people added."""
        return self.reported.get(StepAdded)

    @property
    def tasks(self) -> tuple[StepAdded, ...]:
        """Return the additions that are tasks in free words."""
        return tuple(added for added in self.additions if added.data.title is not None)

    def completions_of(self, obligation: str | None) -> list[StepCompleted]:
        """Return the completions that fulfil an obligation."""
        return [completion for completion in self.completions if completion.data.fulfils == obligation]

    def completion_of_task(self, task: StepAdded) -> StepCompleted | None:
        """Return the first completion of the step that was made of a task."""
        # The playbooks decide which step that is; its id has the task's key as instance.
        return next((done for done in self.completions if done.data.step and task.key in done.data.step), None)

    def approval_of(self, step_id: str) -> StepApproved | None:
        """Return the first approval of a step."""
        # The first: its text has gone out, so a later approval cannot change it.
        approvals = self.reported.get(StepApproved)
        return next((approval for approval in approvals if concerns_step(approval.data.step, step_id)), None)

    def skip_of(self, step_id: str) -> StepSkipped | None:
        """Return the first decision that a step is not done."""
        skips = self.reported.get(StepSkipped)
        return next((skip for skip in skips if concerns_step(skip.data.step, step_id)), None)

    def assignment_of(self, step_id: str) -> StepAssigned | None:
        """Return the latest assignment of a step: it replaces those before."""
        assignments = reversed(self.reported.get(StepAssigned))
        return next((assignment for assignment in assignments if concerns_step(assignment.data.step, step_id)), None)

    def answer_to(self, step_id: str, *, by_acknowledgement: bool) -> StepAcknowledged | StepCompleted | None:
        """Return the first completion of a step, or the first acknowledgement where that is enough."""
        answers: list[StepAcknowledged | StepCompleted] = []
        if by_acknowledgement:
            answers += [seen for seen in self.acknowledgements if concerns_step(seen.data.step, step_id)]
        answers += [
            done for done in self.completions if done.data.step is not None and concerns_step(done.data.step, step_id)
        ]
        return min(answers, key=lambda answer: answer.occurred_at, default=None)

    def entries_in(self, report: str, since: datetime | None = None) -> dict[str, tuple[str, str]]:
        """Return the latest text of each field of a report with its author, of entries made after `since`."""
        entries = [entry for entry in self.reported.get(ReportWritten) if entry.data.report == report]
        return {
            field: (text, entry.data.by)
            for entry in entries
            if since is None or entry.occurred_at > since
            for field, text in entry.data.fields.items()
        }

    @property
    def reports(self) -> tuple[str, ...]:
        """Return the reports into which people wrote, each once."""
        return tuple(dict.fromkeys(entry.data.report for entry in self.reported.get(ReportWritten)))
