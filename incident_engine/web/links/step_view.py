"""The step behind a link as its page shows it: read from the store, with the texts that wait and the state."""

from typing import Any

from sqlalchemy import Connection

from incident_engine.common.signed_links import Link, LinkAction
from incident_engine.domain.response.step import Step, StepState
from incident_engine.engine.report_versions import empty_fields
from incident_engine.store import held_texts, steps
from incident_engine.web.context import AppContext
from incident_engine.web.links.validity import step_of
from incident_engine.web.rendering import local_minute, safe_html


class StepReader:
    """Reads the steps of links for their pages."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def variables(self, link: Link) -> dict[str, Any]:
        """Return the variables of action.html.

        Shape: `{"incident", "step": Step, "action", "is_done", "done_by", "done_at", "deadline", "message": (subject,
        HTML), "overdue": [{"key", "cite", "due_at"}], "gaps": {locale: [label of an empty required field]},
        "drafts": [(locale, subject, HTML)], "name": LocalizedText, "bank": LocalizedText}`. Raises LinkRefusedError if
        the step is gone or was assigned to somebody else.
        """
        now = self._context.clock.now()
        with self._context.database.read() as connection:
            incident_id, stored = step_of(connection, link, self._context.settings.people, now)
            drafts = held_texts.held_texts_of(connection, link.step)
            answer = steps.answer_to(connection, link.step)
            message = held_texts.latest_text(connection, link.step, link.contact)
            # Completing the request would close nothing, so its button closes.
            closes = link.action is LinkAction.COMPLETE and self._context.reader.asks_for_closing(stored.step)
            overdue = self._context.reader.overdue(connection, incident_id, now) if closes else []
            gaps = _gaps(connection, incident_id, stored.step, link.action)
        zone = self._context.settings.bank.zone
        is_approval = link.action is LinkAction.APPROVE
        waits = stored.state is (StepState.AWAITING if is_approval else StepState.STARTED)
        return {
            "incident": incident_id,
            "step": stored.step,
            "action": "close" if closes else link.action.value,
            "overdue": [
                {"key": status.key, "cite": status.cite, "due_at": local_minute(status.due_at, zone)}
                for status in overdue
                if status.due_at is not None
            ],
            "gaps": gaps,
            "is_done": not waits,
            "done_by": answer[1] if answer else None,
            "done_at": local_minute(answer[0], zone) if answer else None,
            "deadline": local_minute(stored.step.deadline, zone) if stored.step.deadline else None,
            "message": (message[0], safe_html(message[1])) if message else None,
            "drafts": [(draft.locale, draft.subject, safe_html(draft.body)) for draft in drafts if is_approval],
            "name": self._context.settings.contact_by_id[link.contact].name,
            "bank": self._context.settings.bank.name,
        }


def _gaps(connection: Connection, case_id: str, step: Step, action: LinkAction) -> dict[str, list[str]]:
    """Return the labels of empty required fields, by locale, in the report that an action approves or hands in."""
    if step.report is None or action is LinkAction.ACKNOWLEDGE:
        return {}
    is_submission = action is LinkAction.COMPLETE
    return empty_fields(connection, case_id, step.report, step.instance, is_submission=is_submission)
