"""The message of a notice: each fault with its start, meaning and remedy, or its end."""

import hashlib
import platform
from collections.abc import Sequence
from datetime import datetime

from incident_engine import __version__
from incident_engine.config.channels import Address
from incident_engine.config.people import ContactSettings
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.drill_marks import marked
from incident_engine.domain.messages.formatting import format_instant
from incident_engine.domain.messages.templates import Message, MessageForm
from incident_engine.store.claims import ClaimedDelivery, Priority
from incident_engine.watchdog.findings import FOR_DUTY, Change
from incident_engine.watchdog.texts import TEXTS

NOTICE_CASE = "watchdog"
"""Stands in a notice in place of the incident and the step of other messages."""


class NoticeMessages:
    """Writes notices in the reader's language and the channel's form; in a drill each is marked as such."""

    def __init__(self, settings: Settings, url: str, *, drill: bool) -> None:
        self._settings = settings
        self._origin = f"{platform.node()} · {url}/readyz · incident-engine {__version__}"
        self._drill = drill

    def write(
        self, contact: ContactSettings, address: Address, changes: Sequence[Change], now: datetime
    ) -> ClaimedDelivery:
        """Return the notice of these changes.

        The same changes give the same id, so that a receiver can recognise a repetition.
        """
        form = MessageForm(self._settings.channels[address.channel].form)
        message = self._message(changes, contact.locale, form)
        if self._drill:
            message = marked(message, form)
        keys = [
            f"{change.finding.kind} {change.finding.since.isoformat()} {change.finding.renewed_at} {change.ended_at}"
            for change in changes
        ]
        digest = hashlib.sha256("\0".join([contact.id, address.channel, *keys]).encode()).hexdigest()
        return ClaimedDelivery(
            id=f"aud_{digest[:32]}",
            step_id=NOTICE_CASE,
            case_id=NOTICE_CASE,
            contact=contact.id,
            channel=address.channel,
            address=address.to,
            locale=contact.locale,
            subject=message.subject,
            body=message.body,
            created_at=now,
            attempt=1,
            priority=Priority.URGENT,
        )

    def _message(self, changes: Sequence[Change], locale: str, form: MessageForm) -> Message:
        bank = self._settings.bank.name.in_(locale)
        headlines = [_headline(change, locale) for change in changes]
        zh = locale == "zh-CN"
        subject = f"【{bank} 自检】" + "；".join(headlines) if zh else f"[{bank} watchdog] " + "; ".join(headlines)
        if form is MessageForm.SHORT:
            sentences = [self._short(change, locale) for change in changes]
            body = ("【自检】" if zh else "[Watchdog] ") + " ".join(sentences)
            return Message(body, body, locale)  # a telephone shows one text, so subject and body are the same
        sections = [self._section(change, locale) for change in changes]
        return Message(subject, "\n\n".join([*sections, self._origin]) + "\n", locale)

    def _short(self, change: Change, locale: str) -> str:
        text, since = TEXTS[change.finding.kind], self._format(change.finding.since, locale)
        if change.ended_at is not None:
            end = "。" if locale == "zh-CN" else "."
            return f"{_headline(change, locale)}{end}"
        detail = f" {change.finding.detail.in_(locale)}" if change.finding.kind in FOR_DUTY else ""
        if locale == "zh-CN":
            detail = f"{detail.strip()}。" if detail else ""
            return f"{text.title.zh_cn}，自{since}。{detail}{text.means.zh_cn}{text.remedy.zh_cn}"
        detail = f"{detail}." if detail else ""
        return f"{text.title.en}, since {since}.{detail} {text.means.en} {text.remedy.en}"

    def _section(self, change: Change, locale: str) -> str:
        finding = change.finding
        text, since = TEXTS[finding.kind], self._format(finding.since, locale)
        title, means, remedy = (part.in_(locale) for part in (text.title, text.means, text.remedy))
        detail = finding.detail.in_(locale)
        if change.ended_at is not None:
            ended_at = self._format(change.ended_at, locale)
            if locale == "zh-CN":
                end = f"情况曾是：{detail}。请核对这段时间内到期的报告。"
                return f"**已恢复：{title}**\n\n自{since}起，至{ended_at}结束。\n\n{end}"
            return (
                f"**Over: {title}**\n\nFrom {since} until {ended_at}.\n\nIt was: {detail}. Check the reports that "
                "fell due meanwhile."
            )
        if locale == "zh-CN":
            lines = [f"情况：{detail}", f"开始：{since}", f"意味着：{means}", f"请处理：{remedy}"]
        else:
            lines = [f"What: {detail}", f"Since: {since}", f"What it means: {means}", f"What to do: {remedy}"]
        section = f"**{title}**\n\n" + "\n".join(f"- {line}" for line in lines)
        return section if finding.particulars is None else f"{section}\n\n{finding.particulars.in_(locale)}"

    def _format(self, instant: datetime, locale: str) -> str:
        return format_instant(instant.replace(microsecond=0), locale, self._settings.bank.zone)


def _headline(change: Change, locale: str) -> str:
    title = TEXTS[change.finding.kind].title.in_(locale)
    if change.ended_at is None:
        return title
    return f"已恢复：{title}" if locale == "zh-CN" else f"over: {title}"
