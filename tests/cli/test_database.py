"""`migrate`, `backup` and `restore` as an operator uses them."""

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import typer
from support.builders import UNMET, at, event_json, restored_json, started_json
from support.fixtures import House, bank, house
from support.migrations import add_revision

from incident_engine.cli import database as keeping
from incident_engine.common.errors import StoreError
from incident_engine.common.i18n import Translator
from incident_engine.store.backup import copy_database, restore_database, verify
from incident_engine.store.tables import cases, events

Run = Callable[..., Any]
DATA = Path(__file__).parent.parent / "contract" / "data"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    found = tmp_path / "engine.db"
    monkeypatch.setenv("INCIDENT_ENGINE__STORE__URL", f"sqlite:///{found}")
    return found


@pytest.fixture
def held(tmp_path: Path, path: Path) -> Iterator[House]:
    """Hold a database with one incident, as the daemon does."""
    with house(tmp_path, bank(tmp_path)) as found:
        found.report(at("10:40"), started_json("a", at("10:35"), incident="k"))
        yield found


@pytest.fixture
def later_release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this the release after the newest one, with a column more."""
    add_revision(tmp_path, monkeypatch, '    op.add_column("cases", sa.Column("more", sa.String()))\n')


def write_old(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / "schema-0001.sql").read_text(encoding="utf-8"))


def count(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


def schema(path: Path) -> str:
    with closing(sqlite3.connect(path)) as connection:
        return str(connection.execute("SELECT version_num FROM alembic_version").fetchone()[0])


@pytest.mark.parametrize(
    ("lang", "due", "done"),
    [("en", "needs a migration", "copy from before the migration"), ("zh-CN", "需要升级", "升级前的副本")],
)
@pytest.mark.usefixtures("later_release")
def test_migrate_shows_the_way_and_goes_it(run: Run, path: Path, lang: str, due: str, done: str) -> None:
    write_old(path)
    asked = run("migrate", "--check", "--lang", lang)
    assert (asked.code, schema(path)) == (1, "0001")
    assert " 0001 → " in asked.out
    assert due in asked.err
    said = run("migrate", "--lang", lang)
    assert said.code == 0
    assert f"{done}: {path}.schema-0001" in said.out
    assert schema(path) > "0001"
    again = run("migrate", "--check", "--lang", lang)
    assert (again.code, "→" in again.out) == (0, False)


def test_migrate_makes_a_new_database_but_check_does_not(run: Run, path: Path) -> None:
    asked = run("migrate", "--check")
    assert (asked.code, path.exists()) == (1, False)
    assert f"there is no database {path}" in asked.err
    assert run("migrate").out == f"created a new database: {path}\n"
    assert count(path, "cases") == 0


@pytest.mark.parametrize(("lang", "word"), [("en", "backed up"), ("zh-CN", "已备份")])
def test_a_backup_is_made_beside_the_daemon(run: Run, held: House, tmp_path: Path, lang: str, word: str) -> None:
    copy = tmp_path / "copy.db"
    said = run("backup", copy, "--lang", lang)
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith(f"{word}: {copy} (")
    assert "cases 1, events 1, deliveries" in said.out
    assert copy.stat().st_mode & 0o077 == 0
    assert sorted(found.name for found in tmp_path.glob("*copy*")) == ["copy.db"]  # nothing is needed beside it
    held.report(at("10:50"), started_json("b", at("10:45"), "CN-HN"))
    assert (count(copy, "events"), len(held.rows(events))) == (1, 2)


def test_a_backup_replaces_nothing_unless_told_to(run: Run, held: House, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    copy.write_text("yesterday's")
    said = run("backup", copy)
    assert (said.code, said.out, said.err) == (1, "", f"{copy} exists already; --force replaces it\n")
    assert copy.read_text() == "yesterday's"
    assert run("backup", copy, "--force").code == 0
    assert count(copy, "cases") == 1
    assert run("backup", path, "--force").code == 1


def test_a_backup_that_cannot_be_written_says_where(run: Run, held: House, tmp_path: Path) -> None:
    said = run("backup", tmp_path / "no" / "copy.db")
    assert (said.code, said.out) == (1, "")
    assert f"error: {tmp_path / 'no' / 'copy.db'} cannot be written: No such file or directory" in said.err


def test_a_backup_is_one_state_while_others_write(held: House, path: Path, tmp_path: Path) -> None:
    stop = threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set() and number < 2_000:
            number += 1
            held.report(at("10:50"), started_json(f"w{number}", at("10:45"), "CN-HN", incident=f"w{number}"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            found = copy_database(path, tmp_path / f"copy-{number}.db")
            assert found.rows["cases"] == found.rows["events"]  # each incident came with its event
    finally:
        stop.set()
        writer.join(60)
    assert len(held.rows(events)) > 1


def test_a_backup_is_put_back_and_the_old_database_is_kept(run: Run, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    with house(tmp_path) as engine:
        engine.report(at("10:40"), started_json("a", at("10:35"), incident="k"))
        assert run("backup", copy).code == 0
        engine.report(at("10:50"), started_json("b", at("10:45"), "CN-HN", incident="later"))
    path.chmod(0o640)
    said = run("restore", copy)
    assert (said.code, path.stat().st_mode & 0o777) == (0, 0o640)
    assert said.out.startswith(f"restored: {path} (")
    assert "may be sent again, under the same ids" in said.out
    (kept,) = tmp_path.glob("engine.db.before-*")
    assert f"the previous database is kept as {kept}" in said.out
    assert count(kept, "cases") == 2
    with house(tmp_path) as engine:
        assert [row["id"] for row in engine.rows(cases)] == ["k"]
        (receipt,) = engine.report(at("10:55"), started_json("b", at("10:45"), "CN-HN", incident="later"))
        assert receipt.outcome == "accepted"  # what is sent again is taken again


def test_what_stood_only_in_the_log_beside_the_old_database_is_kept_and_not_mixed_in(tmp_path: Path) -> None:
    """A daemon that was killed leaves a -wal file: it belongs to the old database, never to the copy."""
    path, copy = tmp_path / "left" / "engine.db", tmp_path / "copy.db"
    path.parent.mkdir()
    with house(tmp_path) as engine:
        engine.report(at("10:40"), started_json("a", at("10:35"), incident="k"))
        copy_database(Path(engine.database.name), copy)
        engine.report(at("10:50"), started_json("b", at("10:45"), "CN-HN", incident="later"))
        for ending in ("", "-wal", "-shm"):  # as if it were killed here
            shutil.copy(f"{Path(engine.database.name)}{ending}", f"{path}{ending}")
    assert Path(f"{path}-wal").stat().st_size > 0
    _, kept = restore_database(copy, path, at("11:00"))
    assert kept == path.with_name("engine.db.before-20130623T030000Z")
    assert (count(path, "cases"), count(kept, "cases")) == (1, 2)


def test_nothing_is_put_back_under_a_running_daemon(run: Run, held: House, path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    assert run("backup", copy).code == 0
    held.report(at("10:50"), started_json("b", at("10:45"), "CN-HN"))
    said = run("restore", copy)
    assert (said.code, said.out) == (1, "")
    assert f"{path} is in use by another incident-engine; stop it" in said.err
    assert len(held.rows(events)) == 2
    assert not list(tmp_path.glob("*.before-*"))


def damage(copy: Path) -> None:
    with copy.open("r+b") as file:
        file.seek(5 * 4096)
        file.write(b"\xff" * 8_192)


def of_another(copy: Path) -> None:
    copy.unlink()
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")


def of_a_newer(copy: Path) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")


def not_whole(copy: Path) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("DELETE FROM cases")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (damage, r"copy\.db (is damaged|cannot be read as a database)"),
        (of_another, r"belongs to another program \(it has a table 'customers'\)"),
        (of_a_newer, r"has the schema '9999' of a newer incident-engine"),
        (not_whole, r"is damaged: a row of '\w+' belongs to none of 'cases'"),
        (lambda copy: copy.write_text("notes\n" * 200), r"copy\.db cannot be read as a database"),
        (lambda copy: copy.write_bytes(b""), r"is no database of incident-engine"),
        (lambda copy: copy.unlink(), r"there is no file .*copy\.db"),
    ],
)
def test_a_copy_that_cannot_be_used_is_refused_and_nothing_is_changed(
    tmp_path: Path, spoil: Callable[[Path], object], said: str
) -> None:
    path, copy = tmp_path / "engine.db", tmp_path / "copy.db"
    with house(tmp_path) as engine:
        engine.report(at("10:40"), started_json("a", at("10:35"), incident="k"))
        copy_database(path, copy)
    spoil(copy)
    before = path.read_bytes()
    with pytest.raises(StoreError, match=said):
        restore_database(copy, path, at("11:00"))
    assert path.read_bytes() == before
    assert sorted(found.name for found in tmp_path.glob("engine.db*")) == ["engine.db", "engine.db.lock"]


@pytest.mark.usefixtures("later_release")
def test_a_copy_of_an_older_schema_is_put_back_and_brought_up_to_date_at_the_start(tmp_path: Path) -> None:
    path, copy = tmp_path / "engine.db", tmp_path / "copy.db"
    write_old(copy)
    found, kept = restore_database(copy, path, at("11:00"))
    assert (found.revision, kept, schema(path)) == ("0001", None, "0001")
    with house(tmp_path) as engine:
        assert len(engine.rows(cases)) == 2
    assert verify(path).revision > "0001"


def test_a_database_is_not_its_own_backup(held: House, path: Path) -> None:
    with pytest.raises(StoreError, match="is the database itself"):
        restore_database(path, path, at("11:00"))


@pytest.fixture
def two_closed(tmp_path: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Close two incidents in 2013, of which one still owes reports, in a bank that keeps them for a year."""
    monkeypatch.setenv("INCIDENT_ENGINE__RETENTION__CLOSED_INCIDENTS", "365d")
    monkeypatch.setenv("INCIDENT_ENGINE__RETENTION__DIRECTORY", str(tmp_path / "archive"))
    with house(tmp_path) as engine:
        engine.report(at("10:37"), started_json("a", at("10:35"), incident="blip"))
        engine.report(at("10:38"), restored_json("b", at("10:36"), incident="blip"))
        engine.fire(at("12:40"))
        engine.report(at("13:37"), started_json("c", at("13:00"), incident="owing"))
        engine.report(at("14:00"), restored_json("d", at("13:59"), incident="owing"))
        by = {"by": "陈总", "overdue": UNMET}
        engine.report(at("15:00"), event_json("e", "incident.closed", at("15:00"), incident="owing", data=by))
    return tmp_path / "archive"


@pytest.mark.parametrize(
    ("lang", "would", "kept", "done"),
    [
        (
            "en",
            "would be archived: 1, kept: 1",
            "kept: owing: a report or a notice is still due",
            "archived: 1, kept: 1",
        ),
        ("zh-CN", "可归档: 1, 仍保留: 1", "仍保留: owing: 尚有报告或告知义务未履行", "已归档: 1, 仍保留: 1"),
    ],
)
def test_archive_says_what_would_go_and_then_lets_it_go(
    run: Run, path: Path, two_closed: Path, lang: str, would: str, kept: str, done: str
) -> None:
    asked = run("archive", "--dry-run", "--lang", lang)
    assert (asked.code, asked.err) == (0, "")
    lines = asked.out.splitlines()
    assert lines[0] == kept
    assert (lines[2], lines[-1]) == ("  blip", would)
    assert (count(path, "cases"), two_closed.exists()) == (2, False)
    said = run("archive", "--lang", lang)
    (file,) = two_closed.iterdir()
    assert str(file) in said.out
    assert said.out.splitlines()[-1] == done
    assert count(path, "cases") == 1


def test_archive_leaves_a_database_that_is_in_use_to_its_daemon(run: Run, two_closed: Path, tmp_path: Path) -> None:
    with house(tmp_path):
        assert run("archive", "--dry-run").code == 0
        said = run("archive")
    assert (said.code, two_closed.exists()) == (1, False)
    assert "is in use by another incident-engine" in said.err


def test_archive_without_the_setting_says_so(run: Run, path: Path) -> None:
    said = run("archive")
    assert (said.code, path.exists()) == (0, False)
    assert "retention.closed_incidents is not set" in said.out


def test_an_archived_incident_can_still_be_printed(run: Run, two_closed: Path) -> None:
    before = run("report", "--incident", "blip", "--format", "json")
    assert run("archive").code == 0
    after = run("report", "--incident", "blip", "--format", "json")
    assert (after.code, after.out) == (0, before.out)
    (file,) = two_closed.iterdir()
    year = run("report", "--from", "2013-01-01", "--to", "2013-12-31")
    assert [line.split() for line in year.out.splitlines() if file.name in line] == [["archived:", "1", "·", file.name]]
    file.unlink()
    missing = run("report", "--from", "2013-01-01", "--to", "2013-12-31", "--lang", "zh-CN")
    assert "已归档: 1 · 未计入统计: there is no archive" in missing.out
    assert run("report", "--incident", "blip").code == 1


@pytest.mark.parametrize(("locale", "word"), [("en", "back it up with pg_dump"), ("zh-CN", "请用 pg_dump 备份")])
def test_of_postgresql_it_is_said_what_to_use(capsys: pytest.CaptureFixture[str], locale: str, word: str) -> None:
    with pytest.raises(typer.Exit) as ended:
        keeping._file("postgresql+psycopg://db.bank.example/incidents", Translator(locale))
    assert ended.value.exit_code == 1
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-journal", ".lock"])
def test_a_backup_never_goes_onto_the_database_or_what_belongs_to_it(
    tmp_path: Path, run: Run, path: Path, held: House, ending: str
) -> None:
    link = tmp_path / "link"
    link.symlink_to(f"{path}{ending}")
    for target in (f"{path}{ending}", str(link)):
        said = run("backup", target, "--force")
        assert (said.code, "belongs to the database" in said.err) == (1, True)
    assert len(held.rows(events)) == 1


def test_a_backup_does_not_go_onto_a_directory(tmp_path: Path, run: Run, held: House) -> None:
    for more in ([], ["--force"]):
        said = run("backup", str(tmp_path), *more)
        assert (said.code, "is a directory; name a file in it" in said.err) == (1, True)


def test_a_backup_that_cannot_be_used_is_told_before_the_daemon_must_be_stopped(
    tmp_path: Path, run: Run, held: House
) -> None:
    foreign = tmp_path / "foreign.db"
    with closing(sqlite3.connect(foreign)) as connection:
        connection.execute("CREATE TABLE customers (id)")
    for file, words in (
        (foreign, "name another file"),
        (tmp_path, "is no file"),
        (tmp_path / "no", "there is no file"),
    ):
        said = run("restore", str(file))
        assert (said.code, words in said.err) == (1, True)


def test_a_new_database_is_for_its_owner_alone(path: Path, held: House) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    assert Path(f"{path}-wal").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("file", ["engine.db", "engine.db.lock"])
def test_a_database_that_is_moved_under_the_daemon_takes_nothing_until_it_is_back(
    tmp_path: Path, path: Path, held: House, file: str
) -> None:
    away = tmp_path / "away"
    (tmp_path / file).rename(away)
    for replacement in (None, "another file"):
        if replacement is not None:
            (tmp_path / file).write_text(replacement)
        with pytest.raises(StoreError, match=f"{file} was moved, removed or replaced under the daemon; put it back"):
            held.report(at("10:41"), started_json("b", at("10:36"), incident="k"))
    away.replace(tmp_path / file)
    held.report(at("10:42"), started_json("b", at("10:36"), incident="k"))
    assert len(held.rows(events)) == 2
