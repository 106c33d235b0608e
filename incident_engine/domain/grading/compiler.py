"""A pack's limits on regions, compiled when the pack is loaded to one pass over the intervals.

The meaning stands in `conditions` and `downtime`; this is the same for whole microseconds, and a property test holds
both together. What is compiled: rules made of `regions_down` by the pack's own clock, each region by its own total.
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

Spans = Sequence[tuple[int, int]]
"""One region's downtime that counts, in microseconds since 1970: [start, end), in order, without overlap."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FOREVER = (NEVER - _EPOCH) // RESOLUTION
"""The end of what is still down, and the instant of what is never reached."""


class CompiledChange(NamedTuple):
    """A level reached: when (microseconds since 1970), which, by which rule."""

    at: int
    level: str
    rule: str


class RegionTotal(NamedTuple):
    """How long a region (by its place) was down up to an instant, in microseconds, in how many stretches."""

    place: int
    total: int
    stretches: int


class LimitMet(NamedTuple):
    """A limit with its regions (by their places) and when each met it; `at` is when enough had."""

    regions: int
    length: int
    at: int
    met: tuple[tuple[int, int], ...]


class RuleTrace(NamedTuple):
    """A rule that was reached: when, its clause, and the limits of which it is made."""

    rule: str
    level: str
    cite: str
    at: int
    limits: tuple[LimitMet, ...]


class Trace(NamedTuple):
    """The level at an instant, the whole course, and what both rest on."""

    level: str | None
    course: tuple[CompiledChange, ...]
    rules: tuple[RuleTrace, ...]
    regions: tuple[RegionTotal, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """The compiled limits of a pack."""

    rules: tuple[str, ...]
    """The rules that are compiled, in the pack's order."""
    longest: int
    """The longest limit: what a region was down beyond it changes nothing."""
    instants: Callable[[Sequence[Spans]], tuple[int, ...]]
    """When each compiled rule is reached; FOREVER for never."""
    course: Callable[[Sequence[Spans]], tuple[CompiledChange, ...]]
    """Every rise in level, past and to come, in order."""
    trace: Callable[[Sequence[Spans], int], Trace]
    """The level at an instant with the evidence for it."""
    source: str
    """What was compiled, to be read."""


def microseconds(instant: datetime) -> int:
    """Return an instant as microseconds since 1970."""
    return (instant - _EPOCH) // RESOLUTION


def instant_of(micros: int) -> datetime:
    """Return the instant of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def counted_spans(downtime: Downtime, longest: int) -> list[Spans]:
    """Return what counts in each region; beyond the longest limit nothing is asked for."""
    found: list[Spans] = []
    for region in downtime.regions:
        spans: list[tuple[int, int]] = []
        total = 0
        for start, end in downtime.segments(region):
            spans.append((microseconds(start), microseconds(end)))
            total += spans[-1][1] - spans[-1][0]
            if total >= longest:
                break
        found.append(spans)
    return found


_compiled: dict[tuple[str, Interpretation], Program | None] = {}


def program_of(pack: Pack) -> Program | None:
    """Return the compiled form of a pack, compiled once; see `compile_pack`."""
    key = pack.content_hash, pack.interpretation
    if key not in _compiled:
        _compiled[key] = compile_pack(pack)
    return _compiled[key]


def compile_pack(pack: Pack) -> Program | None:
    """Return the compiled form of a pack's limits on regions; None if its reading or its rules do not allow it."""
    rules = [rule for rule in pack.rules if _is_compilable(rule.when)]
    if not rules or not _is_plain(pack.interpretation):
        return None
    return _Compiler(pack, {rule.id: rule.when for rule in rules}).program()


def _is_plain(reading: Interpretation) -> bool:
    return (reading.counting, reading.flapping, reading.services) == (
        Counting.OWN,
        Flapping.ACCUMULATE,
        Services.UNION,
    )


def _is_compilable(condition: Condition) -> bool:
    return all(leaf.regions_down is not None and leaf.regions_down.clock is None for leaf in leaves(condition))


def _length(limit: RegionsDown) -> int:
    return limit.for_.least // RESOLUTION


class _Compiler:
    """Writes the source of one pass: `a{i}_{n}` is when the n-th region had been down for the i-th length.

    Within the pass it is so long before that (`at`: when an outage without a break would have begun).
    """

    def __init__(self, pack: Pack, conditions: Mapping[str, Condition]) -> None:
        self._pack = pack
        self._conditions = conditions
        limits = [leaf.regions_down for condition in conditions.values() for leaf in leaves(condition)]
        known = [limit for limit in limits if limit is not None]
        self._lengths = sorted({_length(limit) for limit in known})
        self._most = {
            length: max(limit.least for limit in known if _length(limit) == length) for length in self._lengths
        }

    def program(self) -> Program:
        source = "\n".join(
            [
                *self._function("instants", "regions", self._pass(), self._answer_instants()),
                *self._function("course", "regions", self._pass(), self._answer_course()),
                *self._function("trace", "regions, now", self._tracing_pass(), self._answer_trace()),
            ]
        )
        names: dict[str, object] = {
            "FOREVER": FOREVER,
            "Rise": CompiledChange,
            "RegionTotal": RegionTotal,
            "LimitMet": LimitMet,
            "RuleTrace": RuleTrace,
            "Trace": Trace,
            "new": tuple.__new__,
            "LEVELS": tuple(self._pack.rule_by_id[rule].level for rule in self._conditions),
            "RULES": tuple(self._conditions),
            "CITES": tuple(self._pack.rule_by_id[rule].cite for rule in self._conditions),
        }
        exec(compile(source, f"<pack {self._pack.pack}>", "exec"), names)  # noqa: S102 - figures of a checked pack only
        return Program(
            rules=tuple(self._conditions),
            longest=self._lengths[-1],
            instants=names["instants"],  # type: ignore[arg-type]
            course=names["course"],  # type: ignore[arg-type]
            trace=names["trace"],  # type: ignore[arg-type]
            source=source,
        )

    def _function(self, name: str, arguments: str, *blocks: list[str]) -> list[str]:
        return [f"def {name}({arguments}):", *("    " + line for block in blocks for line in block), ""]

    # One pass: what each region meets, and the earliest instants of each length

    def _pass(self) -> list[str]:
        lines = [f"{name} = FOREVER" for name in self._names()]
        lines += ["for spans in regions:", "    done = 0", "    left = iter(spans)"]
        for place, length in enumerate(self._lengths):
            lines += self._until(place, length)
            lines += self._insert(place, length)
        for place, length in enumerate(self._lengths):
            lines += [f"a{place}_{n} += {length}" for n in range(1, self._most[length] + 1)]
        return lines

    def _until(self, place: int, length: int) -> list[str]:
        search = ["for start, end in left:", "    done += end - start", f"    if done >= {length}:"]
        search += ["        at = end - done", "        break", "else:", "    continue"]
        if place == 0:
            return ["    " + line for line in search]
        return [f"    if done < {length}:", *("        " + line for line in search)]

    def _insert(self, place: int, length: int) -> list[str]:
        """Keep the earliest instants of a length, in order, as many as any limit asks for."""
        count = self._most[length]
        if count == 1:
            return [f"    if at < a{place}_1:", f"        a{place}_1 = at"]
        lines = [f"    if at < a{place}_{count}:"]
        for number in range(count, 0, -1):
            shifted = [f"            a{place}_{n} = a{place}_{n - 1}" for n in range(count, number, -1)]
            word = "if" if number == count else "elif"
            lines.append(f"        {word} at >= a{place}_{number - 1}:" if number > 1 else "        else:")
            lines += [*shifted, f"            a{place}_{number} = at"]
        return lines

    def _names(self) -> list[str]:
        return [f"a{place}_{n}" for place, length in enumerate(self._lengths) for n in range(1, self._most[length] + 1)]

    # The same with what the evidence needs: every region that meets a length, and every total

    def _tracing_pass(self) -> list[str]:
        places = range(len(self._lengths))
        lines = [f"m{place} = []" for place in places]
        lines += ["totals = []", "place = -1", "for spans in regions:", "    place += 1", "    total = 0"]
        lines += ["    for start, end in spans:", "        if end > now:", "            if start < now:"]
        lines += ["                total += now - start", "            break", "        total += end - start"]
        lines += ["    totals.append(new(RegionTotal, (place, total, len(spans))))"]
        lines += ["    done = 0", "    left = iter(spans)"]
        for place, length in enumerate(self._lengths):
            lines += [*self._until(place, length), f"    m{place}.append((at + {length}, place))"]
        for place in places:
            lines += [f"m{place}.sort()", f"n{place} = len(m{place})"]
        for place, length in enumerate(self._lengths):
            for number in range(1, self._most[length] + 1):
                lines.append(f"a{place}_{number} = m{place}[{number - 1}][0] if n{place} >= {number} else FOREVER")
        return lines

    # What follows from the instants

    def _instant(self, condition: Condition) -> str:
        limit = condition.regions_down
        if limit is not None:
            return f"a{self._lengths.index(_length(limit))}_{limit.least}"
        parts = [self._instant(part) for part in condition.parts]
        if condition.n_of is not None:
            return f"sorted(({', '.join(parts)},))[{condition.n_of.at_least - 1}]"
        if len(parts) == 1:
            return parts[0]
        if len(parts) == 2 and all(part.isidentifier() for part in parts):
            sign = "<" if condition.any else ">"
            return f"{parts[0]} if {parts[0]} {sign} {parts[1]} else {parts[1]}"
        return f"{'min' if condition.any else 'max'}({', '.join(f'({part})' for part in parts)})"

    def _rule_instants(self) -> list[str]:
        return [f"r{place} = {self._instant(when)}" for place, when in enumerate(self._conditions.values())]

    def _answer_instants(self) -> list[str]:
        answers = [f"r{place} if r{place} < FOREVER else FOREVER" for place in range(len(self._conditions))]
        return [*self._rule_instants(), f"return ({', '.join(answers)},)"]

    def _course(self) -> list[str]:
        """A level counts only if it is reached before every worse one; of rules for one level the earliest speaks."""
        severity = self._pack.severity
        places = {rule: place for place, rule in enumerate(self._conditions)}
        lines, bound = ["course = ()"], "FOREVER"
        for level in sorted(severity, key=lambda level: -severity[level]):
            of = [places[rule] for rule in self._conditions if self._pack.rule_by_id[rule].level == level]
            if not of:
                continue
            first = f"r{of[0]}"
            if len(of) > 1:
                lines += [f"first, of = min({', '.join(f'(r{place}, {place})' for place in of)})"]
                first, rise = "first", "new(Rise, (first, LEVELS[of], RULES[of]))"
            else:
                rise = f"new(Rise, ({first}, {level!r}, RULES[{of[0]}]))"
            lines += [f"if {first} < {bound}:", f"    course = ({rise}, *course)", f"    bound = {first}"]
            if bound == "FOREVER":
                lines += ["else:", "    bound = FOREVER"]
            bound = "bound"
        return lines

    def _answer_course(self) -> list[str]:
        return [*self._rule_instants(), *self._course(), "return course"]

    def _answer_trace(self) -> list[str]:
        lines = [*self._rule_instants(), *self._course(), "rules = ()"]
        for place, when in reversed(list(enumerate(self._conditions.values()))):
            limits = [self._limit_met(leaf.regions_down) for leaf in leaves(when) if leaf.regions_down is not None]
            lines += [f"if r{place} <= now:"]
            lines += [f"    limits = ({', '.join(limits)},)"]
            lines += [f"    rule = new(RuleTrace, (RULES[{place}], LEVELS[{place}], CITES[{place}], r{place}, limits))"]
            lines += ["    rules = (rule, *rules)"]
        lines += [
            "level = None",
            "for rise in course:",
            "    if rise[0] > now:",
            "        break",
            "    level = rise[1]",
        ]
        return [*lines, "return new(Trace, (level, course, rules, tuple(totals)))"]

    def _limit_met(self, limit: RegionsDown) -> str:
        place = self._lengths.index(_length(limit))
        return f"new(LimitMet, ({limit.least}, {_length(limit)}, a{place}_{limit.least}, tuple(m{place})))"
