"""Run a drill: a whole daemon on a virtual clock, fed over HTTP as monitors and people feed the real one."""

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import httpx2

from incident_engine.common.clock import SteppedClock, SystemClock, VirtualClock
from incident_engine.common.errors import StartupError
from incident_engine.common.i18n import Translator
from incident_engine.config.channels import OutboxSettings
from incident_engine.config.scenario import STEP_ACTIONS, Scenario
from incident_engine.config.settings import RetentionSettings, ServerSettings, Settings, StoreSettings
from incident_engine.daemon import Daemon
from incident_engine.documents.timeline_text import obligation_name, timeline_line
from incident_engine.domain.events.model import wire
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.correlation import group_of
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.response.step import StepState
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.values import LOCALES
from incident_engine.drills import report as drill_report
from incident_engine.drills.checks import Check, ObligationOutcome, checks, deadlines, is_named, obligation_outcomes
from incident_engine.drills.settling import settle

MAX = "max"
"""The speed of a drill on a stepped clock, which never waits."""
FASTEST = 3_600

_FASTEST_EXACT = 60
"""The highest speed at which times and counts are compared exactly; above it, a second of delay distorts too much."""
_POLL_SECONDS = 0.1
_MARGIN = timedelta(minutes=10)
"""Time before the first event, for the daemon to start, and after the last, for messages to go out."""
_PAGE = 200
_ROUTED = frozenset(
    {
        EventType.OUTAGE_STARTED,
        EventType.OUTAGE_DEGRADED,
        EventType.OUTAGE_RESTORED,
        EventType.MAINTENANCE_ANNOUNCED,
        EventType.HARM_ASSESSED,
        EventType.IMPACT_MEASURED,
    }
)
"""Events that the engine assigns to an incident, or that open one."""


@dataclass(slots=True)
class DrillResult:
    """The result of a drill."""

    directory: Path
    incidents: list[dict[str, Any]] = field(default_factory=list)
    """Documents of GET /api/v1/incidents/ID."""
    checks: list[Check] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    """The files of the report on the drill."""
    is_exact: bool = True
    """Whether times and counts were compared exactly."""

    @property
    def failures(self) -> list[Check]:
        """Return the expectations that were not met."""
        return [check for check in self.checks if not check.ok]

    @property
    def obligations(self) -> list[ObligationOutcome]:
        """Return every deadline that applied."""
        return list(obligation_outcomes(self.incidents))


def parse_speed(text: str) -> float | None:
    """Return the speed that `600x`, `600` or `live` means, as a multiple of real time; None for `max`.

    Raises ValueError if the text is no speed from 1 to 3600.
    """
    if text == MAX:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", "1" if text == "live" else text)
    if match is None or not 1 <= float(match[1]) <= FASTEST:
        raise ValueError(text)
    return float(match[1])


def prepared(settings: Settings, directory: Path, *, real: bool = False) -> Settings:
    """Return the settings of a drill, with a database and an outbox of its own.

    Without `real` every message becomes a file. With `real` the configured channels are used, but every audience
    consists of the drill's recipients and all other contacts are removed. Raises StartupError if `real` and the
    settings name no recipients.
    """
    outbox = OutboxSettings(type="outbox", directory=directory / "outbox")
    changes: dict[str, Any] = {
        "server": ServerSettings(host="127.0.0.1", port=0),  # a free port: the real daemon may be running
        "store": StoreSettings(url=f"sqlite:///{directory / 'drill.db'}"),
        "retention": RetentionSettings(),  # an incident archived during the drill could not be checked
    }
    if real:
        channels = {
            name: outbox if isinstance(channel, OutboxSettings) else channel
            for name, channel in settings.channels.items()
        }
        return _for_recipients(settings).model_copy(update={**changes, "channels": channels})
    return settings.model_copy(update={**changes, "channels": dict.fromkeys(settings.channels, outbox)})


def _for_recipients(settings: Settings) -> Settings:
    """Return the settings with the recipients of drills as the only contacts and audiences."""
    names = settings.drills.recipients
    if not names:
        raise StartupError(
            "drills.recipients is empty, but a drill over real channels sends messages only to its recipients; "
            "name contacts or rotations, such as drills: {recipients: [duty-officer]}, or use --channels outbox"
        )
    rotations = tuple(rotation for rotation in settings.rotations if rotation.id in names)
    ids = {*names} | {member for rotation in rotations for member in rotation.members}
    ids |= {override.contact for rotation in rotations for override in rotation.overrides}
    changed = settings.model_copy(
        update={
            "contacts": tuple(contact for contact in settings.contacts if contact.id in ids),
            "rotations": rotations,
            "audiences": dict.fromkeys(settings.people.names, names),
        }
    )
    changed.__dict__.pop("contact_by_id", None)  # model_copy keeps cached properties, and this one has all contacts
    return changed


async def run(
    scenario: Scenario,
    settings: Settings,
    rulebook: Rulebook,
    directory: Path,
    speed: float | None,
    translate: Translator,
    show: Callable[[str], None],
    *,
    real: bool = False,
) -> DrillResult:
    """Play a scenario, show its timeline, check the expectations and write the report.

    `speed` is the clock's speed as a multiple of real time; None means a stepped clock, which jumps to the next due
    instant. `show` gets each new line of the timeline.
    """
    own = prepared(settings, directory, real=real)
    begin, end = scenario.begins - _MARGIN, scenario.start + scenario.lasts + _MARGIN
    clock = SteppedClock(begin) if speed is None else VirtualClock(begin, speed)
    daemon = Daemon(own, rulebook, clock, drill=True)
    # trust_env=False: a proxy could not reach the loopback address.
    async with daemon.running(), httpx2.AsyncClient(base_url=daemon.url, trust_env=False) as client:
        timeline = _Timeline(client, rulebook, translate, show)
        pace: _Pace = (
            _SteppedPace(clock, daemon, timeline) if isinstance(clock, SteppedClock) else _FlowingPace(clock, timeline)
        )
        feeder = _Feeder(client, own)
        for event in scenario.native_events():
            await pace.until(event.occurred_at)
            await feeder.push(wire(event))
        await pace.until(end)
        incidents = await timeline.incidents()
        timelines = await timeline.by_locale()
        now = clock.now()
    # Above 60x a message may be late by one second of real time, which is `speed` seconds of the drill.
    slack = timedelta(0) if speed is None or speed <= _FASTEST_EXACT else timedelta(seconds=speed)
    results = checks(scenario, incidents, feeder.refused, same_readers=not real, slack=slack)
    result = DrillResult(directory, incidents, results, is_exact=not slack)
    ids = [str(incident["id"]) for incident in incidents]
    played = drill_report.PlayedDrill(scenario, own, rulebook, ids, results, result.obligations, timelines, now)
    result.reports = drill_report.write(directory, played, SystemClock().now())
    return result


class _Pace(Protocol):
    """Moves the clock of a drill."""

    async def until(self, instant: datetime) -> None:
        """Return when the clock shows `instant` and everything due by then is done."""
        ...


class _FlowingPace:
    """Waits while the virtual clock runs."""

    def __init__(self, clock: VirtualClock, timeline: "_Timeline") -> None:
        self._clock = clock
        self._timeline = timeline

    async def until(self, instant: datetime) -> None:
        while (left := (instant - self._clock.now()) / self._clock.speed) > timedelta(0):
            await asyncio.sleep(min(left.total_seconds(), _POLL_SECONDS))
            await self._timeline.show_new()


class _SteppedPace:
    """Moves the stepped clock from one due instant to the next, when everything due is done."""

    def __init__(self, clock: SteppedClock, daemon: Daemon, timeline: "_Timeline") -> None:
        self._clock = clock
        self._daemon = daemon
        self._timeline = timeline

    async def until(self, instant: datetime) -> None:
        while True:
            due = await settle(self._daemon)
            await self._timeline.show_new()
            if self._clock.now() >= instant:
                return
            self._clock.advance_to(instant if due is None else min(due, instant))


class _Feeder:
    """Posts the events of a scenario, as monitors and people would, and collects the refusals."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._groups = settings.groups
        self._incidents: dict[str | None, str] = {}
        self.refused: list[str] = []

    async def push(self, document: dict[str, Any]) -> None:
        """Post one event."""
        name = f"{document['id']} ({document['type']})"
        group = group_of(document["service"], self._groups) if document.get("service") else None
        incident = document.get("incident") or self._incidents.get(group)
        if document["type"] not in _ROUTED or document.get("service") is None:
            document["incident"] = incident  # people name the incident, even after it is closed
        data = document["data"]
        if document["type"] in STEP_ACTIONS and data.get("step") and ":" not in data["step"]:
            step_id = None if incident is None else step_id_of(data["step"], await self._steps(incident))
            if step_id is None:
                self.refused.append(f"{name}: step {data['step']}")
                return
            data["step"] = step_id
        answer = await self._client.post("/api/v1/events", json=document)
        if answer.status_code != 202:
            self.refused.append(f"{name}: {_refusal(answer)}")
            return
        incident = answer.json()["events"][0]["incident"]
        if incident is not None:
            # Events without a service go to the incident of the event before them.
            self._incidents[group] = self._incidents[None] = incident

    async def _steps(self, incident: str) -> list[dict[str, Any]]:
        answer = await self._client.get(f"/api/v1/incidents/{incident}")
        return list(answer.json().get("steps", [])) if answer.status_code == 200 else []


def _refusal(answer: httpx2.Response) -> str:
    try:
        return "; ".join(str(error["detail"]) for error in answer.json()["errors"])
    except (ValueError, KeyError, TypeError):
        return answer.text


def step_id_of(name: str, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the id of an incident's step by its short name, `page` or `page/II`; None if there is none.

    Of several steps, prefer the latest one that awaits a person, then the next one to start, then the latest one.
    """
    named = [row for row in rows if is_named(name, row) and (row["parent_id"] is None or "/" in name)]
    named = sorted((row for row in named if row["state"] != StepState.WITHDRAWN), key=lambda row: str(row["due_at"]))
    awaiting = [row for row in named if row["state"] in (StepState.STARTED, StepState.AWAITING)]
    pending = [row for row in named if row["state"] == StepState.PENDING]
    by_preference = [*awaiting[-1:], *pending[:1], *named[-1:]]
    return str(by_preference[0]["id"]) if by_preference else None


class _Timeline:
    """Reads the timelines of the drill's incidents and shows their new entries."""

    def __init__(
        self, client: httpx2.AsyncClient, rulebook: Rulebook, translate: Translator, show: Callable[[str], None]
    ) -> None:
        self._client = client
        self._packs = {pack.pack: pack for pack in rulebook.packs}
        self._translate = translate
        self._show = show
        self._shown: set[str] = set()

    async def show_new(self) -> None:
        """Show the entries added since the last call."""
        for entry in await self._entries():
            line = timeline_line(entry, self._packs, self._translate)
            if line is not None and line not in self._shown:
                self._shown.add(line)
                self._show(line)

    async def incidents(self) -> list[dict[str, Any]]:
        """Return the documents of all incidents, after showing their new entries."""
        await self.show_new()
        return [(await self._client.get(f"/api/v1/incidents/{name}")).json() for name in await self._ids()]

    async def by_locale(self) -> dict[str, list[str]]:
        """Return the lines of all timelines in order of time, by language."""
        entries = sorted(await self._entries(), key=lambda entry: datetime.fromisoformat(entry["at"]))
        timelines: dict[str, list[str]] = {}
        for locale in LOCALES:
            lines = [timeline_line(entry, self._packs, Translator(locale)) for entry in entries]
            timelines[locale] = list(dict.fromkeys(line for line in lines if line is not None))
        return timelines

    async def _entries(self) -> list[dict[str, Any]]:
        entries: list[dict[str, Any]] = []
        for name in await self._ids():
            timeline = (await self._client.get(f"/api/v1/incidents/{name}/timeline")).json()["timeline"]
            # A delivery without an outcome is shown later, with its outcome; its line would stand there twice.
            entries += [entry for entry in timeline if entry["kind"] != "delivery" or entry["outcome"] is not None]
        return entries

    async def _ids(self) -> list[str]:
        listed = (await self._client.get("/api/v1/incidents", params={"limit": _PAGE})).json()["incidents"]
        return sorted(incident["id"] for incident in listed)


def new_directory(name: str) -> Path:
    """Make and return a new folder for a drill."""
    stamp = f"{SystemClock().now():%Y%m%dT%H%M%S%fZ}"
    directory = Path("var") / "drills" / f"{stamp}-{name}"
    directory.mkdir(parents=True)
    return directory


def summary(result: DrillResult, rulebook: Rulebook, settings: Settings, translate: Translator) -> Iterator[str]:
    """Yield the lines of a drill's summary."""
    trajectories = [incident["assessments"][0]["trajectory"] for incident in result.incidents]
    levels = [change["level"] or translate("below") for trajectory in trajectories for change in trajectory]
    states = [delivery["state"] for incident in result.incidents for delivery in incident["deliveries"]]
    met, missed = deadlines(result.incidents)
    yield f"{translate('summary')}:"
    yield f"  {translate('levels reached')}: {' → '.join(levels) or translate('none')}"
    yield f"  {translate('notices sent')}: {states.count('delivered')}"
    yield f"  {translate('deadlines met')}: {met}    {translate('deadlines missed')}: {missed}"
    yield f"  {translate('obligations')}:"
    yield from (f"    {_outcome_line(outcome, rulebook, settings, translate)}" for outcome in result.obligations)
    if not result.obligations:
        yield f"    {translate('none')}"
    yield f"  {translate('messages are in')} {result.directory / 'outbox'}"
    for file in result.reports:
        yield f"  {translate('drill report')}: {file}"
    if result.checks:
        yield f"  {translate('expectations')}:"
        yield from (f"    {'✔' if check.ok else '✘'} {check.text(translate)}" for check in result.checks)
        if not result.is_exact:
            yield f"    {translate('compared roughly')}"
    yield (
        f"  ✘ {translate('not as expected')}: {len(result.failures)}"
        if result.failures
        else f"  ✔ {translate('as expected')}"
    )


def _outcome_line(outcome: ObligationOutcome, rulebook: Rulebook, settings: Settings, translate: Translator) -> str:
    zone, met_at = settings.bank.zone, outcome.met_at
    name = obligation_name(outcome.obligation, outcome.instance, outcome.cite, rulebook.packs[0], translate)
    mark = "✘" if outcome.is_missed else "✔" if met_at is not None else "…"
    state = translate("met late") if outcome.is_missed and met_at is not None else translate(outcome.state.value)
    at = f" {format_local(met_at, zone)}" if met_at is not None else ""
    return f"{mark} {name}  {translate('due')} {format_local(outcome.due_at, zone)}  {state}{at}"
