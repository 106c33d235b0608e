"""Files and folders that only their owner may read: messages hold live links, databases and archives people's names."""

import os
from pathlib import Path
from typing import BinaryIO

_FOLDER = 0o700
_FILE = 0o600


def folder_problem(path: Path) -> str:
    """Return why files cannot be written in a folder, which may be missing still; "" if they can."""
    existing = next(folder for folder in (path.absolute(), *path.absolute().parents) if folder.exists())
    if not existing.is_dir():
        return f"{existing} is no folder"
    return "" if os.access(existing, os.W_OK | os.X_OK) else f"{existing} cannot be written"


def make_folder(path: Path) -> None:
    """Make a folder and its missing parents, each for its owner alone. Existing ones keep their modes.

    Raises OSError if one cannot be made, or the path is a file.
    """
    # Path.mkdir gives its mode to the last folder only; parents would be open to everybody.
    if not path.parent.exists():
        make_folder(path.parent)
    path.mkdir(mode=_FOLDER, exist_ok=True)


def open_new(path: Path) -> BinaryIO:
    """Open an empty file for writing, for its owner alone also if it was there before. Raises OSError."""
    file = open(path, "wb", opener=lambda name, flags: os.open(name, flags, _FILE))  # noqa: SIM115
    os.fchmod(file.fileno(), _FILE)  # a file that was there keeps its mode
    return file


def write_file(path: Path, content: bytes) -> None:
    """Write a file for its owner alone. Raises OSError."""
    with open_new(path) as file:
        file.write(content)
