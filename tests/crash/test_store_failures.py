"""A daemon whose store cannot be written: it says so, takes nothing that it cannot keep, and goes on by itself."""

import json
import os
import resource
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from support.builders import started_json
from support.fake_receiver import FakeReceiver, fake_receiver
from support.fast_bank import write_bank
from support.servers import Daemon, client, daemon, wait_for

from incident_engine.common.errors import StoreError
from incident_engine.store.database import Database


def outage(name: str, incident: str = "one", **fields: Any) -> dict[str, Any]:
    return started_json(name, datetime.now(UTC), incident=incident, **fields)


@dataclass(slots=True)
class Bank:
    folder: Path
    daemon: Daemon
    http: httpx2.Client
    desk: FakeReceiver

    def post(self, *events: dict[str, Any]) -> httpx2.Response:
        return self.http.post("/api/v1/events", json=list(events))

    def unready(self) -> str:
        answer = self.http.get("/readyz")
        assert answer.status_code == 503, answer.text
        return " ".join(answer.json()["reasons"])

    def level(self, incident: str = "one") -> str | None:
        found: str | None = self.http.get(f"/api/v1/incidents/{incident}").json()["level"]
        return found

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.daemon.logged.splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]


@contextmanager
def bank(folder: Path) -> Iterator[Bank]:
    with ExitStack() as opened:
        told = opened.enter_context(fake_receiver(1, refused=0))
        ours = opened.enter_context(daemon(write_bank(folder, told.address(1))))
        yield Bank(folder, ours, opened.enter_context(client(ours.url)), told)


# A full disk


def fill_disk(folder: Path, _: int) -> Callable[[], None]:
    """Fill the small disk on which the folder is."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65_536, 4_096, 512):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue
    return filler.unlink


def limit_files(folder: Path, process: int) -> Callable[[], None]:
    """Let the process make no file longer than its log of changes is: to it this is a disk without room."""
    before = resource.prlimit(process, resource.RLIMIT_FSIZE)
    now = Path(f"{folder / 'engine.db'}-wal").stat().st_size
    resource.prlimit(process, resource.RLIMIT_FSIZE, (now, before[1]))
    return lambda: resource.prlimit(process, resource.RLIMIT_FSIZE, before)  # type: ignore[return-value]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of a few megabytes, in memory; only root can have one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("a disk of its own can only be mounted by root; the limit on files is tried instead")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def goes_through_a_full_disk(found: Bank, fill: Callable[[Path, int], Callable[[], None]], said: str) -> None:
    assert found.daemon.pid is not None
    assert found.post(outage("first")).status_code == 202
    make_room = fill(found.folder, found.daemon.pid)
    try:
        refused = wait_for("an event is refused", lambda: _refused(found.post(outage("second", "two"))))
        assert refused.headers["retry-after"] == "1"
        assert "nothing of this request was stored, send it again" in refused.json()["detail"]
        assert said in found.unready()
        assert found.http.get("/healthz").status_code == 200
        time.sleep(2)  # level III was due after one second
        assert found.level() is None
    finally:
        make_room()
    # Nobody sends anything, and nobody starts it anew.
    wait_for("it is ready again", lambda: found.http.get("/readyz").status_code == 200)
    wait_for("the level is raised, late", lambda: found.level() is not None)
    wait_for("they are told", lambda: {each.contact for each in found.desk.arrivals} >= {"officer", "engineer"})
    assert found.http.get("/api/v1/incidents/two").status_code == 404
    [receipt] = found.post(outage("second", "two")).json()["events"]
    assert receipt["status"] == "accepted"  # and not "duplicate": what was answered 503 was not stored
    assert found.daemon.is_running
    assert 1 <= len(found.lines("commit_failed")) <= 2
    assert found.lines("commit_works_again")


def _refused(answer: httpx2.Response) -> httpx2.Response | None:
    return answer if answer.status_code == 503 else None


def test_a_full_disk_is_said_and_when_there_is_room_again_the_daemon_goes_on_by_itself(small_disk: Path) -> None:
    with bank(small_disk) as found:
        goes_through_a_full_disk(found, fill_disk, "the disk is full; make room, the daemon goes on by itself")


def test_files_that_cannot_grow_are_said_and_when_they_can_again_the_daemon_goes_on_by_itself(tmp_path: Path) -> None:
    with bank(tmp_path) as found:
        goes_through_a_full_disk(found, limit_files, "the disk failed; look at the room left")


# A damaged database


def damage(database: Path) -> None:
    """Overwrite every page but the first with noise, in the file and where its last changes are."""
    for path, kept in ((database, 4_096), (Path(f"{database}-wal"), 0)):
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.seek(kept)
            file.write(os.urandom(max(0, size - kept)))


def test_a_database_that_is_found_to_be_damaged_takes_nothing_more_and_says_what_to_do(tmp_path: Path) -> None:
    with bank(tmp_path) as found:
        # More than fits into what the daemon remembers of the file, so that it must read what was damaged.
        for number in range(40):
            notes = [
                outage(f"{number}/{place}", f"incident-{number}", data={"text": "x" * 4_000}) for place in range(5)
            ]
            assert found.post(*notes).status_code == 202
        with closing(sqlite3.connect(tmp_path / "engine.db")) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        damage(tmp_path / "engine.db")

        def is_noticed() -> bool:
            answer = found.post(outage(f"after/{time.monotonic()}", f"incident-{int(time.monotonic() * 10) % 40}"))
            assert answer.status_code in (202, 503), answer.text
            return "it is damaged" in found.unready()

        wait_for("the damage is noticed", is_noticed)
        for number in range(3):
            answer = found.post(outage(f"later/{number}", "new"))
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
        assert "stop the daemon and restore a backup" in found.unready()
        assert found.http.get("/healthz").status_code == 200
        before, began = len(found.daemon.logged.splitlines()), _processor_seconds(found.daemon)
        time.sleep(3)
        assert len(found.daemon.logged.splitlines()) - before < 10, "it tells of it again and again"
        assert _processor_seconds(found.daemon) - began < 1, "it tries again and again"
        assert found.daemon.is_running
        assert found.lines("commit_failed")


def _processor_seconds(ours: Daemon) -> float:
    """Return how long a process has computed: user's and system's time of /proc/PID/stat (proc(5))."""
    fields = Path(f"/proc/{ours.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_damaged_database_is_refused_at_the_start_in_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    config = write_bank(tmp_path, "http://127.0.0.1:9/1")
    Database(f"sqlite:///{tmp_path / 'engine.db'}").close()
    (tmp_path / "engine.db").write_bytes(b"SQLite format 3\x00" + os.urandom(8_000))
    with daemon(config, ready=False) as ours:
        assert ours.wait() == 1
        [line] = ours.logged.splitlines()
    assert line.startswith(f"error: {tmp_path / 'engine.db'} cannot be used as a database: ")
    assert "restore a backup" in line


# What may only be read


def test_a_database_on_a_disk_that_may_only_be_read_is_refused_with_what_to_do(small_disk: Path) -> None:
    Database(f"sqlite:///{small_disk / 'engine.db'}").close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreError, match="cannot be written: Read-only file system"):
        Database(f"sqlite:///{small_disk / 'engine.db'}")
