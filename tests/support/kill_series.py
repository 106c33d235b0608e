"""Kill the daemon at random instants under load, restart it, and check that nothing is lost and nothing doubled.

    python benchmarks/crash.py --kills 1000 --seed 1

Exits with 1 at the first violation, and prints the seed with which the schedule and the load are the same again.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from statistics import median

from incident_engine.common.failpoints import Point
from support.crash import Kill, Tally, ViolationError, Where, play, schedule
from support.process import ColdStarter, ForkStarter, Starter

_KILLS_A_WORLD = 25
_STARTUP_SECONDS = {"warm": 0.6, "cold": 2.5}


def named_points(seed: int) -> list[Kill]:
    """Return one kill at each named point: the first migration, then the others in an order of their own."""
    chance = Random(f"{seed}/points")
    later = [point for point in Point if point is not Point.DURING_MIGRATION]
    points = [Point.DURING_MIGRATION, *chance.sample(later, len(later))]
    return [Kill(0, point=point, time=1 if point.startswith("during") else chance.randint(1, 5)) for point in points]


def worlds(seed: int, kills: int, startup_seconds: float) -> Iterator[tuple[int, list[Kill]]]:
    """Yield each world's seed and its kills."""
    for number, begun in enumerate(range(0, kills, _KILLS_A_WORLD)):
        here = seed + number
        yield here, named_points(here) + schedule(here, min(_KILLS_A_WORLD, kills - begun), startup_seconds)


def summary(tally: Tally, seconds: float) -> Iterator[str]:
    """Yield the lines of the table."""
    yield f"random kills                          {tally.kills:>8}"
    for where in Where:
        yield f"  {where:<36}{tally.where[where]:>8}"
    yield f"kills at named points                 {sum(tally.points.values()):>8}"
    for point in Point:
        missed = f"  ({tally.missed[point]} not reached)" if tally.missed[point] else ""
        yield f"  {point:<36}{tally.points[point]:>8}{missed}"
    yield f"events acknowledged                   {tally.acknowledged:>8}"
    yield "  of these lost                              0"
    yield f"messages delivered                    {tally.deliveries:>8}"
    yield f"  came again, in flight when killed   {tally.repeats:>8}"
    yield "  came again otherwise                       0"
    yield "steps wanted and not done                    0"
    yield "levels that differ from a recomputation      0"
    yield f"restart to ready, median / slowest    {median(tally.restarts):.2f} / {max(tally.restarts):.2f} s"
    yield f"in all                                {seconds / 60:>8.1f} min"


def main() -> int:
    """Run the worlds as the command line says; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="benchmarks/crash.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", choices=_STARTUP_SECONDS, default="warm", help="cold: import everything each time")
    given = parser.parse_args()
    starter: Starter = ForkStarter() if given.start == "warm" else ColdStarter()
    total, begun = Tally(), time.monotonic()
    for seed, kills in worlds(given.seed, given.kills, _STARTUP_SECONDS[given.start]):
        with tempfile.TemporaryDirectory(prefix="crash-") as folder:
            try:
                total.add(play(Path(folder) / "world", seed, starter, kills))
            except ViolationError as error:
                print(f"VIOLATION, seed {seed}: {error}")
                print(f"again: python benchmarks/crash.py --seed {seed} --kills {min(_KILLS_A_WORLD, given.kills)}")
                return 1
        print(f"seed {seed}: {total.kills} kills, nothing wrong", file=sys.stderr, flush=True)
    for line in summary(total, time.monotonic() - begun):
        print(line)
    return 0
