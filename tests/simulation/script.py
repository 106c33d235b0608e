"""What a seed makes happen in the world, as a list of stories that can be left out one by one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from simulation.bank import DUTY, FULL, LEAN
from simulation.channels import FATES
from simulation.clock import DAY, HOUR, MINUTE, SECOND
from simulation.outages import outage_story

_FIRST_DAY = datetime(2025, 2, 1, tzinfo=UTC)
"""From when on all of the shipped packs but one are in force; the calendars know the whole year."""


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happens at an instant of true time."""

    at: int
    kind: str
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Story:
    """Acts that belong together."""

    name: str
    acts: tuple[Act, ...]


@dataclass(frozen=True, slots=True)
class Script:
    """A world: when it begins (a clock of its own), how long it lasts, what happens, and what its people are like."""

    seed: int
    bank: str
    start: datetime
    lasts: int
    diligence: float
    """How likely a person answers a message, from 0 to 1."""
    stories: tuple[Story, ...]


def script_of(seed: int, bank: str | None = None, lasts: int | None = None) -> Script:
    """Return the script of a seed, for another bank or another length of time if it is given."""
    rng = Random(seed)
    chosen = rng.choices([LEAN, DUTY, FULL], [80, 14, 6])[0]
    bank = bank or chosen
    days = rng.choice([5, 10, 20, 40]) if bank == LEAN else rng.choice([1, 2, 4])
    start = _FIRST_DAY + timedelta(days=rng.randrange(290), seconds=rng.randrange(86_400))
    lasts = lasts or days * DAY
    stories = [_outage(rng, number, start, lasts) for number in range(rng.randint(1, 2 if bank == FULL else 5))]
    stories += list(_trouble(rng, lasts))
    return Script(seed, bank, start, lasts, rng.choice([0.0, 0.3, 0.7, 0.95, 0.95]), tuple(stories))


def _outage(rng: Random, number: int, start: datetime, lasts: int) -> Story:
    begins = rng.randrange(lasts * 2 // 3)
    name = f"outage-{number}"
    acts = [Act(at, kind, data) for at, kind, data in outage_story(rng, name, start, begins)]
    return Story(name, tuple(sorted(acts, key=lambda act: act.at)))


def _trouble(rng: Random, lasts: int) -> Iterator[Story]:
    """Yield crashes, failures of the store, restarts, clocks that are set and channels that fail."""
    for number in range(rng.choice([0, 1, 2, 4])):
        yield Story(f"crash-{number}", (_crash(rng, lasts),))
    for number in range(rng.choice([0, 0, 1, 2])):
        yield Story(f"store-{number}", (Act(rng.randrange(lasts), "store_fails", {"after": rng.randrange(60)}),))
    for number in range(rng.choice([0, 1, 2])):
        seconds = rng.choice([-0.2, -1.5, -4, -30, 3, 70, 3700])
        yield Story(f"clock-{number}", (Act(rng.randrange(lasts), "clock", {"by": int(seconds * SECOND)}),))
    for number in range(rng.choice([0, 1, 2, 3])):
        begins = rng.randrange(lasts)
        ends = begins + rng.choice([MINUTE, 20 * MINUTE, 3 * HOUR, 9 * HOUR])
        weather = {
            "channel": rng.choice(["robot", "mail", "desk", "chat", "outbox"]),
            "fate": rng.choice(FATES),
            "share": rng.choice([0.3, 0.8, 1.0]),
        }
        acts = (Act(begins, "weather", weather), Act(min(ends, lasts), "fair", {"channel": weather["channel"]}))
        yield Story(f"weather-{number}", acts)


def _crash(rng: Random, lasts: int) -> Act:
    """Return a crash between two commits, within a transaction, after a commit, or an orderly restart."""
    down = int(rng.choice([1, 10, 300, 7_200]) * rng.uniform(0.5, 1.5) * SECOND)
    how = rng.choice(["crash", "crash_within", "crash_within", "crash_after", "restart"])
    return Act(rng.randrange(lasts), how, {"down": down, "after": rng.randrange(80)})
