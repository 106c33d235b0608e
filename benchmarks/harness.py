"""Compares contenders: first they must agree, then they are timed in turns."""

import gc
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from time import process_time
from typing import Any, TypeVar

from incidents import Incident

Name = TypeVar("Name")
Input = TypeVar("Input")


class DisagreementError(Exception):
    """Contenders give an incident different levels, so their times cannot be compared."""


def _itself(answer: object) -> object:
    return answer


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to grade an incident at the benchmark's instant."""

    name: str
    version: str
    returns: str
    grade: Callable[[Incident], object]
    level: Callable[[Any], object] = _itself
    """Takes the level ("I", "II", "III" or None) out of what `grade` returns; not timed."""


Prepare = Callable[[Sequence[Incident]], Contender]
"""Prepares a contender for exactly the given incidents."""


def check_agreement(contenders: Sequence[Contender], incidents: Sequence[Incident]) -> Mapping[object, int]:
    """Return the number of incidents of each level. Raises DisagreementError at the first disagreement."""
    counts: dict[object, int] = {}
    for index, incident in enumerate(incidents):
        levels = {contender.name: contender.level(contender.grade(incident)) for contender in contenders}
        if len(set(levels.values())) != 1:
            answers = ", ".join(f"{name}: {level}" for name, level in levels.items())
            raise DisagreementError(f"incident {index} gets different levels\n{answers}\n{incident!r}")
        level = levels[contenders[0].name]
        counts[level] = counts.get(level, 0) + 1
    return counts


def measure(
    engines: Mapping[Name, Callable[[Input], object]], incidents: Sequence[Input], rounds: int, seed: int = 0
) -> dict[Name, float]:
    """Return each engine's median time for one incident, in seconds.

    In every round each engine grades the whole batch once. The order changes from round to round, so that a slow phase
    of the machine hits all engines alike. The garbage collector is off during a round. The clock counts the CPU time of
    this process, which excludes other programs.
    """
    order = list(engines)
    random = Random(seed)  # noqa: S311 - an order, no secret
    seconds: dict[Name, list[float]] = {name: [] for name in order}
    for name in order:
        _time(engines[name], incidents)  # fills caches; not counted
    for _ in range(rounds):
        random.shuffle(order)
        gc.collect()
        gc.disable()
        try:
            for name in order:
                seconds[name].append(_time(engines[name], incidents))
        finally:
            gc.enable()
    return {name: median(times) / len(incidents) for name, times in seconds.items()}


def _time(engine: Callable[[Input], object], incidents: Sequence[Input]) -> float:
    start = process_time()
    for incident in incidents:
        engine(incident)
    return process_time() - start
