"""Alertmanager's webhook, version 4: firing and resolved alerts become outages that start and are restored.

Source: Prometheus' documentation, "Alertmanager: webhook_config". Unknown fields are ignored.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, ValidationError

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.plain_text import storable, without_controls
from incident_engine.common.validation import problems_of
from incident_engine.config.settings import AlertmanagerSettings, Settings
from incident_engine.domain.events.fields import EVERYWHERE, INSTANT, KNOWN_SERVICES, Instant
from incident_engine.domain.events.model import EVENT, Event, OutageEvent, Repeats, outage_started
from incident_engine.domain.events.types import ITSELF, EventType
from incident_engine.domain.values import RESOLUTION
from incident_engine.intake.base import Batch, Format, FormatDocs, IntakeContext, Overrides, Rejected
from incident_engine.intake.document import MOST_KEYS, has_too_many_keys, parse_plain_json

SOURCE = "alertmanager"
OWN_LABEL = "origin"
"""The label that the documented alert rules set to incident-engine, for Alertmanager's routes and for us."""
OWN_METRICS = "incident_engine_"
"""The beginning of the names of our metrics."""


class Alert(BaseModel):
    """One alert of a notification."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str] = {}
    startsAt: Instant  # noqa: N815 - the name on the wire
    endsAt: AwareDatetime | None = None  # noqa: N815
    fingerprint: str


def _count(value: object) -> int:
    # A figure that cannot be used must not keep the alerts out.
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63 else 0


class Notification(BaseModel):
    """A request body of Alertmanager's webhook."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    version: Literal["4"]
    # Alerts are validated one by one later: a malformed alert must not keep the others out.
    alerts: tuple[Any, ...]
    truncatedAlerts: Annotated[int, BeforeValidator(_count)] = 0  # noqa: N815 - the name on the wire
    """The number of alerts that Alertmanager left out, by `max_alerts` of the receiver."""


class DescribedNotification(Notification):
    """A request body of Alertmanager's webhook."""

    model_config = ConfigDict(title="Notification")
    alerts: tuple[Alert, ...]


class QuarantineReason(StrEnum):
    """Why an alert cannot become an event."""

    NO_SERVICE_LABEL = "no_service_label"
    NO_REGION_LABEL = "no_region_label"
    UNKNOWN_SERVICE = "unknown_service"
    UNKNOWN_REGION = "unknown_region"
    FROM_THE_FUTURE = "from_the_future"
    INVALID = "invalid"


class AlertmanagerFormat(Format):
    """Parses notifications of Alertmanager. Alerts that cannot be mapped wait in quarantine."""

    name = "Alertmanager"
    path = "/api/v1/alertmanager"
    source = SOURCE
    has_quarantine = True
    repeats = Repeats.ALERTS
    docs = FormatDocs(
        summary="接收 Alertmanager 通知 · Take a notification of Alertmanager",
        description="Alertmanager 的 webhook（版本 4）；无法对应系统或地区的告警进入隔离区。"
        " Alertmanager's webhook, version 4. What cannot be mapped to a service and region waits in quarantine.",
        models={"Notification": DescribedNotification},
        body={"$ref": "#/components/schemas/Notification"},
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings.alertmanager
        self._mapper = AlertMapper(settings.alertmanager, settings.service_names, settings.regions.everywhere)

    def parse(self, body: bytes, context: IntakeContext) -> Batch:
        """Return the events of a notification.

        Raises InvalidDocumentError if it is not one of version 4, and TooLargeError if it has too many alerts.
        """
        document = parse_plain_json(body)
        try:
            notification = Notification.model_validate(document)
        except ValidationError as error:
            raise InvalidDocumentError(problems_of(error, Notification, document)) from None
        context.check_count(len(notification.alerts))
        return self._mapper.map(notification, context.latest, context.max_quarantined)

    def map_document(
        self, document: Mapping[str, Any], overrides: Overrides, context: IntakeContext
    ) -> Sequence[Event]:
        """Return the events of one alert, as `Format.map_document` describes."""
        return self._mapper.map_alert(document, overrides, context.latest)

    def labels_for(self, overrides: Overrides) -> Mapping[str, str]:
        """Return the labels that an alert's rule needs, so that its next alert is mapped by itself."""
        settings = self._settings
        labels = {settings.service_label: overrides.service or ""}
        labels[settings.region_label] = settings.region_separator.join(overrides.regions or ())
        return {name: value for name, value in labels.items() if value}


_NO_OVERRIDES = Overrides()


class AlertMapper:
    """Maps alerts to events by the bank's labels and services.

    Most alerts of a storm differ in their names alone. Service and regions of an ordinary firing alert are looked up
    among the validated ones; every other alert is validated in full.
    """

    def __init__(
        self, settings: AlertmanagerSettings, services: Mapping[str, object], everywhere: Sequence[str] = ()
    ) -> None:
        self._settings = settings
        self._names = {KNOWN_SERVICES: services, EVERYWHERE: everywhere}
        self._instant = lru_cache(maxsize=_CACHE_SIZE)(_instant)
        self._service_and_regions = lru_cache(maxsize=_CACHE_SIZE)(self._validated_labels)

    def map(self, notification: Notification, latest: datetime, max_rejected: int = 1_000) -> Batch:
        """Return the events of the alerts, and up to `max_rejected` alerts that cannot be mapped.

        No event occurs after `latest`.
        """
        events: list[Event] = []
        rejected: dict[str, Rejected] = {}
        dropped = future_count = 0
        resolved: list[str] = []
        own = 0
        for document in notification.alerts:
            if is_own(document):
                own += 1
                continue
            ordinary = self._ordinary_event(document, latest)
            if ordinary is not None:
                events.append(ordinary)
                continue
            try:
                alert = _alert(document)
                events += self._events(alert, latest, suggests=len(rejected) < _MOST_SUGGESTED)
            except _CannotMapError as error:
                future_count += error.reason is QuarantineReason.FROM_THE_FUTURE
                key = _quarantine_key(document)
                if key not in rejected and len(rejected) >= max_rejected:
                    dropped += 1
                    continue
                times = rejected[key].times + 1 if key in rejected else 1
                fields = storable(document if isinstance(document, dict) else {"alert": document})
                rejected[key] = Rejected(key, error.reason, without_controls(error.detail), fields, times)
                continue
            if alert.status == "resolved":  # a firing alert leaves its quarantine only once it is over
                resolved.append(_key(alert))
        return Batch(
            SOURCE,
            events,
            rejected=list(rejected.values()),
            dropped=dropped,
            resolved=resolved,
            future_count=future_count,
            own_count=own,
            truncated=notification.truncatedAlerts,
        )

    def map_alert(self, document: object, overrides: Overrides, latest: datetime) -> list[Event]:
        """Return the events of one alert with other service and regions than its labels name.

        Raises InvalidDocumentError if the alert is malformed, or if the service or a region is not known.
        """
        try:
            return self._events(_alert(document), latest, overrides)
        except _CannotMapError as error:
            raise InvalidDocumentError(error.problems or [Problem((), error.detail)]) from None

    def _ordinary_event(self, document: Any, latest: datetime) -> Event | None:
        """Return the event of an ordinary firing alert, equal to the one of `_events`; None for any other alert."""
        try:
            labels, annotations = document["labels"], document.get("annotations", _NO_ANNOTATIONS)
            fingerprint, status = document["fingerprint"], document["status"]
            started_at, ended_at = self._instant(document["startsAt"]), document.get("endsAt", _GO_ZERO)
            expires_at = None if ended_at == _GO_ZERO else self._instant(ended_at)
            names = self._service_and_regions(labels[self._settings.service_label], labels[self._settings.region_label])
            alertname, summary = labels.get("alertname", ""), annotations.get("summary", "")
            texts = [fingerprint, *labels.values(), *annotations.values(), *labels, *annotations]
        except (AttributeError, KeyError, TypeError):
            return None
        if status != "firing" or started_at is None or started_at > latest or names is None:
            return None
        if set(map(type, texts)) != _TEXT or not _PLAIN_ID.fullmatch(fingerprint):
            return None
        if expires_at is None and ended_at != _GO_ZERO:
            return None
        service, regions = names
        data = {"signal": fingerprint, "alertname": alertname, "summary": summary}
        if expires_at is not None:
            data["ends_at"] = expires_at.isoformat()
        return outage_started(SOURCE, f"{fingerprint}/{started_at.isoformat()}", started_at, service, regions, data)

    def _validated_labels(self, service: str, region: str) -> tuple[str, tuple[str, ...]] | None:
        """Return the service and the regions that two labels name; None if they are not valid in an event."""
        labels = {self._settings.service_label: service, self._settings.region_label: region}
        document = {"status": "firing", "labels": labels, "startsAt": "1970-01-01T00:00:00Z", "fingerprint": "any"}
        try:
            (event,) = self._events(_alert(document), _END_OF_TIME, suggests=False)
        except _CannotMapError:
            return None
        assert isinstance(event, OutageEvent)  # noqa: S101 - alerts become no other events
        return event.service, event.regions

    def _events(
        self, alert: Alert, latest: datetime, overrides: Overrides = _NO_OVERRIDES, *, suggests: bool = True
    ) -> list[Event]:
        """Return the start of an alert's outage and, if it is resolved, the restoration.

        Raises _CannotMapError, with the nearest valid names if it `suggests` any.
        """
        settings = self._settings
        service = overrides.service or alert.labels.get(settings.service_label, "")
        labelled = alert.labels.get(settings.region_label, "").split(settings.region_separator)
        regions = [region for region in map(str.strip, overrides.regions or labelled) if region]
        if not service:
            raise _CannotMapError(QuarantineReason.NO_SERVICE_LABEL, f"no label '{settings.service_label}'")
        if not regions:
            raise _CannotMapError(QuarantineReason.NO_REGION_LABEL, f"no label '{settings.region_label}'")
        if alert.startsAt > latest:
            detail = f"startsAt {alert.startsAt.isoformat()} has not come"
            raise _CannotMapError(QuarantineReason.FROM_THE_FUTURE, detail)
        data = {
            "signal": alert.fingerprint,
            "alertname": alert.labels.get("alertname", ""),
            "summary": alert.annotations.get("summary", ""),
        }
        expires_at = _instant(alert.endsAt.isoformat()) if alert.status == "firing" and alert.endsAt else None
        if expires_at is not None:
            # Alertmanager itself sends none; with others it tells how old the message is.
            data["ends_at"] = expires_at.isoformat()
        common = {"source": SOURCE, "service": service, "regions": regions, "data": data}
        key = _key(alert)
        events = [{**common, "id": key, "type": EventType.OUTAGE_STARTED, "occurred_at": alert.startsAt}]
        if alert.status == "resolved":
            if alert.endsAt is None or alert.endsAt < alert.startsAt:
                detail = "resolved, but without an end that follows its start"
                raise _CannotMapError(QuarantineReason.INVALID, detail)
            if alert.endsAt > latest:
                detail = f"endsAt {alert.endsAt.isoformat()} has not come"
                raise _CannotMapError(QuarantineReason.FROM_THE_FUTURE, detail)
            # A restoration at the very start would leave the start standing; Prometheus' resolution is a millisecond.
            ended_at = max(alert.endsAt, alert.startsAt + RESOLUTION)
            restored = {"id": f"{key}/resolved", "type": EventType.OUTAGE_RESTORED, "occurred_at": ended_at}
            events.append({**common, **restored})
        return [_validated(event, self._names, suggests=suggests) for event in events]


_CACHE_SIZE = 4_096
_MOST_NAMED = 10
"""The most problems of one alert that its entry in quarantine names."""
_MOST_SUGGESTED = 20
"""The most rejected alerts of a notification for which the nearest valid names are searched."""
_TEXT = {str}
_PLAIN_ID = re.compile(r"[0-9A-Za-z]{1,64}")
_NO_ANNOTATIONS: Mapping[str, str] = {}
_END_OF_TIME = datetime.max.replace(tzinfo=UTC)
_GO_ZERO = "0001-01-01T00:00:00Z"
"""Go's zero time: a firing alert has no end."""


def _instant(text: str) -> datetime | None:
    """Return the instant of a text; None if it is not valid in an event."""
    try:
        return INSTANT.validate_python(text)
    except ValidationError:
        return None


def is_own(document: object) -> bool:
    """Return whether an alert comes from this engine's own metrics.

    Taken for an outage it would be reported, graded and alerted of for ever. The shipped rules have the label; of other
    rules Prometheus' address of the expression names the metric.
    """
    try:
        labels, url = document["labels"], document.get("generatorURL")  # type: ignore[index, attr-defined]  # any JSON
        return labels.get(OWN_LABEL) == ITSELF or (isinstance(url, str) and OWN_METRICS in url)
    except (AttributeError, KeyError, TypeError):
        return False


class _CannotMapError(Exception):
    def __init__(self, reason: QuarantineReason, detail: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.problems = problems


def _alert(document: object) -> Alert:
    if has_too_many_keys(document):
        raise _CannotMapError(QuarantineReason.INVALID, f"an object has more than {MOST_KEYS} keys")
    try:
        return Alert.model_validate(document)
    except ValidationError as error:
        problems = problems_of(error, Alert, document, _MOST_NAMED)
        detail = "; ".join(f"{problem.pointer}: {problem.sentence()}" for problem in problems)
        raise _CannotMapError(QuarantineReason.INVALID, detail) from None


def _key(alert: Alert) -> str:
    """Return the id of the outage's start, which is the key in quarantine as well."""
    return f"{alert.fingerprint}/{alert.startsAt.isoformat()}"


def _quarantine_key(document: object) -> str:
    """Return the key of an alert; of a malformed one its fingerprint, if there is one, and a digest of the alert."""
    try:
        return _key(Alert.model_validate(document))
    except ValidationError:
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]
        name = document.get("fingerprint", "") if isinstance(document, dict) else ""
        name = name if isinstance(name, str) and name.isprintable() else ""  # PostgreSQL takes no NUL
        return f"{name}/{digest}"


_REASON_BY_FIELD = {"service": QuarantineReason.UNKNOWN_SERVICE, "regions": QuarantineReason.UNKNOWN_REGION}


def _validated(document: Mapping[str, Any], names: Mapping[str, object], *, suggests: bool) -> Event:
    try:
        return EVENT.validate_python(document, context=dict(names))
    except ValidationError as error:
        problems = problems_of(error, Event, document, _MOST_NAMED, suggests=suggests)
        reason = _REASON_BY_FIELD.get(str(problems[0].path[0]), QuarantineReason.INVALID)
        raise _CannotMapError(reason, "; ".join(problem.sentence() for problem in problems), problems) from None
