"""Random incidents for the benchmark, the same for every contender and every run."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from random import Random

Incident = Sequence[Sequence[tuple[int, int]]]
"""For each province the intervals [start, end) in which it cannot do business, in order and disjoint.

Instants are whole microseconds since 1970 in UTC; every service is open around the clock.
"""

SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
HALF_HOUR, THREE_HOURS, SIX_HOURS = 30 * MINUTE, 3 * HOUR, 6 * HOUR
LIMITS = HALF_HOUR, THREE_HOURS, SIX_HOURS

FOREVER = 1 << 62
"""The end of an interval that is still open."""

NOW = 1_772_416_800 * SECOND
"""The instant at which every incident is graded: 2026-03-02 02:00 UTC."""

_LONGEST_TOTALS = 20 * MINUTE, HALF_HOUR, HOUR, THREE_HOURS, 5 * HOUR, SIX_HOURS, 8 * HOUR
"""Upper bounds of a province's total; one is drawn for each incident, so that every level occurs."""


def random_incidents(count: int, seed: int, most: int) -> list[Incident]:
    """Return incidents of 0 to 16 provinces with 1 to `most` intervals each; totals at the limits are frequent."""
    random = Random(seed)  # noqa: S311 - a run must be repeatable, not secret
    return [_incident(random, most) for _ in range(count)]


def even_incident(provinces: int, intervals: int) -> Incident:
    """Return an incident in which every province is down for 15 s of every 10 min, up to now.

    A hundred intervals stay below the lowest limit, so no contender can stop before the last one.
    """
    starts = [NOW - 15 * SECOND - index * 10 * MINUTE for index in reversed(range(intervals))]
    closed = [(start, start + 15 * SECOND) for start in starts[:-1]]
    return [[*closed, (starts[-1], FOREVER)] for _ in range(provinces)]


def _incident(random: Random, most: int) -> Incident:
    longest = random.choice(_LONGEST_TOTALS)
    return [_province(random, _total(random, longest), most) for _ in range(random.randint(0, 16))]


def _total(random: Random, longest: int) -> int:
    """Return a province's total up to now: any length, a limit exactly, or one microsecond less."""
    limits = [limit for limit in LIMITS if limit <= longest]
    if limits and random.random() < 0.3:
        return random.choice(limits) - random.randint(0, 1)
    return random.randint(MINUTE, longest - 2)


def _province(random: Random, total: int, most: int) -> list[tuple[int, int]]:
    """Return intervals that add up to `total` until now; one may be open, end later or lie in the future."""
    count = random.randint(1, most)
    later = list(_later(random)) if count > 1 else []
    cuts = sorted(random.sample(range(1, total), count - len(later) - 1))
    lengths = [end - start for start, end in pairwise([0, *cuts, total])]
    intervals: list[tuple[int, int]] = []
    end = NOW if random.random() < 0.4 else NOW - random.randint(0, HOUR)
    for length in lengths:
        intervals.insert(0, (end - length, end))
        end -= length + random.randint(SECOND, HOUR)
    start, end = intervals[-1]
    if end == NOW and not later:
        intervals[-1] = start, random.choice((NOW, NOW + random.randint(1, HOUR), FOREVER, FOREVER))
    return intervals + later


def _later(random: Random) -> Iterator[tuple[int, int]]:
    """Yield, for one province in ten, an interval that has not begun."""
    if random.random() < 0.1:
        start = NOW + random.randint(1, HOUR)
        yield start, random.choice((start + random.randint(1, HOUR), FOREVER))
