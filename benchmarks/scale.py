"""Behaviour with up to 100,000 open incidents, and in a storm of alerts: python benchmarks/scale.py.

Exits with 1 if anything is lost or done twice. Most incidents are copies of real ones (seeding.py).
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
"""Services that have incidents at every size; events that belong to an incident go to these."""
_EVENTS, _CHUNK = 200, 20
_FOR_AN_ORIGINAL = timedelta(seconds=0.25)
"""Time allowed for reporting one original and its messages; ripe incidents must not reach their level before that."""
PATIENCE = 240.0
"""The most seconds that overdue work may take after a start."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The CPU time of one event in microseconds, at a number of open incidents."""

    incidents: int
    belonging: float
    opening: float


def many(incidents: int) -> tuple[Costs, list[Row]]:
    """Measure start, memory, /metrics, overdue work and the cost of an event at a number of open incidents."""
    seed = Seed(incidents, now())
    seed = replace(seed, ripe_at=now() + timedelta(seconds=30) + len(seed.originals) * _FOR_AN_ORIGINAL)
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
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
    """Yield the cost of an event at each number of open incidents, relative to the smallest number."""
    for cost_at_size in costs:
        name = f"an event, {cost_at_size.incidents:,} open incidents"
        for kind, cost, least in (
            ("belongs to one", cost_at_size.belonging, costs[0].belonging),
            ("opens one", cost_at_size.opening, costs[0].opening),
        ):
            yield f"{name}: {kind}", f"{cost:,.0f} µs ({cost / least:.2f}×)", "flat within 20 %"


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
    """Wait until all overdue work is done and return the seconds. Raises BenchmarkError if any is lost or repeated."""
    began = time.monotonic()
    wanted, among = (
        len(seed.ripe),
        f"case_id BETWEEN '{numbered(INCIDENT, seed.ripe[0])}' AND '{numbered(INCIDENT, seed.ripe[-1])}'",
    )
    graded = f"SELECT count(*) FROM assessments WHERE level = 'III' AND {among}"  # noqa: S608 - ids of our own
    unsent = f"SELECT count(*) FROM deliveries WHERE state <> 'delivered' AND {among}"  # noqa: S608
    while one(path, graded) < wanted or one(path, unsent):
        if time.monotonic() - began > PATIENCE:
            progress = f"{one(path, graded)} of {wanted} are graded, {one(path, unsent)} messages wait"
            raise BenchmarkError(f"what was overdue is not done within {PATIENCE:g} s: {progress}")
        time.sleep(0.1)
    took = time.monotonic() - began
    for name, query, expected in (
        ("verdicts", graded, wanted),
        ("incidents", graded.replace("count(*)", "count(DISTINCT case_id)"), wanted),
        ("kinds of messages", _KINDS.format(among=among), 1),
        ("messages sent twice", f"SELECT count(*) FROM deliveries WHERE attempts <> 1 AND {among}", 0),  # noqa: S608
    ):
        if (count := one(path, query)) != expected:
            raise BenchmarkError(f"after the start, of what was overdue: {count} {name}, not {expected}")
    fired = server.metric("incident_engine_timer_lateness_seconds_count")
    if fired < wanted:
        raise BenchmarkError(f"{wanted} timers were overdue, {fired:g} were fired")
    return took


_KINDS = (
    "SELECT count(DISTINCT recipients) FROM (SELECT group_concat(recipient) AS recipients FROM (SELECT case_id, "
    "substr(step_id, instr(step_id, ':')) || contact AS recipient FROM deliveries WHERE {among} ORDER BY 1, 2) "
    "GROUP BY case_id)"
)
"""The number of distinct sets of (step, contact); copies of one incident must have the same."""


def _costs(server: Server, incidents: int) -> Costs:
    at = now().isoformat(timespec="milliseconds")
    first = incidents * 10  # above the numbers of all alerts sent before
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
    """Return the median CPU time of one event in µs; events are sent one after another."""
    costs: list[float] = []
    for first in range(0, len(alerts), _CHUNK):
        began = server.cpu_seconds()
        for one_alert in alerts[first : first + _CHUNK]:
            post(server, PATH, notification([one_alert]))
        costs.append((server.cpu_seconds() - began) / _CHUNK * 1e6)
    return median(costs[1:] or costs)  # the first chunk fills caches


def _timed(server: Server, path: str) -> float:
    began = time.perf_counter()
    server.get(path)
    return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
