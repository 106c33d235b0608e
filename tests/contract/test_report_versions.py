"""Versions of reports in the database: a new one when the facts change, frozen once handed in."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from support.builders import at, cbrc, incident, recorded, restored, settings, started, verdict
from support.reports import TWO_PROVINCES, book, wrote

from incident_engine.common.errors import StoreError
from incident_engine.domain.events.actions import ReportWritten
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.reports.definition import report_entry_problems, report_size_problems
from incident_engine.engine.report_facts import facts_of
from incident_engine.engine.report_versions import outlook, update_versions
from incident_engine.store.database import Database
from incident_engine.store.read_only import read_only
from incident_engine.store.reports import Head, ReportState, Version, versions_of
from incident_engine.store.tables import cases, reports, steps
from incident_engine.store.unit_of_work import UnitOfWork

FORMAL = "cbrc-formal-report"
Keep = Callable[..., dict[str, Head]]


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    opened = Database(store_url)
    now = at("10:35")
    row = {
        "id": "INC-1",
        "kind": "incident",
        "service_group": "banking",
        "opened_at": now,
        "first_at": now,
        "severity": 0,
    }
    with opened.write() as connection:
        connection.execute(insert(cases).values(**row, packs={}, services=[], regions=[]))
    yield opened
    opened.close()


@pytest.fixture
def keep(database: Database) -> Keep:
    """Return how to bring the reports up to date with some events at an instant."""

    def kept(now: str, *events: Recorded) -> dict[str, Head]:
        facts = facts_of(settings(), incident(*events), [cbrc()], [verdict(now, *events)])
        with database.write() as connection:
            return update_versions(UnitOfWork(connection), facts, book(), at(now))

    return kept


def step(database: Database, name: str, report: str = FORMAL, **values: Any) -> None:
    """Store a step with a report, begun unless told otherwise."""
    given: dict[str, Any] = {
        "id": f"INC-1:p:s:{name}",
        "case_id": "INC-1",
        "playbook": "p",
        "step": "s",
        "instance": name,
    }
    given |= {"due_at": at("11:05"), "audience": "reporter", "template": "t", "report": report, "state": "started"}
    with database.write() as connection:
        connection.execute(insert(steps).values(**given | values))


def change(database: Database, name: str, **values: Any) -> None:
    with database.write() as connection:
        connection.execute(update(steps).where(steps.c.instance == name).values(**values))


def rows(database: Database, report: str = FORMAL) -> list[tuple[int, str, str | None, datetime]]:
    with database.read() as connection:
        found = versions_of(connection, "INC-1", report)
    return [(each.version, each.state.value, each.by, each.created_at) for each in found]


def test_a_version_arises_only_when_the_facts_change(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    keep("11:10", started("10:35"))
    keep("11:15", started("10:35"))
    assert rows(database) == [(1, "draft", None, at("11:10"))]
    keep("11:21", *TWO_PROVINCES)
    keep("11:22", *TWO_PROVINCES)
    assert rows(database) == [(1, "draft", None, at("11:10")), (2, "draft", None, at("11:21"))]


def test_every_version_keeps_its_content_in_both_languages(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    keep("11:10", started("10:35"))
    keep("11:21", *TWO_PROVINCES)
    with database.read() as connection:
        first, second = versions_of(connection, "INC-1")
    places = [
        {locale: found.document[locale]["sections"][0]["fields"][1]["facts"] for locale in ("zh-CN", "en")}
        for found in (first, second)
    ]
    assert places == [{"zh-CN": "广东", "en": "Guangdong"}, {"zh-CN": "广东和湖南", "en": "Guangdong and Hunan"}]
    assert first.content_hash != second.content_hash
    assert first.gaps == 4  # cause, measures, next steps, coordination


def test_a_step_that_has_not_begun_has_no_report(database: Database, keep: Keep) -> None:
    step(database, "formal-report", state="pending")
    assert keep("11:10", started("10:35")) == {}
    assert rows(database) == []


def test_what_was_approved_is_what_was_handed_in(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    keep("11:10", started("10:35"))
    change(database, "formal-report", approved_at=at("11:15"), approved_by="陈总")
    keep("11:15", started("10:35"))
    keep("11:21", *TWO_PROVINCES)  # more became known after the approval: a draft that nobody has approved
    change(database, "formal-report", state="completed", completed_at=at("11:30"), completed_by="王敏")
    keep("11:30", *TWO_PROVINCES, restored("11:25"))
    assert rows(database) == [
        (1, "draft", None, at("11:10")),
        (1, "approved", "陈总", at("11:15")),
        (2, "draft", None, at("11:21")),
        (1, "submitted", "王敏", at("11:30")),
    ]


def test_without_an_approval_the_draft_of_that_time_was_handed_in(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    keep("11:10", started("10:35"))
    keep("11:21", *TWO_PROVINCES)
    # Handed in at 11:15, which became known at 11:40.
    change(database, "formal-report", state="completed", completed_at=at("11:15"), completed_by="王敏")
    keep("11:40", *TWO_PROVINCES)
    assert rows(database)[-1] == (1, "submitted", "王敏", at("11:15"))


def test_nothing_changes_after_it_was_handed_in(database: Database, keep: Keep) -> None:
    step(database, "formal-report", state="completed", completed_at=at("11:15"), completed_by="王敏")
    keep("11:16", started("10:35"))
    before = rows(database)
    assert [state for _, state, _, _ in before] == ["draft", "submitted"]
    keep("11:21", *TWO_PROVINCES, wrote("11:20", FORMAL, next_steps="too late"))
    assert rows(database) == before


def test_a_step_that_ended_with_its_message_was_not_handed_in_by_anybody(database: Database, keep: Keep) -> None:
    step(database, "formal-report", state="completed", completed_at=at("11:06"))
    keep("11:10", started("10:35"))
    keep("11:21", *TWO_PROVINCES)
    assert [state for _, state, _, _ in rows(database)] == ["draft", "draft"]


def test_a_skipped_step_withdraws_its_report(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    keep("11:10", started("10:35"))
    change(database, "formal-report", state="skipped", completed_at=at("11:12"), completed_by="陈总")
    keep("11:12", started("10:35"))
    keep("11:21", *TWO_PROVINCES)
    assert rows(database) == [(1, "draft", None, at("11:10")), (1, "withdrawn", "陈总", at("11:12"))]


def test_each_instance_has_versions_and_words_of_its_own(database: Database, keep: Keep) -> None:
    name = "cbrc-progress-report"
    events = (*TWO_PROVINCES, wrote("16:00", name, progress="first"))
    done = {"state": "completed", "completed_at": at("16:15"), "completed_by": "王敏"}
    step(database, "progress-report.1", name, due_at=at("15:50"), **done)
    step(database, "progress-report.2", name, due_at=at("17:50"))
    keep("17:55", *events)
    with database.read() as connection:
        found = {(each.instance, each.state): each for each in versions_of(connection, "INC-1", name)}
    assert set(found) == {
        ("progress-report.1", ReportState.DRAFT),
        ("progress-report.1", ReportState.SUBMITTED),
        ("progress-report.2", ReportState.DRAFT),
    }

    def progress(version: Version) -> str:
        fields = [field for section in version.document["en"]["sections"] for field in section["fields"]]
        return str(next(field["written"] for field in fields if field["id"] == "progress"))

    assert progress(found["progress-report.1", ReportState.SUBMITTED]) == "first"
    assert progress(found["progress-report.2", ReportState.DRAFT]) == ""


def test_a_report_into_which_somebody_wrote_is_kept_before_any_step_asks_for_it(database: Database, keep: Keep) -> None:
    keep("11:30", *TWO_PROVINCES, wrote("11:25", "dora-initial", discovery="by a customer"))
    assert rows(database, "dora-initial") == [(1, "draft", None, at("11:30"))]


def test_how_a_report_stands_is_told_by_the_step_that_asks_for_it(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    step(database, "formal-report~tier", parent_id="INC-1:p:s:formal-report")  # an escalation of the same step
    found = keep("11:10", started("10:35"))
    assert set(found) == {"INC-1:p:s:formal-report"}
    current = found["INC-1:p:s:formal-report"]
    assert (current.version, current.gaps) == (1, 4)


def test_the_outlook_of_a_report_says_what_its_first_draft_will_lack() -> None:
    facts = facts_of(settings(), incident(*TWO_PROVINCES), [cbrc()], [verdict("11:30", *TWO_PROVINCES)])
    found = outlook(facts, book(), FORMAL, "formal-report")
    assert found is not None
    assert (found.gaps, found.instance) == (4, "formal-report")
    assert outlook(facts, book(), "nothing", "x") is None


def test_a_version_can_never_be_written_twice(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    keep("11:10", started("10:35"))
    keep("11:10", started("10:35"))
    with database.read() as connection:
        assert len(connection.execute(select(reports)).all()) == 1


# What people may write into


@pytest.mark.parametrize(
    ("report", "field", "said", "near"),
    [
        ("cbrc-formal-reprot", "cause", "unknown report 'cbrc-formal-reprot'", FORMAL),
        (FORMAL, "next-step", "unknown field of cbrc-formal-report 'next-step'", "next-steps"),
    ],
)
def test_a_wrong_name_is_refused_with_the_nearest_one(report: str, field: str, said: str, near: str) -> None:
    event = recorded("report.written", "11:25", data={"by": "Li", "report": report, "fields": {field: "x"}}).event
    assert isinstance(event, ReportWritten)
    (problem,) = report_entry_problems(event, book().definitions)
    assert (problem.message, problem.nearest) == (said, near)


def test_a_right_name_is_taken() -> None:
    event = wrote("11:25", FORMAL, next_steps="x").event
    assert isinstance(event, ReportWritten)
    assert list(report_entry_problems(event, book().definitions)) == []


def entry(text: str) -> ReportWritten:
    event = wrote("11:25", FORMAL, next_steps=text).event
    assert isinstance(event, ReportWritten)
    return event


def test_a_text_that_is_too_long_for_a_field_is_refused() -> None:
    assert list(report_entry_problems(entry("x" * 10_000), book().definitions)) == []
    (problem,) = report_entry_problems(entry("x" * 10_001), book().definitions)
    assert problem.pointer == "/data/fields/next-steps"
    assert problem.sentence() == "a text of 10001 characters; expected at most 10000 for a field"


def test_texts_that_are_too_long_for_a_report_are_refused() -> None:
    fields = {f"field_{number}": "x" * 10_000 for number in range(10)}
    full = incident(*TWO_PROVINCES, wrote("11:20", FORMAL, **fields)).handling
    assert list(report_size_problems(entry(""), full)) == []  # an empty text takes a field back
    (problem,) = report_size_problems(entry("y"), full)
    assert problem.message == f"people's texts in '{FORMAL}' would have 100001 characters"


def test_a_report_is_written_into_two_hundred_times_at_most() -> None:
    entries = [wrote("11:20", FORMAL, next_steps=str(number)) for number in range(200)]
    assert list(report_size_problems(entry("y"), incident(*TWO_PROVINCES, *entries[1:]).handling)) == []
    (problem,) = report_size_problems(entry("y"), incident(*TWO_PROVINCES, *entries).handling)
    assert problem.message == f"people wrote 200 times into '{FORMAL}'"


# Reading beside the daemon


def test_the_database_is_read_while_another_holds_it(database: Database, keep: Keep) -> None:
    step(database, "formal-report")
    keep("11:10", started("10:35"))
    with read_only(database.url.render_as_string(hide_password=False)) as connection:
        assert [each.version for each in versions_of(connection, "INC-1")] == [1]


def test_it_is_read_after_an_orderly_stop_and_never_written(store_url: str) -> None:
    url = store_url
    Database(url).close()
    with (
        read_only(url) as connection,
        pytest.raises(Exception, match=r"read-?only|query_only"),
    ):
        connection.execute(insert(steps).values(id="x"))
    with read_only(url) as connection:
        assert versions_of(connection, "INC-1") == []


def test_what_is_no_database_is_told_plainly(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no database"), read_only(f"sqlite:///{tmp_path / 'none.db'}"):
        pass
    (tmp_path / "text.db").write_text("not a database " * 100)
    with (
        pytest.raises(StoreError, match="cannot be read as a database"),
        read_only(f"sqlite:///{tmp_path / 'text.db'}"),
    ):
        pass
    (tmp_path / "empty.db").touch()
    with (
        pytest.raises(StoreError, match="no database of incident-engine"),
        read_only(f"sqlite:///{tmp_path / 'empty.db'}"),
    ):
        pass
