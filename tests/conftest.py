"""Work that all tests share is done once in a process."""

import os
from collections.abc import Iterator

import pytest
from support.memo import remember_rules

SLOW_FOLDERS = ("crash", "acceptance", "simulation", "properties", "contract")
"""Folders in which single tests take seconds, the slowest first."""


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers: one more than processors, because many tests wait for a daemon."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slow tests begin first: at the end, workers share out quick ones evenly."""

    def order(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return SLOW_FOLDERS.index(folder) if folder in SLOW_FOLDERS else len(SLOW_FOLDERS)

    items.sort(key=order)


@pytest.fixture(scope="session", autouse=True)
def _rules_are_tried_once() -> Iterator[None]:
    """Keep what trying the rules gives: the shipped ones are tried by hundreds of tests and never change."""
    with pytest.MonkeyPatch.context() as patch:
        remember_rules(patch)
        yield
