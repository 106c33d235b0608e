"""Retention: what was closed long ago goes into a file and out of the database; nothing lost, nothing twice."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import MICROSECOND, House, bank, house, rows

from incident_engine.common.errors import ArchiveError, InvalidDocumentError, InvalidFilesError
from incident_engine.domain.values import parse_duration
from incident_engine.engine import retention
from incident_engine.engine.retention import Archiver, ArchiveResult, Hold
from incident_engine.intake.native import parse_events
from incident_engine.review.documents import Period, Review
from incident_engine.review.period import review
from incident_engine.store import archive as archives
from incident_engine.store import archive_files
from incident_engine.store.tables import (
    archived_incidents,
    assessments,
    attempts,
    cases,
    deliveries,
    events,
    packs,
    reports,
    steps,
    timers,
)
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer

LATER = at("2014-07-01 03:00")
OF_INCIDENTS = (cases, assessments, steps, deliveries, attempts, reports, timers)
YEAR = Period(at("2013-01-01 12:00").date(), at("2013-12-31 12:00").date())


@dataclass(slots=True)
class Kept:
    """A bank that keeps closed incidents for a year, and what archives them."""

    house: House
    archiver: Archiver
    folder: Path

    def run(self, now: datetime = LATER) -> ArchiveResult:
        return self.archiver.run(now)

    def documents(self) -> dict[str, tuple[str, dict[str, Any]]]:
        """Return each archived document with the file that it is in, by its incident; each is there once."""
        found: dict[str, tuple[str, dict[str, Any]]] = {}
        for path in sorted(self.folder.glob("*.jsonl.gz")):
            for line in gzip.decompress(path.read_bytes()).splitlines():
                document = json.loads(line)
                assert document["incident"]["id"] not in found
                found[document["incident"]["id"]] = path.name, document
        return found

    def ids(self) -> list[str]:
        return [row["id"] for row in self.house.rows(cases)]

    def figures(self) -> Review:
        zone = self.house.settings.bank.zone
        with self.house.database.read() as connection:
            return review(connection, self.house.reader, YEAR, zone, LATER, self.folder)


@contextmanager
def bank_that_keeps(folder: Path, keep: str | None = "365d", **overrides: str) -> Iterator[Kept]:
    given = {} if keep is None else {"RETENTION__CLOSED_INCIDENTS": keep}
    settings = bank(folder, RETENTION__DIRECTORY=str(folder / "archive"), **given, **overrides)
    with house(folder, settings) as opened:
        writer = Writer(opened.database, 100, lambda: None)
        writer.start()
        try:
            archiver = Archiver(settings.retention, opened.database, writer, opened.reader, opened.engine.is_changing)
            yield Kept(opened, archiver, folder / "archive")
        finally:
            writer.stop(30)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    with bank_that_keeps(tmp_path) as opened:
        yield opened


def blips(engine: House, *names: str, day: str = "2013-06-23") -> None:
    """Report short outages that close themselves two hours after their end."""
    for name in names:
        key = {"incident": name}
        engine.report(at(f"{day} 10:37"), started_json(name, at(f"{day} 10:35"), **key))
        engine.report(at(f"{day} 10:38"), restored_json(f"{name}-up", at(f"{day} 10:36"), **key))
    while engine.fire(at(f"{day} 12:40")):
        pass


def graded(engine: House, name: str = "graded") -> None:
    """Report an outage of level III with all that the law wants of it, but for the summary report."""
    key = {"incident": name}
    engine.report(at("10:36"), started_json(name, at("10:35"), **key))
    engine.fire(at("11:05"))
    for place, obligation in enumerate(("first-report", "partners-notice", "formal-report")):
        done = {"by": "王敏", "fulfils": obligation}
        engine.report(at("11:10"), event_json(f"{name}-{place}", "step.completed", at("11:10"), **key, data=done))
    engine.report(at("11:21"), restored_json(f"{name}-up", at("11:20"), **key))
    engine.report(at("12:00"), event_json(f"{name}-end", "incident.closed", at("12:00"), **key, data={"by": "陈总"}))


def summed_up(engine: House, name: str = "graded") -> None:
    """Report that the summary report of Art. 43 was handed in, the last thing that is owed."""
    done = {"by": "王敏", "fulfils": "summary-report"}
    when = at("2013-06-27 09:00")
    engine.report(when, event_json(f"{name}-sum", "step.completed", when, incident=name, data=done))
    while engine.fire(at("2013-06-28 12:00")):
        pass
    deliver(engine, when)


def deliver(engine: House, at: datetime) -> None:
    """Mark every message as delivered, as the dispatcher would have."""
    with engine.database.write() as connection:
        given = {"state": "delivered", "due_at": None, "ended_at": at}
        connection.execute(update(deliveries).where(deliveries.c.due_at.is_not(None)).values(**given))
        open_steps = update(steps).where(steps.c.state == "started", steps.c.awaits.is_(None))
        connection.execute(open_steps.values(state="completed", completed_at=at))


def test_everything_of_an_incident_goes_into_the_file_and_nothing_else_goes(kept: Kept) -> None:
    engine = kept.house
    graded(engine)
    summed_up(engine)
    blips(engine, "young", day="2014-06-30")
    before = {table.name: engine.rows(table) for table in (*OF_INCIDENTS, events, packs)}
    outcome = kept.run()
    assert outcome == ArchiveResult({name: ["graded"] for name in outcome.archived}, {})
    assert kept.ids() == ["young"]
    ((file, document),) = kept.documents().values()
    assert list(outcome.archived) == [file]
    for table in OF_INCIDENTS:
        mine = [row for row in before[table.name] if belongs(row, "graded")]
        left = [row for row in before[table.name] if not belongs(row, "graded")]
        assert engine.rows(table) == left
        if table not in (cases, timers):
            assert sorted_rows(plain(mine)) == sorted_rows(document[table.name])
    assert plain([row for row in before["events"] if row["case_id"] == "graded"]) == document["events"]
    assert [row["content_hash"] for row in document["packs"]] == [before["packs"][0]["content_hash"]]
    assert document["packs"][0]["document"] == before["packs"][0]["document"]
    (row,) = engine.rows(archived_incidents)
    assert row["levels"] == {"cn-cbrc-2008": "III"}
    assert (row["occurred_at"], row["closed_at"], row["archived_at"]) == (at("10:35"), at("12:00"), LATER)
    (line,) = gzip.decompress((kept.folder / row["file"]).read_bytes()).splitlines()
    assert row["sha256"] == hashlib.sha256(line).hexdigest()


def belongs(row: dict[str, Any], incident_id: str) -> bool:
    owner = row.get("case_id") or row["id"]
    return bool(owner == incident_id)


def plain(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}
        for row in found
    ]


def sorted_rows(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(found, key=json.dumps)


def test_without_the_setting_nothing_goes(tmp_path: Path) -> None:
    with bank_that_keeps(tmp_path, keep=None) as kept:
        blips(kept.house, "old")
        assert kept.run() == ArchiveResult()
        assert (kept.ids(), kept.folder.exists()) == (["old"], False)


def test_an_incident_goes_the_moment_after_it_was_closed_so_long_ago(kept: Kept) -> None:
    blips(kept.house, "old")
    (row,) = kept.house.rows(cases)
    limit = row["closed_at"] + timedelta(days=365)
    assert kept.run(limit).archived == {}
    assert [*kept.run(limit + MICROSECOND).archived.values()] == [["old"]]


def test_an_open_incident_never_goes(kept: Kept) -> None:
    kept.house.report(at("10:36"), started_json("down", at("10:35"), incident="open"))
    assert kept.run() == ArchiveResult()
    assert kept.ids() == ["open"]


def test_what_is_still_owed_stays_with_its_reason(kept: Kept) -> None:
    graded(kept.house)
    assert kept.run().held == {"graded": Hold.OBLIGATION_DUE}
    summed_up(kept.house)
    assert [*kept.run().archived.values()] == [["graded"]]


def test_an_incident_with_an_open_follow_up_task_stays(tmp_path: Path) -> None:
    with bank_that_keeps(tmp_path, PLAYBOOKS='["emergency-response"]') as kept:
        graded(kept.house)
        task = {"title": "改造备用线路", "assignee": "duty-team", "by": "陈总", "reason": "复盘"}
        when = at("13:00")
        kept.house.report(when, event_json("task", "step.added", when, incident="graded", data=task))
        summed_up(kept.house)
        tasks = [row["id"] for row in kept.house.rows(steps) if row["state"] == "started"]
        assert [name for name in tasks if ":task:" in name]
        when = at("2013-07-01 11:00")
        for number, name in enumerate(tasks):
            assert kept.run().held == {"graded": Hold.STEP_OPEN}
            done = {"by": "赵强", "step": name}
            kept.house.report(when, event_json(f"done-{number}", "step.completed", when, incident="graded", data=done))
            deliver(kept.house, when)
        assert [*kept.run().archived.values()] == [["graded"]]


@pytest.mark.parametrize("state", ["pending", "sending", "held"])
def test_an_incident_with_a_message_to_be_delivered_stays(kept: Kept, state: str) -> None:
    graded(kept.house)
    summed_up(kept.house)
    with kept.house.database.write() as connection:
        due_at = None if state == "held" else LATER
        connection.execute(update(deliveries).values(state=state, due_at=due_at))
    assert kept.run().held == {"graded": Hold.DELIVERY_UNDER_WAY}


def test_an_event_of_an_archived_incident_that_is_sent_again_is_known(kept: Kept) -> None:
    blips(kept.house, "old")
    kept.run()
    again = started_json("old", at("10:35"))
    for document in (again, again | {"incident": "old"}):
        (receipt,) = kept.house.report(LATER, document)
        assert (receipt.outcome, receipt.touched) == ("duplicate", ())
    assert kept.ids() == []
    keys = [(row["event_id"], row["case_id"], row["document"]) for row in kept.house.rows(events)]
    assert keys[:2] == [("old", None, {"archived": "old"}), ("old-up", None, {"archived": "old"})]


def test_a_new_event_of_an_archived_incident_is_refused_and_opens_no_other(kept: Kept) -> None:
    blips(kept.house, "old")
    (file,) = kept.run().archived
    with pytest.raises(InvalidDocumentError, match=f"incident 'old' was archived in {file} on 2014-06-30"):
        kept.house.report(LATER, started_json("more", LATER, incident="old"))
    assert kept.ids() == []
    (receipt,) = kept.house.report(LATER, started_json("more", LATER))  # without the name it is a new outage
    assert receipt.outcome == "accepted"
    assert kept.ids() == [receipt.incident]


def test_archived_events_are_no_maintenance_of_later_incidents(kept: Kept) -> None:
    blips(kept.house, "old")
    window = {"start": at("2013-06-30 01:00").isoformat(), "end": at("2013-06-30 02:00").isoformat()}
    about: dict[str, Any] = {"service": "core-banking", "regions": ["CN-GD"], "data": window}
    kept.house.report(at("13:00"), event_json("window", "maintenance.announced", at("13:00"), **about))
    kept.run()
    kept.house.report(LATER, started_json("more", LATER, incident="new"))
    with kept.house.database.read() as connection:
        case = kept.house.reader.case(connection, "new", LATER)
    assert case is not None
    ((_, document),) = kept.documents().values()
    assert [row["event_id"] for row in document["maintenance"]] == ["window"]
    assert "window" in [row["event_id"] for row in kept.house.rows(events) if row["service"] == "core-banking"]


def test_many_incidents_go_in_files_of_a_bounded_size(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "PER_FILE", 2)
    monkeypatch.setattr(retention, "_PAGE", 3)
    names = [f"old-{number}" for number in range(5)]
    blips(kept.house, *names)
    outcome = kept.run()
    assert [len(found) for found in outcome.archived.values()] == [2, 2, 1]
    assert sorted(kept.documents()) == names
    assert kept.run() == ArchiveResult()


class Crash(BaseException):
    """The process ends here."""


def crash_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def write(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(archive_files, "write", write)


def crash_after_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def digests(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(archive_files, "digests", digests)


def crash_between_removals(monkeypatch: pytest.MonkeyPatch) -> None:
    done = Archiver._submit
    calls: list[int] = []

    def do(self: Archiver, work: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:  # the choice, and two removals
            raise Crash
        return done(self, work)

    monkeypatch.setattr(Archiver, "_submit", do)


@pytest.mark.parametrize(
    ("crash", "left"), [(crash_before_the_file, 3), (crash_after_the_file, 3), (crash_between_removals, 1)]
)
def test_a_crash_at_any_point_neither_loses_nor_doubles(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, crash: Any, left: int
) -> None:
    names = ["old-0", "old-1", "old-2"]
    blips(kept.house, *names)
    with monkeypatch.context() as patched:
        crash(patched)
        with pytest.raises(Crash):
            kept.run()
    assert len(kept.ids()) == left
    blips(kept.house, "old-3", day="2013-06-24")  # the next run finds another one beside these
    outcome = kept.run(LATER + timedelta(days=1))
    assert kept.ids() == []
    assert sorted(kept.documents()) == [*names, "old-3"]
    assert len(outcome.archived) == 2
    for row in kept.house.rows(archived_incidents):
        file, document = kept.documents()[row["id"]]
        assert row["file"] == file
        assert row["sha256"] == hashlib.sha256(archives.line_of(document)).hexdigest()
    assert kept.run() == ArchiveResult()


def test_what_changes_between_the_file_and_the_removal_stays(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    blips(kept.house, "old", "changed")
    write = archive_files.write

    def late(path: Path, lines: Any) -> None:
        write(path, lines)
        data = {"text": "found in a drawer", "by": "Li"}
        kept.house.report(LATER, event_json("late", "note.added", at("10:36"), incident="changed", data=data))

    with monkeypatch.context() as patched:
        patched.setattr(archive_files, "write", late)
        assert [*kept.run().archived.values()] == [["old"]]
    assert kept.ids() == ["changed"]
    assert [row["id"] for row in kept.house.rows(archived_incidents)] == ["old"]
    assert [*kept.run(LATER + timedelta(days=1)).archived.values()] == [["changed"]]
    (row,) = (row for row in kept.house.rows(archived_incidents) if row["id"] == "changed")
    wanted = {"changed": row["sha256"]}
    (document,) = archive_files.documents(kept.folder / row["file"], wanted)
    assert "late" in [found["event_id"] for found in document["events"]]


def test_an_incident_of_which_the_same_transaction_takes_an_event_stays(kept: Kept) -> None:
    """The engine writes the events of a batch at its end: until then the rows alone do not tell."""
    blips(kept.house, "old")
    engine = kept.house.engine
    with kept.house.database.read() as connection:
        document = archives.document_of(connection, "old")
    assert document is not None
    digest = archive_files.digest_of(archives.line_of(document))
    found = parse_events([started_json("again", LATER, incident="old")], kept.house.settings.service_names)

    def work(unit: UnitOfWork) -> bool:
        archives.mark_chosen(unit.connection, "old", "file")
        engine.report(unit, found, LATER)
        assert engine.is_changing("old")
        return kept.archiver._remove(unit, "old", digest, LATER)

    assert kept.house.work(work) is False
    assert not engine.is_changing("old")
    assert (kept.ids(), kept.house.rows(archived_incidents)) == (["old"], [])
    assert [row["event_id"] for row in kept.house.rows(events)][-1] == "again"


def test_a_folder_that_cannot_be_written_keeps_everything(kept: Kept) -> None:
    blips(kept.house, "old")
    kept.folder.write_text("not a folder")
    with pytest.raises(ArchiveError, match=r"cannot be written: File exists; nothing is removed"):
        kept.run()
    kept.archiver.attempt(LATER)  # the daemon logs it and goes on
    assert kept.ids() == ["old"]
    kept.folder.unlink()
    assert [*kept.run().archived.values()] == [["old"]]


def test_what_cannot_be_read_back_removes_nothing(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    blips(kept.house, "old")
    with monkeypatch.context() as patched:
        patched.setattr(archive_files, "_lines", lambda _: iter([b"something else"]))
        with pytest.raises(ArchiveError, match="could not be read back; nothing is removed"):
            kept.run()
    assert kept.ids() == ["old"]
    assert list(kept.folder.iterdir()) == []


def test_stopping_ends_a_run_and_the_next_goes_on(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    blips(kept.house, "old-0", "old-1")
    remove = kept.archiver._remove

    def stop(unit: UnitOfWork, **given: Any) -> bool:
        kept.archiver.stop()
        return remove(unit, **given)

    with monkeypatch.context() as patched:
        patched.setattr(kept.archiver, "_remove", stop)
        assert [*kept.run().archived.values()] == [["old-0"]]
    again = Archiver(kept.house.settings.retention, kept.house.database, kept.archiver._writer, kept.house.reader)
    assert [*again.run(LATER).archived.values()] == [["old-1"]]
    assert len(kept.documents()) == 2


def test_the_figures_of_a_year_are_the_same_after_its_incidents_were_archived(kept: Kept) -> None:
    graded(kept.house)
    summed_up(kept.house)
    blips(kept.house, "blip")
    before = kept.figures()
    assert (before.totals.incidents, before.totals.graded, before.archived) == (2, 1, {})
    assert before.totals.deadlines.met == 4
    (file,) = kept.run().archived
    after = kept.figures()
    assert (after.totals, after.figures) == (before.totals, before.figures)
    assert (after.archived, after.unread) == ({file: 2}, {})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: path.unlink(), "there is no archive"),
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "is damaged"),
        (lambda path: path.write_bytes(gzip.compress(b'{"incident":{"id":"old"}}\n')), "does not hold what was"),
    ],
)
def test_figures_that_are_missing_are_named(kept: Kept, spoil: Any, said: str) -> None:
    blips(kept.house, "old")
    (file,) = kept.run().archived
    spoil(kept.folder / file)
    found = kept.figures()
    assert (found.totals.incidents, found.archived) == (0, {file: 1})
    assert said in found.unread[file]


@pytest.mark.parametrize("keep", ["0s", "23h"])
def test_a_time_too_short_is_refused(tmp_path: Path, keep: str) -> None:
    with pytest.raises(
        InvalidFilesError, match=r"RETENTION__CLOSED_INCIDENTS: too short: .*; expected at least 1d and"
    ):
        bank(tmp_path, RETENTION__CLOSED_INCIDENTS=keep)
    assert bank(tmp_path, RETENTION__CLOSED_INCIDENTS="365d").retention.closed_incidents == parse_duration("365d")


def test_a_database_can_be_archived_twice_from_a_restart(tmp_path: Path) -> None:
    with bank_that_keeps(tmp_path) as kept:
        blips(kept.house, "old")
        kept.run()
    with bank_that_keeps(tmp_path) as kept:
        blips(kept.house, "older", day="2013-06-20")
        kept.run()
        assert sorted(kept.documents()) == ["old", "older"]
        assert len(rows(kept.house.database, archived_incidents)) == 2


def test_an_archive_of_a_newer_version_is_not_guessed_at(kept: Kept) -> None:
    blips(kept.house, "old")
    kept.run()
    ((_, document),) = kept.documents().values()
    with (
        pytest.raises(ArchiveError, match="of the format 'v9' is of a newer"),
        archives.open_documents([{**document, "format": "v9"}]),
    ):
        pass
    with archives.open_documents([document]) as connection:
        again = archives.document_of(connection, "old")
    assert again == document  # whatever is read from an archive is what was stored
