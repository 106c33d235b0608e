"""Growth of the time for one incident with its provinces and their intervals."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from math import log

from harness import Prepare, measure
from incidents import Incident, even_incident

PROVINCES = 1, 2, 4, 8, 16, 34
INTERVALS = 1, 3, 10, 30, 100
_ROUNDS, _REPEATS = 7, 3


def growth_table(prepare: Prepare) -> Iterator[str]:
    """Yield the lines of a grid of times, with the exponents of growth at its far end; 1 is linear."""
    seconds = _growth(prepare)
    yield f"{prepare([]).name}: µs per incident, by provinces (down) and intervals in each (across)"
    yield "".join([" " * 9, *(f"{intervals:>10}" for intervals in INTERVALS)])
    for provinces in PROVINCES:
        times = (seconds[provinces, intervals] * 1e6 for intervals in INTERVALS)
        yield "".join([f"{provinces:>9}", *(f"{time:>10.1f}" for time in times)])
    (fewer, most), (short, long) = PROVINCES[-2:], INTERVALS[-2:]
    by_provinces = log(seconds[most, long] / seconds[fewer, long]) / log(most / fewer)
    by_intervals = log(seconds[most, long] / seconds[most, short]) / log(long / short)
    yield f"exponent by provinces, {fewer} to {most}: {by_provinces:.2f}"
    yield f"exponent by intervals, {short} to {long}: {by_intervals:.2f}"
    times_as_long = seconds[most, long] / seconds[PROVINCES[0], INTERVALS[0]]
    yield f"{most * long // INTERVALS[0]:,} times the intervals take {times_as_long:,.0f} times as long"


def _growth(prepare: Prepare) -> dict[tuple[int, int], float]:
    """Return the median seconds for one incident by its number of provinces and of intervals in each."""
    grades: dict[tuple[int, int], Callable[[int], object]] = {}
    for cell in product(PROVINCES, INTERVALS):
        incident = even_incident(*cell)
        grades[cell] = partial(_grade_once, prepare([incident]).grade, incident)
    return measure(grades, range(_REPEATS), _ROUNDS)


def _grade_once(grade: Callable[[Incident], object], incident: Incident, _: int) -> object:
    return grade(incident)
