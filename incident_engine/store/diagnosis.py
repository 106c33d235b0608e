"""What keeps the store from taking anything, in words that say what to do, and whether it can pass by itself."""

import sqlite3

from sqlalchemy.exc import DBAPIError

from incident_engine.common.errors import StoreError

_ADVICE = {
    sqlite3.SQLITE_FULL: "the disk is full; make room, the daemon goes on by itself",
    sqlite3.SQLITE_READONLY: "it may only be read; make the file and its directory writable, or mount the disk anew",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; look at the directory, its rights and the number of open files",
    sqlite3.SQLITE_BUSY: "another program holds it; end that program",
    sqlite3.SQLITE_IOERR: "the disk failed; look at the room left and at the system's log, the daemon tries on",
    sqlite3.SQLITE_CORRUPT: "it is damaged; stop the daemon and restore a backup",
    sqlite3.SQLITE_NOTADB: "it is damaged, or no database; restore a backup, or name another store.url",
}
_LASTING = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_PRIMARY = 0xFF
"""SQLite's extended codes carry the primary one in their lowest byte."""


def _code(error: BaseException) -> int | None:
    origin = error.__cause__ if isinstance(error, StoreError) and error.__cause__ is not None else error
    cause = origin.orig if isinstance(origin, DBAPIError) else origin
    code = getattr(cause, "sqlite_errorcode", None)
    return None if code is None else code & _PRIMARY


def cause(error: BaseException) -> str:
    """Return what the database itself said, without what was to be stored, in one line."""
    said = str(error.orig if isinstance(error, DBAPIError) else error) or repr(error)
    return " ".join(said.split())


def explained(error: BaseException) -> str:
    """Return what the database said, and what to do about it."""
    said = cause(error)
    advice = _ADVICE.get(_code(error) or 0)
    return said if advice is None else f"{said}: {advice}"


class Trouble:
    """What keeps the store from being written now. A damaged database is trouble until the daemon is started anew."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.is_lasting = False

    def note(self, error: BaseException) -> None:
        """Note that a transaction failed."""
        if not self.is_lasting:
            self.reason, self.is_lasting = explained(error), _code(error) in _LASTING

    def over(self) -> None:
        """Note that a transaction was committed."""
        if not self.is_lasting:
            self.reason = None
