"""The lock on a database file: one process at a time."""

import fcntl
import os
from pathlib import Path
from typing import IO

from incident_engine.common.errors import StoreError
from incident_engine.common.private_files import make_folder

Identity = tuple[int, int]
"""A file whatever its name: (device, inode)."""


def identity(file: Path | int) -> Identity:
    """Return the identity of the file behind a path or descriptor. Raises OSError if there is none."""
    status = os.fstat(file) if isinstance(file, int) else file.stat()
    return status.st_dev, status.st_ino


def lock_of(path: Path) -> Path:
    """Return the lock file of a database file."""
    # A file of its own: SQLite releases its locks on the database whenever this process closes any descriptor of it.
    return Path(f"{path}.lock")


def acquire(path: Path) -> IO[str]:
    """Lock a database file for this process and return the open lock file; the system releases it at process end.

    Raises StoreError if another process holds the lock or the directory cannot be written.
    """
    try:
        make_folder(path.parent)
        lock_of(path).touch(mode=0o600)
        lock = lock_of(path).open("w", encoding="utf-8")
    except OSError as error:
        culprit = lock_of(path) if _exists(lock_of(path)) else path.parent
        raise StoreError(f"{culprit} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreError(f"{path} is in use by another incident-engine; stop it, or name another store.url") from None
    return lock


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # the directory cannot be searched
        return False
