"""The effect of an event: a word of a closed set for programs, the reason for it, and one sentence for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum

from incident_engine.common.i18n import Translator
from incident_engine.domain.regions import region_name
from incident_engine.domain.values import LOCALES, LocalizedText

SHOWN = 5
"""Lines that a sentence names; the others are counted."""

Line = tuple[str, str]
"""A service and a region."""


class Effect(StrEnum):
    """The effect of an event on its incident."""

    STARTED = "started"
    EXTENDED = "extended"
    CHANGED = "changed"
    PARTLY_ENDED = "partly_ended"
    ENDED = "ended"
    REOPENED = "reopened"
    CLOSED = "closed"
    RECORDED = "recorded"
    ACKNOWLEDGED = "acknowledged"
    APPROVED = "approved"
    COMPLETED = "completed"
    SKIPPED = "skipped"
    ASSIGNED = "assigned"
    ADDED = "added"
    NONE = "none"
    """It is on record and changes nothing."""


class EffectReason(StrEnum):
    """The reason for an effect, and the key of its sentence in the catalogue."""

    STARTED = "effect_started"
    EXTENDED = "effect_extended"
    CHANGED = "effect_changed"
    PAST_CHANGED = "effect_past_changed"
    PARTLY_ENDED = "effect_partly_ended"
    ENDED = "effect_ended"
    REOPENED = "effect_reopened"
    CLOSED = "effect_closed"
    RECORDED = "effect_recorded"
    ACKNOWLEDGED = "effect_acknowledged"
    APPROVED = "effect_approved"
    COMPLETED = "effect_completed"
    SKIPPED = "effect_skipped"
    ASSIGNED = "effect_assigned"
    ADDED = "effect_added"
    DOWN_ALREADY = "effect_down_already"
    WAS_NOT_DOWN = "effect_was_not_down"
    NOTHING_DOWN = "effect_nothing_down"
    OTHER_SIGNALS = "effect_other_signals"
    ANSWERED_ALREADY = "effect_answered_already"
    APPROVED_ALREADY = "effect_approved_already"
    SKIPPED_ALREADY = "effect_skipped_already"
    ASSIGNED_ALREADY = "effect_assigned_already"
    AWAITS_NOBODY = "effect_awaits_nobody"
    DUPLICATE = "effect_duplicate"
    QUARANTINED = "effect_quarantined"


@dataclass(frozen=True, slots=True)
class EventEffect:
    """The effect of one event, with the values of its sentence."""

    effect: Effect
    reason: EffectReason
    by: str | None = None
    """The person who has a step, or did it before."""
    at: datetime | None = None
    lines: tuple[Line, ...] = ()
    """The services and regions that the sentence is about."""
    down: tuple[Line, ...] = ()
    """The first SHOWN services and regions that are still impaired, the longest first."""
    down_count: int = 0
    """The number of services and regions that are still impaired."""


RECORDED = EventEffect(Effect.RECORDED, EffectReason.RECORDED)
ADDED = EventEffect(Effect.ADDED, EffectReason.ADDED)
CLOSED = EventEffect(Effect.CLOSED, EffectReason.CLOSED)
DUPLICATE = EventEffect(Effect.NONE, EffectReason.DUPLICATE)
QUARANTINED = EventEffect(Effect.NONE, EffectReason.QUARANTINED)


def sentences(effect: EventEffect, zone: tzinfo, service_names: Mapping[str, LocalizedText]) -> dict[str, str]:
    """Return the sentence of an effect by language. Instants are in local time, to the second."""
    return {locale: _sentence(effect, locale, zone, service_names) for locale in LOCALES}


def _sentence(effect: EventEffect, locale: str, zone: tzinfo, service_names: Mapping[str, LocalizedText]) -> str:
    translate = Translator(locale)

    def named(lines: Sequence[Line], count: int) -> str:
        shown = [
            (service_names[service].in_(locale) if service in service_names else service, region_name(region, locale))
            for service, region in lines[:SHOWN]
        ]
        more = [translate("effect_more").format(count=count - SHOWN)] if count > SHOWN else []
        return translate("effect_separator").join([translate("effect_line").format(*line) for line in shown] + more)

    return translate(effect.reason.value).format(
        by=effect.by,
        at=f"{effect.at.astimezone(zone):%Y-%m-%d %H:%M:%S}" if effect.at is not None else "",
        lines=named(effect.lines, len(effect.lines)),
        down=named(effect.down, effect.down_count),
    )
