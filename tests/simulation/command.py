"""The full run: many seeds, how fast they were, and the shortest trace of each world that broke an invariant."""

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from simulation.bank import DUTY, FULL, LEAN, bank_of
from simulation.play import Result, play
from simulation.script import script_of
from simulation.shrink import shortest

_LINES = 60


def main(arguments: Sequence[str] | None = None, out: Callable[[str], None] = print) -> int:
    """Play the seeds; return 1 if any of them broke an invariant."""
    options = _options(arguments)
    seeds = range(options.start, options.start + options.seeds)
    began, cpu_before = time.perf_counter(), _cpu_minutes()
    totals: Counter[str] = Counter()
    days = 0.0
    broken: list[int] = []
    for result in _played(seeds, options):
        if result.violation is not None:
            broken.append(result.script.seed)
            out("\n".join(_about(result, options.share)))
        elif options.verbose:
            out(f"seed {result.script.seed} {result.script.bank}: {result.digest}")
        totals.update(result.counts)
        totals.update({"steps": result.steps, f"{result.script.bank} worlds": 1})
        days += result.incident_days
    took, cpu = (time.perf_counter() - began) / 60, _cpu_minutes() - cpu_before
    out(f"seeds {seeds.start} to {seeds.stop - 1}, {options.workers} processes, {took * 60:.0f} s")
    out(f"incident-days: {days:,.0f}; a minute: {days / took:,.0f}; a minute of one processor: {days / cpu:,.0f}")
    out(", ".join(f"{name}: {count:,}" for name, count in sorted(totals.items())))
    out(f"violations: {len(broken)}" + (f"; seeds {', '.join(map(str, broken))}" if broken else ""))
    return 1 if broken else 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=500, help="how many worlds")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--bank", choices=[LEAN, DUTY, FULL], help="by default the seed decides")
    parser.add_argument("--share", type=float, default=0.03, help="how many updates are worked out anew, from 0 to 1")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many processes")
    parser.add_argument("--verbose", action="store_true", help="print every seed with the mark of its trace")
    return parser.parse_args(arguments)


def _played(seeds: Sequence[int], options: argparse.Namespace) -> Iterator[Result]:
    one = partial(_play, bank=options.bank, share=options.share)
    if options.workers == 1:
        yield from map(one, seeds)
        return
    with ProcessPoolExecutor(options.workers, initializer=_leave_alone) as pool:
        yield from pool.map(one, seeds)


def _cpu_minutes() -> float:
    """Return how long processors have worked for this process and those of its children that have ended."""
    used = os.times()
    return (used.user + used.system + used.children_user + used.children_system) / 60


def _leave_alone() -> None:
    """Have the collector of garbage leave alone what is loaded for good: a fifth of the time is spent on it."""
    bank_of(LEAN)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


def _play(seed: int, bank: str | None, share: float) -> Result:
    return play(script_of(seed, bank), share=share)


def _about(result: Result, share: float) -> Iterator[str]:
    script = result.script
    yield f"seed {script.seed} ({script.bank}) breaks an invariant: {result.violation}"
    short = shortest(result, share=share)
    yield f"  the shortest world found that does so has {sum(len(story.acts) for story in short.script.stories)} acts"
    yield f"  (of {sum(len(story.acts) for story in script.stories)}); it begins at {script.start.isoformat()}:"
    yield from (f"  {line}" for line in short.trace[-_LINES:])
    again = f"--seeds 1 --start {script.seed} --share {share} --bank {script.bank}"
    yield f"  again: python benchmarks/simulation.py {again}"


if __name__ == "__main__":
    sys.exit(main())
