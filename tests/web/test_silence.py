"""A monitor that repeats what it sees and falls silent: the duty team is asked, and nothing ends by itself."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import SHANGHAI, Served, served

from incident_engine.store.silence import SilentCase, silent_cases
from incident_engine.store.tables import cases
from incident_engine.watchdog.findings import FOR_DUTY
from incident_engine.watchdog.silence_probe import find_silent
from web.test_alertmanager import alert, notification

NOW = at("10:40")
TWO_HOURS = {"alertmanager": timedelta(hours=2)}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as found:
        yield found


def fire(api: Served, clock: str) -> None:
    api.clock.set(at(clock))
    assert api.client.post("/api/v1/alertmanager", json=notification(alert())).status_code == 202


def report(api: Served, event: dict[str, object]) -> None:
    assert api.client.post("/api/v1/events", json=event).status_code == 202


def silent(api: Served, now: datetime) -> list[SilentCase]:
    with api.database.read() as connection:
        return silent_cases(connection, now, TWO_HOURS)


def test_an_outage_whose_alert_is_not_repeated_for_two_hours_is_silent(api: Served) -> None:
    fire(api, "10:40")
    assert silent(api, at("12:39")) == []
    (case,) = silent(api, at("12:40"))
    assert (case.source, case.services, case.regions, case.heard_at) == (
        "alertmanager", ["core-banking"], ["CN-GD"], NOW,
    )  # fmt: skip


def test_a_repeat_says_that_it_lasts(api: Served) -> None:
    fire(api, "10:40")
    fire(api, "12:00")
    assert silent(api, at("13:59")) == []
    assert [case.heard_at for case in silent(api, at("14:00"))] == [at("12:00")]


def test_repeats_are_written_once_in_a_tenth_of_the_time_at_most(api: Served) -> None:
    fire(api, "10:40")
    heard = []
    for clock in ("10:45", "10:50", "10:56", "10:57"):
        fire(api, clock)
        heard.append(api.rows(cases)[0]["heard_at"])
    assert heard == [at("10:45"), at("10:45"), at("10:45"), at("10:57")]


def test_a_note_of_a_person_counts_as_heard_so_that_it_is_asked_again_later(api: Served) -> None:
    fire(api, "10:40")
    api.clock.set(at("12:41"))
    incident = api.rows(cases)[0]["id"]
    report(api, event_json("n", "note.added", at("12:41"), incident=incident, data={"text": "仍在中断", "by": "王敏"}))
    assert silent(api, at("14:40")) == []
    assert len(silent(api, at("14:41"))) == 1


def test_nothing_ends_by_itself_and_what_is_over_is_not_asked_about(api: Served) -> None:
    fire(api, "10:40")
    api.clock.set(at("20:00"))
    api.fire()
    assert api.rows(cases)[0]["last_at"] is None, "it is still down"
    report(api, restored_json("r", at("11:00"), "CN-GD"))
    assert silent(api, at("23:00")) == []


def test_sources_that_do_not_repeat_are_not_asked_about(api: Served) -> None:
    report(api, started_json("1", at("10:35"), "CN-GD"))
    assert silent(api, at("23:00")) == []


def test_the_question_names_the_incident_and_when_it_was_heard_of_last() -> None:
    case = SilentCase("core-1", "alertmanager", ["core-banking"], ["CN-GD"], NOW)
    assert list(find_silent([], SHANGHAI, NOW)) == []
    (observation,) = find_silent([case], SHANGHAI, at("12:40"))
    assert observation.kind in FOR_DUTY
    assert "for 2.0 h: core-1" in observation.detail.en
    assert observation.particulars is not None
    assert observation.particulars.en == (
        "- core-1: core-banking (CN-GD), last heard of at 2013-06-23 10:40 (alertmanager). Does it still last?"
    )
    assert "最后一次上报 2013-06-23 10:40（alertmanager）。是否仍在中断？" in observation.particulars.zh_cn
