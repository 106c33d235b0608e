"""The work of the engine grows in line with the size of an incident: counted in calls of functions, not in seconds."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from support.builders import at, event
from support.fixtures import house

from incident_engine.domain.events.model import Event
from incident_engine.domain.regions import OTHER_COUNTRIES
from incident_engine.store.unit_of_work import transaction

REGIONS = [f"{country}-{number}" for number in range(4) for country in sorted(OTHER_COUNTRIES)]
KEY = "wide"


def calls(work: Callable[[], None]) -> int:
    """Return how many Python functions a piece of work calls."""
    count = 0

    def note(_frame: FrameType, happening: str, _argument: Any) -> None:
        nonlocal count
        count += happening == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def one_event_each(kind: str, when: str, regions: int) -> list[Event]:
    return [event(kind, when, regions=[region], id=f"{kind}-{region}", incident=KEY) for region in REGIONS[:regions]]


def one_event(kind: str, when: str, regions: int) -> list[Event]:
    return [event(kind, when, regions=REGIONS[:regions], id=kind, incident=KEY)]


def cost(folder: Path, events: Callable[[str, str, int], list[Event]], regions: int) -> int:
    """Return the calls that the beginning and the end of an outage in many regions cost, up to the plan."""
    folder.mkdir()
    with house(folder) as engine_house:

        def work() -> None:
            for kind, when in (("outage.started", "10:00"), ("outage.restored", "10:10")):
                with transaction(engine_house.database) as unit:
                    engine_house.engine.report(unit, events(kind, when, regions), at("10:20"))

        return calls(work)


@pytest.mark.parametrize("events", [one_event_each, one_event])
def test_twice_the_regions_cost_at_most_twice_the_work(
    tmp_path: Path, events: Callable[[str, str, int], list[Event]]
) -> None:
    cost(tmp_path / "warm", events, 10)
    few, many = (cost(tmp_path / str(regions), events, regions) for regions in (300, 600))
    assert few < many < 2.1 * few
