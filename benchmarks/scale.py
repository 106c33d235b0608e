"""How incident-engine bears up: a storm, and very many open incidents: python benchmarks/scale.py.

Exits with 1 if anything is lost or done twice. Seeded incidents are copies of real ones: see seeding.py.
"""

import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from bank import configuration, database, load_services, numbered, numbered_services
from figures import Row, mb, ms
from machine import described, markdown_table
from seeding import INCIDENT, SERVICE, Seed, check_copies, copy_originals, now, one, post, report_originals
from servers import BenchmarkError, Server, incident_engine
from storm import PATH, alert, notification, storm

from incident_engine.domain.regions import PROVINCES

SPARE = "spare"
_OLD_SERVICES = 20
"""Events that belong to incidents are of the services that are hit at every size."""
_EVENTS, _CHUNK = 200, 20
_FOR_AN_ORIGINAL = timedelta(seconds=0.25)
"""How long the report of an original may take, with its messages, before the ripe ones' level must not have come."""
PATIENCE = 240.0
"""How many seconds what is overdue at a start may take."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The processor's time for one event, in microseconds, with so many incidents open."""

    incidents: int
    belonging: float
    opening: float


def many(incidents: int) -> tuple[Costs, list[Row]]:
    """Measure with so many open incidents: the start, memory, /metrics, what is overdue, the cost of an event."""
    seed = Seed(incidents, now())
    seed = replace(seed, ripe_at=now() + timedelta(seconds=30) + len(seed.originals) * _FOR_AN_ORIGINAL)
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        services = [*numbered_services(SERVICE, seed.services), *numbered_services(SPARE, _EVENTS), *load_services()]
        config = configuration(directory, services)
        began = now()
        with incident_engine(config) as server:
            report_originals(server, seed, began)
        if now() > seed.ripe_at:
            raise BenchmarkError("the originals took too long: a level that was to come while nothing ran came before")
        copy_originals(database(directory), seed, began)
        typer.echo(f"  {incidents:,} open incidents in {(now() - began).total_seconds():.0f} s", err=True)
        time.sleep(max(0.0, (seed.ripe_at - now()).total_seconds()))
        timers = one(database(directory), "SELECT count(*) FROM timers")
        with incident_engine(config) as server:
            ready, resident = server.seconds_to_ready, server.resident()
            caught_up = _overdue(server, database(directory), seed)
            check_copies(server, seed)
            times = [_timed(server, "/metrics") for _ in range(50)]
            costs = _costs(server, incidents)
            shown = server.metric("incident_engine_open_incidents")
            after, peak = server.resident(), server.resident_peak()
        if shown != incidents + _EVENTS:
            raise BenchmarkError(f"{incidents} incidents were open, {_EVENTS} opened, and /metrics counts {shown:g}")
    rows = [
        (f"restart to ready, {incidents:,} open incidents, {timers:,} timers", f"{ready:.2f} s", "≤ 1 s"),
        (f"of these overdue: {len(seed.ripe)}, each fired once, after", f"{caught_up:.1f} s", "none lost"),
        (f"memory, {incidents:,} open incidents: once ready", mb(resident), ""),
        ("memory: after all that follows (most at any time)", f"{mb(after)} ({mb(peak)})", "≤ 150 MB"),
        ("/metrics: median (longest of 50)", f"{ms(median(times))} ({ms(max(times))})", "≤ 20 ms"),
    ]
    return costs, rows


def growth(costs: Sequence[Costs]) -> Iterator[Row]:
    """Yield the cost of an event at each number of open incidents, against the fewest."""
    for each in costs:
        named = f"an event, {each.incidents:,} open incidents"
        for kind, cost, least in (
            ("belongs to one", each.belonging, costs[0].belonging),
            ("opens one", each.opening, costs[0].opening),
        ):
            yield f"{named}: {kind}", f"{cost:,.0f} µs ({cost / least:.2f}×)", "flat within 20 %"


def main(
    alerts: Annotated[int, typer.Option(help="Alerts of the storm.")] = 100_000,
    rounds: Annotated[int, typer.Option(help="How often the storm is sent again.")] = 4,
    incidents: Annotated[list[int] | None, typer.Option(help="Default: 1000, 10000, 100000.")] = None,
) -> None:
    """Measure, and print the table."""
    typer.echo(described(f"SQLite {sqlite3.sqlite_version}") + "\n")
    rows: list[Row] = []
    try:
        measured = [many(size) for size in sorted(incidents or [1_000, 10_000, 100_000])]
        rows += measured[-1][1]
        rows += growth([costs for costs, _ in measured])
        if alerts:
            rows += storm(alerts, rounds)
    except BenchmarkError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    finally:
        typer.echo("\n".join(markdown_table(["measure", "figure", "at least"], rows)))


def _overdue(server: Server, path: Path, seed: Seed) -> float:
    """Wait until all that is overdue has been done; return how long it took. Raises BenchmarkError."""
    began = time.monotonic()
    wanted, among = (
        len(seed.ripe),
        f"case_id BETWEEN '{numbered(INCIDENT, seed.ripe[0])}' AND '{numbered(INCIDENT, seed.ripe[-1])}'",
    )
    graded = f"SELECT count(*) FROM assessments WHERE level = 'III' AND {among}"  # noqa: S608 - ids of our own
    unsent = f"SELECT count(*) FROM deliveries WHERE state <> 'delivered' AND {among}"  # noqa: S608
    while one(path, graded) < wanted or one(path, unsent):
        if time.monotonic() - began > PATIENCE:
            said = f"{one(path, graded)} of {wanted} are graded, {one(path, unsent)} messages wait"
            raise BenchmarkError(f"what was overdue is not done within {PATIENCE:g} s: {said}")
        time.sleep(0.1)
    took = time.monotonic() - began
    for what, query, right in (
        ("verdicts", graded, wanted),
        ("incidents", graded.replace("count(*)", "count(DISTINCT case_id)"), wanted),
        ("kinds of messages", _KINDS.format(among=among), 1),
        ("messages sent twice", f"SELECT count(*) FROM deliveries WHERE attempts <> 1 AND {among}", 0),  # noqa: S608
    ):
        if (found := one(path, query)) != right:
            raise BenchmarkError(f"after the start, of what was overdue: {found} {what}, not {right}")
    fired = server.metric("incident_engine_timer_lateness_seconds_count")
    if fired < wanted:
        raise BenchmarkError(f"{wanted} timers were overdue, {fired:g} were fired")
    return took


_KINDS = (
    "SELECT count(DISTINCT told) FROM (SELECT group_concat(told) AS told FROM (SELECT case_id, "
    "substr(step_id, instr(step_id, ':')) || contact AS told FROM deliveries WHERE {among} ORDER BY 1, 2) "
    "GROUP BY case_id)"
)
"""In how many ways they differ in who was told what; all of them are copies of one."""


def _costs(server: Server, incidents: int) -> Costs:
    at = now().isoformat(timespec="milliseconds")
    first = incidents * 10  # a number for each alert, whatever was sent before
    belonging = [
        alert(numbered(SERVICE, n % _OLD_SERVICES), PROVINCES[n % len(PROVINCES)].code, first + n, at)
        for n in range(_EVENTS)
    ]
    opening = [
        alert(numbered(SPARE, n), PROVINCES[n % len(PROVINCES)].code, first + _EVENTS + n, at) for n in range(_EVENTS)
    ]
    costs = Costs(incidents, _cost(server, belonging), _cost(server, opening))
    typer.echo(f"  belongs: {costs.belonging:,.0f} µs, opens: {costs.opening:,.0f} µs", err=True)
    return costs


def _cost(server: Server, alerts: Sequence[dict[str, Any]]) -> float:
    """Return the processor's time for one event, in µs: the median of some that are sent one after another."""
    found: list[float] = []
    for first in range(0, len(alerts), _CHUNK):
        began = server.cpu_seconds()
        for each in alerts[first : first + _CHUNK]:
            post(server, PATH, notification([each]))
        found.append((server.cpu_seconds() - began) / _CHUNK * 1e6)
    return median(found[1:] or found)  # with the first ones caches fill


def _timed(server: Server, path: str) -> float:
    began = time.perf_counter()
    server.get(path)
    return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
