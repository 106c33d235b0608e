"""A drill: the whole daemon under a virtual clock, fed over HTTP as a monitor and people would feed it."""

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
from incident_engine.config.rulebook import Rulebook
from incident_engine.config.scenario import STEP_ACTIONS, Scenario
from incident_engine.config.settings import RetentionSettings, ServerSettings, Settings, StoreSettings
from incident_engine.daemon import Daemon
from incident_engine.documents.timeline_text import obligation_name, timeline_line
from incident_engine.domain.events.model import wire
from incident_engine.domain.events.types import EventType
from incident_engine.domain.incidents.correlation import group_of
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.response.step import StepState
from incident_engine.domain.values import LOCALES
from incident_engine.drills import report as drill_report
from incident_engine.drills.checks import Check, ObligationOutcome, checks, deadlines, is_named, obligation_outcomes
from incident_engine.drills.settling import settle

MAX = "max"
"""The speed of a drill that waits for nothing."""
FASTEST = 3_600

_EXACT = 60
"""Up to this speed times and counts are compared exactly; above it a second of this machine is worth too much."""
_LOOK_EVERY = 0.1
_SETTLE = timedelta(minutes=10)
"""Before the first event, so that the daemon is up when it comes, and after the last, so that all is sent."""
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
"""Events whose incident the engine finds, or which begin one."""


@dataclass(slots=True)
class DrillResult:
    """What came of a drill."""

    directory: Path
    incidents: list[dict[str, Any]] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    is_exact: bool = True
    """Whether times and counts were compared exactly."""

    @property
    def failures(self) -> list[Check]:
        """Return what was expected and did not happen."""
        return [check for check in self.checks if not check.ok]

    @property
    def dues(self) -> list[ObligationOutcome]:
        """Return every deadline that came to apply."""
        return list(obligation_outcomes(self.incidents))


def parse_speed(text: str) -> float | None:
    """Return how many times faster than life `600x`, `600` or `live` is; None for `max`. Raises ValueError."""
    if text == MAX:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)x?", "1" if text == "live" else text)
    if match is None or not 1 <= float(match[1]) <= FASTEST:
        raise ValueError(text)
    return float(match[1])


def prepared(settings: Settings, directory: Path, *, real: bool = False) -> Settings:
    """Return the settings of a drill: a database and an outbox of its own, and no message to anybody but the drill's.

    Without `real` every message becomes a file. With it the configured channels are used, and there is nobody left
    whom they could reach but the drill's recipients: every audience is they, and all other contacts are gone. Raises
    StartupError if nobody is named.
    """
    outbox = OutboxSettings(type="outbox", directory=directory / "outbox")
    changes: dict[str, Any] = {
        "server": ServerSettings(host="127.0.0.1", port=0),
        "store": StoreSettings(url=f"sqlite:///{directory / 'drill.db'}"),
        "retention": RetentionSettings(),
    }
    if real:
        kept = {name: outbox if isinstance(each, OutboxSettings) else each for name, each in settings.channels.items()}
        return _for_recipients(settings).model_copy(update={**changes, "channels": kept})
    return settings.model_copy(update={**changes, "channels": dict.fromkeys(settings.channels, outbox)})


def _for_recipients(settings: Settings) -> Settings:
    """Return the settings of a bank that knows nobody but the recipients of its drills."""
    names = settings.drills.recipients
    if not names:
        raise StartupError(
            "drills.recipients: nobody is named to get the messages of a drill over real channels; "
            "name contacts or rotations, such as drills: {recipients: [duty-officer]}, or use --channels outbox"
        )
    rotations = tuple(each for each in settings.rotations if each.id in names)
    known = {*names} | {member for each in rotations for member in each.members}
    known |= {override.contact for each in rotations for override in each.overrides}
    changed = settings.model_copy(
        update={
            "contacts": tuple(contact for contact in settings.contacts if contact.id in known),
            "rotations": rotations,
            "audiences": dict.fromkeys(settings.people.names, names),
        }
    )
    changed.__dict__.pop("contact_by_id", None)  # it was made of all contacts
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
    """Play a scenario, show its timeline as it happens, compare it with what is expected and write the report.

    `speed` is how many times faster than life the clock runs; None: it stands still, and jumps to what comes next.
    """
    own = prepared(settings, directory, real=real)
    begin, end = scenario.begins - _SETTLE, scenario.start + scenario.lasts + _SETTLE
    clock = SteppedClock(begin) if speed is None else VirtualClock(begin, speed)
    daemon = Daemon(own, rulebook, clock, drill=True)
    async with daemon.running(), httpx2.AsyncClient(base_url=daemon.url, trust_env=False) as client:
        watch = _Watch(client, rulebook, translate, show)
        pace: _Pace = _Steps(clock, daemon, watch) if isinstance(clock, SteppedClock) else _Flow(clock, watch)
        feeder = _Feeder(client, own)
        for event in scenario.native_events():
            await pace.until(event.occurred_at)
            await feeder.push(wire(event))
        await pace.until(end)
        incidents = await watch.details()
        told = await watch.told()
        now = clock.now()
    slack = timedelta(0) if speed is None or speed <= _EXACT else timedelta(seconds=speed)
    found = checks(scenario, incidents, feeder.refused, same_readers=not real, slack=slack)
    result = DrillResult(directory, incidents, found, is_exact=not slack)
    names = [str(incident["id"]) for incident in incidents]
    played = drill_report.Played(scenario, own, rulebook, names, found, result.dues, told, now)
    result.reports = drill_report.write(directory, played, SystemClock().now())
    return result


class _Pace(Protocol):
    """How time passes."""

    async def until(self, instant: datetime) -> None:
        """Let it pass until the clock shows `instant` and what was due has been done."""
        ...


class _Flow:
    """Time passes by itself, fast."""

    def __init__(self, clock: VirtualClock, watch: "_Watch") -> None:
        self._clock = clock
        self._watch = watch

    async def until(self, instant: datetime) -> None:
        while (left := (instant - self._clock.now()) / self._clock.speed) > timedelta(0):
            await asyncio.sleep(min(left.total_seconds(), _LOOK_EVERY))
            await self._watch.look()


class _Steps:
    """Time stands still until all that is due has been done, then it jumps to the next instant at which anything is."""

    def __init__(self, clock: SteppedClock, daemon: Daemon, watch: "_Watch") -> None:
        self._clock = clock
        self._daemon = daemon
        self._watch = watch

    async def until(self, instant: datetime) -> None:
        while True:
            due = await settle(self._daemon)
            await self._watch.look()
            if self._clock.now() >= instant:
                return
            self._clock.advance_to(instant if due is None else min(due, instant))


class _Feeder:
    """Reports what happens, as monitors and people would. What is refused is noted, and the drill goes on."""

    def __init__(self, client: httpx2.AsyncClient, settings: Settings) -> None:
        self._client = client
        self._groups = settings.groups
        self._incidents: dict[str | None, str] = {}
        self.refused: list[str] = []

    async def push(self, document: dict[str, Any]) -> None:
        """Report one event."""
        name, group = f"{document['id']} ({document['type']})", self._group(document)
        incident = document.get("incident") or self._incidents.get(group)
        if document["type"] not in _ROUTED or document.get("service") is None:
            document["incident"] = incident  # people name the incident, also once it is closed
        data = document["data"]
        if document["type"] in STEP_ACTIONS and data.get("step") and ":" not in data["step"]:
            found = None if incident is None else await self._step(incident, data["step"])
            if found is None:
                self.refused.append(f"{name}: step {data['step']}")
                return
            data["step"] = found
        answer = await self._client.post("/api/v1/events", json=document)
        if answer.status_code != 202:
            self.refused.append(f"{name}: {_why(answer)}")
            return
        receipt = answer.json()["events"][0]["incident"]
        if receipt is not None:
            self._incidents[group] = self._incidents[None] = receipt

    def _group(self, document: Mapping[str, Any]) -> str | None:
        return group_of(document["service"], self._groups) if document.get("service") else None

    async def _step(self, incident: str, name: str) -> str | None:
        """Return the id of the step that is meant now: the latest that waits for a person, else the next, else any."""
        answer = await self._client.get(f"/api/v1/incidents/{incident}")
        rows = answer.json().get("steps", []) if answer.status_code == 200 else []
        return step_meant(name, rows)


def _why(answer: httpx2.Response) -> str:
    try:
        return "; ".join(str(error["detail"]) for error in answer.json()["errors"])
    except (ValueError, KeyError, TypeError):
        return answer.text


def step_meant(name: str, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the id of the step that a short name means among an incident's: the latest that waits for a person.

    If none waits, the next that will begin, else the latest that there is.
    """
    mine = [row for row in rows if is_named(name, row) and (row["parent_id"] is None or "/" in name)]
    mine = sorted((row for row in mine if row["state"] != StepState.WITHDRAWN), key=lambda row: str(row["due_at"]))
    waiting = [row for row in mine if row["state"] in (StepState.STARTED, StepState.AWAITING)]
    pending = [row for row in mine if row["state"] == StepState.PENDING]
    chosen = [*mine[-1:], *pending[:1], *waiting[-1:]]
    return str(chosen[-1]["id"]) if chosen else None


class _Watch:
    """Shows what is new on the incidents' timelines."""

    def __init__(
        self, client: httpx2.AsyncClient, rulebook: Rulebook, translate: Translator, show: Callable[[str], None]
    ) -> None:
        self._client = client
        self._packs = {pack.pack: pack for pack in rulebook.packs}
        self._translate = translate
        self._show = show
        self._shown: set[str] = set()

    async def look(self) -> None:
        """Show what has happened since the last look."""
        for entry in await self._entries():
            line = timeline_line(entry, self._packs, self._translate)
            if line is not None and line not in self._shown:
                self._shown.add(line)
                self._show(line)

    async def details(self) -> list[dict[str, Any]]:
        """Return every incident, whole."""
        await self.look()
        return [(await self._client.get(f"/api/v1/incidents/{name}")).json() for name in await self._names()]

    async def told(self) -> dict[str, list[str]]:
        """Return the timelines as text, by language."""
        entries = sorted(await self._entries(), key=lambda entry: datetime.fromisoformat(entry["at"]))
        found: dict[str, list[str]] = {}
        for locale in LOCALES:
            lines = [timeline_line(entry, self._packs, Translator(locale)) for entry in entries]
            found[locale] = list(dict.fromkeys(line for line in lines if line is not None))
        return found

    async def _entries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for name in await self._names():
            answer = (await self._client.get(f"/api/v1/incidents/{name}/timeline")).json()
            found += [e for e in answer["timeline"] if e["kind"] != "delivery" or e["outcome"] is not None]
        return found

    async def _names(self) -> list[str]:
        listed = (await self._client.get("/api/v1/incidents", params={"limit": _PAGE})).json()["incidents"]
        return sorted(incident["id"] for incident in listed)


def new_directory(name: str) -> Path:
    """Make and return a folder of its own for a drill."""
    stamp = f"{SystemClock().now():%Y%m%dT%H%M%S%fZ}"
    directory = Path("var") / "drills" / f"{stamp}-{name}"
    directory.mkdir(parents=True)
    return directory


def summary(result: DrillResult, rulebook: Rulebook, settings: Settings, translate: Translator) -> Iterator[str]:
    """Yield what came of a drill, a line each."""
    rises = [rise["level"] for incident in result.incidents for rise in incident["assessments"][0]["trajectory"]]
    sent = [d for incident in result.incidents for d in incident["deliveries"] if d["state"] == "delivered"]
    met, missed = deadlines(result.incidents)
    yield f"{translate('summary')}:"
    yield f"  {translate('levels reached')}: {' → '.join(level or translate('below') for level in rises) or translate('none')}"
    yield f"  {translate('notices sent')}: {len(sent)}"
    yield f"  {translate('deadlines met')}: {met}    {translate('deadlines missed')}: {missed}"
    yield f"  {translate('obligations')}:"
    yield from (f"    {_due_line(due, rulebook, settings, translate)}" for due in result.dues)
    if not result.dues:
        yield f"    {translate('none')}"
    yield f"  {translate('messages are in')} {result.directory / 'outbox'}"
    for file in result.reports:
        yield f"  {translate('drill report')}: {file}"
    if result.checks:
        yield f"  {translate('expectations')}:"
        yield from (f"    {'✔' if check.ok else '✘'} {check.text(translate)}" for check in result.checks)
        if not result.is_exact:
            yield f"    {translate('roughly compared')}"
    yield (
        f"  ✘ {translate('not as expected')}: {len(result.failures)}"
        if result.failures
        else f"  ✔ {translate('as expected')}"
    )


def _due_line(due: ObligationOutcome, rulebook: Rulebook, settings: Settings, translate: Translator) -> str:
    zone = settings.bank.zone
    name = obligation_name(due.obligation, due.instance, due.cite, rulebook.packs[0], translate)
    mark = "✘" if due.is_missed else "✔" if due.met_at is not None else "…"
    state = translate("met late") if due.is_missed and due.met_at is not None else translate(due.state.value)
    at = f" {format_local(due.met_at, zone)}" if due.met_at is not None else ""
    return f"{mark} {name}  {translate('due')} {format_local(due.due_at, zone)}  {state}{at}"
