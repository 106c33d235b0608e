"""Run a drill: a whole daemon on a virtual clock, fed over HTTP as monitors and people feed the real one."""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import httpx2

from incident_engine.common.clock import SteppedClock, SystemClock, VirtualClock
from incident_engine.common.i18n import Translator
from incident_engine.common.private_files import make_folder
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings
from incident_engine.daemon import Daemon
from incident_engine.domain.events.model import wire
from incident_engine.domain.rulebook import Rulebook
from incident_engine.drills import report as drill_report
from incident_engine.drills.checks import checks
from incident_engine.drills.feeder import EventFeeder
from incident_engine.drills.isolation import prepared
from incident_engine.drills.report_texts import PlayedDrill
from incident_engine.drills.result import DrillResult
from incident_engine.drills.settling import settle
from incident_engine.drills.timeline import TimelineReader

MAX = "max"
"""The speed of a drill on a stepped clock, which never waits."""
FASTEST = 3_600

_FASTEST_EXACT = 60
"""The highest speed at which times and counts are compared exactly; above it, a second of delay distorts too much."""
_POLL_SECONDS = 0.1
_MARGIN = timedelta(minutes=10)
"""Time before the first event, for the daemon to start, and after the last, for messages to go out."""


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
        timeline = TimelineReader(client, rulebook, translate, show)
        pace: _Pace = (
            _SteppedPace(clock, daemon, timeline) if isinstance(clock, SteppedClock) else _FlowingPace(clock, timeline)
        )
        feeder = EventFeeder(client, own)
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
    played = PlayedDrill(scenario, own, rulebook, ids, results, result.obligations, timelines, now)
    result.reports = drill_report.write(directory, played, SystemClock().now())
    return result


class _Pace(Protocol):
    """Moves the clock of a drill."""

    async def until(self, instant: datetime) -> None:
        """Return when the clock shows `instant` and everything due by then is done."""
        ...


class _FlowingPace:
    """Waits while the virtual clock runs."""

    def __init__(self, clock: VirtualClock, timeline: TimelineReader) -> None:
        self._clock = clock
        self._timeline = timeline

    async def until(self, instant: datetime) -> None:
        while (left := (instant - self._clock.now()) / self._clock.speed) > timedelta(0):
            await asyncio.sleep(min(left.total_seconds(), _POLL_SECONDS))
            await self._timeline.show_new()


class _SteppedPace:
    """Moves the stepped clock from one due instant to the next, when everything due is done."""

    def __init__(self, clock: SteppedClock, daemon: Daemon, timeline: TimelineReader) -> None:
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


def new_directory(name: str) -> Path:
    """Make and return a new folder for a drill."""
    stamp = f"{SystemClock().now():%Y%m%dT%H%M%S%fZ}"
    directory = Path("var") / "drills" / f"{stamp}-{name}"
    make_folder(directory.parent)
    directory.mkdir(mode=0o700)  # raises if another drill has the same name
    return directory
