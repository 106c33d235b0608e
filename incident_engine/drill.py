"""A drill: the whole daemon under a fast virtual clock, fed over HTTP as a monitor would feed it."""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from incident_engine.clock import SystemClock, VirtualClock
from incident_engine.daemon import Daemon
from incident_engine.facts.events import wire
from incident_engine.grading.obligations import ObligationState
from incident_engine.report_text import timeline_line
from incident_engine.rulebook import Rulebook
from incident_engine.scenario import Scenario
from incident_engine.settings import OutboxSettings, ServerSettings, Settings, StoreSettings
from incident_engine.wording import Wording

_LOOK_EVERY = 0.1
_SETTLE = timedelta(minutes=10)
"""Before the first event, so that the daemon is up when it comes, and after the last, so that all is sent."""


@dataclass(slots=True)
class DrillResult:
    """What came of a drill."""

    directory: Path
    incidents: list[dict[str, Any]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def prepared(settings: Settings, directory: Path) -> Settings:
    """Return the settings of a drill: a database and an outbox of its own, and nothing leaves this machine."""
    outbox = OutboxSettings(type="outbox", directory=directory / "outbox")
    return settings.model_copy(
        update={
            "server": ServerSettings(host="127.0.0.1", port=0),
            "store": StoreSettings(url=f"sqlite:///{directory / 'drill.db'}"),
            "channels": dict.fromkeys(settings.channels, outbox),
        }
    )


async def run(
    scenario: Scenario,
    settings: Settings,
    rulebook: Rulebook,
    directory: Path,
    speed: float,
    say: Wording,
    show: Callable[[str], None],
) -> DrillResult:
    """Run a scenario and show its timeline as it happens."""
    clock = VirtualClock(scenario.start - _SETTLE, speed)
    daemon = Daemon(prepared(settings, directory), rulebook, clock)
    async with daemon.running(), httpx2.AsyncClient(base_url=daemon.url, trust_env=False) as client:
        watch = _Watch(client, rulebook, say, show)
        for event in scenario.native_events():
            await watch.until(clock, event.occurred_at)
            await _push(client, wire(event))
        await watch.until(clock, scenario.start + scenario.lasts + _SETTLE)
        incidents = await watch.details()
    return DrillResult(directory, incidents, list(_failures(scenario, incidents)))


async def _push(client: httpx2.AsyncClient, document: Mapping[str, Any]) -> None:
    if document.get("service") is None and document.get("incident") is None:
        listed = (await client.get("/api/v1/incidents", params={"limit": 1})).json()["incidents"]
        document = {**document, "incident": listed[0]["id"] if listed else None}
    answer = await client.post("/api/v1/events", json=document)
    if answer.status_code != 202:
        raise RuntimeError(f"the daemon refused {document['id']}: {answer.text}")


class _Watch:
    """Shows what is new on the incidents' timelines."""

    def __init__(
        self, client: httpx2.AsyncClient, rulebook: Rulebook, say: Wording, show: Callable[[str], None]
    ) -> None:
        self._client = client
        self._packs = {pack.pack: pack for pack in rulebook.packs}
        self._say = say
        self._show = show
        self._shown: set[str] = set()

    async def until(self, clock: VirtualClock, instant: datetime) -> None:
        """Watch until the clock shows `instant`."""
        while (left := (instant - clock.now()) / clock.speed) > timedelta(0):
            await asyncio.sleep(min(left.total_seconds(), _LOOK_EVERY))
            await self._look()

    async def details(self) -> list[dict[str, Any]]:
        """Return every incident, whole."""
        await self._look()
        return [(await self._client.get(f"/api/v1/incidents/{name}")).json() for name in await self._names()]

    async def _names(self) -> list[str]:
        listed = (await self._client.get("/api/v1/incidents")).json()["incidents"]
        return sorted(incident["id"] for incident in listed)

    async def _look(self) -> None:
        for name in await self._names():
            for entry in (await self._client.get(f"/api/v1/incidents/{name}/timeline")).json()["timeline"]:
                if entry["kind"] == "delivery" and entry["outcome"] is None:
                    continue
                line = timeline_line(entry, self._packs, self._say)
                if line is not None and line not in self._shown:
                    self._shown.add(line)
                    self._show(line)


def _failures(scenario: Scenario, incidents: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield what was expected and did not happen."""
    expected = scenario.expect
    verdicts = [incident["assessments"][0] for incident in incidents]
    rises = [(_instant(rise["at"]), rise["level"]) for verdict in verdicts for rise in verdict["trajectory"]]
    wanted = [(scenario.start.astimezone(UTC) + level.at, level.level) for level in expected.levels]
    if expected.levels and sorted(rises) != sorted(wanted):
        yield f"levels: {_spelled(rises)}; expected {_spelled(wanted)}"
    states = {status["id"]: status["state"] for verdict in verdicts for status in verdict["obligations"]}
    for name, state in expected.obligations.items():
        if states.get(name) != state:
            yield f"obligation {name}: {states.get(name)}; expected {state.value}"
    begun = {step["step"] for incident in incidents for step in incident["steps"] if step["begun_at"]}
    for step in expected.steps:
        if step not in begun:
            yield f"step {step}: not begun"


def new_directory(name: str) -> Path:
    """Make and return a folder of its own for a drill."""
    stamp = f"{SystemClock().now():%Y%m%dT%H%M%S%fZ}"
    directory = Path("var") / "drills" / f"{stamp}-{name}"
    directory.mkdir(parents=True)
    return directory


def summary(result: DrillResult, say: Wording) -> Iterator[str]:
    """Yield what came of a drill, a line each."""
    rises = [rise["level"] for incident in result.incidents for rise in incident["assessments"][0]["trajectory"]]
    sent = [d for incident in result.incidents for d in incident["deliveries"] if d["state"] == "delivered"]
    met, missed = deadlines(result.incidents)
    yield f"{say('summary')}:"
    yield f"  {say('levels reached')}: {' → '.join(level or say('below') for level in rises) or say('none')}"
    yield f"  {say('notices sent')}: {len(sent)}"
    yield f"  {say('deadlines met')}: {met}    {say('deadlines missed')}: {missed}"
    yield f"  {say('messages are in')} {result.directory / 'outbox'}"
    for failure in result.failures:
        yield f"  ✘ {say('not as expected')}: {failure}"
    if not result.failures:
        yield f"  ✔ {say('as expected')}"


def deadlines(incidents: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Return how many deadlines were met and how many missed."""
    statuses = [status for found in incidents for status in found["assessments"][0]["obligations"]]
    missed = [status for status in statuses if status["met_late"] or status["state"] == ObligationState.OVERDUE]
    met = [status for status in statuses if status["state"] == ObligationState.MET and not status["met_late"]]
    return len(met), len(missed)


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _spelled(rises: Sequence[tuple[datetime, str]]) -> str:
    return ", ".join(f"{level} at {at.isoformat(timespec='seconds')}" for at, level in sorted(rises)) or "none"
