"""The compiled limits at their edges: what is asked for, and what is told of it."""

from datetime import timedelta
from typing import Any

from support.build import CHINA, at, cbrc, cbrc_document, incident, restored, started

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.grading.compiler import (
    FOREVER,
    LimitMet,
    RegionTotal,
    counted_spans,
    instant_of,
    microseconds,
    program_of,
)
from incident_engine.domain.grading.downtime import Downtime
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.domain.values import NEVER, RESOLUTION

HOUR = timedelta(hours=1) // RESOLUTION
DAYTIME = {"core-banking": weekly_hours(CHINA, [("mon-sun", "09:00-17:00")])}


def test_an_instant_is_a_whole_number_of_microseconds_to_the_end_of_time() -> None:
    assert microseconds(at("10:35")) == 1_371_954_900_000_000
    assert microseconds(NEVER) == FOREVER
    assert instant_of(FOREVER) == NEVER
    assert instant_of(microseconds(at("10:35") + RESOLUTION)) == at("10:35") + RESOLUTION


def test_no_more_is_asked_for_than_the_longest_limit_needs() -> None:
    endless = Downtime(incident(started("08:00")), DAYTIME)
    for hours, count in ((8, 1), (16, 2), (20, 3), (24, 3)):
        (spans,) = counted_spans(endless, hours * HOUR)
        assert len(spans) == count
        assert all(end - start == 8 * HOUR for start, end in spans)


def test_a_microsecond_less_than_the_longest_limit_is_not_enough() -> None:
    events = [started("08:00"), restored(at("09:00") - RESOLUTION), started("10:00"), restored("11:00")]
    (spans,) = counted_spans(Downtime(incident(*events), {}), HOUR)
    assert [end - start for start, end in spans] == [HOUR - 1, HOUR]


def test_what_is_traced_is_told_in_whole_microseconds() -> None:
    program = program_of(cbrc())
    assert program is not None
    events = [started("09:00"), restored("10:00"), started("09:20", "CN-HN"), restored("09:40", "CN-HN")]
    spans = counted_spans(Downtime(incident(*events), {}, "CN-"), program.longest)
    trace = program.trace(spans, microseconds(at("09:30")))
    assert (trace.level, program.longest) == ("III", 6 * HOUR)
    assert trace.regions == (RegionTotal(0, HOUR // 2, 1), RegionTotal(1, HOUR // 6, 1))
    (rule,) = trace.rules
    reached = microseconds(at("09:30"))
    assert (rule.rule, rule.level, rule.cite, rule.at) == ("art9-3-2", "III", "Art. 9(3)2", reached)
    assert rule.limits == (LimitMet(1, HOUR // 2, reached, ((reached, 0),)),)
    figures = [*program.instants(spans), rule.at, *rule.limits[0][:3], *trace.regions[1], program.longest]
    assert {type(figure) for figure in figures} == {int}
    assert trace.course == program.course(spans) == ((reached, "III", "art9-3-2"),)


def test_what_was_compiled_can_be_read() -> None:
    program = program_of(cbrc())
    assert program is not None
    lines = program.source.splitlines()
    functions = [line for line in lines if line.startswith("def ")]
    assert functions == ["def instants(regions):", "def course(regions):", "def trace(regions, now):"]
    compile(program.source, "<read>", "exec")


SAID = {"zh-CN": "文", "en": "text"}


def pack(*levels: str, **limits: tuple[str, str]) -> Pack:
    """Return a pack with levels, the worst first, and rules: (level, how long one region is down)."""
    rules: list[dict[str, Any]] = [
        {
            "id": name,
            "level": level,
            "cite": "Art. 1",
            "says": SAID,
            "when": {"regions_down": {"at_least": 1, "for": {"at_least": length}}},
        }
        for name, (level, length) in limits.items()
    ]
    named = [{"id": level, "name": SAID} for level in levels]
    return parse_pack(
        {
            **cbrc_document(),
            "levels": named,
            "rules": rules,
            "obligations": [],
            "parameters": {},
            "interpretation": {},
            "cases": [],
        }
    )


def test_the_worst_level_is_the_one_that_stands_first_whatever_its_name() -> None:
    program = program_of(pack("severe", "minor", one=("minor", "30m"), two=("severe", "1h")))
    assert program is not None
    spans = counted_spans(Downtime(incident(started("09:00")), {}), program.longest)
    rises = [("minor", at("09:30")), ("severe", at("10:00"))]
    assert [(rise.level, instant_of(rise.at)) for rise in program.course(spans)] == rises
    at_once = program_of(pack("severe", "minor", one=("minor", "1h"), two=("severe", "1h")))
    assert at_once is not None
    assert [rise.level for rise in at_once.course(spans)] == ["severe"]


def test_a_limit_of_no_time_at_all_is_met_as_the_outage_begins() -> None:
    program = program_of(pack("I", one=("I", "0s")))
    assert program is not None
    history = incident(started("09:00"), started("08:00", "CN-HN"), restored("08:10", "CN-HN"))
    spans = counted_spans(Downtime(history, {}), HOUR)
    begun = [microseconds(at("08:00")), microseconds(at("09:00"))]
    assert program.instants(spans) == (begun[0],)
    trace = program.trace(spans, microseconds(at("10:00")))
    assert trace.rules[0].limits[0].met == ((begun[0], 1), (begun[1], 0))
