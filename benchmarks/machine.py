"""The description of the machine, and tables for docs/benchmarks.md."""

import os
import platform
import subprocess
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from incident_engine import __version__


def described(*others: str) -> str:
    """Return a line with the date, the machine and the versions; `others` are versions of peers and tools."""
    own = f"incident-engine {__version__}, Python {platform.python_version()}"
    versions = ", ".join([own, *others])
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    return f"{datetime.now(UTC):%Y-%m-%d}; {_processor()}, {os.cpu_count()} cores, {_memory()}; {system}; {versions}"


def package_version(package: str) -> str:
    """Return the version of an installed Debian package, `unknown` on another system."""
    try:
        command = ["dpkg-query", "--show", "--showformat=${Version}", package]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        return "unknown"
    return result.stdout.strip() or "unknown"


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a Markdown table with padded columns, readable in a terminal too."""
    cells = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in cells
    ]
    yield lines[0]
    yield "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    yield from lines[1:]


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown processor"


def _memory() -> str:
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
