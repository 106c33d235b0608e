"""Observations of reports that wait in quarantine, with the words of the monitors and the commands that answer them."""

import shlex
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from incident_engine.common.i18n import TERMS, Translator
from incident_engine.domain.values import LocalizedText
from incident_engine.store.health import Health
from incident_engine.store.quarantine import QuarantinedReport, WaitingReports
from incident_engine.watchdog.findings import ClockReading, Kind, Observation, texts

_LONGEST_WORDS = 200
"""The most characters of a monitor's text in a notice."""
_MOST_LABELS = 12
"""The most labels of one alert in a notice."""
_ISOLATED_FIELDS = ("type", "service", "regions", "incident", "occurred_at")
"""Fields of an isolated event that are shown; its data may have the words of customers."""


def find_quarantined(health: Health, at: ClockReading) -> Iterator[Observation]:
    """Yield an observation of the reports that wait too long, and one of the events at which the engine failed."""
    kinds = ((Kind.REPORTS_QUARANTINED, health.quarantined), (Kind.EVENTS_ISOLATED, health.isolated))
    for kind, reports in kinds:
        if reports is not None:
            particulars = texts(_particulars(reports, at, "zh-CN"), _particulars(reports, at, "en"))
            yield Observation(kind, reports.since, _detail(reports, at), particulars, reports.latest_at)


def find_truncated(alerts: int, at: ClockReading) -> Iterator[Observation]:
    """Yield an observation if monitors left `alerts` out of their notifications since the last probe."""
    if alerts:
        detail = texts(f"监控系统略去了 {alerts} 条告警", f"{alerts} alert(s) were left out of notifications")
        yield Observation(Kind.ALERTS_TRUNCATED, at.now, detail, renewed_at=at.now)


def _detail(reports: WaitingReports, at: ClockReading) -> LocalizedText:
    """Return numbers and reasons alone: /readyz, which needs no key, and the log have them."""
    minutes = _minutes(at.now - reports.since)
    reasons = sorted(reports.by_reason.items(), key=lambda item: (-item[1], item[0]))
    zh_cn = "、".join(f"{_reason(reason, 'zh-CN')} {count} 条" for reason, count in reasons)
    en = ", ".join(f"{count}: {_reason(reason, 'en')}" for reason, count in reasons)
    return texts(
        f"{reports.count} 条等待处理，最久的已等 {minutes} 分钟（{zh_cn}）",
        f"{reports.count} wait, the oldest for {minutes} min ({en})",
    )


def _particulars(reports: WaitingReports, at: ClockReading, locale: str) -> str:
    sections = [_section(report, at, locale) for report in reports.first]
    more = reports.count - len(reports.first)
    if more:
        command = "`incident-engine quarantine list`"
        sections.append(f"另有 {more} 条：{command}" if locale == "zh-CN" else f"{more} more: {command}")
    return "\n\n".join(sections)


def _section(report: QuarantinedReport, at: ClockReading, locale: str) -> str:
    zh = locale == "zh-CN"
    document = report.document if isinstance(report.document, Mapping) else {}
    labels, annotations = (_mapping(document.get(name)) for name in ("labels", "annotations"))
    title = labels.get("alertname") or document.get("type") or report.key
    lines = []
    if annotations.get("summary"):
        lines.append(("内容" if zh else "It says", _words(annotations["summary"])))
    fields = labels or {name: document[name] for name in _ISOLATED_FIELDS if document.get(name)}
    if fields:
        named = [f"{_words(name)}={_words(fields[name])}" for name in sorted(fields)[:_MOST_LABELS]]
        lines.append(("标签" if zh else "Labels", ", ".join(named)))
    times = [str(document[name]) for name in ("status", "startsAt") if document.get(name)]
    if times:
        lines.append(("状态" if zh else "State", _words(", ".join(times))))
    waited = _minutes(at.now - report.first_received_at)
    lines.append(("已等待" if zh else "Waiting for", f"{waited} 分钟" if zh else f"{waited} min"))
    detail = _words(report.detail)
    reason = _reason(report.reason, locale)
    lines.append(("原因", f"{reason}（{detail}）") if zh else ("Reason", f"{reason} ({detail})"))
    # Source and key come from outside, and a person pastes these commands into a shell.
    arguments = f"{shlex.quote(report.source)} {shlex.quote(report.key)}"
    is_alert = bool(labels) or not document.get("type")
    overrides = ("--service 系统 --region 地区 " if zh else "--service SERVICE --region REGION ") if is_alert else ""
    by, why = ("姓名", "理由") if zh else ("NAME", "REASON")
    lines.append(("归入" if zh else "Map it", f"`incident-engine quarantine map {arguments} {overrides}--by {by}`"))
    command = f"`incident-engine quarantine dismiss {arguments} --by {by} --reason {why}`"
    lines.append(("搁置" if zh else "Dismiss it", command))
    colon = "：" if zh else ": "
    return f"**{_words(title)}** ({_words(report.source)})\n\n" + "\n".join(
        f"- {name}{colon}{line}" for name, line in lines
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _words(value: object) -> str:
    """Return a text from outside on one line, shortened, without characters that Markdown would take as its own."""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    line = " ".join("".join(character if character.isprintable() else " " for character in text).split())
    plain = line.translate(_MARKUP)
    return plain if len(plain) <= _LONGEST_WORDS else plain[: _LONGEST_WORDS - 1] + "…"


_MARKUP = str.maketrans({"`": "'", "*": "·", "<": "‹", ">": "›"})


def _reason(reason: str, locale: str) -> str:
    return Translator(locale)(reason) if reason in TERMS else reason


def _minutes(length: timedelta) -> int:
    return max(0, int(length.total_seconds() // 60))
