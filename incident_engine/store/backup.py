"""Copies of a database file: taken beside whoever writes it, verified, and put back."""

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

_OWN = ("", "-wal", "-shm", "-journal", ".lock")
_BESIDE = ("-wal", "-shm")
"""What SQLite keeps beside a database file. Left beside another file it would be taken for that one's."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a copy holds: its schema, and how many rows each table has."""

    revision: str
    rows: Mapping[str, int]


def copy_database(source: Path, target: Path) -> Contents:
    """Copy a database as it is at this instant, beside whoever writes it; the target is there whole or not at all.

    The copy is checked (integrity, schema, rows of each table), and on disk when this returns. A target that exists is
    replaced. Raises StoreError if either cannot be used, or the copy is not the same.
    """
    part = target.with_name(f".{target.name}.part")
    try:
        try:
            rows = _copy(source, part, target)
            found = verify(part, f"the copy of {source}")
            if dict(found.rows) != rows:
                raise StoreError(f"the copy of {source} does not hold what {source} holds; nothing was written")
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
        sync(target.parent)
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error
    return found


def refuse_as_target(source: Path, target: Path) -> None:
    """Raise StoreError if a copy must not be written there: onto the database or what belongs to it, or no file."""
    try:
        if target.is_dir():
            raise StoreError(f"{target} is a directory; name a file in it")
        if any(_is_same(target, Path(f"{source}{ending}")) for ending in _OWN):
            raise StoreError(f"{target} belongs to the database {source} itself; name another file")
        target.exists()
    except OSError as error:
        raise StoreError(f"{target} cannot be written: {error.strerror}") from error


def _is_same(one: Path, other: Path) -> bool:
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def verify(path: Path, name: object = None) -> Contents:
    """Check a copy without changing it. Raises StoreError unless it is whole and of a schema that this version knows.

    An older schema is one: the database is brought up to date when it is started. `name` is how errors call the file.
    """
    name = name or path
    with _opened(path) as connection:
        said = [row[0] for row in connection.execute("PRAGMA integrity_check(5)")]
        if said != ["ok"]:
            raise StoreError(f"{name} is damaged: {'; '.join(said)}")
        astray = connection.execute("PRAGMA foreign_key_check").fetchone()
        if astray is not None:
            raise StoreError(f"{name} is damaged: a row of '{astray[0]}' belongs to none of '{astray[2]}'")
        rows = _rows(connection)
    engine = create_engine("sqlite://", creator=lambda: sqlite3.connect(_read_only(path), uri=True), poolclass=NullPool)
    with engine.connect() as opened:
        revision = migration_path(opened, name, "name another file").current
    if revision is None:
        raise StoreError(f"{name} is no database of incident-engine")
    return Contents(revision, rows)


def restore_database(copy: Path, path: Path, now: datetime) -> tuple[Contents, Path | None]:
    """Put a copy in the place of the database that nobody holds. Return what it holds, and where the old one is kept.

    Raises StoreError if a daemon holds the database, or the copy cannot be used; then nothing is changed. At any
    instant there is a database in the place, the old one or the new one.
    """
    if copy.resolve() == path.resolve():
        raise StoreError(f"{copy} is the database itself; name a copy of it")
    verify(copy)  # before whoever runs is asked to stop
    with acquire(path):
        new = path.with_name(f"{path.name}.restored")
        found = copy_database(copy, new)
        try:
            kept = path.with_name(f"{path.name}.before-{now:%Y%m%dT%H%M%SZ}") if path.exists() else None
            if kept is not None:
                _keep(path, kept)
                _own_like(path, new)
            for ending in _BESIDE:
                Path(f"{path}{ending}").unlink(missing_ok=True)
            new.replace(path)
            sync(path.parent)
        except OSError as error:
            raise StoreError(f"{path} cannot be replaced: {error.strerror}") from error
        finally:
            new.unlink(missing_ok=True)
    return found, kept


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


def _rows(connection: sqlite3.Connection) -> dict[str, int]:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
    counts = ((name, connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()) for (name,) in names)  # noqa: S608
    return {name: int(row[0]) for name, row in counts}


def _copy(source: Path, part: Path, target: Path) -> dict[str, int]:
    """Copy one state of the source, whoever writes meanwhile, and return how many rows it has."""
    with _opened(source) as connection:
        connection.execute("BEGIN")
        rows = _rows(connection)
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)  # it holds the key that signs links
        try:
            with closing(sqlite3.connect(part, isolation_level=None)) as copied:
                connection.backup(copied)
                copied.execute("PRAGMA journal_mode=DELETE")  # one file that needs nothing beside it
        except sqlite3.Error as error:
            raise StoreError(f"{target} cannot be written: {error}") from error
    sync(part)
    return rows


def _keep(path: Path, kept: Path) -> None:
    """Keep the old database under another name. It may be damaged: that may be why a copy is put back."""
    with suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what cannot be read is kept with what is beside it
    for ending in ("", *_BESIDE):
        if Path(f"{path}{ending}").exists():
            _link(Path(f"{path}{ending}"), Path(f"{kept}{ending}"))
    sync(path.parent)


def _own_like(path: Path, new: Path) -> None:
    """Let the same user read and write the new file who could the old one: root may restore for the daemon's user."""
    old = path.stat()
    new.chmod(old.st_mode & 0o777)
    if (old.st_uid, old.st_gid) != (new.stat().st_uid, new.stat().st_gid):
        os.chown(new, old.st_uid, old.st_gid)


def _link(path: Path, other: Path) -> None:
    try:
        os.link(path, other)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        shutil.copy2(path, other)
        sync(other)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
