"""Wait until a daemon has nothing left to do at the present instant of a stepped clock."""

import asyncio
from datetime import datetime
from typing import Protocol

from incident_engine.common.clock import Clock
from incident_engine.delivery.dispatcher import Dispatcher
from incident_engine.engine.service import Engine
from incident_engine.store import deliveries
from incident_engine.store.database import Database
from incident_engine.store.timers import next_due
from incident_engine.store.writer import Writer

_POLL_SECONDS = 0.002


class RunningDaemon(Protocol):
    """The parts of a daemon that do what is due."""

    clock: Clock
    database: Database
    writer: Writer
    engine: Engine
    dispatcher: Dispatcher


async def settle(daemon: RunningDaemon) -> datetime | None:
    """Run everything that is due now to its end; return the next due instant, None if there is none.

    A stepped clock stands still, so the daemon's own timers never ring; this function fires them.
    """
    now = daemon.clock.now()
    while True:
        await asyncio.wrap_future(daemon.writer.submit(lambda unit: daemon.engine.fire(unit, now), urgent=True))
        daemon.dispatcher.notify()
        while True:
            with daemon.database.read() as connection:
                timer, delivery = next_due(connection)
                sending = deliveries.is_sending(connection)
            if timer is not None and timer <= now:
                break  # a delivery's outcome made another timer due at this same instant
            if not sending and (delivery is None or delivery > now):
                return min((instant for instant in (timer, delivery) if instant is not None), default=None)
            daemon.dispatcher.notify()
            await asyncio.sleep(_POLL_SECONDS)
