"""Compile a pack's limits on regions to Python source when the pack is loaded.

For a pack whose only rule is "two regions down for at least 1 h", `compile_pack(pack).source` begins with:

    def instants(regions):
        a0_1 = FOREVER
        a0_2 = FOREVER
        for intervals in regions:
            down = 0
            remaining = iter(intervals)
            for start, end in remaining:
                down += end - start
                if down >= 3600000000:
                    at = end - down
                    break
            else:
                continue
            if at < a0_2:
                if at >= a0_1:
                    a0_2 = at
                else:
                    a0_2 = a0_1
                    a0_1 = at
        a0_1 += 3600000000
        a0_2 += 3600000000
        r0 = a0_2
        return (r0 if r0 < FOREVER else FOREVER,)

`a0_2` is the instant at which the second region had been down for the first length (index 0), `r0` the instant at which
the first rule is reached. Instants are microseconds since 1970, lengths are microseconds.

Compiled are the rules made of `regions_down` alone, by the pack's own clock, if each region counts by its own total.
`conditions` and `downtime` define the meaning. A property test demands the same instants from both, to the
microsecond. For the 2008 guideline the pass takes 1/80 to 1/60 of the time of the conditions; with the conversion of
dates to microseconds it takes a third (docs/benchmarks.md, "Compiled and not compiled").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from incident_engine.domain.grading.conditions import Condition, RegionsDown, leaves
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.interpretation import Counting, Flapping, Interpretation, Services
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.values import NEVER, RESOLUTION

Intervals = Sequence[tuple[int, int]]
"""The downtime that counts in one region: [start, end) in microseconds since 1970, in order, without overlap."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOREVER = (NEVER - _EPOCH) // RESOLUTION
"""NEVER in microseconds since 1970: the end of an open interval, and the instant of a rule that is not reached."""


class CompiledChange(NamedTuple):
    """The instant (microseconds since 1970) at which a level is reached, the level, and the id of the rule."""

    at: int
    level: str
    rule: str


class RegionTotal(NamedTuple):
    """The downtime of a region (its index) up to an instant, in microseconds, and the number of its intervals."""

    region: int
    total: int
    intervals: int


class LimitMet(NamedTuple):
    """A limit: `regions` is the number of regions that must be down for `length` microseconds, met at the instant `at`.

    `met` has (instant, index of the region) for each region that was down for the length, the earliest first.
    """

    regions: int
    length: int
    at: int
    met: tuple[tuple[int, int], ...]


class RuleTrace(NamedTuple):
    """A rule that was reached, with its clause, the instant, and its limits."""

    rule: str
    level: str
    cite: str
    at: int
    limits: tuple[LimitMet, ...]


class Trace(NamedTuple):
    """The level at an instant and the whole level history, with the evidence for both."""

    level: str | None
    history: tuple[CompiledChange, ...]
    rules: tuple[RuleTrace, ...]
    regions: tuple[RegionTotal, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """The compiled limits of a pack."""

    rules: tuple[str, ...]
    """Ids of the compiled rules, in the pack's order."""
    longest: int
    """The longest limit in microseconds. More downtime of a region changes no result of `instants` or `history`."""
    instants: Callable[[Sequence[Intervals]], tuple[int, ...]]
    """Returns the instant at which each compiled rule is reached, or FOREVER, in the order of `rules`."""
    history: Callable[[Sequence[Intervals]], tuple[CompiledChange, ...]]
    """Returns all level changes, past and future, in order."""
    trace: Callable[[Sequence[Intervals], int], Trace]
    """Returns the level at an instant (microseconds since 1970) with the evidence for it."""
    source: str
    """The generated Python source."""


def microseconds(instant: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (instant - _EPOCH) // RESOLUTION


def instant_of(micros: int) -> datetime:
    """Return the instant of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def counted_intervals(downtime: Downtime, longest: int) -> list[Intervals]:
    """Return the intervals that count in each region, in the order of `downtime.regions`.

    A region's intervals end with the one that completes `longest` microseconds.
    """
    regions: list[Intervals] = []
    for region in downtime.regions:
        intervals: list[tuple[int, int]] = []
        total = 0
        for start, end in downtime.segments(region):
            intervals.append((microseconds(start), microseconds(end)))
            total += intervals[-1][1] - intervals[-1][0]
            if total >= longest:  # an outage that is still open would yield every service day until the year 9998
                break
        regions.append(intervals)
    return regions


_compiled: dict[tuple[str, Interpretation], Program | None] = {}
"""The programs by the hash and the interpretation of their packs. A process loads few packs, so that all are kept."""


def program_of(pack: Pack) -> Program | None:
    """Return the compiled form of a pack, or None; see `compile_pack`. Each pack is compiled once for each process."""
    key = pack.content_hash, pack.interpretation  # `model_copy` keeps a hash that is cached already
    if key not in _compiled:
        _compiled[key] = compile_pack(pack)
    return _compiled[key]


def compile_pack(pack: Pack) -> Program | None:
    """Return the compiled form of a pack's limits on regions; None if its interpretation or rules do not allow it."""
    rules = [
        rule
        for rule in pack.rules
        if all(leaf.regions_down is not None and leaf.regions_down.clock is None for leaf in leaves(rule.when))
    ]
    points = pack.interpretation
    # Only totals of each region, added up over all services, can be kept in one pass over its intervals.
    plain = Counting.OWN, Flapping.ACCUMULATE, Services.UNION
    if not rules or (points.counting, points.flapping, points.services) != plain:
        return None
    return _Compiler(pack, {rule.id: rule.when for rule in rules}).program()


def _length(limit: RegionsDown) -> int:
    return limit.for_.least // RESOLUTION


class _Compiler:
    """Writes the source for one pack.

    In the source `a{i}_{n}` is the instant at which the n-th region had been down for the i-th length, and `r{i}` the
    instant at which the i-th rule is reached. `trace` has `m{i}`, the (instant, region) pairs of the i-th length, too.
    """

    def __init__(self, pack: Pack, conditions: Mapping[str, Condition]) -> None:
        self._pack = pack
        self._conditions = conditions
        limits = [leaf.regions_down for condition in conditions.values() for leaf in leaves(condition)]
        regions_down = [limit for limit in limits if limit is not None]
        self._lengths = sorted({_length(limit) for limit in regions_down})
        self._most = {
            length: max(limit.least for limit in regions_down if _length(limit) == length) for length in self._lengths
        }

    def program(self) -> Program:
        rules = [f"r{index} = {self._instant(when)}" for index, when in enumerate(self._conditions.values())]
        # An unreached `a` is FOREVER plus its length.
        answers = [f"r{index} if r{index} < FOREVER else FOREVER" for index in range(len(rules))]
        bodies = {
            "instants(regions)": [*self._pass(), *rules, f"return ({', '.join(answers)},)"],
            "history(regions)": [*self._pass(), *rules, *self._history(), "return history"],
            "trace(regions, now)": [*self._tracing_pass(), *rules, *self._history(), *self._answer_trace()],
        }
        source = "\n".join(
            line for head, body in bodies.items() for line in (f"def {head}:", *(f"    {line}" for line in body), "")
        )
        names: dict[str, object] = {
            "FOREVER": FOREVER,
            "CompiledChange": CompiledChange,
            "RegionTotal": RegionTotal,
            "LimitMet": LimitMet,
            "RuleTrace": RuleTrace,
            "Trace": Trace,
            "new": tuple.__new__,  # half the time of the NamedTuple's own constructor
            "LEVELS": tuple(self._pack.rule_by_id[rule].level for rule in self._conditions),
            "RULES": tuple(self._conditions),
            "CITES": tuple(self._pack.rule_by_id[rule].cite for rule in self._conditions),
        }
        # Only figures and quoted ids of levels come from the pack, which has passed its checks.
        exec(compile(source, f"<pack {self._pack.pack}>", "exec"), names)  # noqa: S102 - generated above
        return Program(
            rules=tuple(self._conditions),
            longest=self._lengths[-1],
            instants=names["instants"],  # type: ignore[arg-type]
            history=names["history"],  # type: ignore[arg-type]
            trace=names["trace"],  # type: ignore[arg-type]
            source=source,
        )

    # One pass over the regions, for `instants` and `history`

    def _pass(self) -> list[str]:
        # `at` is earlier than the instant by the length: it is added once at the end, not for each region.
        lines = [
            f"a{index}_{n} = FOREVER"
            for index, length in enumerate(self._lengths)
            for n in range(1, self._most[length] + 1)
        ]
        lines += ["for intervals in regions:", "    down = 0", "    remaining = iter(intervals)"]
        for index, length in enumerate(self._lengths):
            lines += self._until(index, length)
            lines += self._insert(index, length)
        for index, length in enumerate(self._lengths):
            lines += [f"a{index}_{n} += {length}" for n in range(1, self._most[length] + 1)]
        return lines

    def _until(self, index: int, length: int) -> list[str]:
        # The iterator goes on where the shorter length stopped: each interval is visited once for all lengths.
        search = ["for start, end in remaining:", "    down += end - start", f"    if down >= {length}:"]
        search += ["        at = end - down", "        break", "else:", "    continue"]
        if index == 0:
            return ["    " + line for line in search]
        return [f"    if down < {length}:", *("        " + line for line in search)]

    def _insert(self, index: int, length: int) -> list[str]:
        """Insert `at` into the sorted earliest instants of a length; the largest limit decides how many are kept."""
        # Written out as comparisons: a list with `bisect.insort` costs a call for each region.
        count = self._most[length]
        if count == 1:
            return [f"    if at < a{index}_1:", f"        a{index}_1 = at"]
        lines = [f"    if at < a{index}_{count}:"]
        for number in range(count, 0, -1):
            shifted = [f"            a{index}_{n} = a{index}_{n - 1}" for n in range(count, number, -1)]
            word = "if" if number == count else "elif"
            lines.append(f"        {word} at >= a{index}_{number - 1}:" if number > 1 else "        else:")
            lines += [*shifted, f"            a{index}_{number} = at"]
        return lines

    # The pass of `trace`, which also keeps each region that meets a length, and each region's total

    def _tracing_pass(self) -> list[str]:
        indexes = range(len(self._lengths))
        lines = [f"m{index} = []" for index in indexes]
        lines += ["totals = []", "index = -1", "for intervals in regions:", "    index += 1", "    total = 0"]
        lines += ["    for start, end in intervals:", "        if end > now:", "            if start < now:"]
        lines += ["                total += now - start", "            break", "        total += end - start"]
        lines += ["    totals.append(new(RegionTotal, (index, total, len(intervals))))"]
        lines += ["    down = 0", "    remaining = iter(intervals)"]
        for index, length in enumerate(self._lengths):
            lines += [*self._until(index, length), f"    m{index}.append((at + {length}, index))"]
        for index in indexes:
            lines += [f"m{index}.sort()", f"n{index} = len(m{index})"]
        for index, length in enumerate(self._lengths):
            for number in range(1, self._most[length] + 1):
                lines.append(f"a{index}_{number} = m{index}[{number - 1}][0] if n{index} >= {number} else FOREVER")
        return lines

    # From the instants of the lengths to those of the rules, and to levels

    def _instant(self, condition: Condition) -> str:
        limit = condition.regions_down
        if limit is not None:
            return f"a{self._lengths.index(_length(limit))}_{limit.least}"
        parts = [self._instant(part) for part in condition.parts]
        if condition.n_of is not None:
            return f"sorted(({', '.join(parts)},))[{condition.n_of.at_least - 1}]"
        if len(parts) == 1:
            return parts[0]
        if len(parts) == 2 and all(part.isidentifier() for part in parts):  # cheaper than a call of min or max
            sign = "<" if condition.any else ">"
            return f"{parts[0]} if {parts[0]} {sign} {parts[1]} else {parts[1]}"
        return f"{'min' if condition.any else 'max'}({', '.join(f'({part})' for part in parts)})"

    def _history(self) -> list[str]:
        """Write the level history: from the worst level down, a level counts if it is reached before all worse ones.

        Of several rules for one level the earliest is named.
        """
        severity = self._pack.severity
        indexes = {rule: index for index, rule in enumerate(self._conditions)}
        lines, bound = ["history = ()"], "FOREVER"
        for level in sorted(severity, key=lambda level: -severity[level]):
            # `bound` is the instant of the next worse level: a level that comes later changes nothing.
            of = [indexes[rule] for rule in self._conditions if self._pack.rule_by_id[rule].level == level]
            if not of:
                continue
            first = f"r{of[0]}"
            if len(of) > 1:
                lines += [f"first, of = min({', '.join(f'(r{index}, {index})' for index in of)})"]
                first, change = "first", "new(CompiledChange, (first, LEVELS[of], RULES[of]))"
            else:
                change = f"new(CompiledChange, ({first}, {level!r}, RULES[{of[0]}]))"
            lines += [f"if {first} < {bound}:", f"    history = ({change}, *history)", f"    bound = {first}"]
            if bound == "FOREVER":
                lines += ["else:", "    bound = FOREVER"]
            bound = "bound"
        return lines

    def _answer_trace(self) -> list[str]:
        lines = ["rules = ()"]
        for index, when in reversed(list(enumerate(self._conditions.values()))):  # each is put in front of the others
            limits: list[str] = []
            for limit in (leaf.regions_down for leaf in leaves(when) if leaf.regions_down is not None):
                number, length = self._lengths.index(_length(limit)), _length(limit)
                met = f"a{number}_{limit.least}, tuple(m{number})"
                limits.append(f"new(LimitMet, ({limit.least}, {length}, {met}))")
            lines += [f"if r{index} <= now:"]
            lines += [f"    limits = ({', '.join(limits)},)"]
            lines += [f"    rule = new(RuleTrace, (RULES[{index}], LEVELS[{index}], CITES[{index}], r{index}, limits))"]
            lines += ["    rules = (rule, *rules)"]
        lines += [
            "level = None",
            "for change in history:",
            "    if change[0] > now:",
            "        break",
            "    level = change[1]",
        ]
        return [*lines, "return new(Trace, (level, history, rules, tuple(totals)))"]
