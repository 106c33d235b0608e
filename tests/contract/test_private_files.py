"""Files and folders that only their owner may read, whatever the umask."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from incident_engine.common.private_files import make_folder, write_file
from incident_engine.config.channels import OutboxSettings
from incident_engine.delivery.channels.outbox import OutboxChannel
from incident_engine.store import archive_files
from incident_engine.store.backup import copy_database
from incident_engine.store.database import Database

from .channel_support import claimed, send


@pytest.fixture(autouse=True)
def _open_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


def modes(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mode & 0o777 for path in folder.rglob("*")}


def assert_private(folder: Path) -> None:
    found = modes(folder)
    assert found
    for path, mode in found.items():
        assert mode == (0o700 if (folder / path).is_dir() else 0o600), path


def test_messages_of_the_outbox_are_for_their_owner_alone(tmp_path: Path) -> None:
    send(OutboxChannel(OutboxSettings(type="outbox", directory=tmp_path / "var" / "outbox")))
    assert_private(tmp_path)


def test_a_line_break_in_a_subject_makes_no_field_in_the_head_of_a_file(tmp_path: Path) -> None:
    delivery = claimed(subject="a\nid: other\rx")
    (name,) = send(OutboxChannel(OutboxSettings(type="outbox", directory=tmp_path)), delivery)
    head = Path(name).read_text(encoding="utf-8").partition("\n\n")[0]
    assert "subject: a id: other x" in head.splitlines()
    assert sum(line.startswith("id: ") for line in head.splitlines()) == 1


def test_archives_are_for_their_owner_alone(tmp_path: Path) -> None:
    archive_files.write(tmp_path / "var" / "archive" / "a.jsonl.gz", [b"{}"])
    assert_private(tmp_path)


def test_a_database_its_log_its_lock_and_its_copies_are_for_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "engine.db"
    database = Database(f"sqlite:///{path}")
    try:
        with database.write() as connection:
            database.prove_writable(connection)
        copy_database(path, tmp_path / "copy.db")
        assert {"var/engine.db", "var/engine.db-wal", "var/engine.db.lock", "copy.db"} <= set(modes(tmp_path))
        assert_private(tmp_path)
    finally:
        database.close()


def test_a_file_that_was_open_to_all_is_closed_when_it_is_written_again(tmp_path: Path) -> None:
    file = tmp_path / "x" / "y"
    make_folder(file.parent)
    file.touch(mode=0o644)
    write_file(file, b"z")
    assert_private(tmp_path)


def test_folders_that_exist_keep_their_modes(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir(mode=0o755)
    make_folder(tmp_path / "shared" / "a" / "b")
    assert modes(tmp_path) == {"shared": 0o755, "shared/a": 0o700, "shared/a/b": 0o700}
