"""Observations of outages of which nothing was heard for a while: the duty team is asked whether they last."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo

from incident_engine.domain.messages.formatting import format_local
from incident_engine.store.silence import SilentCase
from incident_engine.watchdog.findings import Kind, Observation, texts

_EXAMPLES = 5
"""The most incidents that one notice shows; it counts the others."""


def find_silent(cases: Sequence[SilentCase], zone: tzinfo, now: datetime) -> Iterator[Observation]:
    """Yield an observation of the outages of which nothing was heard; none of them is ended by it."""
    if not cases:
        return
    hours = (now - cases[0].heard_at) / timedelta(hours=1)
    detail = texts(
        f"{len(cases)} 个事件仍未恢复，而监控系统已不再上报，最久的已 {hours:.1f} 小时：{cases[0].id}",
        f"{len(cases)} incident(s) are still down but no monitor says so any more, the longest for {hours:.1f} h: "
        f"{cases[0].id}",
    )
    # The latest ones first: the others were in an earlier notice.
    latest = list(reversed(cases))[:_EXAMPLES]
    lines = {
        "zh-CN": [_line(case, zone, "zh-CN") for case in latest],
        "en": [_line(case, zone, "en") for case in latest],
    }
    particulars = texts("\n".join(lines["zh-CN"]), "\n".join(lines["en"]))
    yield Observation(Kind.OUTAGE_SILENT, cases[0].heard_at, detail, particulars, cases[-1].heard_at)


def _line(case: SilentCase, zone: tzinfo, locale: str) -> str:
    services, regions = ", ".join(case.services), ", ".join(case.regions)
    heard_at = format_local(case.heard_at.replace(microsecond=0), zone)
    if locale == "zh-CN":
        return f"- {case.id}：{services}（{regions}），最后一次上报 {heard_at}（{case.source}）。是否仍在中断？"
    return f"- {case.id}: {services} ({regions}), last heard of at {heard_at} ({case.source}). Does it still last?"
