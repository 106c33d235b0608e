"""Who has a database file: one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import IO

from incident_engine.common.errors import StoreError

Identity = tuple[int, int]
"""Which file it is, whatever it is called: its device and its number there."""


def identity(file: Path | int) -> Identity:
    """Return which file a name, or a descriptor, stands for. Raises OSError if there is none."""
    found = os.fstat(file) if isinstance(file, int) else file.stat()
    return found.st_dev, found.st_ino


def lock_of(path: Path) -> Path:
    """Return the file whose lock stands for a database's."""
    return Path(f"{path}.lock")


def acquire(path: Path) -> IO[str]:
    """Take the file for this process alone; the system lets go when the process ends, however it ends."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = lock_of(path).open("w", encoding="utf-8")
    except OSError as error:
        where = lock_of(path) if _is_there(lock_of(path)) else path.parent
        raise StoreError(f"{where} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"{path} is in use by another incident-engine; stop it, or name another store.url") from None
    return lock


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # nobody may look into its directory
        return False
