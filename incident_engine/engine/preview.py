"""A look at a message before it is needed: as a reader would get it in a scenario, at an instant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.i18n import Translator
from incident_engine.common.signed_links import Links
from incident_engine.common.validation import unknown_problems
from incident_engine.config.scenario import STEP_ACTIONS, Scenario
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import OPENING, Event, MaintenanceAnnounced
from incident_engine.domain.grading.assessment import Assessment, assess
from incident_engine.domain.incidents.correlation import group_of
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.messages.context import MessageContext, ReportSummary
from incident_engine.domain.messages.formatting import format_duration, format_instant
from incident_engine.domain.messages.samples import Use, sample, uses
from incident_engine.domain.messages.templates import Message, MessageForm
from incident_engine.domain.response.occurrences import PlanSettings
from incident_engine.domain.response.plan import plan
from incident_engine.domain.response.playbook import Playbook, StepTemplate
from incident_engine.domain.response.step import Step
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.step_id import has_short_name
from incident_engine.domain.values import NEVER, LocalizedText
from incident_engine.engine.offline import incidents_of
from incident_engine.engine.report_versions import facts_of, outlook
from incident_engine.engine.steps import bank_context

_LOOKS = 100
"""How often the plan may move a step away before it is given up."""


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """What to look at: a template in a form and a language, for any step that uses it or for one of them."""

    template: str
    locale: str
    form: MessageForm = MessageForm.LONG
    step: str | None = None
    after: timedelta | None = None
    """How long after the scenario's start; none: when the step begins."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A message with the step and the instant of which it speaks; no step if it is of a sample situation."""

    message: Message
    at: datetime
    reader: str
    step: Step | None
    has_form: bool
    """Whether the template has the form of its own; else the subject or the long form stands for it."""


@dataclass(frozen=True, slots=True)
class _KnownIncident:
    """An incident as it is known at an instant, with the steps that follow."""

    incident: Incident
    assessments: Sequence[Assessment]
    steps: Sequence[Step]
    now: datetime


def preview(wanted: PreviewRequest, scenario: Scenario, settings: Settings, rulebook: Rulebook) -> Preview:
    """Return a template as its reader gets it. Raises InvalidDocumentError for a template or step that there is not."""
    problems = list(unknown_problems((), "template", wanted.template, sorted(rulebook.messages.names())))
    if wanted.step is not None:
        steps = [step.id for playbook in rulebook.playbooks for step in playbook.steps]
        problems += unknown_problems((), "step", wanted.step, steps)
    if problems:
        raise InvalidDocumentError(problems)
    course = _Course(scenario, settings, rulebook)
    found = course.first(wanted) if wanted.after is None else course.at(wanted, scenario.start + wanted.after)
    return _sampled(wanted, settings, rulebook) if found is None else _written(wanted, *found, settings, rulebook)


class _Course:
    """What is known, and what follows, from instant to instant of a scenario."""

    def __init__(self, scenario: Scenario, settings: Settings, rulebook: Rulebook) -> None:
        self._settings = settings
        self._rulebook = rulebook
        calendar = rulebook.bank_calendar(settings.bank.calendar)
        self._basis = PlanSettings(settings.bank.zone, calendar, settings.closing.observation)
        self._events: list[Event] = []
        for event in scenario.native_events():
            self._events.append(self._as_meant(event))

    def _as_meant(self, event: Event) -> Event:
        """Return an event with its incident, and the step that it names in short by its id, as a drill sends it."""
        if isinstance(event, (*OPENING, MaintenanceAnnounced)) or event.incident is not None:
            return event
        group = group_of(event.service, self._settings.groups)
        known = list(self._known(event.occurred_at, event.occurred_at))
        own = [each for each in known if event.service is None or group in self._groups(each.incident)]
        if not own:
            return event
        event = event.model_copy(update={"incident": own[-1].incident.id})
        named = getattr(event.data, "step", None) if event.type in STEP_ACTIONS else None
        meant = None if named is None or ":" in named else _meant(named, own[-1])
        return event.model_copy(update={"data": event.data.model_copy(update={"step": meant})}) if meant else event

    def _groups(self, incident: Incident) -> set[str]:
        return {group_of(service, self._settings.groups) for service in incident.services}

    def first(self, wanted: PreviewRequest) -> tuple[_KnownIncident, Step] | None:
        """Return the first step that uses a template, as it is known when it begins."""
        instants = sorted({event.occurred_at for event in self._events})
        for said_at, until in zip(instants, [*instants[1:], NEVER], strict=True):
            now = said_at
            for _ in range(_LOOKS):
                steps = list(self._using(wanted, said_at, now))
                begun = [found for found in steps if found[1].due_at <= now]
                if begun:
                    return min(begun, key=lambda found: found[1].due_at)
                now = min((step.due_at for _, step in steps), default=NEVER)
                if now >= until:
                    break
        return None

    def at(self, wanted: PreviewRequest, now: datetime) -> tuple[_KnownIncident, Step] | None:
        """Return the latest step that uses a template and has begun; else the next one, as it is expected to begin."""
        steps = list(self._using(wanted, now, now))
        begun = [found for found in steps if found[1].due_at <= now]
        if begun:
            return max(begun, key=lambda found: found[1].due_at)
        coming = min(steps, key=lambda found: found[1].due_at, default=None)
        if coming is None:
            return None
        later = (found for found in self._using(wanted, now, coming[1].due_at) if found[1].id == coming[1].id)
        return next(later, coming)

    def _using(
        self, wanted: PreviewRequest, known_at: datetime, now: datetime
    ) -> Iterator[tuple[_KnownIncident, Step]]:
        """Yield the steps that use a template, by what had been said at `known_at`, as they are planned at `now`."""
        for known in self._known(known_at, now):
            for step in known.steps:
                if step.template == wanted.template and wanted.step in (None, step.step):
                    yield known, step

    def _known(self, known_at: datetime, now: datetime) -> Iterator[_KnownIncident]:
        book = self._rulebook
        for incident, _ in incidents_of(self._events, self._settings, known_at):
            verdicts = [assess(incident, pack, book.hours, now, (), book.calendars) for pack in book.packs]
            planned = plan(incident, verdicts, book.playbooks, now, self._basis)
            begun = {step.id: step.due_at for step in planned if step.parent_id is None and step.due_at <= now}
            steps = plan(incident, verdicts, book.playbooks, now, self._basis, begun)
            yield _KnownIncident(incident, verdicts, steps, now)


def _meant(name: str, known: _KnownIncident) -> str | None:
    """Return the id of the step that a short name means, `page` or `page/II`: the latest that has begun, or the next.

    What is derived of a step is not meant.
    """
    steps = [each for each in known.steps if has_short_name(name, each.step, each.instance) and each.parent_id is None]
    begun = [each for each in steps if each.due_at <= known.now]
    return next((each.id for each in [*reversed(begun), *steps]), None)


def _written(
    wanted: PreviewRequest, known: _KnownIncident, step: Step, settings: Settings, rulebook: Rulebook
) -> Preview:
    situation = _situation(known, step, settings, rulebook, _drafts(known, step, settings, rulebook))
    members = settings.people.members(step.audience, known.now)
    reader = next((each for each in members if each.locale == wanted.locale), members[0])
    asks = step.awaits is not None or step.parent_id is not None
    links = Links(settings.server.public_url, "preview").for_step(step.base, reader.id) if asks else None
    name = reader.name.in_(wanted.locale)
    return _preview(wanted, rulebook, situation.variables(wanted.locale, name, links), known.now, name, step)


def _situation(
    known: _KnownIncident, step: Step, settings: Settings, rulebook: Rulebook, drafts: Sequence[Mapping[str, str]] = ()
) -> MessageContext:
    return MessageContext(
        bank=bank_context(settings),
        service_names=settings.service_names,
        incident=known.incident,
        packs=rulebook.packs,
        assessments=known.assessments,
        step=step,
        now=known.now,
        drafts=drafts,
        report=_report(known, step, settings, rulebook),
    )


def _report(known: _KnownIncident, step: Step, settings: Settings, rulebook: Rulebook) -> ReportSummary | None:
    """Return how the report stands for which a step, or the one it is derived of, asks."""
    name = next((each.report for each in known.steps if each.id == step.base), step.report)
    if name is None:
        return None
    facts = facts_of(settings, known.incident, rulebook.packs, known.assessments)
    current = outlook(facts, rulebook.reports, name, step.instance)
    if current is None:
        return None
    return ReportSummary(current.report, LocalizedText.model_validate(current.titles), current.gaps, None)


def _drafts(known: _KnownIncident, step: Step, settings: Settings, rulebook: Rulebook) -> list[Mapping[str, str]]:
    """Return the words that wait for an approval, if a step asks for one: once in each language of their readers."""
    held = next((each for each in known.steps if each.id == step.parent_id and each.approval is not None), None)
    if held is None:
        return []
    situation = _situation(known, held, settings, rulebook)
    readers = {each.locale: each for each in reversed(settings.people.members(held.audience, known.now))}
    drafts: list[Mapping[str, str]] = []
    for locale, reader in sorted(readers.items(), reverse=True):
        said = rulebook.messages.render(held.template, locale, situation.variables(locale, reader.name.in_(locale)))
        drafts.append({"locale": locale, "subject": said.subject, "body": said.body})
    return drafts


def _sampled(wanted: PreviewRequest, settings: Settings, rulebook: Rulebook) -> Preview:
    """Return a template in a sample situation, of the first step that can use it, else of one that tells a level."""
    step, use = next(_users(wanted, rulebook.playbooks), (_any_step(wanted.template), Use.STEP))
    variables = sample(step, use)
    variables["bank"] = bank_context(settings).variables(wanted.locale)
    return _preview(wanted, rulebook, variables, variables["now"], variables["recipient"]["name"], None)


def _users(wanted: PreviewRequest, playbooks: Sequence[Playbook]) -> Iterator[tuple[StepTemplate, Use]]:
    for playbook in playbooks:
        for step in playbook.steps:
            if wanted.step in (None, step.id):
                yield from ((step, use) for use, name in uses(step) if name == wanted.template)


def _any_step(template: str) -> StepTemplate:
    return StepTemplate.model_validate(
        {"id": "sample", "on": {"first_level": True}, "audience": "sample", "template": template}
    )


def _preview(
    wanted: PreviewRequest,
    rulebook: Rulebook,
    variables: Mapping[str, Any],
    at: datetime,
    reader: str,
    step: Step | None,
) -> Preview:
    message = rulebook.messages.render(wanted.template, wanted.locale, variables, wanted.form)
    has_form = wanted.form in rulebook.messages.forms(wanted.template, wanted.locale)
    return Preview(message, at, reader, step, has_form)


def lines(
    found: Preview, wanted: PreviewRequest, scenario: Scenario, settings: Settings, translate: Translator
) -> Iterator[str]:
    """Yield what is printed of a preview: whose message it is and when, the message itself, how long it is."""
    if found.step is None:
        yield f"! {translate('no such step')}"
    else:
        at, after = format_instant(found.at, translate.locale, settings.bank.zone), found.at - scenario.start
        offset = translate("after the start").format(format_duration(after, translate.locale))
        yield f"{translate('step')}: {found.step.id}"
        yield f"{translate('message time')}: {at} ({offset})"
    yield f"{translate('message reader')}: {found.reader}"
    fallback = "" if found.has_form else f" – {translate('no separate form')}"
    yield f"{translate('message form')}: {translate(wanted.form)}{fallback}"
    if wanted.form is not MessageForm.SHORT:
        yield f"{translate('subject')}: {found.message.subject}"
    yield ""
    yield found.message.body
    length = f"{translate('length')}: {len(found.message.body.strip())}"
    parts = f" · {translate('text messages')}: {found.message.sms_parts}" if wanted.form is MessageForm.SHORT else ""
    yield length + parts
