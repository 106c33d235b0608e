"""Times the grading of incidents against other rule engines, all in one run: python benchmarks/grading.py.

Needs the packages of benchmarks/requirements.lock beside incident-engine's own. Takes less than a minute.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter, itemgetter
from pathlib import Path
from platform import machine, python_version
from time import perf_counter

import typer
from growth import growth_table
from harness import Contender, Prepare, check_agreement, measure
from incidents import FOREVER, NOW, Incident, random_incidents
from peers import peers

from incident_engine import __version__
from incident_engine.common.yaml_loader import load_file
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.compiler import CompiledChange, Program, counted_intervals, program_of
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.grading.reach import reach
from incident_engine.domain.incidents import incident as facts
from incident_engine.domain.regions import PROVINCES
from incident_engine.domain.values import NEVER

INCIDENTS = 1_000
SEED = 2008
ROUNDS = 15
REFERENCE = "zen"
"""The contender with which the others are compared."""

_PACK = Path(__file__).parents[1] / "rules" / "grading" / "cn-cbrc-2008.yaml"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def with_history(_: Sequence[Incident]) -> Contender:
    """Return the pack as it is compiled when it is loaded: the level now and all level changes, past and future."""
    history = _program().history

    def grade(incident: Incident) -> tuple[str | None, tuple[CompiledChange, ...]]:
        changes, level = history(incident), None
        for change in changes:
            if change[0] > NOW:
                break
            level = change[1]
        return level, changes

    return Contender(
        name="incident-engine",
        version=__version__,
        returns="level now, whole trajectory",
        grade=grade,
        level=itemgetter(0),
    )


def with_evidence(_: Sequence[Incident]) -> Contender:
    """Return the compiled pack with the evidence: rules with their clauses, limits, regions and totals."""
    trace = _program().trace
    return Contender(
        name="incident-engine, traced",
        version=__version__,
        returns="level now, whole trajectory, evidence tree",
        grade=lambda incident: trace(incident, NOW),
        level=attrgetter("level"),
    )


def whole_assessment(incidents: Sequence[Incident]) -> Contender:
    """Return the engine's whole verdict, from facts with dates and sources: what is done here is not timed."""
    pack, now = _pack(), _instant(NOW)
    known = {id(incident): _facts(incident) for incident in incidents}
    return Contender(
        name="incident-engine, assess",
        version=__version__,
        returns="the same, deadlines, other readings, sources",
        grade=lambda incident: assess(known[id(incident)], pack, {}, now),
        level=attrgetter("level"),
    )


UNDER_TEST: tuple[Prepare, ...] = (with_history, with_evidence, whole_assessment)


def _pack() -> Pack:
    return parse_pack(load_file(_PACK).data)


def _program() -> Program:
    program = program_of(_pack())
    assert program is not None  # noqa: S101 - the shipped pack is one that can be compiled
    return program


def _facts(incident: Incident) -> facts.Incident:
    outages = tuple(
        facts.Outage("core-banking", province.code, tuple(_interval(*interval) for interval in intervals))
        for province, intervals in zip(PROVINCES, incident, strict=False)
    )
    return facts.Incident("benchmark", outages)


def _interval(start: int, end: int) -> facts.Interval:
    return facts.Interval(_instant(start), NEVER if end == FOREVER else _instant(end), facts.Impairment.DOWN)


def _instant(microseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=microseconds)


def results_table(contenders: Sequence[Contender], seconds: Mapping[str, float]) -> Iterator[str]:
    """Yield the lines of the table, the fastest first, with each time as a multiple of the reference's."""
    yield f"{'engine':<25}{'version':<16}{'returns':<46}{'µs/incident':>12}{'x ' + REFERENCE:>9}"
    for contender in sorted(contenders, key=lambda contender: seconds[contender.name]):
        time = seconds[contender.name]
        described = f"{contender.name:<25}{contender.version:<16}{contender.returns:<46}"
        yield f"{described}{time * 1e6:>12.2f}{time / seconds[REFERENCE]:>9.2f}"


def compare(title: str, incidents: Sequence[Incident]) -> None:
    """Check that all agree on the incidents, time them, and print the table."""
    contenders = [*peers(NOW), *(prepare(incidents) for prepare in UNDER_TEST)]
    levels = check_agreement(contenders, incidents)
    counts = ", ".join(f"{level or 'none'} {levels[level]}" for level in sorted(levels, key=str))
    typer.echo(f"\n{title}: {len(incidents)} random incidents, all agree on their levels: {counts}\n")
    grades = {contender.name: contender.grade for contender in contenders}
    typer.echo("\n".join(results_table(contenders, measure(grades, incidents, ROUNDS))))


def compiled_table(incidents: Sequence[Incident]) -> Iterator[str]:
    """Yield the time in which the compiled rules are reached, as a multiple of that of the conditions."""
    pack, program = _pack(), _program()
    conditions = [pack.conditions[rule] for rule in program.rules]
    facts_of = {id(incident): _facts(incident) for incident in incidents}

    def downtime_of(incident: Incident) -> Downtime:  # a new one, since it caches its answers
        return Downtime(facts_of[id(incident)], {}, pack.region_prefix, pack.interpretation)

    def by_conditions(incident: Incident) -> list[datetime]:
        downtime = downtime_of(incident)
        return [reach(condition, downtime) for condition in conditions]

    ways: Mapping[str, Callable[[Incident], object]] = {
        "conditions": by_conditions,
        "compiled, with the conversion of dates": lambda incident: program.instants(
            counted_intervals(downtime_of(incident), program.longest)
        ),
        "compiled, the pass alone": program.instants,
    }
    seconds = measure(ways, incidents, ROUNDS)
    for name, time in seconds.items():
        yield f"{name:<40}{time * 1e6:>10.2f} µs{time / seconds['conditions']:>9.3f}"


def main() -> None:
    """Compare with the others, and print how the time grows."""
    began = perf_counter()
    typer.echo(f"Python {python_version()}, {machine()}, {os.cpu_count()} cores; medians of {ROUNDS} rounds in turns")
    compare("One interval in each province", random_incidents(INCIDENTS, SEED, 1))
    compare("One to five intervals in each province", random_incidents(INCIDENTS, SEED, 5))
    for most in (1, 5):
        typer.echo(f"\nCompiled and not compiled, up to {most} interval(s) in each province:\n")
        typer.echo("\n".join(compiled_table(random_incidents(INCIDENTS, SEED, most))))
    for prepare in UNDER_TEST:
        typer.echo("\n" + "\n".join(growth_table(prepare)))
    typer.echo(f"\n{perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
