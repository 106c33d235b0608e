"""A verdict taken apart: every rule, every kind of condition, and the facts and sums that each rests on."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from support.builders import CHINA, at, cbrc_document, incident, recorded, restored, started

from incident_engine.domain.calendar.service_hours import ALWAYS, ServiceHours, weekly_hours
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.grading.explanation import ExplainedCondition, explain
from incident_engine.domain.grading.explanation_document import explanation_document
from incident_engine.domain.grading.forecast_point import ForecastPoint
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.values import NEVER

CLOSED_AT_NIGHT = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}
SAID = {"zh-CN": "文", "en": "text"}
HALF_AN_HOUR = {"regions_down": {"at_least": 1, "for": {"at_least": "30m"}}}
FAILED = recorded("repair.failed", "03:00", data={"by": "王", "reason": "备件也坏了"})


def pack(*conditions: dict[str, Any], **changed: Any) -> Pack:
    rules = [
        {"id": f"r{place}", "level": "III", "cite": f"Art. {place}", "says": SAID, "when": condition}
        for place, condition in enumerate(conditions)
    ]
    measures = {"loss": {"says": SAID}, "media": {"says": SAID}}
    return parse_pack({**cbrc_document(), "rules": rules, "measures": measures, "cases": []} | changed)


def explained(
    now: str, condition: dict[str, Any], *events: Recorded, hours: Mapping[str, ServiceHours] | None = None
) -> ExplainedCondition:
    """Return the only rule of a pack, taken apart."""
    (found,) = explain(incident(*events), pack(condition), hours or {"core-banking": ALWAYS}, at(now))
    assert found.at == found.when.at
    return found.when


def test_every_rule_stands_in_the_packs_order_reached_or_not() -> None:
    given = pack({"harm": {"kinds": ["bank"]}}, HALF_AN_HOUR)
    found = explain(incident(started("10:00")), given, {}, at("12:00"))
    assert [(each.rule.id, each.at) for each in found] == [("r0", NEVER), ("r1", at("10:30"))]
    document = explanation_document(found, CHINA)
    assert [set(each) for each in document] == [{"rule", "level", "cite", "says", "at", "when"}] * 2
    assert document[0] | {"when": None} == {
        "rule": "r0",
        "level": "III",
        "cite": "Art. 0",
        "says": SAID,
        "at": None,
        "when": None,
    }
    assert document[1]["at"] == "2013-06-23T10:30:00+08:00"


@pytest.mark.parametrize(("begun", "count"), [("2013-06-22 23:59", 0), ("2013-06-23 00:00", 1)])
def test_a_regulation_that_was_not_in_force_explains_nothing(begun: str, count: int) -> None:
    given = pack(HALF_AN_HOUR, in_force={"from": "2013-06-23"})
    assert len(explain(incident(started(begun)), given, {}, at("12:00"))) == count


def test_an_incident_that_has_not_begun_explains_nothing() -> None:
    nothing = incident(recorded("note.added", "10:00", data={"text": "?"}))
    assert explain(nothing, pack(HALF_AN_HOUR), {}, at("12:00")) == ()


def test_a_limit_on_regions_shows_what_was_reported_what_counts_and_the_sum() -> None:
    maintained = recorded(
        "maintenance.announced", "08:00", service="core-banking", data={"start": at("09:50"), "end": at("10:05")}
    )
    later = recorded(
        "maintenance.announced", "08:00", service="core-banking", data={"start": at("10:40"), "end": at("10:50")}
    )
    events = [maintained, later, started("10:00"), restored("10:20"), started("10:30"), started("10:10", "CN-HN")]
    found = explained("12:00", {"regions_down": {"at_least": 2, "for": {"at_least": "30m"}}}, *events)
    assert (found.kind, found.at) == ("regions_down", at("10:55"))
    assert found.limit == {"at_least": 2, "for": {"at_least": "30m"}}
    guangdong, hunan = found.regions
    assert (guangdong.region, hunan.region) == ("CN-GD", "CN-HN")
    assert [(service, part.start, part.end) for service, part in guangdong.reported] == [
        ("core-banking", at("10:00"), at("10:20")),
        ("core-banking", at("10:30"), NEVER),
    ]
    assert guangdong.maintenance == (
        ("core-banking", at("10:00"), at("10:05")),
        ("core-banking", at("10:40"), at("10:50")),
    )
    first, second = (at("10:05"), at("10:20")), (at("10:30"), at("10:40"))
    assert guangdong.counted == (first, second, (at("10:50"), at("10:55")))
    assert (guangdong.total, guangdong.at) == (timedelta(minutes=30), at("10:55"))
    assert (hunan.counted, hunan.at) == (((at("10:10"), at("10:40")), (at("10:50"), at("10:55"))), at("10:40"))
    assert hunan.total == timedelta(minutes=35)


def test_what_begins_at_the_very_instant_that_is_explained_or_later_is_left_out() -> None:
    window = {"start": at("10:31"), "end": at("10:40")}
    maintained = recorded("maintenance.announced", "08:00", service="core-banking", data=window)
    events = [maintained, started("10:00"), restored("10:20"), started("10:30"), restored("11:30"), started("11:40")]
    region = explained("10:30", HALF_AN_HOUR, *events).regions[0]
    assert [part.start for _, part in region.reported] == [at("10:00")]
    assert (region.counted, region.total) == (((at("10:00"), at("10:20")),), timedelta(minutes=20))
    assert (region.maintenance, region.at) == ((), at("10:49"))
    on_the_minute = explained("10:31", HALF_AN_HOUR, *events).regions[0]
    assert (on_the_minute.maintenance, on_the_minute.total) == ((), timedelta(minutes=21))
    within = explained("10:35", HALF_AN_HOUR, *events).regions[0]
    assert within.maintenance == (("core-banking", at("10:31"), at("10:40")),)
    reached = explained("23:00", HALF_AN_HOUR, *events).regions[0]
    assert reached.counted == ((at("10:00"), at("10:20")), (at("10:30"), at("10:31")), (at("10:40"), at("10:49")))


def test_a_limit_with_a_clock_of_its_own_is_summed_by_that_clock() -> None:
    events = [started("08:00"), restored("09:10")]
    limit = {"at_least": 1, "for": {"more_than": "30m"}, "clock": "wall_clock"}
    by_the_wall = explained("12:00", {"regions_down": limit}, *events, hours=CLOSED_AT_NIGHT)
    tick = timedelta(microseconds=1)
    (region,) = by_the_wall.regions
    assert (by_the_wall.at, region.at) == (at("08:30") + tick, at("08:30") + tick)
    assert (region.total, region.counted) == (timedelta(minutes=30) + tick, ((at("08:00"), at("08:30") + tick),))
    assert by_the_wall.limit == limit
    in_service = explained("12:00", HALF_AN_HOUR, *events, hours=CLOSED_AT_NIGHT)
    assert (in_service.at, in_service.regions[0].at) == (NEVER, NEVER)
    assert in_service.regions[0].counted == ((at("09:00"), at("09:10")),)
    assert in_service.regions[0].total == timedelta(minutes=10)


def test_only_the_regions_of_the_packs_country_are_explained_as_the_pack_reads_them() -> None:
    degraded = recorded("outage.degraded", "10:00", service="core-banking", regions=["CN-HN"])
    history = incident(started("10:00"), started("10:00", "DE-HE"), degraded)
    for interpretation, wanted in (({"degraded": "down_only"}, ["CN-GD"]), ({}, ["CN-GD", "CN-HN"])):
        (rule,) = explain(history, pack(HALF_AN_HOUR, interpretation=interpretation), {}, at("12:00"))
        assert [region.region for region in rule.when.regions] == wanted


COSTS = {"measured": {"name": "loss", "at_least": 5}}
HARMS = {"harm": {"kinds": ["bank"], "at_least": "serious"}}


def measured(when: str, name: str, value: float) -> Recorded:
    return recorded("impact.measured", when, service="core-banking", data={"by": "李", "measures": {name: value}})


def harmed(when: str, kind: str, seriousness: str = "serious") -> Recorded:
    data = {"kind": kind, "seriousness": seriousness, "cause": "data_loss", "by": "李", "reason": "台账受损"}
    return recorded("harm.assessed", when, data=data)


def test_a_figure_and_a_harm_show_only_what_meets_the_limit() -> None:
    events = [
        measured("10:00", "loss", 4),
        measured("10:10", "media", 9),
        measured("10:20", "loss", 5),
        harmed("10:05", "bank", "considerable"),
        harmed("10:15", "public"),
        harmed("10:25", "bank"),
    ]
    figure = explained("12:00", COSTS, *events)
    assert (figure.kind, figure.at, figure.limit) == ("measured", at("10:20"), {"name": "loss", "at_least": 5})
    assert [found.value for found in figure.measurements] == [5]
    assert (figure.harms, figure.regions, figure.parts, figure.forecast_point) == ((), (), (), None)
    harm = explained("12:00", HARMS, *events)
    assert (harm.kind, harm.at) == ("harm", at("10:25"))
    assert [(found.data.kind.value, found.data.seriousness.value) for found in harm.harms] == [("bank", "serious")]
    causes = ["system_interruption", "data_damage", "data_loss", "data_leak"]
    assert harm.limit == {"kinds": ["bank"], "at_least": "serious", "causes": causes}
    assert harm.measurements == ()


@pytest.mark.parametrize(
    ("condition", "when", "limit"),
    [
        ({"any": [COSTS, HARMS]}, "10:20", {}),
        ({"all": [COSTS, HARMS]}, "10:25", {}),
        ({"n_of": {"at_least": 2, "of": [COSTS, HARMS]}}, "10:25", {"at_least": 2}),
    ],
)
def test_a_condition_of_parts_is_taken_apart_with_each_of_them(
    condition: dict[str, Any], when: str, limit: dict[str, Any]
) -> None:
    found = explained("12:00", condition, harmed("10:25", "bank"), measured("10:20", "loss", 5))
    assert (found.kind, found.at, found.limit) == (next(iter(condition)), at(when), limit)
    assert [(part.kind, part.at) for part in found.parts] == [("measured", at("10:20")), ("harm", at("10:25"))]
    assert [len(part.measurements) for part in found.parts] == [1, 0]


def test_a_region_within_a_condition_of_parts_is_summed_up_to_now() -> None:
    down = {"regions_down": {"at_least": 1, "for": {"at_least": "3h"}}}
    found = explained("10:40", {"any": [{"all": [down, HALF_AN_HOUR]}]}, started("10:00"))
    both = found.parts[0].parts
    assert [part.regions[0].total for part in both] == [timedelta(minutes=40), timedelta(minutes=30)]


def forecast(*events: Recorded) -> ExplainedCondition:
    given = pack(HALF_AN_HOUR, {"forecast": {"rule": "r0"}})
    _, found = explain(incident(*events), given, CLOSED_AT_NIGHT, at("04:00"))
    return found.when


def test_a_forecast_shows_when_it_was_made_and_the_worst_credible_case() -> None:
    estimated = recorded("recovery.estimated", "02:30", data={"recovery_at": at("09:40")})
    found = forecast(started("02:00"), estimated, FAILED)
    assert (found.kind, found.at, found.limit) == ("forecast", at("03:00"), {"rule": "r0"})
    assert found.forecast_point == ForecastPoint(at("03:00"), at("09:40"))
    (part,) = found.parts
    assert (part.kind, part.at) == ("regions_down", at("09:30"))
    assert part.regions[0].counted == ((at("09:00"), at("09:30")),)
    document = explanation_document(explain_forecast(estimated), CHINA)[1]["when"]
    assert document["recovery_expected_at"] == "2013-06-23T09:40:00+08:00"
    assert [part["kind"] for part in document["parts"]] == ["regions_down"]


def explain_forecast(*events: Recorded) -> Any:
    given = pack(HALF_AN_HOUR, {"forecast": {"rule": "r0"}})
    return explain(incident(started("02:00"), FAILED, *events), given, CLOSED_AT_NIGHT, at("04:00"))


def test_without_an_estimate_the_worst_case_goes_on_until_the_limit_is_met() -> None:
    found = forecast(started("02:00"), FAILED)
    assert found.forecast_point == ForecastPoint(at("03:00"), None)
    assert (found.parts[0].at, found.parts[0].regions[0].total) == (at("09:30"), timedelta(minutes=30))
    document = explanation_document(explain_forecast(), CHINA)[1]["when"]
    assert document["recovery_expected_at"] is None


def test_without_an_estimate_a_limit_that_is_not_met_is_followed_for_four_hundred_days() -> None:
    two = {"regions_down": {"at_least": 2, "for": {"at_least": "30m"}}}
    given = pack({"any": [HALF_AN_HOUR, two]}, {"forecast": {"rule": "r0"}})
    _, found = explain(incident(started("02:00"), FAILED), given, CLOSED_AT_NIGHT, at("04:00"))
    (one, both) = found.when.parts[0].parts
    assert one.regions[0].total == timedelta(minutes=30)
    assert both.at == NEVER
    assert both.regions[0].total == timedelta(hours=8 * 400)


def test_of_several_moments_the_one_that_counted_is_shown() -> None:
    early = recorded("recovery.estimated", "02:30", data={"recovery_at": at("09:10")})
    late = recorded("recovery.estimated", "03:30", data={"recovery_at": at("09:45")})
    found = forecast(started("02:00"), early, FAILED, late)
    assert (found.at, found.forecast_point) == (at("03:30"), ForecastPoint(at("03:30"), at("09:45")))


def test_what_was_to_be_expected_was_ended_by_nobody_though_it_was_restored_since() -> None:
    estimated = recorded("recovery.estimated", "02:30", data={"recovery_at": at("09:40")})
    found = forecast(started("02:00"), estimated, FAILED, restored("03:30"))
    ((_, interval),) = found.parts[0].regions[0].reported
    assert (interval.end, interval.ended_by) == (at("09:40"), None)


def test_a_forecast_that_never_came_true_has_nothing_beneath_it() -> None:
    found = forecast(started("02:00"))
    assert (found.kind, found.at, found.limit, found.parts, found.forecast_point) == (
        "forecast",
        NEVER,
        {"rule": "r0"},
        (),
        None,
    )


def test_the_document_of_a_region_is_spelled_out_in_the_readers_time() -> None:
    window = {"start": at("10:05"), "end": at("10:10")}
    maintained = recorded("maintenance.announced", "08:00", service="core-banking", data=window)
    events = [maintained, started("10:00", id="a1"), restored("10:20", id="a2")]
    found = explain(incident(*events), pack(HALF_AN_HOUR), {}, at("12:00"))
    (rule,) = explanation_document(found, CHINA)
    assert rule["when"] == {
        "kind": "regions_down",
        "at": None,
        "limit": {"at_least": 1, "for": {"at_least": "30m"}},
        "regions": [
            {
                "region": "CN-GD",
                "name": {"zh-CN": "广东", "en": "Guangdong"},
                "reported": [
                    {
                        "service": "core-banking",
                        "start": "2013-06-23T10:00:00+08:00",
                        "end": "2013-06-23T10:20:00+08:00",
                        "impairment": "down",
                        "started_by": "monitor/a1",
                        "ended_by": "monitor/a2",
                    }
                ],
                "maintenance": [
                    {
                        "service": "core-banking",
                        "start": "2013-06-23T10:05:00+08:00",
                        "end": "2013-06-23T10:10:00+08:00",
                    }
                ],
                "counted": [
                    {"start": "2013-06-23T10:00:00+08:00", "end": "2013-06-23T10:05:00+08:00", "seconds": 300.0},
                    {"start": "2013-06-23T10:10:00+08:00", "end": "2013-06-23T10:20:00+08:00", "seconds": 600.0},
                ],
                "total_seconds": 900.0,
                "at": None,
            }
        ],
    }


def test_the_document_of_a_region_says_when_it_met_the_limit() -> None:
    (rule,) = explanation_document(explain(incident(started("10:00")), pack(HALF_AN_HOUR), {}, at("12:00")), CHINA)
    assert [region["at"] for region in rule["when"]["regions"]] == ["2013-06-23T10:30:00+08:00"]


def test_the_document_of_figures_and_harms_says_who_said_so() -> None:
    found = explain(
        incident(measured("10:20", "loss", 5), harmed("10:25", "bank")),
        pack({"all": [COSTS, HARMS, {"outage": {"for": {"at_least": "1m"}}}]}),
        {},
        at("12:00"),
    )
    (rule,) = explanation_document(found, CHINA)
    assert (rule["when"]["kind"], rule["when"]["limit"]) == ("all", {})
    figure, harm, outage = rule["when"]["parts"]
    assert figure == {
        "kind": "measured",
        "at": "2013-06-23T10:20:00+08:00",
        "limit": {"name": "loss", "at_least": 5},
        "measurements": [{"at": "2013-06-23T10:20:00+08:00", "name": "loss", "value": 5, "by": "李"}],
    }
    assert harm["harms"] == [
        {
            "at": "2013-06-23T10:25:00+08:00",
            "kind": "bank",
            "seriousness": "serious",
            "cause": "data_loss",
            "by": "李",
            "reason": "台账受损",
        }
    ]
    assert outage == {"kind": "outage", "at": None, "limit": {"for": {"at_least": "1m"}}}
