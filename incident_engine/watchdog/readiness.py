"""The reasons why the daemon is not ready to serve, for /readyz."""

from collections.abc import Iterator

from sqlalchemy.exc import SQLAlchemyError

from incident_engine.common.errors import StoreError
from incident_engine.store.database import Database
from incident_engine.store.diagnosis import explain
from incident_engine.store.timers import next_due
from incident_engine.store.writer import Writer
from incident_engine.watchdog.watchdog import Watchdog


def unready_reasons(watchdog: Watchdog, writer: Writer, database: Database) -> Iterator[str]:
    """Yield each reason why the daemon is not ready, as `code: sentence`; nothing if it is ready."""
    yield from watchdog.reasons()
    if writer.failure.reason is not None:
        yield f"store_not_writable: the store cannot be written: {writer.failure.reason}"
    if watchdog.store_is_unreadable:
        return  # the watchdog has reported it, and another read might hang
    try:
        with database.read() as connection:
            next_due(connection)
    except (StoreError, SQLAlchemyError) as error:
        yield f"store_unreadable: the store cannot be read: {explain(error)}"
