"""Preview of a message: the text that a reader would get in a scenario, at an instant."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.signed_links import Links
from incident_engine.common.validation import unknown_problems
from incident_engine.config.scenario import STEP_ACTIONS, Scenario
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import OPENING, Event, MaintenanceAnnounced
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.incidents.correlation import group_of
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.messages.samples import Use, sample, uses
from incident_engine.domain.messages.templates import Message, MessageForm
from incident_engine.domain.response.playbook import StepTemplate
from incident_engine.domain.response.step import Step
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.step_id import has_short_name
from incident_engine.domain.values import NEVER
from incident_engine.engine.history import incidents_of
from incident_engine.engine.incident_type import incident_type
from incident_engine.engine.messages import StepMessages, bank_context
from incident_engine.engine.report_facts import facts_of

_MAX_ROUNDS = 100
"""Rounds of planning after which the search for a start of a step is given up."""


@dataclass(frozen=True, slots=True)
class PreviewRequest:
    """A template in a form and a language, for the first step that uses it or for one of its steps."""

    template: str
    locale: str
    form: MessageForm = MessageForm.LONG
    step: str | None = None
    after: timedelta | None = None
    """The time since the scenario's start; None: when the step starts."""


@dataclass(frozen=True, slots=True)
class Preview:
    """A message with its step and instant; the step is None if the message is of a sample situation."""

    message: Message
    at: datetime
    reader: str
    step: Step | None
    has_form: bool
    """Whether the template has a text of its own for the form; if not, the subject or the long form stands for it."""


@dataclass(frozen=True, slots=True)
class _PlannedIncident:
    """An incident as it is known at an instant, with its plan."""

    incident: Incident
    assessments: Sequence[Assessment]
    steps: Sequence[Step]
    now: datetime


_Candidate = tuple[_PlannedIncident, Step]


def preview(request: PreviewRequest, scenario: Scenario, settings: Settings, rulebook: Rulebook) -> Preview:
    """Return a template as its reader gets it. Raises InvalidDocumentError if the template or step does not exist."""
    problems = list(unknown_problems((), "template", request.template, sorted(rulebook.messages.names())))
    if request.step is not None:
        steps = [step.id for playbook in rulebook.playbooks for step in playbook.steps]
        problems += unknown_problems((), "step", request.step, steps)
    if problems:
        raise InvalidDocumentError(problems)
    timeline = _Timeline(scenario, settings, rulebook)
    if request.after is None:
        candidate = timeline.first(request)
    else:
        candidate = timeline.at(request, scenario.start + request.after)
    if candidate is None:
        return _sample_preview(request, settings, rulebook)
    return _scenario_preview(request, *candidate, settings, rulebook)


class _Timeline:
    """The incidents and plans of a scenario at any of its instants."""

    def __init__(self, scenario: Scenario, settings: Settings, rulebook: Rulebook) -> None:
        self._settings = settings
        self._rulebook = rulebook
        self._type = incident_type(settings, rulebook)
        self._events: list[Event] = []
        # In order of time: an event may name an incident or a step that earlier events brought about.
        for event in scenario.native_events():
            self._events.append(self._addressed(event))

    def first(self, request: PreviewRequest) -> _Candidate | None:
        """Return the first step that uses the template, with the incident as it is known when the step starts."""
        instants = sorted({event.occurred_at for event in self._events})
        for known_at, until in zip(instants, [*instants[1:], NEVER], strict=True):
            now = known_at
            for _ in range(_MAX_ROUNDS):
                candidates = list(self._candidates(request, known_at, now))
                started = [candidate for candidate in candidates if candidate[1].due_at <= now]
                if started:
                    return min(started, key=lambda candidate: candidate[1].due_at)
                # The plan may change until the step is due: plan again as of then.
                now = min((step.due_at for _, step in candidates), default=NEVER)
                if now >= until:
                    break
        return None

    def at(self, request: PreviewRequest, now: datetime) -> _Candidate | None:
        """Return the latest started step that uses the template; else the next one, as of its expected start."""
        candidates = list(self._candidates(request, now, now))
        started = [candidate for candidate in candidates if candidate[1].due_at <= now]
        if started:
            return max(started, key=lambda candidate: candidate[1].due_at)
        coming = min(candidates, key=lambda candidate: candidate[1].due_at, default=None)
        if coming is None:
            return None
        later = self._candidates(request, now, coming[1].due_at)
        return next((candidate for candidate in later if candidate[1].id == coming[1].id), coming)

    def _candidates(self, request: PreviewRequest, known_at: datetime, now: datetime) -> Iterator[_Candidate]:
        """Yield the steps that use the template, planned at `now` from the events up to `known_at`."""
        for planned in self._planned(known_at, now):
            for step in planned.steps:
                if step.template == request.template and request.step in (None, step.step):
                    yield planned, step

    def _planned(self, known_at: datetime, now: datetime) -> Iterator[_PlannedIncident]:
        for incident, _ in incidents_of(self._events, self._settings, known_at):
            assessments = [self._type.assess(incident, pack, now, ()) for pack in self._rulebook.packs]
            steps = self._type.plan(incident, assessments, now, {})
            started = {step.id: step.due_at for step in steps if step.parent_id is None and step.due_at <= now}
            # Reminders and escalations depend on when their step started.
            yield _PlannedIncident(incident, assessments, self._type.plan(incident, assessments, now, started), now)

    def _addressed(self, event: Event) -> Event:
        """Return an event with the ids of its incident and step filled in, as a drill sends it."""
        if isinstance(event, (*OPENING, MaintenanceAnnounced)) or event.incident is not None:
            return event
        groups = self._settings.groups
        own = [
            planned
            for planned in self._planned(event.occurred_at, event.occurred_at)
            if event.service is None
            or group_of(event.service, groups) in {group_of(service, groups) for service in planned.incident.services}
        ]
        if not own:
            return event
        event = event.model_copy(update={"incident": own[-1].incident.id})
        name = getattr(event.data, "step", None) if event.type in STEP_ACTIONS else None
        if name is None or ":" in name:
            return event
        # A short name, `page` or `page/II`, means the latest such step that has started, or else the next one.
        steps = [
            step for step in own[-1].steps if has_short_name(name, step.step, step.instance) and step.parent_id is None
        ]
        started = [step for step in steps if step.due_at <= own[-1].now]
        for step in (*reversed(started), *steps):
            return event.model_copy(update={"data": event.data.model_copy(update={"step": step.id})})
        return event


def _scenario_preview(
    request: PreviewRequest, planned: _PlannedIncident, step: Step, settings: Settings, rulebook: Rulebook
) -> Preview:
    messages = StepMessages(settings, rulebook, Links(settings.server.public_url, "preview"))
    facts = facts_of(settings, planned.incident, rulebook.packs, planned.assessments, rulebook.playbooks)
    drafts: list[Mapping[str, str]] = []
    parent = next((other for other in planned.steps if other.id == step.parent_id and other.approval is not None), None)
    if parent is not None:
        context = messages.context(parent, facts, planned.now)
        readers = {member.locale: member for member in reversed(settings.people.members(parent.audience, planned.now))}
        for locale, reader in sorted(readers.items(), reverse=True):
            variables = context.variables(locale, reader.name.in_(locale))
            draft = rulebook.messages.render(parent.template, locale, variables)
            drafts.append({"locale": locale, "subject": draft.subject, "body": draft.body})
    members = settings.people.members(step.audience, planned.now)
    reader = next((member for member in members if member.locale == request.locale), members[0])
    variables = messages.variables(messages.context(step, facts, planned.now, drafts), reader, request.locale)
    return _rendered(request, rulebook, variables, planned.now, reader.name.in_(request.locale), step)


def _sample_preview(request: PreviewRequest, settings: Settings, rulebook: Rulebook) -> Preview:
    """Return a template with sample values for the first step that can use it, else for one that announces a level."""
    users = (
        (step, use)
        for playbook in rulebook.playbooks
        for step in playbook.steps
        if request.step in (None, step.id)
        for use, template in uses(step)
        if template == request.template
    )
    fallback = {"id": "sample", "on": {"first_level": True}, "audience": "sample", "template": request.template}
    step, use = next(users, (StepTemplate.model_validate(fallback), Use.STEP))
    variables = sample(step, use)
    variables["bank"] = bank_context(settings).variables(request.locale)
    return _rendered(request, rulebook, variables, variables["now"], variables["recipient"]["name"], None)


def _rendered(
    request: PreviewRequest,
    rulebook: Rulebook,
    variables: Mapping[str, Any],
    at: datetime,
    reader: str,
    step: Step | None,
) -> Preview:
    message = rulebook.messages.render(request.template, request.locale, variables, request.form)
    has_form = request.form in rulebook.messages.forms(request.template, request.locale)
    return Preview(message, at, reader, step, has_form)
