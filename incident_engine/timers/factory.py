"""The timers that fit the database."""

import importlib
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

from incident_engine.common.clock import Clock
from incident_engine.store.database import Database
from incident_engine.timers.base import Timers
from incident_engine.timers.local import LocalTimers


def open_timers(
    database: Database,
    clock: Clock,
    on_due: Callable[[], Future[Any]],
    on_news: Callable[[], None],
    lost_after: timedelta,
) -> Timers:
    """Return this process' own timers, or those of a fleet where replicas share the database.

    `on_due` does the due work; its future ends when that is on disk. `on_news` is called after another replica has
    written. A replica without a sign of life for `lost_after` counts as lost.
    """
    if not database.is_shared:
        return LocalTimers(clock, on_due)
    fleet = importlib.import_module("incident_engine.timers.fleet")  # procrastinate is an optional extra
    timers: Timers = fleet.FleetTimers(database, clock, on_due, on_news, lost_after)
    return timers
