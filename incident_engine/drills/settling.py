"""Wait until a daemon has nothing left to do at a made clock's instant."""

import asyncio
from datetime import datetime

from incident_engine.daemon import Daemon
from incident_engine.store import deliveries
from incident_engine.store.timers import next_due

_POLL_SECONDS = 0.002


async def settle(daemon: Daemon) -> datetime | None:
    """Do everything that is due now and wait for its end; return the next instant at which anything is due.

    For a clock that stands still between its steps: no timer of the daemon rings for it.
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
                break
            if not sending and (delivery is None or delivery > now):
                return min((instant for instant in (timer, delivery) if instant is not None), default=None)
            daemon.dispatcher.notify()
            await asyncio.sleep(_POLL_SECONDS)
