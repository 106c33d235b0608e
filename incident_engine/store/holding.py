"""Who has a database file: one process at a time."""

import fcntl
from pathlib import Path
from typing import IO

from incident_engine.errors import StoreError


def hold(path: Path) -> IO[str]:
    """Take the file for this process alone; the system lets go when the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = Path(f"{path}.lock").open("w", encoding="utf-8")  # noqa: SIM115 - held until the database is closed
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"{path} is in use by another incident-engine; stop it, or name another store.url") from None
    return lock
