"""Alertmanager's webhook, version 4: firing and resolved alerts become outages that start and are restored.

Source: Prometheus' documentation, "Alertmanager: webhook_config". Unknown fields are ignored.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from incident_engine.common.errors import InvalidDocumentError
from incident_engine.common.validation import problems_of
from incident_engine.config.settings import AlertmanagerSettings
from incident_engine.domain.events.fields import INSTANT, KNOWN_SERVICES, Instant
from incident_engine.domain.events.model import EVENT, Event, OutageEvent, outage_started
from incident_engine.domain.events.types import EventType
from incident_engine.domain.values import RESOLUTION

SOURCE = "alertmanager"
RESOLVED = "/resolved"
"""How the id of a restoration ends; before it stands the id of its start."""


class Alert(BaseModel):
    """One alert of a notification."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: Instant  # noqa: N815 - the name on the wire
    endsAt: AwareDatetime | None = None  # noqa: N815
    fingerprint: str


class Notification(BaseModel):
    """What Alertmanager posts."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    version: Literal["4"]
    alerts: tuple[Any, ...]
    """Each is read by itself: one that is malformed must not keep the others out."""


class QuarantineReason(StrEnum):
    """Why an alert cannot become an event."""

    NO_SERVICE_LABEL = "no_service_label"
    NO_REGION_LABEL = "no_region_label"
    UNKNOWN_SERVICE = "unknown_service"
    UNKNOWN_REGION = "unknown_region"
    FROM_THE_FUTURE = "from_the_future"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An alert that cannot be mapped, kept for a person to see."""

    key: str
    reason: QuarantineReason
    detail: str
    document: Mapping[str, Any]


def parse_notification(document: object) -> Notification:
    """Return the notification. Raises InvalidDocumentError if it is not one of version 4."""
    try:
        return Notification.model_validate(document)
    except ValidationError as error:
        raise InvalidDocumentError(problems_of(error, Notification, document)) from None


class AlertMapper:
    """Maps alerts to events by the bank's labels and services.

    Most alerts of a storm are alike but for their names. What an ordinary firing alert says of service and regions is
    looked up among those that were validated before; whatever is out of the ordinary is validated from the beginning.
    """

    def __init__(self, settings: AlertmanagerSettings, services: Mapping[str, object]) -> None:
        self._settings = settings
        self._services = services
        self._instant = lru_cache(maxsize=_ALIKE)(_instant)
        self._place = lru_cache(maxsize=_ALIKE)(self._validated_place)

    def map(self, notification: Notification, latest: datetime) -> tuple[list[Event], list[Quarantined]]:
        """Return the events that the alerts mean, and the alerts that mean nothing to us. None is after `latest`."""
        events: list[Event] = []
        quarantined: list[Quarantined] = []
        for given in notification.alerts:
            ordinary = self._ordinary(given, latest)
            if ordinary is not None:
                events.append(ordinary)
                continue
            try:
                events += _events(_alert(given), self._settings, self._services, latest)
            except _CannotMapError as problem:
                document = given if isinstance(given, dict) else {"alert": given}
                quarantined.append(Quarantined(_key_of(given), problem.reason, problem.detail, document))
        return events, quarantined

    def _ordinary(self, given: Any, latest: datetime) -> Event | None:
        """Return the event that an ordinary firing alert means, the same as `_events`; None for any other alert."""
        try:
            labels, annotations, fingerprint = given["labels"], given.get("annotations", _NONE), given["fingerprint"]
            at = self._instant(given["startsAt"])
            place = self._place(labels[self._settings.service_label], labels[self._settings.region_label])
            name, summary = labels.get("alertname", ""), annotations.get("summary", "")
            known = given["status"] == "firing" and at is not None and at <= latest and place is not None
            texts = [*labels.values(), *annotations.values(), *labels, *annotations]
        except (AttributeError, KeyError, TypeError):
            return None
        if not known or set(map(type, texts)) != _TEXT or not _is_plain(fingerprint):
            return None
        if "endsAt" in given and self._instant(given["endsAt"]) is None and given["endsAt"] != _GO_ZERO:
            return None
        assert at is not None and place is not None  # noqa: S101, PT018 - they are known
        service, regions = place
        data = {"signal": fingerprint, "alertname": name, "summary": summary}
        return outage_started(SOURCE, f"{fingerprint}/{at.isoformat()}", at, service, regions, data)

    def _validated_place(self, service: str, region: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the service and regions that two labels name; None if an event cannot say so."""
        labels = {self._settings.service_label: service, self._settings.region_label: region}
        alert = {"status": "firing", "labels": labels, "startsAt": "1970-01-01T00:00:00Z", "fingerprint": "any"}
        try:
            (event,) = _events(_alert(alert), self._settings, self._services, _EVER)
        except _CannotMapError:
            return None
        assert isinstance(event, OutageEvent)  # noqa: S101 - what an alert means
        return event.service, event.regions


_ALIKE = 4_096
_TEXT = {str}
_NONE: Mapping[str, str] = {}
_EVER = datetime.max.replace(tzinfo=UTC)
_GO_ZERO = "0001-01-01T00:00:00Z"
"""Go's zero time: a firing alert has no end."""


def _is_plain(fingerprint: object) -> bool:
    return isinstance(fingerprint, str) and fingerprint.isascii() and fingerprint.isalnum() and len(fingerprint) <= 64


def _instant(text: str) -> datetime | None:
    """Return the instant of a text, None if it is none."""
    try:
        return INSTANT.validate_python(text)
    except ValidationError:
        return None


class _CannotMapError(Exception):
    def __init__(self, reason: QuarantineReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


def _alert(given: object) -> Alert:
    try:
        return Alert.model_validate(given)
    except ValidationError as error:
        problems = problems_of(error, Alert, given)
        said = "; ".join(f"{problem.pointer}: {problem.sentence()}" for problem in problems)
        raise _CannotMapError(QuarantineReason.INVALID, said) from None


def _key(alert: Alert) -> str:
    return f"{alert.fingerprint}/{alert.startsAt.isoformat()}"


def _key_of(given: object) -> str:
    """Return the key of an alert; of one that is malformed its fingerprint, if it has one, and a digest of the rest."""
    try:
        return _key(Alert.model_validate(given))
    except ValidationError:
        digest = hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:16]
        name = given.get("fingerprint", "") if isinstance(given, dict) else ""
        name = name if isinstance(name, str) and name.isprintable() else ""  # PostgreSQL takes no NUL
        return f"{name}/{digest}"


def _events(
    alert: Alert, settings: AlertmanagerSettings, services: Mapping[str, object], latest: datetime
) -> list[Event]:
    service = alert.labels.get(settings.service_label, "")
    regions = [part.strip() for part in alert.labels.get(settings.region_label, "").split(settings.region_separator)]
    regions = [region for region in regions if region]
    if not service:
        raise _CannotMapError(QuarantineReason.NO_SERVICE_LABEL, f"no label '{settings.service_label}'")
    if not regions:
        raise _CannotMapError(QuarantineReason.NO_REGION_LABEL, f"no label '{settings.region_label}'")
    if alert.startsAt > latest:
        raise _CannotMapError(QuarantineReason.FROM_THE_FUTURE, f"startsAt {alert.startsAt.isoformat()} has not come")
    common = {"source": SOURCE, "service": service, "regions": regions}
    data = {
        "signal": alert.fingerprint,
        "alertname": alert.labels.get("alertname", ""),
        "summary": alert.annotations.get("summary", ""),
    }
    kinds: list[tuple[EventType, str, datetime]] = [(EventType.OUTAGE_STARTED, "", alert.startsAt)]
    if alert.status == "resolved":
        # A restoration at the very start would leave the start standing; Prometheus' resolution is a millisecond.
        kinds.append((EventType.OUTAGE_RESTORED, RESOLVED, max(_ended_at(alert, latest), alert.startsAt + RESOLUTION)))
    return [
        _validated({**common, "id": _key(alert) + suffix, "type": kind, "occurred_at": at, "data": data}, services)
        for kind, suffix, at in kinds
    ]


def _ended_at(alert: Alert, latest: datetime) -> datetime:
    if alert.endsAt is None or alert.endsAt < alert.startsAt:
        raise _CannotMapError(QuarantineReason.INVALID, "resolved, but without an end that follows its start")
    if alert.endsAt > latest:
        raise _CannotMapError(QuarantineReason.FROM_THE_FUTURE, f"endsAt {alert.endsAt.isoformat()} has not come")
    return alert.endsAt


_REASON_BY_FIELD = {"service": QuarantineReason.UNKNOWN_SERVICE, "regions": QuarantineReason.UNKNOWN_REGION}


def _validated(document: Mapping[str, Any], services: Mapping[str, object]) -> Event:
    try:
        return EVENT.validate_python(document, context={KNOWN_SERVICES: services})
    except ValidationError as error:
        problems: Sequence[Any] = problems_of(error, Event, document)
        reason = _REASON_BY_FIELD.get(str(problems[0].path[0]), QuarantineReason.INVALID)
        raise _CannotMapError(reason, "; ".join(problem.sentence() for problem in problems)) from None
