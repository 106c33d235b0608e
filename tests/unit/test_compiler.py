"""The compiled limits at their edges."""

from datetime import timedelta
from textwrap import dedent
from typing import Any

from support.builders import CHINA, at, cbrc, cbrc_document, incident, restored, started

from incident_engine.domain.calendar.service_hours import weekly_hours
from incident_engine.domain.grading import compiler
from incident_engine.domain.grading.compiler import (
    FOREVER,
    LimitMet,
    RegionTotal,
    compile_pack,
    counted_intervals,
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
        (intervals,) = counted_intervals(endless, hours * HOUR)
        assert len(intervals) == count
        assert all(end - start == 8 * HOUR for start, end in intervals)


def test_a_microsecond_less_than_the_longest_limit_is_not_enough() -> None:
    events = [started("08:00"), restored(at("09:00") - RESOLUTION), started("10:00"), restored("11:00")]
    (intervals,) = counted_intervals(Downtime(incident(*events), {}), HOUR)
    assert [end - start for start, end in intervals] == [HOUR - 1, HOUR]


def test_a_trace_is_in_whole_microseconds() -> None:
    program = program_of(cbrc())
    assert program is not None
    events = [started("09:00"), restored("10:00"), started("09:20", "CN-HN"), restored("09:40", "CN-HN")]
    intervals = counted_intervals(Downtime(incident(*events), {}, "CN-"), program.longest)
    trace = program.trace(intervals, microseconds(at("09:30")))
    assert (trace.level, program.longest) == ("III", 6 * HOUR)
    assert trace.regions == (RegionTotal(0, HOUR // 2, 1), RegionTotal(1, HOUR // 6, 1))
    (rule,) = trace.rules
    reached = microseconds(at("09:30"))
    assert (rule.rule, rule.level, rule.cite, rule.at) == ("art9-3-2", "III", "Art. 9(3)2", reached)
    assert rule.limits == (LimitMet(1, HOUR // 2, reached, ((reached, 0),)),)
    figures = [*program.instants(intervals), rule.at, *rule.limits[0][:3], *trace.regions[1], program.longest]
    assert {type(figure) for figure in figures} == {int}
    assert trace.history == program.history(intervals) == ((reached, "III", "art9-3-2"),)


def test_what_was_compiled_can_be_read() -> None:
    program = program_of(cbrc())
    assert program is not None
    lines = program.source.splitlines()
    functions = [line for line in lines if line.startswith("def ")]
    assert functions == ["def instants(regions):", "def history(regions):", "def trace(regions, now):"]
    compile(program.source, "<read>", "exec")


def test_the_docstring_opens_with_source_that_is_really_generated() -> None:
    document = cbrc_document() | {
        "levels": [{"id": "I", "name": SAID}],
        "rules": [
            {
                "id": "two-regions",
                "level": "I",
                "cite": "Art. 1",
                "says": SAID,
                "when": {"regions_down": {"at_least": 2, "for": {"at_least": "1h"}}},
            }
        ],
        "obligations": [],
        "parameters": {},
        "interpretation": {},
        "cases": [],
    }
    program = compile_pack(parse_pack(document))
    assert program is not None
    generated = program.source.partition("\n\n")[0]
    example = next(block for block in (compiler.__doc__ or "").split("\n\n") if block.startswith("    def instants"))
    assert dedent(example) == generated


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
    intervals = counted_intervals(Downtime(incident(started("09:00")), {}), program.longest)
    changes = [("minor", at("09:30")), ("severe", at("10:00"))]
    assert [(change.level, instant_of(change.at)) for change in program.history(intervals)] == changes
    at_once = program_of(pack("severe", "minor", one=("minor", "1h"), two=("severe", "1h")))
    assert at_once is not None
    assert [change.level for change in at_once.history(intervals)] == ["severe"]


def test_a_limit_of_no_time_at_all_is_met_as_the_outage_begins() -> None:
    program = program_of(pack("I", one=("I", "0s")))
    assert program is not None
    history = incident(started("09:00"), started("08:00", "CN-HN"), restored("08:10", "CN-HN"))
    intervals = counted_intervals(Downtime(history, {}), HOUR)
    starts = [microseconds(at("08:00")), microseconds(at("09:00"))]
    assert program.instants(intervals) == (starts[0],)
    trace = program.trace(intervals, microseconds(at("10:00")))
    assert trace.rules[0].limits[0].met == ((starts[0], 1), (starts[1], 0))
