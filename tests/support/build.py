"""Builders that tests share: events in few words, the incident they fold into, the shipped rules."""

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


def document(kind: str, when: datetime | str, **given: Any) -> dict[str, Any]:
    """Return an event in the native format; what is not given is Guangdong's core banking."""
    instant = at(when) if isinstance(when, str) else when
    outage = {"service": "core-banking", "regions": ["CN-GD"]} if kind.startswith("outage.") else {}
    named = f"{kind}/{instant.isoformat()}/{given}"
    return {"source": "monitor", "id": named[:200].strip(), "type": kind, "occurred_at": instant} | outage | given


def event(kind: str, when: datetime | str, **given: Any) -> Event:
    """Return an event of a kind."""
    return EVENT.validate_python(document(kind, when, **given))


def recorded(kind: str, when: datetime | str, received: datetime | str | None = None, **given: Any) -> Recorded:
    """Return an event with the instant at which it was received: at once unless another is given."""
    what = event(kind, when, **given)
    seen = at(received) if isinstance(received, str) else received
    return Recorded(what, seen or what.occurred_at)


def started(when: datetime | str, *regions: str, signal: str | None = None, **given: Any) -> Recorded:
    """Return the beginning of an outage, in Guangdong's core banking unless told otherwise."""
    return _outage("started", when, regions, signal, given)


def degraded(when: datetime | str, *regions: str, signal: str | None = None, **given: Any) -> Recorded:
    """Return the beginning of a degradation."""
    return _outage("degraded", when, regions, signal, given)


def restored(when: datetime | str, *regions: str, signal: str | None = None, **given: Any) -> Recorded:
    """Return a restoration."""
    return _outage("restored", when, regions, signal, given)


def _outage(
    kind: str, when: datetime | str, regions: tuple[str, ...], signal: str | None, given: Mapping[str, Any]
) -> Recorded:
    return recorded(
        f"outage.{kind}", when, regions=list(regions or ("CN-GD",)), data={"signal": signal} if signal else {}, **given
    )


def reported(when: datetime | str, obligation: str = "first-report", by: str = "王敏", **given: Any) -> Recorded:
    """Return that a person fulfilled an obligation."""
    return recorded("step.completed", when, data={"by": by, "fulfils": obligation}, **given)


def closed(when: datetime | str, by: str = "陈总", **given: Any) -> Recorded:
    """Return the closing of the incident."""
    return recorded("incident.closed", when, data={"by": by}, **given)


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
