"""Copies of a database file: taken while the daemon writes, verified, and restored."""

import os
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from incident_engine.common.errors import StoreError
from incident_engine.store.file_lock import acquire
from incident_engine.store.schema import migration_path

_OWN_FILES = ("", "-wal", "-shm", "-journal", ".lock")
"""Suffixes of the files that belong to a database; none may be overwritten by a copy."""
_SIDE_FILES = ("-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database; beside another database it would replay them there."""


@dataclass(frozen=True, slots=True)
class Contents:
    """The contents of a copy: its schema's revision and the number of rows of each table."""

    revision: str
    rows: Mapping[str, int]


def copy_database(source: Path, target: Path) -> Contents:
    """Copy the present state of a database while others may write to it, and return the copy's contents.

    The copy is checked (integrity, schema, rows of each table) and on disk when this returns. An existing target is
    replaced at once by the complete copy. Raises StoreError if either file cannot be used, or the copy differs.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        try:
            rows = _copy(source, part, target)
            contents = verify(part, f"the copy of {source}")
            if dict(contents.rows) != rows:
                raise StoreError(f"the copy of {source} does not hold what {source} holds; nothing was written")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync(target.parent)  # without it, a power failure may undo the renaming
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    return contents


def refuse_as_target(source: Path, target: Path) -> None:
    """Raise StoreError if the target is a directory, cannot be written, or belongs to the source itself."""
    try:
        if target.is_dir():
            raise StoreError(f"{target} is a directory; name a file in it")
        if any(_is_same(target, Path(f"{source}{suffix}")) for suffix in _OWN_FILES):
            raise StoreError(f"{target} belongs to the database {source} itself; name another file")
        target.exists()
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error


def _is_same(one: Path, other: Path) -> bool:
    # A hard link is the same file under a path that does not resolve to it.
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def verify(path: Path, name: object = None) -> Contents:
    """Check a copy without changing it and return its contents; errors call it `name`, by default its path.

    Raises StoreError unless it is intact and its schema is known to this version. An older schema passes, because a
    start of the daemon migrates it.
    """
    name = name or path
    with _opened(path) as connection:
        messages = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        if messages != ["ok"]:
            raise StoreError(f"{name} is damaged: {'; '.join(messages)}")
        orphan = connection.execute("PRAGMA foreign_key_check").fetchone()  # not part of integrity_check
        if orphan is not None:
            raise StoreError(f"{name} is damaged: a row of '{orphan[0]}' belongs to none of '{orphan[2]}'")
        rows = _row_counts(connection)
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(_read_only(path), uri=True), poolclass=NullPool)
    with engine.connect() as opened:
        revision = migration_path(opened, name, "name another file").current
    if revision is None:
        raise StoreError(f"{name} is no database of incident-engine")
    return Contents(revision, rows)


def restore_database(copy: Path, path: Path, now: datetime) -> tuple[Contents, Path | None]:
    """Replace a database by a copy of it; return the copy's contents and the path under which the old file is kept.

    Raises StoreError, and changes nothing, if a daemon holds the database or the copy cannot be used. At every instant
    there is a complete database at `path`, the old one or the new one.
    """
    if copy.resolve() == path.resolve():
        raise StoreError(f"{copy} is the database itself; name a copy of it")
    verify(copy)  # before the operator is asked to stop a running daemon
    with acquire(path):
        new = path.with_name(f"{path.name}.restored")
        contents = copy_database(copy, new)
        try:
            kept = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%SZ}") if path.exists() else None
            if kept is not None:
                _keep(path, kept)
                _copy_owner(path, new)
            for suffix in _SIDE_FILES:
                Path(f"{path}{suffix}").unlink(missing_ok=True)
            new.replace(path)
            sync(path.parent)
        except OSError as error:
            raise StoreError(f"{path} cannot be replaced: {error.strerror}") from error
        finally:
            new.unlink(missing_ok=True)
    return contents, kept


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.is_file():
        raise StoreError(f"{path} is no file" if path.exists() else f"there is no file {path}")
    try:
        with closing(sqlite3.connect(_read_only(path), uri=True, isolation_level=None)) as connection:
            yield connection
    except sqlite3.Error as error:
        raise StoreError(f"{path} cannot be read as a database: {error}") from error


def _read_only(path: Path) -> str:
    return f"{path.resolve().as_uri()}?mode=ro"


def _row_counts(connection: sqlite3.Connection) -> dict[str, int]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    counts = ((name, connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()) for (name,) in names)  # noqa: S608
    return {name: int(row[0]) for name, row in counts}


def _copy(source: Path, part: Path, target: Path) -> dict[str, int]:
    """Copy one state of the source and return its number of rows by table; errors name the target."""
    with _opened(source) as connection:
        # Within one transaction, the counts and the copy are of the same state, whatever is written meanwhile.
        connection.execute("BEGIN")
        rows = _row_counts(connection)
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)  # it holds the key that signs links
        try:
            with closing(sqlite3.connect(part, isolation_level=None)) as copy:
                connection.backup(copy)
                copy.execute("PRAGMA journal_mode=DELETE")  # one file that is complete without side files
        except sqlite3.Error as error:
            raise StoreError(f"{target} cannot be written: {error}") from error
    sync(part)
    return rows


def _keep(path: Path, kept: Path) -> None:
    """Keep the old database under another name, even if it is damaged: that may be the reason for the restore."""
    # A damaged file cannot be checkpointed; its log is then kept beside it.
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    for suffix in ("", *_SIDE_FILES):
        if Path(f"{path}{suffix}").exists():
            _link(Path(f"{path}{suffix}"), Path(f"{kept}{suffix}"))
    sync(path.parent)


def _copy_owner(path: Path, new: Path) -> None:
    """Give the new file the mode and owner of the old one: root may restore for the daemon's user."""
    old = path.stat()
    new.chmod(old.st_mode & 0o777)
    if (old.st_uid, old.st_gid) != (new.stat().st_uid, new.stat().st_gid):
        os.chown(new, old.st_uid, old.st_gid)


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)  # a second name costs no space and leaves the database in its place
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        shutil.copy2(path, other)
        sync(other)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
