"""The course of the level: what rules reach, and what people say of it."""

from datetime import datetime
from itertools import permutations

import pytest
from support.builders import CHINA, at, cbrc, corrected, recorded, restored, started, steps_of, verdict

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.events.model import LevelCorrected, Recorded
from incident_engine.domain.grading.assessment import Assessment
from incident_engine.domain.grading.assessment_document import assessment_document, trajectory_from
from incident_engine.domain.grading.level_history import LevelChange, level_history, severity_of
from incident_engine.domain.grading.pack_levels import corrections_of

DOWN = started("09:00")  # III at 09:30, II at 12:00, I at 15:00
CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}


Step = LevelChange | LevelCorrected


def rise(level: str, when: str, rule: str = "some-rule") -> LevelChange:
    return LevelChange(level, at(when), rule, "Art. 9")


def word(level: str | None, when: str, pack: str | None = "cn-cbrc-2008", by: str = "李") -> LevelCorrected:
    data = {"level": level, "pack": pack, "by": by, "reason": "探针误报"}
    event = recorded("level.corrected", when, data=data).event
    assert isinstance(event, LevelCorrected)
    return event


def told(steps: tuple[LevelChange, ...]) -> list[tuple[str | None, datetime]]:
    return [(step.level, step.at) for step in steps]


def came_to(*steps: Step) -> list[tuple[str | None, datetime]]:
    rises = [step for step in steps if isinstance(step, LevelChange)]
    words = [step for step in steps if isinstance(step, LevelCorrected)]
    return told(level_history(cbrc().severity, rises, words))


# Rises.


def test_nothing_is_reached_of_nothing() -> None:
    assert came_to() == []


def test_only_what_is_worse_than_before_changes_the_level() -> None:
    steps = [rise("II", "10:00"), rise("III", "11:00"), rise("II", "12:00"), rise("I", "13:00")]
    for order in permutations(steps):
        assert came_to(*order) == [("II", at("10:00")), ("I", at("13:00"))]


def test_of_several_levels_reached_at_one_instant_the_worst_counts() -> None:
    for order in permutations([rise("III", "10:00"), rise("I", "10:00"), rise("II", "10:00")]):
        assert came_to(*order) == [("I", at("10:00"))]


def test_the_rule_that_stands_first_gives_a_level_that_two_reach_at_once() -> None:
    (step,) = level_history(cbrc().severity, [rise("II", "10:00", "first"), rise("II", "10:00", "second")])
    assert step.rule == "first"


# A person's word.


def test_a_correction_lowers_the_level_and_what_is_reached_later_raises_it_again() -> None:
    found = came_to(rise("III", "09:30"), word(None, "09:40"), rise("II", "12:00"))
    assert found == [("III", at("09:30")), (None, at("09:40")), ("II", at("12:00"))]


def test_a_correction_may_raise_the_level() -> None:
    found = came_to(rise("III", "09:30"), word("I", "09:40"), rise("II", "12:00"))
    assert found == [("III", at("09:30")), ("I", at("09:40"))]


def test_a_correction_gives_a_level_where_no_rule_does() -> None:
    assert came_to(word("II", "09:40")) == [("II", at("09:40"))]


def test_a_confirmation_changes_nothing() -> None:
    assert came_to(rise("III", "09:30"), word("III", "09:40")) == [("III", at("09:30"))]
    assert came_to(word(None, "09:10"), rise("III", "09:30")) == [("III", at("09:30"))]


def test_a_correction_overrules_what_was_reached_at_the_same_instant() -> None:
    steps: list[Step] = [rise("III", "09:30"), rise("II", "09:30"), word("III", "09:30")]
    for order in permutations(steps):
        assert came_to(*order) == [("II", at("09:30")), ("III", at("09:30"))]


def test_of_several_corrections_the_latest_counts() -> None:
    steps: list[Step] = [rise("II", "09:30"), word(None, "09:40"), word("I", "09:50"), word("III", "10:00")]
    for order in permutations(steps):
        assert came_to(*order)[-1] == ("III", at("10:00"))


def test_a_level_is_of_the_severity_of_the_end_of_its_course() -> None:
    pack = cbrc()
    assert severity_of(pack.severity, ()) == 0
    assert severity_of(pack.severity, [rise("III", "09:30"), rise("I", "10:00")]) == 3
    assert severity_of(pack.severity, level_history(pack.severity, [rise("I", "09:30")], [word(None, "09:40")])) == 0


def test_a_correction_is_about_the_pack_that_it_names_or_whose_level_it_gives() -> None:
    words = [
        word("III", "10:00"),
        word("III", "10:01", "eu-dora-2024"),
        word("III", "10:02", None),
        word("major", "10:03", None),
        word(None, "10:04", None),
    ]
    assert [each.occurred_at for each in corrections_of(cbrc(), words)] == [at("10:00"), at("10:02"), at("10:04")]


# In the verdict.


def test_the_verdict_says_who_corrected_the_level_when_and_why() -> None:
    document = assessment_document(verdict("10:00", DOWN, corrected("09:40", None)), CHINA)
    assert (document["level"], document["severity"]) == (None, 0)
    assert document["trajectory"] == [
        {"level": "III", "at": "2013-06-23T09:30:00+08:00", "rule": "art9-3-2", "cite": "Art. 9(3)2"},
        {
            "level": None,
            "at": "2013-06-23T09:40:00+08:00",
            "rule": "",
            "cite": "",
            "corrected_by": "李",
            "reason": "探针误报",
        },
    ]
    assert document["next"]["level"] == "II"
    assert document["evidence"]["corrections"] == [
        {"at": "2013-06-23T09:40:00+08:00", "level": None, "by": "李", "reason": "探针误报"}
    ]


@pytest.mark.parametrize(
    ("instant", "level"), [("09:29", None), ("09:30", "III"), ("09:40", None), ("11:59", None), ("12:00", "II")]
)
def test_the_level_of_another_instant_knows_of_the_correction(instant: str, level: str | None) -> None:
    assert verdict("13:00", DOWN, corrected("09:40", None)).level_at(at(instant)) == level


def test_a_confirmation_is_on_record_though_it_changes_nothing() -> None:
    found = verdict("10:00", DOWN, corrected("09:40", "III"))
    assert told(found.trajectory) == [("III", at("09:30"))]
    assert [said.data.level for said in found.evidence.corrections] == ["III"]


def test_the_rules_that_were_reached_stand_in_the_evidence_of_a_corrected_level() -> None:
    found = verdict("10:00", DOWN, corrected("09:40", None))
    assert [rule.rule for rule in found.evidence.rules] == ["art9-3-2"]


# A level is held (Art. 10), but for a person's word.


def held_over(before: Assessment, now: str, *events: Recorded) -> Assessment:
    """Return the verdict after another, as the store keeps it."""
    return verdict(now, *events, held=trajectory_from(assessment_document(before, CHINA)))


def test_a_held_level_is_lowered_by_a_correction_alone() -> None:
    before = verdict("09:35", DOWN)
    late = restored("09:10", received="09:36")
    held = held_over(before, "09:36", DOWN, late)
    assert (held.level, held.level_retained) == ("III", True)
    after = held_over(held, "09:45", DOWN, late, corrected("09:40", None))
    assert (after.level, after.level_retained) == (None, False)
    assert told(after.trajectory) == [("III", at("09:30")), (None, at("09:40"))]


def test_a_corrected_level_is_not_given_again_by_what_was_held_before_the_correction() -> None:
    events = [DOWN, corrected("09:40", None)]
    corrected_one = held_over(verdict("09:35", DOWN), "09:45", *events)
    for now in ("10:00", "11:59"):
        again = held_over(corrected_one, now, *events)
        assert (again.level, again.level_retained) == (None, False)
    assert told(held_over(corrected_one, "12:00", *events).trajectory)[-1] == ("II", at("12:00"))


def test_what_was_reached_after_the_correction_is_held() -> None:
    events = [DOWN, corrected("09:40", None)]
    at_noon = held_over(verdict("09:45", *events), "12:05", *events)
    late = restored("11:00", received="12:10")
    after = held_over(at_noon, "12:10", *events, late)
    assert (after.level, after.level_retained) == ("II", True)
    assert told(after.trajectory) == [("III", at("09:30")), (None, at("09:40")), ("II", at("12:00"))]


def test_a_correction_that_is_reported_late_counts_from_when_it_was_said() -> None:
    before = verdict("12:05", DOWN)
    late = recorded(
        "level.corrected", "09:40", received="12:10", data={"level": None, "by": "李", "reason": "探针误报"}
    )
    after = held_over(before, "12:10", DOWN, late)
    assert told(after.trajectory) == [("III", at("09:30")), (None, at("09:40")), ("II", at("12:00"))]


def test_a_level_that_a_person_raised_is_not_held_once_the_word_is_taken_back() -> None:
    events = [DOWN, corrected("09:40", "I")]
    raised = held_over(verdict("09:35", DOWN), "09:45", *events)
    assert raised.level == "I"
    back = held_over(raised, "10:05", *events, corrected("10:00", "III"))
    assert (back.level, back.level_retained) == ("III", False)


# Provisional: what only the worst credible case says.


def failed(when: str) -> Recorded:
    return recorded("repair.failed", when, data={"by": "王", "reason": "没有备件"})


def expected(when: str, recovery: str) -> Recorded:
    return recorded("recovery.estimated", when, data={"recovery_at": at(recovery)})


@pytest.mark.parametrize(
    ("more", "level", "provisional"),
    [
        ([], "I", True),
        ([corrected("03:10", "I")], "I", False),  # a person confirms it
        ([corrected("03:10", "III")], "III", False),
        ([expected("02:30", "09:40")], "III", False),  # an estimate says how long
        ([expected("03:10", "15:30")], "I", False),  # six hours and a half after the opening
        ([expected("03:10", "09:40")], "I", True),  # of level III the estimate is sure, of level I nobody
    ],
)
def test_a_level_is_provisional_while_neither_an_estimate_nor_a_person_supports_it(
    more: list[Recorded], level: str, provisional: bool
) -> None:
    found = verdict("04:00", started("02:00"), failed("03:00"), *more, hours=CLOSED_AT_NIGHT)
    assert (found.level, found.provisional) == (level, provisional)


def test_what_was_provisional_is_sure_once_the_outage_itself_has_reached_it() -> None:
    events = [started("02:00"), failed("03:00")]
    assert verdict("14:59", *events, hours=CLOSED_AT_NIGHT).provisional
    found = verdict("15:00", *events, hours=CLOSED_AT_NIGHT)
    assert (found.level, found.provisional) == ("I", False)


def correction(name: str, level: str | None) -> Recorded:
    return recorded("level.corrected", "10:00", id=name, data={"level": level, "by": "李", "reason": "探针误报"})


@pytest.mark.parametrize(
    ("levels", "stands"), [(("III", None), "III"), (("II", "III"), "II"), ((None, "II", "III"), "II")]
)
def test_of_several_corrections_at_one_instant_the_worst_stands(levels: tuple[str | None, ...], stands: str) -> None:
    for order in permutations(levels):
        said = [correction(f"{place}", level) for place, level in enumerate(order)]
        found = verdict("10:00", started("09:00"), *said)
        assert found.level == stands
        assert found.trajectory[0].at == at("09:30")
        assert steps_of(found.trajectory)[0] == ("III", "09:30:00", "art9-3-2")
