"""The engine under a clock that the test sets: what happens by time alone, and that nothing is lost or done twice.

One province down from 10:35: III after 30 minutes (11:05), II after 3 hours (13:35), I after 6 hours (16:35). The
first report is due 60 minutes after the occurrence (11:35), with a reminder 15 minutes before (11:20); so is the
notice to partners, the formal report after 12 hours (22:35). From level I on progress is due every 2 hours (18:35).
"""

import shutil
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, update
from support.builders import at, event_json, restored_json, started_json, unmet
from support.fixtures import CONFIG, MICROSECOND, SHANGHAI, House, bank, house, shipped_rulebook

from incident_engine.config.rulebook import SHIPPED, load_rulebook
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.templates import MessageBook
from incident_engine.domain.rulebook import Rulebook
from incident_engine.domain.values import NEVER
from incident_engine.store.tables import (
    assessments,
    cases,
    deliveries,
    events,
    metadata,
    packs,
    steps,
    timers,
)
from incident_engine.store.unit_of_work import UnitOfWork

BEGAN = at("10:35")
LEVEL_III, LEVEL_II, LEVEL_I = at("11:05"), at("13:35"), at("16:35")
REMINDER, DUE = at("11:20"), at("11:35")
OVERDUE = DUE + MICROSECOND
NO_PROGRESS, NO_FORMAL_REPORT = at("18:35") + MICROSECOND, at("22:35") + MICROSECOND
KEY = "outage-1"
DOWN = started_json("down", BEGAN, incident=KEY)

III = {"level": "III", "at": "2013-06-23T11:05:00+08:00", "rule": "art9-3-2", "cite": "Art. 9(3)2"}
II = {"level": "II", "at": "2013-06-23T13:35:00+08:00", "rule": "art9-2-2", "cite": "Art. 9(2)2"}
I = {"level": "I", "at": "2013-06-23T16:35:00+08:00", "rule": "art9-1-2", "cite": "Art. 9(1)2"}  # noqa: E741


def step(name: str, instance: str, incident: str = KEY) -> str:
    return f"{incident}:outage-response:{name}:{instance}"


DUTY_III, DUTY_II, DUTY_I = (step("duty-notice", level) for level in ("III", "II", "I"))
FIRST_REPORT = step("first-report", "first-report")
REMIND = step("first-report-reminder", "first-report")
TELL_LEADERS = step("first-report-overdue", "first-report")
ACKNOWLEDGE = step("customers-acknowledge", "20130623T023500Z")  # named by the outage's beginning, in UTC
RESOLVED = step("customers-resolved", "20130623T031000Z")  # of the restoration at 11:10 in Shanghai
RESOLVED_LATER = step("customers-resolved", "20130623T031800Z")  # and at 11:18


def next_look(engine: House, incident: str = KEY) -> datetime | None:
    found: dict[str, datetime] = {row["case_id"]: row["due_at"] for row in engine.rows(timers)}
    return found.get(incident)


def trajectory(engine: House, incident: str = KEY) -> list[dict[str, Any]]:
    documents = [row["document"] for row in engine.rows(assessments) if row["case_id"] == incident]
    found: list[dict[str, Any]] = documents[-1]["trajectory"]
    return found


def states(engine: House) -> dict[str, str]:
    return {row["id"]: row["state"] for row in engine.rows(steps)}


def messages(engine: House) -> Counter[tuple[str, str]]:
    return Counter((row["step_id"], row["contact"]) for row in engine.rows(deliveries))


def the_incident(engine: House, incident: str = KEY) -> dict[str, Any]:
    return next(row for row in engine.rows(cases) if row["id"] == incident)


def everything(engine: House) -> dict[str, list[dict[str, Any]]]:
    return {table.name: engine.rows(table) for table in metadata.sorted_tables}


def done_by_then(upto: datetime) -> Counter[tuple[str, str]]:
    """Return the messages of an outage that nobody touches, worked out from the playbook."""
    schedule = [
        (LEVEL_III, DUTY_III, ("duty-officer", "duty-engineer")),
        (LEVEL_III, FIRST_REPORT, ("risk-reporter",)),
        (LEVEL_III, ACKNOWLEDGE, ("customers-zh", "customers-en")),
        (REMINDER, REMIND, ("risk-reporter",)),
        (OVERDUE, TELL_LEADERS, ("leading-group",)),
        (LEVEL_II, DUTY_II, ("duty-officer", "duty-engineer")),
        (LEVEL_I, DUTY_I, ("duty-officer", "duty-engineer")),
    ]
    return Counter((name, contact) for at, name, contacts in schedule if at <= upto for contact in contacts)


ALARMS = (LEVEL_III, REMINDER, OVERDUE, LEVEL_II, LEVEL_I)


def test_an_open_outage_rises_from_iii_to_ii_to_i_with_no_further_event(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        assert the_incident(engine)["level"] is None
        for alarm, level in zip(ALARMS, ("III", "III", "III", "II", "I"), strict=True):
            assert next_look(engine) == alarm
            assert engine.fire(alarm) == 1
            assert the_incident(engine)["level"] == level
            assert messages(engine) == done_by_then(alarm)
        assert trajectory(engine) == [III, II, I]
        assert next_look(engine) == NO_PROGRESS
        assert len(engine.rows(events)) == 1


@pytest.mark.parametrize("alarm", ALARMS)
def test_nothing_happens_a_microsecond_before_an_instant_has_come(tmp_path: Path, alarm: datetime) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        for earlier in ALARMS[: ALARMS.index(alarm)]:
            engine.fire(earlier)
        before = everything(engine)
        assert engine.fire(alarm - MICROSECOND) == 0
        assert everything(engine) == before


def test_a_message_says_which_level_was_reached_and_which_comes_next(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        notice = next(row for row in engine.rows(deliveries) if row["contact"] == "duty-engineer")
    assert notice["subject"] == "[Level III] Core banking in Guangdong"
    assert "level III (Considerable)** at 11:05 on 23 June 2013" in notice["body"]
    assert "level II (Major) at 13:35 on 23 June 2013" in notice["body"]
    assert "Art. 9(3)2" in notice["body"]
    assert (notice["channel"], notice["locale"], notice["state"]) == ("outbox", "en", "pending")
    assert notice["created_at"] == notice["due_at"] == LEVEL_III


def test_the_report_is_pending_up_to_the_very_instant_at_which_it_is_due(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        engine.fire(REMINDER)
        engine.report(DUE, event_json("note", "note.added", DUE, incident=KEY, data={"text": "still working on it"}))
        assert states(engine)[TELL_LEADERS] == "pending"
        assert next_look(engine) == OVERDUE
        engine.fire(OVERDUE)
        assert states(engine)[TELL_LEADERS] == "started"
        document = engine.rows(assessments)[-1]["document"]
    assert {status["id"]: status["state"] for status in document["obligations"]} == {
        "first-report": "overdue",
        "formal-report": "pending",
        "immediate-report": "not_applicable",
        "progress-report": "not_applicable",
        "plan-failure-report": "not_applicable",
        "partners-notice": "overdue",
        "summary-report": "not_applicable",
    }


def completed(name: str, at: datetime, **data: str) -> dict[str, Any]:
    return event_json(name, "step.completed", at, incident=KEY, data={"by": "Wang Min", **data})


def test_a_report_handed_in_before_the_reminder_withdraws_the_reminder_and_the_overdue_notice(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        engine.report(at("11:15"), completed("report", at("11:15"), fulfils="first-report"))
        found = states(engine)
        assert (found[REMIND], found[TELL_LEADERS], found[FIRST_REPORT]) == ("withdrawn", "withdrawn", "completed")
        report = next(row for row in engine.rows(steps) if row["id"] == FIRST_REPORT)
        assert (report["completed_at"], report["completed_by"]) == (at("11:15"), "Wang Min")
        assert next_look(engine) == OVERDUE  # the partners are still to be told
        engine.fire(OVERDUE)
        assert next_look(engine) == LEVEL_II
        assert messages(engine) == done_by_then(LEVEL_III)


def test_a_report_handed_in_after_the_reminder_withdraws_the_overdue_notice_only(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        engine.fire(REMINDER)
        engine.report(at("11:30"), completed("report", at("11:30"), step=FIRST_REPORT))
        found = states(engine)
        assert (found[REMIND], found[TELL_LEADERS], found[FIRST_REPORT]) == ("started", "withdrawn", "completed")


def test_a_report_handed_in_on_the_very_instant_is_in_time(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(REMINDER)
        engine.report(DUE, completed("report", DUE, fulfils="first-report"))
        engine.fire(at("12:00"))
        status = engine.rows(assessments)[-1]["document"]["obligations"][0]
        assert states(engine)[TELL_LEADERS] == "withdrawn"
    assert (status["state"], status["met_late"]) == ("met", False)


def test_a_late_report_is_met_and_said_to_be_late(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(OVERDUE)
        engine.report(at("11:40"), completed("report", at("11:40"), fulfils="first-report"))
        status = engine.rows(assessments)[-1]["document"]["obligations"][0]
        assert states(engine)[TELL_LEADERS] == "started"
    assert (status["state"], status["met_late"], status["met_by"]) == ("met", True, "Wang Min")


def test_a_restart_between_two_alarms_changes_nothing(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        before = everything(engine)
    with house(tmp_path) as engine:
        assert everything(engine) == before
        assert engine.fire(REMINDER - MICROSECOND) == 0
        assert everything(engine) == before


def test_an_engine_that_restarts_before_every_alarm_does_what_one_that_never_stops_does(tmp_path: Path) -> None:
    never, always = tmp_path / "never", tmp_path / "always"
    with house(never) as engine:
        engine.report(BEGAN, DOWN)
        for alarm in ALARMS:
            engine.fire(alarm)
        wanted = everything(engine)
    with house(always) as engine:
        engine.report(BEGAN, DOWN)
    for alarm in ALARMS:
        with house(always) as engine:
            engine.fire(alarm)
    with house(always) as engine:
        assert everything(engine) == wanted


def test_what_is_interrupted_before_the_commit_is_done_once_afterwards(tmp_path: Path) -> None:
    class PowerCutError(Exception):
        pass

    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        before = everything(engine)

        def interrupted(unit: UnitOfWork) -> None:
            engine.engine.fire(unit, LEVEL_III)
            raise PowerCutError

        with pytest.raises(PowerCutError):
            engine.work(interrupted)
        assert everything(engine) == before
    with house(tmp_path) as engine:
        engine.fire(LEVEL_III)
        assert messages(engine) == done_by_then(LEVEL_III)


def test_an_engine_that_wakes_hours_late_does_everything_that_fell_due_at_once_and_once(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        assert engine.fire(at("18:00")) == 1
        assert trajectory(engine) == [III, II, I]
        reminder = (REMIND, "risk-reporter")  # which would remind of what is overdue by then
        assert messages(engine) + Counter([reminder]) == done_by_then(LEVEL_I)
        assert states(engine)[REMIND] == "withdrawn"
        assert {row["created_at"] for row in engine.rows(deliveries)} == {at("18:00")}
        assert next_look(engine) == NO_PROGRESS
        assert engine.fire(at("18:00")) == 0


def test_firing_twice_does_nothing_more(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        for alarm in ALARMS:
            engine.fire(alarm)
            once = everything(engine)
            assert engine.fire(alarm) == 0
            assert everything(engine) == once


def test_looking_again_at_an_incident_whose_timer_was_set_by_mistake_does_nothing_more(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        once = everything(engine)
        engine.work(lambda unit: unit.connection.execute(update(timers).values(due_at=LEVEL_III)))
        assert engine.fire(LEVEL_III) == 1
        assert everything(engine) == once


def test_a_step_and_its_messages_keep_their_ids_when_they_are_done_over(tmp_path: Path) -> None:
    def keys(folder: Path) -> list[str]:
        with house(folder) as engine:
            engine.report(BEGAN, DOWN)
            engine.fire(LEVEL_III)
            return sorted(row["id"] for row in engine.rows(deliveries))

    assert keys(tmp_path / "first") == keys(tmp_path / "second")


def test_many_incidents_that_fall_due_together_are_looked_at_in_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incident_engine.engine.service._TIMERS_AT_ONCE", 4)
    with house(tmp_path) as engine:
        down = [started_json(f"e{number}", BEGAN, incident=f"outage-{number}") for number in range(7)]
        engine.report(BEGAN, *down)
        assert engine.fire(LEVEL_III) == 4
        assert engine.fire(LEVEL_III) == 3
        assert engine.fire(LEVEL_III) == 0
        assert {row["level"] for row in engine.rows(cases)} == {"III"}


# What the law demands again and again


def progress(engine: House) -> list[tuple[str, str, int]]:
    """Return the instances of the progress report as (number, state, missed) in the latest verdict."""
    statuses = engine.rows(assessments)[-1]["document"]["obligations"]
    return [(each["instance"], each["state"], each["missed"]) for each in statuses if each["id"] == "progress-report"]


def test_at_level_i_the_engine_wakes_every_two_hours_until_it_is_over(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        for alarm in ALARMS:
            engine.fire(alarm)
        assert progress(engine) == [("1", "pending", 0)]
        assert next_look(engine) == NO_PROGRESS
        engine.fire(NO_PROGRESS)
        assert progress(engine) == [("1", "overdue", 1), ("2", "pending", 0)]
        assert next_look(engine) == at("20:35") + MICROSECOND
        engine.report(at("20:00"), completed("progress", at("19:58"), fulfils="progress-report"))
        assert progress(engine) == [("1", "met", 1), ("2", "pending", 0)]
        engine.fire(at("20:35") + MICROSECOND)
        assert progress(engine) == [("1", "met", 1), ("2", "overdue", 1), ("3", "pending", 0)]
        assert next_look(engine) == NO_FORMAL_REPORT == at("22:35") + MICROSECOND
        engine.report(at("21:00"), restored_json("up", at("20:50"), incident=KEY))
        assert progress(engine) == [("1", "met", 1), ("2", "overdue", 1)]


def test_progress_that_is_reported_in_time_rolls_the_deadline_on(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_I)
        for hour in (18, 20, 22):
            said = at(f"{hour}:30")
            engine.report(said, completed(f"progress-{hour}", said, fulfils="progress-report"))
        found = progress(engine)
    assert found == [("1", "met", 0), ("2", "met", 0), ("3", "met", 0), ("4", "pending", 0)]


def test_an_engine_that_slept_through_several_deadlines_says_how_many_were_missed(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_I)
        engine.fire(at("23:00"))
        assert progress(engine) == [("3", "overdue", 3), ("4", "pending", 0)]
        assert next_look(engine) == at("2013-06-24 00:35") + MICROSECOND


# The end of an incident


def test_a_blip_that_never_reached_a_level_closes_itself_when_its_window_is_over(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(at("10:45"), DOWN, restored_json("up", at("10:45"), incident=KEY))
        assert next_look(engine) == at("12:45")  # intake.window: 2 hours after the restoration
        assert engine.fire(at("12:45") - MICROSECOND) == 0
        assert the_incident(engine)["closed_at"] is None
        assert engine.fire(at("12:45")) == 1
        assert the_incident(engine)["closed_at"] == at("12:45")
        last = engine.rows(events)[-1]
        assert (last["source"], last["type"]) == ("incident-engine", "incident.closed")
        assert next_look(engine) is None
        assert engine.rows(deliveries) == []


def test_a_blip_that_closes_itself_hours_late_does_so_once(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(at("10:45"), DOWN, restored_json("up", at("10:45"), incident=KEY))
        assert engine.fire(at("20:00")) == 1
        assert engine.fire(at("20:00")) == 0
        assert [row["type"] for row in engine.rows(events)].count("incident.closed") == 1


def test_a_graded_incident_waits_for_a_person_to_close_it(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(at("11:10"), DOWN, restored_json("up", at("11:10"), incident=KEY))
        for alarm in (at("11:15"), REMINDER, OVERDUE, at("13:10"), at("23:00")):
            engine.fire(alarm)
        assert the_incident(engine)["closed_at"] is None
        closing = {"by": "Chen", "overdue": unmet("first-report", "partners-notice", "formal-report")}
        engine.report(at("23:00"), event_json("end", "incident.closed", at("23:00"), incident=KEY, data=closing))
        assert the_incident(engine)["closed_at"] == at("23:00")


def test_customers_hear_that_it_works_again_five_minutes_after_it_does(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        engine.report(at("11:10"), restored_json("up", at("11:10"), incident=KEY))
        assert next_look(engine) == at("11:15")
        engine.fire(at("11:15"))
        assert [contact for name, contact in messages(engine) if name == RESOLVED] == ["customers-zh", "customers-en"]
        assert states(engine)[DUTY_II] == "withdrawn"


def test_customers_do_not_hear_that_it_works_again_when_it_breaks_within_five_minutes(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        engine.report(at("11:10"), restored_json("up", at("11:10"), incident=KEY))
        engine.report(at("11:14"), started_json("down again", at("11:14"), incident=KEY))
        engine.fire(at("11:15"))
        assert states(engine)[RESOLVED] == "withdrawn"
        engine.report(at("11:18"), restored_json("up again", at("11:18"), incident=KEY))
        assert states(engine)[RESOLVED_LATER] == "pending"
        engine.fire(at("11:23"))
        assert (states(engine)[RESOLVED], states(engine)[RESOLVED_LATER]) == ("withdrawn", "started")


def test_a_closed_incident_still_owes_the_law_its_report(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        end = event_json("end", "incident.closed", at("11:12"), incident=KEY, data={"by": "Chen"})
        engine.report(at("11:12"), restored_json("up", at("11:10"), incident=KEY), end)
        engine.fire(OVERDUE)
        assert states(engine)[TELL_LEADERS] == "started"


HARM = {"kind": "public", "seriousness": "serious", "cause": "data_leak", "by": "Wang Min", "reason": "published"}


def test_an_incident_below_every_level_stays_open_as_long_as_the_law_asks_for_a_report(tmp_path: Path) -> None:
    """Harm to the public that is not particularly serious is of no level, but is to be reported at once (35(6))."""
    with house(tmp_path) as engine:
        engine.report(BEGAN, event_json("harm", "harm.assessed", BEGAN, incident=KEY, data=HARM))
        for alarm in (at("10:50") + MICROSECOND, at("12:35"), at("20:00")):
            engine.fire(alarm)
            assert the_incident(engine)["closed_at"] is None
        engine.report(at("20:05"), completed("report", at("20:05"), fulfils="immediate-report"))
        engine.fire(at("22:05"))
        assert the_incident(engine)["closed_at"] is not None


def worse_after_the_end(engine: House) -> dict[str, Any]:
    """Let a blip close itself, report that it did the worst harm, and return the incident."""
    engine.report(at("10:36"), DOWN, restored_json("up", at("10:36"), incident=KEY))
    engine.fire(at("12:36"))
    assert the_incident(engine)["closed_at"] == at("12:36")
    worst = HARM | {"seriousness": "particularly_serious"}
    engine.report(at("14:00"), event_json("harm", "harm.assessed", at("13:50"), incident=KEY, data=worst))
    return the_incident(engine)


def test_a_harm_that_becomes_known_after_the_end_is_graded_and_told(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        assert worse_after_the_end(engine)["level"] == "I"
        assert states(engine)[DUTY_I] == "started"


def test_a_harm_that_becomes_known_after_a_blip_closed_itself_opens_it_again(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        assert worse_after_the_end(engine)["closed_at"] is None


# What arrives late


def test_the_level_is_held_when_a_late_restoration_says_that_it_was_never_reached(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        engine.report(at("11:10"), restored_json("up", at("10:50"), incident=KEY))  # 15 minutes: no level by the facts
        document = engine.rows(assessments)[-1]["document"]
        assert (document["level"], document["level_retained"], document["next"]) == ("III", True, None)
        assert document["trajectory"] == [III]
        assert the_incident(engine)["level"] == "III"
        assert states(engine)[DUTY_II] == "withdrawn"
        engine.fire(OVERDUE)
        assert states(engine)[TELL_LEADERS] == "started"


def test_a_level_that_was_only_forecast_is_not_held_when_a_late_restoration_arrives(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.report(at("11:00"), restored_json("up", at("10:50"), incident=KEY))
        assert engine.fire(LEVEL_III) == 0
        assert the_incident(engine)["level"] is None
        assert set(states(engine).values()) == {"withdrawn"}
        assert next_look(engine) == at("12:50")


def test_an_outage_that_becomes_known_late_is_graded_from_when_it_began(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(at("14:00"), DOWN)
        assert trajectory(engine) == [III, II]
        assert {row["id"]: row["due_at"] for row in engine.rows(steps)}[DUTY_I] == LEVEL_I
        assert next_look(engine) == at("14:15")  # the question whether the time is right is asked again
        status = engine.rows(assessments)[-1]["document"]["obligations"][0]
        assert (status["state"], status["overdue_at_detection"]) == ("overdue", True)
        assert states(engine)[TELL_LEADERS] == "started"


def test_a_second_province_reported_late_brings_the_next_level_forward(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.fire(LEVEL_III)
        # Hunan since 10:50: two provinces for 30 minutes each at 11:20, for 3 hours each at 13:50.
        engine.report(at("11:10"), started_json("hunan", at("10:50"), "湖南", incident=KEY))
        due = {row["id"]: row["due_at"] for row in engine.rows(steps)}
        assert (due[DUTY_II], due[DUTY_I]) == (at("11:20"), at("13:50"))
        engine.fire(at("11:20"))
        engine.fire(OVERDUE)
        assert next_look(engine) == at("13:50")
        engine.fire(at("13:50"))
        assert [rise["level"] for rise in trajectory(engine)] == ["III", "II", "I"]


# What operators change meanwhile


def copied_rules(folder: Path, settings: Settings) -> tuple[Settings, Path]:
    rules = folder / "rules"
    shutil.copytree(SHIPPED / "rules", rules)
    return bank(folder, RULES__DIRECTORY=str(rules)), rules


def replaced(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text, old
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_an_incident_goes_on_with_the_pack_with_which_it_began(tmp_path: Path) -> None:
    settings, rules = copied_rules(tmp_path, bank(tmp_path))
    with house(tmp_path, settings) as engine:
        engine.report(BEGAN, DOWN)
    pack = rules / "grading" / "cn-cbrc-2008.yaml"
    replaced(pack, "for: {at_least: 30m}", "for: {at_least: 40m}")
    replaced(pack, 'version: "2"', 'version: "3"')
    with house(tmp_path, settings) as engine:
        engine.report(at("10:40"), started_json("new", BEGAN, service="payments", incident="outage-2"))
        engine.fire(LEVEL_III)
        assert trajectory(engine) == [III]
        assert (the_incident(engine)["level"], the_incident(engine, "outage-2")["level"]) == ("III", None)
        engine.fire(at("11:15"))
        assert [rise["at"] for rise in trajectory(engine, "outage-2")] == ["2013-06-23T11:15:00+08:00"]
        assert {row["version"] for row in engine.rows(packs)} == {"2", "3"}
        versions = {(row["case_id"], row["version"]) for row in engine.rows(assessments)}
        assert versions == {(KEY, "2"), ("outage-2", "3")}


def one_template(settings: Settings, locale: str, name: str, line: str) -> Rulebook:
    """Return the shipped rules with one template that ends in a line which `check` would have refused."""
    files = {(file.parent.name, file.name.removesuffix(".md.j2")): file for file in SHIPPED.glob("rules/messages/*/*")}
    sources = {key: file.read_text(encoding="utf-8") for key, file in files.items()}
    sources[locale, name] = f"Subject\n\nText\n{line}\n"
    return replace(shipped_rulebook(), messages=MessageBook(sources, settings.bank.zone))


def still_told(folder: Path, line: str) -> None:
    settings = bank(folder)
    with house(folder, settings, one_template(settings, "en", "duty-notice", line)) as engine:
        engine.report(at("14:00"), DOWN)
        assert len(engine.rows(events)) == 1
        assert (DUTY_III, "duty-engineer") in messages(engine)
        notices = [row for row in engine.rows(deliveries) if row["step_id"] == DUTY_III]
        by_contact = {row["contact"]: row for row in notices}
        assert by_contact["duty-officer"]["subject"] == "【III级】核心账务，广东"
        plain = by_contact["duty-engineer"]
        assert plain["subject"] == "Cloudsail Bank: Core banking"
        assert KEY in plain["body"]
        assert "Guangdong" in plain["body"]


def test_a_template_that_names_what_is_not_there_still_lets_a_plain_notice_go(tmp_path: Path) -> None:
    still_told(tmp_path, "{{ incident['nothing'].of_the_kind }}")


@pytest.mark.parametrize(
    "line",
    [
        "{{ incident.recovery_at | instant }}",  # nobody has estimated the recovery: None has no time zone
        "{{ incident.services + 1 }}",
        "{{ 1 // (incident.notes | length) }}",
    ],
)
def test_a_template_whose_filters_fail_still_lets_a_plain_notice_go(tmp_path: Path, line: str) -> None:
    still_told(tmp_path, line)


def test_an_audience_renamed_while_an_incident_is_open_does_not_stop_it(tmp_path: Path) -> None:
    settings, rules = copied_rules(tmp_path, bank(tmp_path))
    with house(tmp_path, settings) as engine:
        engine.report(BEGAN, DOWN)
    replaced(rules / "playbooks" / "outage-response.yaml", "audience: duty-team", "audience: night-shift")
    audiences = {**settings.audiences, "night-shift": settings.audiences["duty-team"]}
    del audiences["duty-team"]
    renamed = settings.model_copy(update={"audiences": audiences})
    with house(tmp_path, renamed, load_rulebook(renamed, CONFIG)) as engine:
        engine.fire(LEVEL_III)
        assert the_incident(engine)["level"] == "III"
        assert messages(engine) == done_by_then(LEVEL_III)
        assert {row["audience"] for row in engine.rows(steps) if row["id"] == DUTY_III} == {"night-shift"}


def test_one_incident_that_cannot_be_brought_up_to_date_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN, started_json("b", BEGAN, service="payments", incident="outage-2"))
        # Damage the first one's pack: its content is gone, as after a careless hand in the database.
        engine.work(lambda unit: unit.connection.execute(update(cases).where(cases.c.id == KEY).values(packs={})))
        assert engine.fire(LEVEL_III) == 2
        assert the_incident(engine, "outage-2")["level"] == "III"
        assert next_look(engine) == LEVEL_III + timedelta(minutes=1)


def test_a_timer_without_an_end_is_never_stored(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        # Weekday hours: from Friday 16:40 on 30 minutes are full on Monday 09:10.
        friday = at("2013-06-21 16:40")
        engine.report(friday, started_json("down", friday, incident=KEY, service="counter"))
        assert next_look(engine) == at("2013-06-24 09:10")
        assert all(row["due_at"] < NEVER for row in engine.rows(steps))
        assert next_look(engine).astimezone(SHANGHAI).weekday() == 0  # type: ignore[union-attr]


def test_a_lost_timer_comes_back_with_the_next_event(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(BEGAN, DOWN)
        engine.work(lambda unit: unit.connection.execute(delete(timers)))
        engine.report(at("10:40"), event_json("n", "note.added", at("10:40"), incident=KEY, data={"text": "look"}))
        assert next_look(engine) == LEVEL_III
