"""From a step to its deliveries: the message context, and each contact's message, rendered once and stored."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from incident_engine.common.signed_links import Links
from incident_engine.config.people import ContactSettings
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.context import BankContext, MessageContext, ReportSummary
from incident_engine.domain.messages.drill_marks import marked, marked_wording
from incident_engine.domain.messages.templates import Message, MessageForm
from incident_engine.domain.reports.facts import ReportFacts
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.domain.response.step import Awaits, Step
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.decision_log import Reason, warn
from incident_engine.engine.report_facts import reporting_unit
from incident_engine.engine.report_versions import outlook
from incident_engine.store.claims import Priority


class StepMessages:
    """Builds the message context of a step, and the deliveries that carry its messages."""

    def __init__(self, settings: Settings, rulebook: Rulebook, links: Links, *, drill: bool = False) -> None:
        self._settings = settings
        self._rulebook = rulebook
        self._links = links
        self._drill = drill
        self._bank = bank_context(settings)
        self._reports = {
            (playbook.playbook, step.id): step.report for playbook in rulebook.playbooks for step in playbook.steps
        }

    def context(
        self, step: Step, facts: ReportFacts, now: datetime, drafts: Sequence[Mapping[str, str]] = ()
    ) -> MessageContext:
        """Return the context of a step's message at `now`. `drafts` are the texts that await approval by it."""
        return MessageContext(
            bank=self._bank,
            service_names=self._settings.service_names,
            incident=facts.incident,
            packs=facts.packs,
            assessments=facts.assessments,
            step=step,
            now=now,
            drafts=drafts,
            report=self._report_summary(step, facts),
            drill=self._drill,
        )

    def variables(self, context: MessageContext, contact: ContactSettings, locale: str) -> dict[str, Any]:
        """Return the template variables of a context for one contact, with signed links if the step asks for an action.

        Contacts that are only informed, such as customers, get no link: it would let them answer for the bank.
        """
        step = context.step
        asks = step.awaits is not None or step.parent_id is not None
        links = self._links.for_step(step.base, contact.id) if asks else None
        return context.variables(locale, contact.name.in_(locale), links)

    def build_deliveries(
        self, context: MessageContext, *, held: bool = False, generation: int = 1
    ) -> list[dict[str, Any]]:
        """Return the rows of table `deliveries` for a step, one for each contact and channel.

        The first channel of a contact is due at once, each further one after its delay. Held rows are due when their
        texts are approved.
        """
        step, now = context.step, context.now
        # A step of a later generation is sent again, so its deliveries need other keys than the first ones.
        sent_as = step.id if generation == 1 else f"{step.id}\0{generation}"
        is_urgent = step.awaits is Awaits.ACKNOWLEDGEMENT or step.escalation is not None
        is_statutory = bool(step.fulfils or step.obligation)
        priority = Priority.STATUTORY if is_statutory else Priority.URGENT if is_urgent else Priority.OTHER
        rows: list[dict[str, Any]] = []
        for contact in self._settings.people.members(step.audience, now):
            variables = self.variables(context, contact, contact.locale)
            chosen = [address for address in contact.via if step.channels is None or address.channel in step.channels]
            for position, address in enumerate(chosen or contact.via):
                form = MessageForm(self._settings.channels[address.channel].form)
                message = self._render(step, contact.locale, variables, form)
                if context.drill:
                    message = marked(message, form)
                # The idempotency key: the same message to the same contact always has the same key.
                key = f"{sent_as}\0{contact.id}\0{position}"
                rows.append(
                    {
                        "id": f"msg_{hashlib.sha256(key.encode()).hexdigest()[:32]}",
                        "step_id": step.id,
                        "case_id": context.incident.id,
                        "contact": contact.id,
                        "channel": address.channel,
                        "address": address.to,
                        "locale": message.locale,
                        "subject": message.subject,
                        "body": message.body,
                        "priority": priority,
                        "delay_seconds": int(address.after.total_seconds()),
                        "position": position,
                        "state": DeliveryState.HELD if held else DeliveryState.PENDING,
                        "attempts": 0,
                        "due_at": None if held else now + address.after,
                        "created_at": now,
                    }
                )
        return rows

    def approved_texts(self, texts: Mapping[str, tuple[str, str]]) -> Mapping[str, tuple[str, str]]:
        """Return an approver's own texts, (subject, body) by language, as they are sent: marked in a drill."""
        return marked_wording(texts) if self._drill else texts

    def _render(self, step: Step, locale: str, variables: Mapping[str, Any], form: MessageForm) -> Message:
        """Render the message of a step; if its template fails, a plain notice of the bare facts."""
        messages = self._rulebook.messages
        try:
            return messages.render(step.template, locale, variables, form)
        except Exception as error:  # noqa: BLE001 - a fault in a template must not keep back a notice that is due
            warn(Reason.TEMPLATE_FAILED, error, template=step.template, step=step.id)
            # Only those who handle the incident may read its level and obligations; customers must not.
            is_internal = step.awaits is not None or step.parent_id is not None or step.obligation is not None
            return messages.plain(locale, variables, step.base if is_internal else None)

    def _report_summary(self, step: Step, facts: ReportFacts) -> ReportSummary | None:
        """Return the state of the report that a step, or the step from which it derives, asks for."""
        name = self._reports[step.playbook, step.step]
        current = outlook(facts, self._rulebook.reports, name, step.instance) if name is not None else None
        if current is None:
            return None
        url = None
        if self._settings.server.public_url is not None:
            base = self._settings.server.public_url.rstrip("/")
            url = f"{base}/api/v1/incidents/{facts.incident.id}/reports/{current.report}?format=html"
        return ReportSummary(current.report, current.title, current.gaps, url)


def bank_context(settings: Settings) -> BankContext:
    """Return the bank as messages describe it."""
    bank = settings.bank
    return BankContext(
        name=bank.name,
        unit=reporting_unit(settings),
        hotline=bank.customers.hotline,
        status_page=bank.customers.status_page,
        compensation=bank.customers.compensation,
    )
