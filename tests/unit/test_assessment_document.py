"""The whole document of a verdict, key by key, and of a recurrence."""

from datetime import UTC, timedelta
from typing import Any

from support.builders import CHINA, at, cbrc, cbrc_document, incident, recorded, reported, restored, started, verdict

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.assess import assess
from incident_engine.domain.grading.assessment_document import assessment_document, to_local_iso, trajectory_from
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.grading.recurring import Recurrence, recurrence_document
from incident_engine.domain.values import NEVER

CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}
LOSS = {"loss": {"says": {"zh-CN": "损失", "en": "Loss"}}}


def document(now: str, *events: Recorded, hours: Any = None, **changed: Any) -> dict[str, Any]:
    pack = parse_pack({**cbrc_document(), "cases": []} | changed)
    return assessment_document(assess(incident(*events), pack, hours or {}, at(now)), CHINA)


def test_an_instant_is_spelled_in_local_time_and_what_never_comes_is_none() -> None:
    assert to_local_iso(at("10:35"), CHINA) == "2013-06-23T10:35:00+08:00"
    assert to_local_iso(at("10:35"), UTC) == "2013-06-23T02:35:00+00:00"
    assert (to_local_iso(None, CHINA), to_local_iso(NEVER, CHINA)) == (None, None)


def test_the_document_of_a_verdict_has_these_keys_and_values() -> None:
    found = document("11:10", started("10:35", received="10:36"))
    kept = {key: found[key] for key in found if key not in ("obligations", "evidence", "content_hash")}
    assert kept == {
        "pack": "cn-cbrc-2008",
        "version": "2",
        "at": "2013-06-23T11:10:00+08:00",
        "level": "III",
        "severity": 1,
        "level_retained": False,
        "provisional": False,
        "trajectory": [{"level": "III", "at": "2013-06-23T11:05:00+08:00", "rule": "art9-3-2", "cite": "Art. 9(3)2"}],
        "next": {"level": "II", "at": "2013-06-23T13:35:00+08:00", "rule": "art9-2-2", "cite": "Art. 9(2)2"},
        "forecast": [
            {"level": "II", "at": "2013-06-23T13:35:00+08:00", "rule": "art9-2-2", "cite": "Art. 9(2)2"},
            {"level": "I", "at": "2013-06-23T16:35:00+08:00", "rule": "art9-1-2", "cite": "Art. 9(1)2"},
        ],
    }
    assert set(found) == set(kept) | {"obligations", "evidence", "content_hash"}
    assert found["content_hash"] == cbrc().content_hash


def test_the_document_of_an_obligation_has_these_keys_and_values() -> None:
    found = document("12:00", started("10:35", received="11:40"), reported("11:50"))
    assert found["obligations"][0] == {
        "id": "first-report",
        "instance": "",
        "due_at": "2013-06-23T11:35:00+08:00",
        "cite": "Art. 35(5)",
        "state": "met",
        "to": "regulator",
        "applies_at": "2013-06-23T11:05:00+08:00",
        "met_at": "2013-06-23T11:50:00+08:00",
        "met_by": "王敏",
        "met_late": True,
        "overdue_at_detection": True,
        "missed": 0,
        "guessed_years": [],
    }


def test_the_document_of_the_evidence_has_these_keys_and_values() -> None:
    events = [
        recorded(
            "maintenance.announced", "08:00", service="core-banking", data={"start": at("10:00"), "end": at("10:15")}
        ),
        started("10:00", id="a1", received="10:01"),
        recorded("repair.failed", "10:30", data={"by": "王", "reason": "备件也坏了"}),
        restored("11:30", id="a2"),
        recorded("impact.measured", "10:40", data={"by": "李", "measures": {"loss": 3}}),
        recorded(
            "harm.assessed",
            "10:50",
            data={
                "kind": "bank",
                "seriousness": "considerable",
                "cause": "data_loss",
                "by": "李",
                "reason": "台账受损",
            },
        ),
        recorded("level.corrected", "11:20", data={"level": "II", "by": "陈", "reason": "影响大"}),
    ]
    hours = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-11:00")])}
    found = document("12:00", *events, hours=hours, measures=LOSS)
    assert found["trajectory"][-1] == {
        "level": "II",
        "at": "2013-06-23T11:20:00+08:00",
        "rule": "",
        "cite": "",
        "corrected_by": "陈",
        "reason": "影响大",
    }
    evidence = found["evidence"]
    (harm,) = [rule for rule in evidence.pop("rules") if rule["rule"] == "art9-3-1"]
    assert harm == {
        "rule": "art9-3-1",
        "level": "III",
        "cite": "Art. 9(3)1",
        "at": "2013-06-23T10:50:00+08:00",
        "regions": [],
    }
    assert {type(value) for value in evidence["harms"][0].values()} == {
        str
    }  # plain texts, no members of an enumeration
    assert evidence == {
        "in_force": True,
        "guessed_years": [],
        "occurred_at": "2013-06-23T10:15:00+08:00",
        "detected_at": "2013-06-23T10:01:00+08:00",
        "restored_at": "2013-06-23T11:30:00+08:00",
        "regions": [
            {
                "region": "CN-GD",
                "name": {"zh-CN": "广东", "en": "Guangdong"},
                "services": ["core-banking"],
                "counted_seconds": 2700.0,
                "in_service_seconds": 2700.0,
                "wall_clock_seconds": 5400.0,
                "intervals": [
                    {
                        "service": "core-banking",
                        "start": "2013-06-23T10:00:00+08:00",
                        "end": "2013-06-23T11:30:00+08:00",
                        "impairment": "down",
                        "started_by": "monitor/a1",
                        "ended_by": "monitor/a2",
                    }
                ],
                "maintenance": [
                    {
                        "service": "core-banking",
                        "start": "2013-06-23T10:00:00+08:00",
                        "end": "2013-06-23T10:15:00+08:00",
                    }
                ],
            }
        ],
        "interpretations": [],
        "harms": [
            {
                "at": "2013-06-23T10:50:00+08:00",
                "kind": "bank",
                "seriousness": "considerable",
                "cause": "data_loss",
                "by": "李",
                "reason": "台账受损",
            }
        ],
        "measurements": [{"at": "2013-06-23T10:40:00+08:00", "name": "loss", "value": 3, "by": "李"}],
        "closed_doors": [{"at": "2013-06-23T11:00:00+08:00", "recovery_expected_at": None}],
        "corrections": [{"at": "2013-06-23T11:20:00+08:00", "level": "II", "by": "陈", "reason": "影响大"}],
    }


def test_the_document_of_a_rule_names_each_region_and_when_it_met_the_limit() -> None:
    found = document("12:00", started("10:35", "CN-GD"), started("10:40", "CN-HN"))
    (second,) = [rule for rule in found["evidence"]["rules"] if rule["rule"] == "art9-2-2"]
    assert second["regions"] == [
        {"region": "CN-GD", "at": "2013-06-23T11:05:00+08:00"},
        {"region": "CN-HN", "at": "2013-06-23T11:10:00+08:00"},
    ]


def test_the_document_says_what_another_reading_comes_to() -> None:
    events = [started("08:00"), restored("09:10")]
    found = document("12:00", *events, hours=CLOSED_AT_NIGHT)
    assert found["level"] is None
    assert found["evidence"]["interpretations"] == [
        {"parameter": "clock", "value": "unplanned", "level": "III"},
        {"parameter": "clock", "value": "wall_clock", "level": "III"},
    ]


def test_the_document_says_when_recovery_was_expected_as_the_doors_closed() -> None:
    failed = recorded("repair.failed", "03:00", data={"by": "王", "reason": "备件也坏了"})
    estimated = recorded("recovery.estimated", "02:30", data={"recovery_at": at("09:40")})
    found = document("04:00", started("02:00"), estimated, failed, hours=CLOSED_AT_NIGHT)
    assert found["evidence"]["closed_doors"] == [
        {"at": "2013-06-23T03:00:00+08:00", "recovery_expected_at": "2013-06-23T09:40:00+08:00"}
    ]


def test_an_outage_that_lasts_has_no_end_and_nobody_who_ended_it() -> None:
    (region,) = document("12:00", started("10:35", id="a1"))["evidence"]["regions"]
    assert (region["intervals"][0]["end"], region["intervals"][0]["ended_by"]) == (None, None)


def test_a_trajectory_read_back_holds_what_was_reached_and_leaves_corrections_to_the_events() -> None:
    corrected = recorded("level.corrected", "11:20", data={"level": "II", "by": "陈", "reason": "影响大"})
    found = verdict("12:00", started("10:35"), corrected)
    assert len(found.trajectory) == 2
    assert trajectory_from(assessment_document(found, CHINA)) == found.trajectory[:1]


def test_the_document_of_a_recurrence_has_these_keys_and_values() -> None:
    reached = LevelChange("major", at("10:35"), "r1", "Art. 1")
    day = timedelta(days=1)
    found = Recurrence("some", "Art. 2", "a fire", ("A", "B"), at("09:00") - day, at("10:00"), at("10:30"), reached)
    assert recurrence_document(found, CHINA) == {
        "pack": "some",
        "cite": "Art. 2",
        "root_cause": "a fire",
        "incidents": ["A", "B"],
        "first_at": "2013-06-22T09:00:00+08:00",
        "last_at": "2013-06-23T10:00:00+08:00",
        "level": "major",
        "at": "2013-06-23T10:35:00+08:00",
        "rule": "r1",
    }
