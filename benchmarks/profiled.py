"""Runs incident-engine under cProfile, every thread of it: python benchmarks/profiled.py FILE serve --config …

The clock counts each thread's own CPU time: waiting for work, the disk or the interpreter lock is free. Profiling slows
Python functions down more than C, so compare shares, not times.
"""

import pstats
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from cProfile import Profile
from pathlib import Path
from typing import Any

from machine import markdown_table

from incident_engine.cli.app import main

_FUNCTIONS = 25
_PACKAGES = 20
_OWN = "incident_engine"
_FIRST_THREAD = "writer"


def run(file: Path, arguments: list[str]) -> None:
    """Run the command line and write the profile of each thread beside the file, under the thread's name.

    The main thread is profiled from the start of the writer on; loading and checking are not measured.
    """
    whole, start = threading.Thread.run, threading.Thread.start
    main_profile = Profile(time.thread_time)

    def profiled_run(thread: threading.Thread) -> None:
        profile = Profile(time.thread_time)
        try:
            profile.runcall(whole, thread)
        finally:
            profile.dump_stats(_beside(file, thread.name))

    def watched_start(thread: threading.Thread) -> None:
        if thread.name == _FIRST_THREAD:
            main_profile.enable()
        start(thread)

    threading.Thread.run = profiled_run  # type: ignore[method-assign, assignment]
    threading.Thread.start = watched_start  # type: ignore[method-assign, assignment]
    sys.argv = ["incident-engine", *arguments]
    try:
        main()
    finally:
        main_profile.dump_stats(_beside(file, "main"))


def where_the_time_goes(file: Path, alerts: int) -> Iterator[str]:
    """Yield Markdown tables of the shares of threads and packages, and of the most expensive functions."""
    profiles = {path.suffix[1:]: pstats.Stats(str(path)) for path in sorted(file.parent.glob(f"{file.name}.*"))}
    totals = {name: _total(stats) for name, stats in profiles.items()}
    all_of_it = sum(totals.values())
    yield f"Processor time while profiled, by thread, in µs per alert ({all_of_it:.1f} s in all):\n"
    rows = [[name, f"{seconds / alerts * 1e6:.0f}", f"{seconds / all_of_it:.0%}"] for name, seconds in totals.items()]
    yield from markdown_table(["thread", "µs", "share"], [row for row in rows if row[2] != "0%"])
    together = pstats.Stats(*(str(path) for path in sorted(file.parent.glob(f"{file.name}.*"))))
    yield "\nBy package, own time:\n"
    packages: dict[str, float] = defaultdict(float)
    for (path, _, name), (_, _, own, _, _) in _entries(together):
        packages[_package(path, name)] += own
    rows = [[name, f"{own / alerts * 1e6:.0f}", f"{own / all_of_it:.0%}"] for name, own in _most(packages)]
    yield from markdown_table(["package", "µs", "share"], rows)
    yield "\nOur functions, with what they call:\n"
    yield from _functions(together, alerts, all_of_it, lambda path: f"/{_OWN}/" in path, 3)
    yield "\nAll functions, own time:\n"
    yield from _functions(together, alerts, all_of_it, lambda _: True, 2)


def _most(shares: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda item: item[1], reverse=True)[:_PACKAGES]


def _functions(
    stats: pstats.Stats, alerts: int, all_of_it: float, is_wanted: Callable[[str], bool], column: int
) -> Iterator[str]:
    entries = [(key, entry) for key, entry in _entries(stats) if is_wanted(key[0])]
    entries.sort(key=lambda item: item[1][column], reverse=True)
    rows = [
        [
            _where(*key),
            f"{entry[1] / alerts:.2f}",
            f"{entry[column] / alerts * 1e6:.0f}",
            f"{entry[column] / all_of_it:.0%}",
        ]
        for key, entry in entries[:_FUNCTIONS]
    ]
    return markdown_table(["function", "calls per alert", "µs per alert", "share"], rows)


def _beside(file: Path, thread: str) -> Path:
    name = "".join(letter if letter.isalnum() else "-" for letter in thread)
    return file.with_name(f"{file.name}.{name}")


def _entries(stats: pstats.Stats) -> Iterator[tuple[tuple[str, int, str], tuple[int, int, float, float, Any]]]:
    yield from stats.stats.items()  # type: ignore[attr-defined]  # documented, but missing in typeshed


def _total(stats: pstats.Stats) -> float:
    return float(stats.total_tt)  # type: ignore[attr-defined]


def _package(path: str, name: str) -> str:
    """Return the package of a function; for our own code the subpackage, for C code the library."""
    parts = Path(path).parts
    if _OWN in parts:
        after = parts[parts.index(_OWN) + 1 :]
        return f"{_OWN}.{after[0].removesuffix('.py')}" if after else _OWN
    if "site-packages" in parts:
        return parts[parts.index("site-packages") + 1].removesuffix(".py")
    if path == "~":
        for part in ("sqlite3", "pydantic_core", "uvloop", "httptools", "psycopg"):
            if part in name:
                return f"{part} (C)"
        return "Python's built-ins (C)"
    return "Python's library"


def _where(path: str, line: int, name: str) -> str:
    parts = Path(path).parts
    for root in (_OWN, "site-packages"):
        if root in parts:
            at = parts.index(root) + (root != _OWN)
            return f"`{'/'.join(parts[at:])}:{line} {name}`"
    return f"`{name}`" if path == "~" else f"`{Path(path).name}:{line} {name}`"


if __name__ == "__main__":
    run(Path(sys.argv[1]).absolute(), sys.argv[2:])
