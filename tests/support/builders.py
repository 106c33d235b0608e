"""Events in few words, as a monitor sends them and as the engine keeps them; their incident; the shipped rules."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from incident_engine.common.yaml_loader import load_file
from incident_engine.config.rulebook import SHIPPED, load_rulebook
from incident_engine.config.settings import PREFIX, Settings, load_settings
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.model import EVENT, Event, Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.rulebook import Rulebook

CHINA = ZoneInfo("Asia/Shanghai")
CONFIG = SHIPPED / "config.yaml"
RULES = SHIPPED / "rules"
CBRC_FILE = RULES / "grading" / "cn-cbrc-2008.yaml"


def at(text: str) -> datetime:
    """Return an instant from Beijing time: "10:35" on Sunday 2013-06-23, or "2013-06-24 10:35"."""
    day_and_time = text if " " in text else f"2013-06-23 {text}"
    return datetime.fromisoformat(day_and_time).replace(tzinfo=CHINA).astimezone(UTC)


def document(kind: str, when: datetime | str, **fields: Any) -> dict[str, Any]:
    """Return the fields of an event; by default an outage is in Guangdong's core banking, and the id tells the rest."""
    instant = at(when) if isinstance(when, str) else when
    outage = {"service": "core-banking", "regions": ["CN-GD"]} if kind.startswith("outage.") else {}
    name = f"{kind}/{instant.isoformat()}/{fields}"
    return {"source": "monitor", "id": name[:200].strip(), "type": kind, "occurred_at": instant} | outage | fields


# As a monitor sends it


def event_json(name: str, kind: str, when: datetime | str, **fields: Any) -> dict[str, Any]:
    """Return an event in the native format; its id is `name`."""
    event = document(kind, when, id=name, **fields)
    return event | {"occurred_at": event["occurred_at"].isoformat()}


def started_json(name: str, when: datetime | str, *regions: str, **fields: Any) -> dict[str, Any]:
    """Return the beginning of an outage in the native format."""
    return event_json(name, "outage.started", when, **_in(regions), **fields)


def restored_json(name: str, when: datetime | str, *regions: str, **fields: Any) -> dict[str, Any]:
    """Return a restoration in the native format."""
    return event_json(name, "outage.restored", when, **_in(regions), **fields)


def _in(regions: tuple[str, ...]) -> dict[str, Any]:
    return {"regions": list(regions)} if regions else {}


# As the engine keeps it


def event(kind: str, when: datetime | str, **fields: Any) -> Event:
    """Return an event."""
    return EVENT.validate_python(document(kind, when, **fields))


def recorded(kind: str, when: datetime | str, received: datetime | str | None = None, **fields: Any) -> Recorded:
    """Return an event with the instant at which it was received: at once unless another is given."""
    happened = event(kind, when, **fields)
    instant = at(received) if isinstance(received, str) else received
    return Recorded(happened, instant or happened.occurred_at)


def started(when: datetime | str, *regions: str, signal: str | None = None, **fields: Any) -> Recorded:
    """Return the beginning of an outage."""
    return recorded("outage.started", when, **_in(regions), data=_signal(signal), **fields)


def degraded(when: datetime | str, *regions: str, signal: str | None = None, **fields: Any) -> Recorded:
    """Return the beginning of a degradation."""
    return recorded("outage.degraded", when, **_in(regions), data=_signal(signal), **fields)


def restored(when: datetime | str, *regions: str, signal: str | None = None, **fields: Any) -> Recorded:
    """Return a restoration."""
    return recorded("outage.restored", when, **_in(regions), data=_signal(signal), **fields)


def _signal(signal: str | None) -> dict[str, str]:
    return {"signal": signal} if signal else {}


def reported(when: datetime | str, obligation: str = "first-report", by: str = "王敏", **fields: Any) -> Recorded:
    """Return that a person fulfilled an obligation."""
    return recorded("step.completed", when, data={"by": by, "fulfils": obligation}, **fields)


def corrected(when: datetime | str, level: str | None, **data: Any) -> Recorded:
    """Return that a person corrected the level."""
    return recorded("level.corrected", when, data={"level": level, "by": "李", "reason": "探针误报", **data})


def closed(when: datetime | str, by: str = "陈总", **fields: Any) -> Recorded:
    """Return the closing of the incident."""
    return recorded("incident.closed", when, data={"by": by}, **fields)


def unmet(*obligations: str) -> list[dict[str, str]]:
    """Return the `overdue` of a closing: these obligations, each with a reason."""
    return [{"obligation": obligation, "reason": "补报"} for obligation in obligations]


UNMET = unmet("first-report", "partners-notice")
"""The two that are overdue an hour after an outage of level III began."""


def incident(*events: Recorded) -> Incident:
    """Return what the events say, as incident INC-1."""
    return fold("INC-1", events)


@cache
def cbrc_document() -> dict[str, Any]:
    """Return the shipped pack as its file says it; to be copied before it is changed."""
    data: dict[str, Any] = load_file(CBRC_FILE).data
    return data


@cache
def cbrc() -> Pack:
    """Return the shipped pack."""
    return parse_pack(cbrc_document())


@cache
def settings() -> Settings:
    """Return the shipped configuration."""
    return load_settings(CONFIG, {PREFIX + "PLAYBOOKS": '["outage-response"]', PREFIX + "CLOSING__OBSERVATION": "0s"})


@cache
def rulebook() -> Rulebook:
    """Return the shipped rules."""
    return load_rulebook(settings(), CONFIG)


def verdict(
    now: datetime | str,
    *events: Recorded,
    hours: Mapping[str, ServiceHours] | None = None,
    held: tuple[LevelChange, ...] = (),
    pack: Pack | None = None,
) -> Assessment:
    """Return what the shipped pack (or another) says of the events at an instant."""
    instant = at(now) if isinstance(now, str) else now
    return assess(incident(*events), pack or cbrc(), hours or {}, instant, held)


def steps_of(trajectory: tuple[LevelChange, ...]) -> list[tuple[str | None, str, str]]:
    """Return a trajectory as (level, Beijing time, rule)."""
    return [(step.level, f"{step.at.astimezone(CHINA):%H:%M:%S}", step.rule) for step in trajectory]


def write(folder: Path, name: str, text: str) -> Path:
    """Write a file and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path
