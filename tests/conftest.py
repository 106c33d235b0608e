"""Work that all tests share is done once in a process."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.forked import VARIABLE, CommandServerProcess
from support.memo import remember_adapters, remember_rules, remember_schema

SLOW_FOLDERS = ("crash", "acceptance", "simulation", "properties", "contract")
"""Folders in which single tests take seconds, the slowest first."""


_MEMORY = Path("/dev/shm")
_ROOM = 4_000_000_000
"""The free bytes that the databases of all tests need."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep the folders of the tests in memory where there is room: thousands of databases wait for the disk.

    Start the command server of all workers, which takes some seconds while they collect the tests.
    """
    if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ROOM:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(_MEMORY))
    if not hasattr(config, "workerinput") and config.getoption("dist", "no") != "no":
        server = CommandServerProcess()
        config.add_cleanup(server.end)
        os.environ[VARIABLE] = server.address


def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers: two more than processors, because many tests wait for a daemon."""
    return (os.cpu_count() or 1) + 2


def pytest_collection_finish() -> None:
    """Leave the collected tests out of garbage collections, each of which would look at all of them."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let the slow tests begin first: at the end, workers share out quick ones evenly."""

    def order(item: pytest.Item) -> int:
        folder = item.path.parent.name
        return SLOW_FOLDERS.index(folder) if folder in SLOW_FOLDERS else len(SLOW_FOLDERS)

    items.sort(key=order)


@pytest.fixture(scope="session", autouse=True)
def _slow_work_is_done_once() -> Iterator[None]:
    """Keep the tried rules, the tables of a new database, and the validators of the API: every test needs the same."""
    with pytest.MonkeyPatch.context() as patch:
        remember_rules(patch)
        remember_schema(patch)
        remember_adapters(patch)
        yield
