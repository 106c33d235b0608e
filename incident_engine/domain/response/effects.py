"""The effects of events: of outages on impairments, and of people's actions on steps."""

from collections.abc import Iterable, Mapping
from itertools import islice

from incident_engine.domain.events.actions import (
    IncidentClosed,
    StepAcknowledged,
    StepAdded,
    StepApproved,
    StepAssigned,
    StepCompleted,
    StepSkipped,
)
from incident_engine.domain.events.case_events import EventsByType
from incident_engine.domain.events.effect import (
    ADDED,
    CLOSED,
    RECORDED,
    SHOWN,
    Effect,
    EffectReason,
    EventEffect,
    Line,
)
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, OutageEvent, Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.handling import Handling
from incident_engine.domain.incidents.fold import FoldState
from incident_engine.domain.incidents.incident import Impairment
from incident_engine.domain.incidents.signals import in_order
from incident_engine.domain.response.step import Awaits, Step

Impairments = Mapping[Line, Impairment]
"""The impairments by service and region. One without an entry works."""


def lines_of(event: OutageEvent) -> list[Line]:
    """Return the service of an outage event with each of its regions."""
    return [(event.service, region) for region in event.regions]


def outage_effect(
    event: OutageEvent, before: Impairments, after: Impairments, *, was_impaired: bool, has_changed: bool
) -> EventEffect:
    """Return the effect of an outage event.

    `before` has the impairments of the event's own services and regions before it, `after` all of the incident after
    it, the longest first. `was_impaired`: anything was impaired before. `has_changed` is False if the incident is as
    it was, also in its past.
    """
    own = sorted(lines_of(event))
    hit = tuple(line for line in own if line in after and line not in before)
    if hit:
        effect = Effect.EXTENDED if was_impaired else Effect.STARTED
        return EventEffect(effect, EffectReason(f"effect_{effect.value}"), lines=hit)
    # Only as many as a sentence names: with thousands of outages each end would list all the others.
    down, down_count = tuple(islice(after, SHOWN)), len(after)
    works = tuple(line for line in own if line in before and line not in after)
    if works:
        effect = Effect.PARTLY_ENDED if down else Effect.ENDED
        return EventEffect(
            effect, EffectReason(f"effect_{effect.value}"), lines=works, down=down, down_count=down_count
        )
    other = tuple(line for line in own if before.get(line) != after.get(line))
    if other:
        return EventEffect(Effect.CHANGED, EffectReason.CHANGED, lines=other)
    if has_changed:
        return EventEffect(Effect.CHANGED, EffectReason.PAST_CHANGED)
    if event.type != EventType.OUTAGE_RESTORED:
        return EventEffect(Effect.NONE, EffectReason.DOWN_ALREADY)
    if any(line in after for line in own):
        return EventEffect(Effect.NONE, EffectReason.OTHER_SIGNALS)
    reason = EffectReason.WAS_NOT_DOWN if down else EffectReason.NOTHING_DOWN
    return EventEffect(Effect.NONE, reason, lines=tuple(own), down=down, down_count=down_count)


def person_effect(event: Event, step: Step | None, handling: Handling) -> EventEffect:
    """Return the effect of a person's event, given its step and the actions of people before it."""
    match event:
        case IncidentClosed():
            return CLOSED
        case StepAdded():
            return ADDED
        case StepAcknowledged() | StepCompleted() | StepSkipped() | StepAssigned() | StepApproved() if step is not None:
            return _earlier(event, step, handling) or _effect_on_step(event, step)
        case StepCompleted():
            return EventEffect(Effect.COMPLETED, EffectReason.COMPLETED, by=event.data.by)
        case _:
            return RECORDED


StepEvent = StepAcknowledged | StepCompleted | StepSkipped | StepAssigned | StepApproved


def _effect_on_step(event: StepEvent, step: Step) -> EventEffect:
    if isinstance(event, StepCompleted) and step.awaits is None and step.fulfils is None:
        return EventEffect(Effect.NONE, EffectReason.AWAITS_NOBODY)
    if isinstance(event, StepAssigned):
        return EventEffect(Effect.ASSIGNED, EffectReason.ASSIGNED, by=event.data.to)
    word = event.type.value.removeprefix("step.")
    return EventEffect(Effect(word), EffectReason(f"effect_{word}"), by=event.data.by)


def _earlier(event: StepEvent, step: Step, handling: Handling) -> EventEffect | None:
    """Return the effect of an action that comes after another one which settled the step; None if there is none."""
    answer: StepEvent | None
    # A message has gone out with its approval; a report that was approved is still to be handed in.
    if isinstance(event, StepApproved) or step.approval is not None:
        answer, reason = handling.approval_of(step.id), EffectReason.APPROVED_ALREADY
    else:
        answer = handling.answer_to(step.id, by_acknowledgement=step.awaits is Awaits.ACKNOWLEDGEMENT)
        reason = EffectReason.ANSWERED_ALREADY
    if answer is None:
        answer, reason = handling.skip_of(step.id), EffectReason.SKIPPED_ALREADY
    if answer is not None and not (isinstance(event, StepCompleted) and isinstance(answer, StepSkipped)):
        return EventEffect(Effect.NONE, reason, answer.data.by, answer.occurred_at)
    owner = handling.assignment_of(step.id)
    if isinstance(event, StepAssigned) and owner is not None and owner.data.to == event.data.to:
        return EventEffect(Effect.NONE, EffectReason.ASSIGNED_ALREADY, owner.data.to, owner.occurred_at)
    return None


def effects_of(events: Iterable[Recorded], steps: Mapping[str, Step]) -> dict[tuple[str, str], EventEffect]:
    """Return the effect of each event of an incident, by its key, in the order in which the events occurred.

    An answer to a report speaks of what was known then; this speaks of what is known now.
    """
    state, effects = FoldState(), dict[tuple[str, str], EventEffect]()
    for recorded in in_order(r for r in events if not isinstance(r.event, MaintenanceAnnounced)):
        event, was_closed = recorded.event, state.closing is not None
        if isinstance(event, OutageEvent):
            was_impaired = bool(state.impaired)
            before = {line: state.impaired[line] for line in lines_of(event) if line in state.impaired}
            state.apply(recorded)
            effect = outage_effect(event, before, state.impaired, was_impaired=was_impaired, has_changed=False)
        else:
            handling = Handling(EventsByType({kind: tuple(reports) for kind, reports in state.reported.items()}))
            effect = person_effect(event, step_of(event, steps), handling)
            state.apply(recorded)
        if was_closed and state.closing is None:
            effect = EventEffect(Effect.REOPENED, EffectReason.REOPENED)
        effects[recorded.key] = effect
    return effects


def step_of(event: Event, steps: Mapping[str, Step]) -> Step | None:
    """Return the step behind an action: the parent of a derived one."""
    named = steps.get(getattr(event.data, "step", None) or "")
    return steps.get(named.base, named) if named is not None else None
