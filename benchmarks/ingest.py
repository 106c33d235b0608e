"""Sends the same alerts to Alertmanager and to incident-engine in turns: python benchmarks/ingest.py.

Needs Debian's packages prometheus-alertmanager and wrk. Alertmanager keeps alerts in memory; incident-engine commits
them to disk, grades them and plans what must be done. Exits with 1 if a server refused or lost an alert.
"""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from bank import configuration, load_services
from figures import ms
from load import Load, load
from machine import described, markdown_table, package_version
from postgres import Postgres, postgres
from profiled import where_the_time_goes
from servers import PATIENCE, BenchmarkError, Server, alertmanager, family, incident_engine
from sqlalchemy import create_engine, text

WARM_UP_SECONDS = 1
_QUIET_SECONDS = 0.3
PEER, SQLITE, POSTGRES = "Alertmanager", "incident-engine, SQLite", "incident-engine, PostgreSQL"


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one contender."""

    load: Load
    cpu_seconds: float

    @property
    def rate(self) -> float:
        """Return alerts per second."""
        return self.load.alerts / self.load.seconds

    @property
    def thrift(self) -> float:
        """Return alerts per CPU second."""
        return self.load.alerts / self.cpu_seconds


@dataclass(frozen=True, slots=True)
class Median:
    """The medians of a contender's rounds, each figure by itself."""

    rate: float
    thrift: float
    p50: float
    p99: float


Contender = Callable[[], AbstractContextManager[tuple[Server, Callable[[], int]]]]
"""Starts a server on an empty store; yields it with a function that counts its alerts."""


@contextmanager
def the_peer() -> Iterator[tuple[Server, Callable[[], int]]]:
    """Run Alertmanager; count the distinct alerts that it holds."""
    with tempfile.TemporaryDirectory() as folder, alertmanager(Path(folder)) as server:
        yield server, lambda: int(server.metric("alertmanager_alerts"))


@contextmanager
def ours(url: str | None = None, profile: Path | None = None) -> Iterator[tuple[Server, Callable[[], int]]]:
    """Run incident-engine; count the events in its database. Raises BenchmarkError if any alert is in quarantine."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        config = configuration(Path(folder), load_services(), url)
        server = stack.enter_context(incident_engine(config, profile))
        engine = create_engine(url or f"sqlite:///file:{folder}/incident-engine.db?mode=ro&uri=true")
        stack.callback(engine.dispose)

        def stored() -> int:
            with engine.connect() as connection:
                if connection.scalar(text("SELECT count(*) FROM quarantine")):
                    raise BenchmarkError("alerts are in quarantine")
                return int(connection.scalar(text("SELECT count(*) FROM events WHERE source = 'alertmanager'")) or 0)

        yield server, stored


@contextmanager
def ours_on(database: Postgres) -> Iterator[tuple[Server, Callable[[], int]]]:
    """Run incident-engine on a fresh database of a PostgreSQL server, whose processes count as its own."""
    with database.fresh() as url, ours(url) as (server, stored):
        server.relatives = family(database.pid)
        yield server, stored


def one_round(contender: Contender, seconds: float, batch: int, connections: int) -> Round:
    """Start the contender, warm it up, load it, and check that it holds exactly the alerts that it acknowledged."""
    with contender() as (server, count):
        load(server, WARM_UP_SECONDS, batch, connections)
        before = _count_at_rest(server, count)
        began = server.cpu_seconds()
        load_result = load(server, seconds, batch, connections)
        spent = server.cpu_seconds() - began
        taken = _count_at_rest(server, count) - before
        # Requests under way at the end are stored as well, but wrk does not wait for their answers.
        if not load_result.alerts <= taken <= load_result.alerts + connections * batch:
            raise BenchmarkError(f"{server.name} acknowledged {load_result.alerts} alerts and took {taken}")
        return Round(load_result, spent)


def in_turns(
    contenders: Mapping[str, Contender], rounds: int, seconds: float, batch: int, connections: int
) -> dict[str, Median]:
    """Run the rounds of all contenders, reversing the order each time: A B, B A, A B …"""
    done: dict[str, list[Round]] = {name: [] for name in contenders}
    for number in range(rounds):
        for name in sorted(contenders, reverse=bool(number % 2)):
            result = one_round(contenders[name], seconds, batch, connections)
            done[name].append(result)
            typer.echo(f"  {batch:>2} a request, round {number + 1}, {name}: {_summary(result)}", err=True)
    return {
        name: Median(
            median(result.rate for result in runs),
            median(result.thrift for result in runs),
            median(result.load.p50 for result in runs),
            median(result.load.p99 for result in runs),
        )
        for name, runs in done.items()
    }


def comparison(batch: int, medians: Mapping[str, Median], name: str, other: str) -> Iterator[Sequence[str]]:
    """Yield the rows that compare one contender with another, with the targets of AIMS."""
    one, two = medians[name], medians[other]
    measure = f"batch of {batch}, distinct"
    pairs = {
        "alerts/s": (f"{one.rate:,.0f}", f"{two.rate:,.0f}", one.rate / two.rate),
        "alerts per CPU second": (f"{one.thrift:,.0f}", f"{two.thrift:,.0f}", one.thrift / two.thrift),
        "p50": (ms(one.p50), ms(two.p50), one.p50 / two.p50),
        "p99": (ms(one.p99), ms(two.p99), one.p99 / two.p99),
    }
    for figure, (mine, theirs, ratio) in pairs.items():
        yield f"{measure}: {figure}", mine, theirs, f"{ratio:.2f}×", AIMS.get((name, batch, figure), "")


AIMS = {
    (SQLITE, 64, "alerts/s"): "≥ 0.8×; aim 1.2×",
    (SQLITE, 64, "p99"): "lower",
    (SQLITE, 1, "alerts per CPU second"): "≥ 0.4×; aim 0.8×",
    (POSTGRES, 64, "alerts/s"): "≥ 0.4×",
}


def main(
    seconds: Annotated[float, typer.Option(help="How long a round lasts.")] = 5,
    rounds: Annotated[int, typer.Option(help="Rounds of each contender.")] = 5,
    batch: Annotated[list[int] | None, typer.Option(help="Alerts in a request. Default: 64, then 1.")] = None,
    connections: Annotated[int, typer.Option(help="Requests under way at once.")] = 16,
    fleet: Annotated[bool, typer.Option(help="Compare PostgreSQL with SQLite, too.")] = True,
    profile: Annotated[
        bool, typer.Option("--profile", help="Only say where incident-engine's time goes, by cProfile.")
    ] = False,
) -> None:
    """Compare, and print the tables."""
    batches = batch or [64, 1]
    typer.echo(described(*(f"{name} {package_version(name)}" for name in ("prometheus-alertmanager", "wrk"))))
    if profile:
        for size in batches:
            _profile(size, seconds, connections)
        return
    typer.echo(f"medians of {rounds} rounds of {seconds:g} s in turns, {connections} connections\n")
    try:
        rows: list[Sequence[str]] = []
        for size in batches:
            medians = in_turns({PEER: the_peer, SQLITE: ours}, rounds, seconds, size, connections)
            rows += comparison(size, medians, SQLITE, PEER)
        typer.echo("\n".join(markdown_table(["measure", SQLITE, PEER, "ratio", "at least"], rows)))
        if fleet:
            _compare_stores(rounds, seconds, connections)
    except BenchmarkError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error


def _compare_stores(rounds: int, seconds: float, connections: int) -> None:
    with postgres() as database:
        if isinstance(database, str):
            typer.echo(f"\nPostgreSQL is left out: {database}")
            return
        contenders: dict[str, Contender] = {SQLITE: ours, POSTGRES: lambda: ours_on(database)}
        medians = in_turns(contenders, rounds, seconds, 64, connections)
        rows = list(comparison(64, medians, POSTGRES, SQLITE))
        typer.echo("\n" + "\n".join(markdown_table(["measure", POSTGRES, SQLITE, "ratio", "at least"], rows)))
        typer.echo(f"\n{database.version}; its processes' CPU seconds are counted with the daemon's")


def _profile(batch: int, seconds: float, connections: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        profile = Path(folder) / "profile"
        with ours(profile=profile) as (server, count):
            load(server, seconds, batch, connections)
            taken = _count_at_rest(server, count)
        typer.echo(f"\n### Batch of {batch}: {taken:,} alerts while it was profiled\n")
        typer.echo("\n".join(where_the_time_goes(profile, taken)))


def _count_at_rest(server: Server, count: Callable[[], int]) -> int:
    """Return the count once it is stable and the server is idle. Raises BenchmarkError if that takes too long."""
    deadline = time.monotonic() + PATIENCE
    previous = count()
    while time.monotonic() < deadline:
        spent = server.cpu_seconds()
        time.sleep(_QUIET_SECONDS)
        busy = server.cpu_seconds() - spent  # read before the next count, whose answer costs Alertmanager much
        current = count()
        if current == previous and busy < _QUIET_SECONDS / 5:
            return current
        previous = current
    raise BenchmarkError(f"{server.name} does not come to rest within {PATIENCE:g} s")


def _summary(result: Round) -> str:
    return f"{result.rate:,.0f}/s, {result.thrift:,.0f} per CPU s, p50 {ms(result.load.p50)}, p99 {ms(result.load.p99)}"


if __name__ == "__main__":
    typer.run(main)
