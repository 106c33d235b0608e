"""Archive files: JSON lines in gzip, one document a line. Each is written once, whole, and read back."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from incident_engine.common.errors import ArchiveError
from incident_engine.store.backup import sync


def write(path: Path, lines: Sequence[bytes]) -> None:
    """Write a file, all of it or nothing, and read it back. Raises ArchiveError if it is not on disk as it should be.

    The same lines are always the same file.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(part, lines)
            if list(_lines(part)) != list(lines):
                raise ArchiveError(f"{path}: what was written could not be read back; nothing is removed")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        sync(path.parent)
    except OSError as error:
        raise ArchiveError(f"{path} cannot be written: {error.strerror}; nothing is removed") from error


def digests(path: Path) -> dict[str, str]:
    """Return the SHA-256 of each document in a file, by the id of its incident. Raises ArchiveError."""
    return {document["incident"]["id"]: digest for document, digest in _documents(path)}


def documents(path: Path, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Yield the documents of some incidents, by their ids and SHA-256.

    Raises ArchiveError if the file cannot be read, or one of them is not in it as it was written.
    """
    left = dict(wanted)
    for document, digest in _documents(path):
        if left.get(document["incident"]["id"]) == digest:
            del left[document["incident"]["id"]]
            yield document
    if left:
        raise ArchiveError(f"{path} does not hold what was archived in it: {', '.join(left)}; look for an intact copy")


def digest_of(line: bytes) -> str:
    """Return the SHA-256 of a document's line, without its end."""
    return hashlib.sha256(line).hexdigest()


def _write(path: Path, lines: Sequence[bytes]) -> None:
    with path.open("wb") as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
        packed.writelines(line + b"\n" for line in lines)
    sync(path)


def _documents(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for line in _lines(path):
        try:
            yield json.loads(line), digest_of(line)
        except ValueError as error:
            raise ArchiveError(f"{path} is damaged: {error}; look for an intact copy") from error


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with gzip.open(path, "rb") as packed:
            for line in packed:
                yield line.removesuffix(b"\n")
    except FileNotFoundError:
        raise ArchiveError(f"there is no archive {path}; put it back, or set retention.directory") from None
    except (OSError, EOFError, zlib.error) as error:
        raise ArchiveError(f"{path} is damaged: {error}; look for an intact copy") from error
