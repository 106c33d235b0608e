"""Explains why the store cannot be written: the database's message, the remedy, and whether it can pass by itself."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from incident_engine.common.errors import StoreError

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full; make room, the daemon goes on by itself",
    sqlite3.SQLITE_READONLY: "it may only be read; make the file and its directory writable, or remount the disk",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the directory, its rights and the number of open files",
    sqlite3.SQLITE_BUSY: "another program holds it; end that program",
    sqlite3.SQLITE_IOERR: "the disk failed; look at the room left and at the system's log, the daemon tries on",
    sqlite3.SQLITE_CORRUPT: "it is damaged; stop the daemon and restore a backup",
    sqlite3.SQLITE_NOTADB: "it is damaged, or no database; restore a backup, or name another store.url",
}
_LASTING = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
"""Failures that no waiting cures; writing on could damage more."""
_PRIMARY = 0xFF
"""Mask of the primary code in SQLite's extended codes. Source: https://www.sqlite.org/rescode.html"""


def _code(error: BaseException) -> int | None:
    origin = error.__cause__ if isinstance(error, StoreError) and error.__cause__ is not None else error
    driver_error = origin.orig if isinstance(origin, DBAPIError) else origin
    code = getattr(driver_error, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY


def cause(error: BaseException) -> str:
    """Return the database's own message in one line, without statement and parameters."""
    message = str(error.orig if isinstance(error, DBAPIError) else error) or repr(error)
    return " ".join(message.split())


def explain(error: BaseException) -> str:
    """Return the database's own message and, where it is known, the remedy."""
    message = cause(error)
    advice = _ADVICE.get(_code(error) or 0)
    return message if advice is None else f"{message}: {advice}"


class FailureState:
    """The reason why the store cannot be written now, if any. Damage of the database ends only with a restart."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.is_lasting = False

    def record_failure(self, error: BaseException) -> None:
        """Record that a transaction failed."""
        if not self.is_lasting:
            self.reason, self.is_lasting = explain(error), _code(error) in _LASTING

    def record_success(self) -> None:
        """Record that a transaction was committed."""
        if not self.is_lasting:
            self.reason = None
