"""Figures as text."""

from collections.abc import Sequence
from statistics import quantiles

Row = tuple[str, str, str]
"""(measure, figure, target)."""


def ms(seconds: float) -> str:
    """Return seconds as milliseconds."""
    return f"{seconds * 1000:.1f} ms"


def mb(size: int) -> str:
    """Return bytes as megabytes (10^6 bytes)."""
    return f"{size / 1e6:.0f} MB"


def p99(values: Sequence[float]) -> float:
    """Return the 99th percentile."""
    return quantiles(values, n=100, method="inclusive")[98] if len(values) > 1 else values[0]
