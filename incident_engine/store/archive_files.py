"""Archive files: JSON lines in gzip, one document a line. Each is written once, completely, and read back."""

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from incident_engine.common.errors import ArchiveError
from incident_engine.common.private_files import make_folder, open_new
from incident_engine.store.backup import sync


def write(path: Path, lines: Sequence[bytes]) -> None:
    """Write a file completely or not at all, and read it back. The same lines always give the same bytes.

    Raises ArchiveError unless the lines are on disk when this returns.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        make_folder(path.parent)
        try:
            # Without name and time of writing in the header, equal contents are equal files.
            with open_new(part) as raw, gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed:
                packed.writelines(line + b"\n" for line in lines)
            sync(part)
            # The rows are deleted next, so this file is about to be the only copy.
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
    """Yield the documents of the incidents in `wanted`, which maps their ids to SHA-256 digests.

    Raises ArchiveError if the file cannot be read, or a document is missing or differs from its digest.
    """
    missing = dict(wanted)
    for document, digest in _documents(path):
        if missing.get(document["incident"]["id"]) == digest:
            del missing[document["incident"]["id"]]
            yield document
    if missing:
        ids = ", ".join(missing)
        raise ArchiveError(f"{path} does not hold what was archived in it: {ids}; look for an intact copy")


def digest_of(line: bytes) -> str:
    """Return the SHA-256 of a document's line, without its end."""
    return hashlib.sha256(line).hexdigest()


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
    except (OSError, EOFError, zlib.error) as error:  # gzip reports damage by any of the three
        raise ArchiveError(f"{path} is damaged: {error}; look for an intact copy") from error
