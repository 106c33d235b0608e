"""How thoroughly the costly tests search: a little in `make test`, in full in `.ci/run`."""

import os
from typing import TypeVar

import pytest
from hypothesis import settings

T = TypeVar("T")
THOROUGH = os.environ.get("INCIDENT_ENGINE_TESTS_THOROUGH") == "1"

thorough = pytest.mark.skipif(not THOROUGH, reason="takes long; .ci/run runs it (INCIDENT_ENGINE_TESTS_THOROUGH=1)")
"""Marks a test that is too heavy for `make test`, where a quicker one of its kind runs."""


def budget(*, full: T, quick: T) -> T:
    """Return the full budget if the environment asks for it, the quick one otherwise."""
    return full if THOROUGH else quick


def examples(*, full: int, quick: int) -> settings:
    """Return settings of a property with one of two numbers of examples; they are the same examples in each run."""
    return settings(max_examples=budget(full=full, quick=quick), deadline=None, derandomize=True)
