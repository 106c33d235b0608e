"""What the watchdog finds with a clock set by hand, how findings appear and end, and what readers are told."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from support.builders import at
from support.fixtures import CONFIG, LEAST

from incident_engine.common.errors import InvalidFilesError
from incident_engine.common.telemetry import LostReason, Metrics
from incident_engine.config.channels import RetrySettings, WebhookSettings
from incident_engine.config.people import ContactSettings
from incident_engine.config.secret import Secret
from incident_engine.config.settings import PREFIX, Settings, load_settings
from incident_engine.config.watchdog import WatchdogSettings
from incident_engine.watchdog.finding_state import FindingTracker
from incident_engine.watchdog.findings import (
    FOR_DUTY,
    SEEN_TWICE,
    UNREADY,
    Change,
    ClockReading,
    Kind,
    Observation,
    texts,
)
from incident_engine.watchdog.notice_message import NoticeMessages
from incident_engine.watchdog.pending_notices import PER_HOUR, PendingNotices
from incident_engine.watchdog.probes import ClockProbe, EventLoopProbe, LossProbe, WorkerProbe
from incident_engine.watchdog.texts import TEXTS

NOW = at("03:00")
MINUTE = timedelta(minutes=1)


def reading(seconds: float) -> ClockReading:
    """Return the moment so many seconds after 03:00, when the ticks stood at 1 000."""
    return ClockReading(NOW + timedelta(seconds=seconds), 1_000 + seconds)


def observation(kind: Kind = Kind.WRITER_STUCK, seconds: float = 0) -> Observation:
    return Observation(kind, NOW + timedelta(seconds=seconds), texts("细节", "particulars"))


@dataclass
class Worker:
    """A probed part in a given state."""

    is_alive: bool = True
    busy_since: float | None = None
    taken: int = 0
    queued: int = 0
    heartbeat_at: float = 1_000
    pulse_at: float = 1_000


@pytest.fixture
def parts() -> tuple[Worker, Worker, Worker]:
    return Worker(), Worker(), Worker()


def seen(workers: WorkerProbe, seconds: float) -> list[Kind]:
    return [each.kind for each in workers.probe(reading(seconds))]


# Workers


def test_what_does_not_run_is_dead(parts: tuple[Worker, Worker, Worker]) -> None:
    workers = WorkerProbe(*parts, timedelta(seconds=20))
    assert seen(workers, 5) == []
    for part in parts:
        part.is_alive = False
    assert seen(workers, 5) == [Kind.WRITER_DEAD, Kind.DISPATCHER_DEAD, Kind.TIMERS_DEAD]


def test_a_writer_is_stuck_when_it_is_longer_than_the_limit_at_the_same_works(
    parts: tuple[Worker, Worker, Worker],
) -> None:
    writer, _, timers = parts
    writer.busy_since, writer.queued = 1_000, 3
    workers = WorkerProbe(*parts, timedelta(seconds=20))
    timers.heartbeat_at = timers.pulse_at = 1_020
    assert seen(workers, 20) == []  # as long as the limit is not longer than it
    (found,) = workers.probe(reading(21))
    assert (found.kind, found.since) == (Kind.WRITER_STUCK, NOW)
    assert found.detail.en == "the writer has been at the same works for 21 s; 3 more wait"
    assert found.detail.zh_cn == "写入线程处理同一批写入已 21 秒，另有 3 项等待"


def test_a_writer_that_gets_on_but_too_slowly_for_its_queue_is_found_by_the_oldest_work(
    parts: tuple[Worker, Worker, Worker],
) -> None:
    writer, _, timers = parts
    timers.heartbeat_at = timers.pulse_at = 2_000
    workers = WorkerProbe(*parts, timedelta(seconds=20))
    writer.taken, writer.queued = 100, 50  # the last of them is the 150th
    assert seen(workers, 0) == []
    writer.taken, writer.queued = 149, 80
    assert seen(workers, 20) == []
    assert [each.since for each in workers.probe(reading(21))] == [NOW]
    writer.taken = 150
    assert seen(workers, 22) == []


def test_a_writer_for_which_nothing_waits_is_well_whatever_waited_before(parts: tuple[Worker, Worker, Worker]) -> None:
    writer, _, timers = parts
    timers.heartbeat_at = timers.pulse_at = 2_000
    workers = WorkerProbe(*parts, timedelta(seconds=20))
    writer.taken, writer.queued = 100, 2  # one of them is a mere signal, which is never counted as taken
    assert seen(workers, 0) == []
    writer.taken, writer.queued = 101, 0
    assert seen(workers, 30) == []


def test_a_dispatcher_that_waits_to_be_notified_is_well_and_one_that_claims_for_long_is_stuck(
    parts: tuple[Worker, Worker, Worker],
) -> None:
    _, dispatcher, timers = parts
    timers.heartbeat_at = timers.pulse_at = 2_000
    workers = WorkerProbe(*parts, timedelta(seconds=20))
    assert seen(workers, 900) == []
    dispatcher.busy_since = 1_000
    assert seen(workers, 20.5) == [Kind.DISPATCHER_STUCK]


@pytest.mark.parametrize("part", ["heartbeat_at", "pulse_at"])
def test_timers_are_stuck_when_heartbeat_or_scheduler_has_stopped(
    parts: tuple[Worker, Worker, Worker], part: str
) -> None:
    timers = parts[2]
    timers.heartbeat_at = timers.pulse_at = 1_100
    setattr(timers, part, 1_070)
    workers = WorkerProbe(*parts, timedelta(seconds=20))
    assert seen(workers, 90) == []
    assert seen(workers, 91) == [Kind.TIMERS_STUCK]


class Loop:
    """An event loop that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[object] = []

    def is_closed(self) -> bool:
        return False

    def call_soon_threadsafe(self, call: object) -> None:
        self.asked.append(call)


def test_an_event_loop_is_stuck_when_it_does_not_answer_or_answered_late() -> None:
    now = [1_000.0]
    watch, loop = EventLoopProbe(timedelta(seconds=5), lambda: now[0]), Loop()
    watch.attach(loop)  # type: ignore[arg-type]
    assert list(watch.probe(reading(0))) == []
    (found,) = watch.probe(reading(10))
    assert (found.kind, found.since, len(loop.asked)) == (Kind.EVENT_LOOP_STUCK, NOW, 1)
    now[0] = 1_012
    loop.asked[0]()  # type: ignore[operator]
    assert [each.kind for each in watch.probe(reading(20))] == [Kind.EVENT_LOOP_STUCK]  # it took 12 s
    now[0] = 1_020.1
    loop.asked[1]()  # type: ignore[operator]
    assert list(watch.probe(reading(30))) == []


# The clock


@pytest.mark.parametrize(("step", "found"), [(5, 0), (-5, 0), (6, 1), (-3_600, 1), (0, 0)])
def test_a_step_of_the_clock_is_seen_between_two_probes(step: float, found: int) -> None:
    watch = ClockProbe(timedelta(seconds=5))
    assert list(watch.probe(reading(0))) == []
    after = replace(reading(10), now=NOW + timedelta(seconds=10 + step))
    assert len(list(watch.probe(after))) == found
    assert list(watch.probe(replace(after, now=after.now + MINUTE, ticks=after.ticks + 60))) == []


def test_it_is_said_which_way_the_clock_went() -> None:
    watch = ClockProbe(timedelta(seconds=5))
    list(watch.probe(reading(0)))
    (back,) = watch.probe(replace(reading(10), now=NOW - timedelta(seconds=3_590)))
    assert back.detail.en == "the clock went 3600 s backwards between two probes"
    assert "向后跳了 3600 秒" in back.detail.zh_cn


def test_a_clock_that_runs_fast_by_design_does_not_step() -> None:
    watch = ClockProbe(timedelta(seconds=5))
    fast = replace(reading(0), speed=600)
    assert list(watch.probe(fast)) == []
    assert list(watch.probe(replace(fast, now=NOW + timedelta(seconds=6_000), ticks=1_010))) == []


# Findings


def test_a_finding_appears_once_and_ends_when_it_was_not_seen_for_a_while() -> None:
    tracker = FindingTracker(MINUTE)
    assert [each.ended_at for each in tracker.update([observation()], reading(0))] == [None]
    assert tracker.update([observation(seconds=10)], reading(10)) == []
    assert [each.since for each in tracker.findings] == [NOW]  # since it was seen first
    assert tracker.update([], reading(69)) == []
    (over,) = tracker.update([], reading(70))
    assert (over.finding.kind, over.ended_at) == (Kind.WRITER_STUCK, reading(70).now)
    assert list(tracker.findings) == []


def test_what_comes_and_goes_within_a_while_is_one_finding() -> None:
    tracker = FindingTracker(MINUTE)
    changes = [tracker.update([observation()] if probe % 2 else [], reading(10 * probe)) for probe in range(1, 60)]
    assert sum(map(len, changes)) == 1


@pytest.mark.parametrize("kind", sorted(SEEN_TWICE))
def test_what_is_late_for_a_moment_after_a_leap_of_the_clock_is_no_finding(kind: Kind) -> None:
    tracker = FindingTracker(MINUTE)
    assert tracker.update([observation(kind)], reading(0)) == []
    assert tracker.update([], reading(10)) == []
    assert tracker.update([observation(kind)], reading(20)) == []
    assert len(tracker.update([observation(kind)], reading(30))) == 1


def test_a_kind_that_could_not_be_probed_neither_appears_nor_ends() -> None:
    tracker = FindingTracker(timedelta(0))
    tracker.update([observation(Kind.STATUTORY_AT_RISK)], reading(0))
    assert tracker.update([], reading(10), {Kind.STATUTORY_AT_RISK}) == []
    assert len(tracker.update([], reading(20))) == 1


def test_each_kind_has_its_words_in_both_languages() -> None:
    assert set(TEXTS) == set(Kind)
    assert set(Kind) > UNREADY


@pytest.mark.parametrize("phase", [0.001, 5, 9.999])
def test_by_the_default_limits_everything_is_seen_within_a_minute(
    phase: float, parts: tuple[Worker, Worker, Worker]
) -> None:
    """A fault begins at 03:00, `phase` seconds before a probe; each probe sees faults older than their limit."""
    audit = WatchdogSettings()
    interval = audit.interval.total_seconds()
    tracker, workers = FindingTracker(audit.quiet), WorkerProbe(*parts, audit.worker)
    parts[0].busy_since = parts[1].busy_since = 1_000  # and the timers stop as well
    found: dict[Kind, float] = {}
    for number in range(10):
        seconds = phase + number * interval
        observations = list(workers.probe(reading(seconds)))
        if timedelta(seconds=seconds) > audit.overdue:
            observations += [observation(kind) for kind in SEEN_TWICE]
        for change in tracker.update(observations, reading(seconds)):
            found[change.finding.kind] = seconds
    assert set(found) == {Kind.WRITER_STUCK, Kind.DISPATCHER_STUCK, Kind.TIMERS_STUCK, *SEEN_TWICE}
    assert max(found.values()) <= 55  # which leaves the notice five seconds


# What a reader is told


READER = ContactSettings.model_validate(
    {"id": "ops", "name": {"zh-CN": "运维", "en": "Operations"}, "via": [{"channel": "outbox"}]}
)
RETRY = RetrySettings(first=timedelta(seconds=5), longest=timedelta(minutes=10))


def begun(kind: Kind = Kind.WRITER_STUCK, seconds: float = 0) -> Change:
    return Change(observation(kind, seconds))


def over(change: Change, seconds: float) -> Change:
    return replace(change, ended_at=NOW + timedelta(seconds=seconds))


def test_a_finding_is_told_once_and_its_end_once() -> None:
    pending, first = PendingNotices(READER, 15 * MINUTE, RETRY), begun()
    pending.add(first)
    assert pending.due(0) == [first]
    pending.record_sent([first], 0)
    assert pending.due(1) == []
    pending.add(over(first, 60))
    assert pending.due(60) == [over(first, 60)]
    pending.record_sent(pending.due(60), 60)
    assert not pending.is_waiting


def test_an_end_is_not_told_to_whoever_did_not_hear_the_beginning() -> None:
    pending, first = PendingNotices(READER, 15 * MINUTE, RETRY), begun()
    pending.add(first)
    pending.record_failed(0)
    pending.add(over(first, 60))
    assert not pending.is_waiting


def test_flapping_is_told_no_more_often_than_the_pause_allows() -> None:
    pending = PendingNotices(READER, 15 * MINUTE, RETRY)
    told: list[tuple[int, bool]] = []
    for minute in range(60):  # it begins in each even minute and ends in each odd one
        pending.add(begun(seconds=60 * minute) if minute % 2 == 0 else over(begun(), 60 * minute))
        if changes := pending.due(60 * minute):
            told += [(minute, change.ended_at is None) for change in changes]
            pending.record_sent(changes, 60 * minute)
    # The beginning, its end, and then the first beginning that is at least 15 minutes after the one before.
    assert told == [(0, True), (1, False), (16, True), (17, False), (32, True), (33, False), (48, True), (49, False)]


def test_a_return_before_the_end_was_told_is_no_news() -> None:
    pending, first = PendingNotices(READER, 15 * MINUTE, RETRY), begun()
    pending.add(first)
    pending.record_sent([first], 0)
    pending.add(over(first, 60))
    pending.record_failed(60)
    pending.add(begun(seconds=70))
    assert not pending.is_waiting


def renewed(seconds: float) -> Change:
    return Change(replace(observation(Kind.REPORTS_QUARANTINED), renewed_at=NOW + timedelta(seconds=seconds)))


def test_a_known_finding_is_told_again_when_new_cases_came_but_no_more_often_than_the_pause_allows() -> None:
    tracker = FindingTracker(MINUTE)
    pending = PendingNotices(READER, 15 * MINUTE, RETRY)
    told = []
    for minute, newest in [(0, 0), (1, 0), (2, 120), (14, 840), (15, 840), (16, 840), (40, 840)]:
        for change in tracker.update([renewed(newest).finding], reading(60 * minute)):
            pending.add(change)
        if changes := pending.due(60 * minute):
            told += [(minute, change.finding.renewed_at) for change in changes]
            pending.record_sent(changes, 60 * minute)
    assert told == [(0, NOW), (15, NOW + timedelta(seconds=840))], "one notice for all that came meanwhile"


def test_a_case_that_came_while_a_notice_was_on_its_way_is_still_told() -> None:
    pending = PendingNotices(READER, timedelta(0), RETRY)
    pending.add(renewed(0))
    under_way = pending.due(0)
    pending.add(renewed(5))
    pending.record_sent(under_way, 6)
    assert pending.due(6) == [renewed(5)]


def test_what_could_not_be_told_is_tried_again_after_growing_waits_together_with_what_came_since() -> None:
    pending = PendingNotices(READER, 15 * MINUTE, RETRY)
    pending.add(begun())
    assert pending.record_failed(0) == 5
    assert pending.due(4.9) == []
    assert len(pending.due(5)) == 1
    assert [pending.record_failed(5), pending.record_failed(15), pending.record_failed(35)] == [10, 20, 40]
    pending.add(begun(Kind.STORE_UNREADABLE))
    assert [change.finding.kind for change in pending.due(75)] == [Kind.WRITER_STUCK, Kind.STORE_UNREADABLE]
    assert max(pending.record_failed(1_000 * n) for n in range(1, 20)) == 600


def test_one_reader_gets_no_more_notices_an_hour_than_is_reasonable() -> None:
    pending = PendingNotices(READER, timedelta(0), RETRY)
    sent = 0
    for second in range(0, 3_600, 10):
        pending.add(begun() if second % 20 == 0 else over(begun(), second))
        if changes := pending.due(second):
            pending.record_sent(changes, second)
            sent += 1
    assert PER_HOUR - 2 <= sent <= PER_HOUR


# Notices


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings(CONFIG, LEAST | {PREFIX + "WATCHDOG__AUDIENCE": '["duty-team"]'})


def notice(settings: Settings, locale: str, *changes: Change, drill: bool = False) -> tuple[str, str]:
    reader = settings.contact_by_id["duty-officer" if locale == "zh-CN" else "duty-engineer"]
    messages = NoticeMessages(settings, "http://127.0.0.1:8080", drill=drill)
    found = messages.write(reader, reader.via[0], changes, NOW)
    return found.subject, found.body


def test_a_notice_says_what_is_wrong_since_when_what_it_means_and_what_to_do(settings: Settings) -> None:
    subject, body = notice(settings, "en", begun())
    assert subject == "[Cloudsail Bank watchdog] The writer is stuck"
    assert "- What: particulars\n- Since: 03:00 on 23 June 2013" in body
    assert "- What it means: Events are not taken and no level rises. Reports and notices that are due may not" in body
    assert "- What to do: Look at disk space" in body
    assert "http://127.0.0.1:8080/readyz" in body


def test_a_notice_is_in_its_readers_language(settings: Settings) -> None:
    subject, body = notice(settings, "zh-CN", begun(), begun(Kind.STORE_UNREADABLE))
    assert subject == "【云帆银行 自检】写入线程卡住；数据库无法读取"
    assert "- 情况：细节\n- 开始：2013年6月23日03:00\n- 意味着：事件得不到受理，级别不再上升。" in body
    assert "到期的报告和通知可能发不出去。" in body


@pytest.mark.parametrize(
    ("locale", "mark", "said"), [("zh-CN", "【演练】", "已恢复：写入线程卡住"), ("en", "[DRILL]", "over: ")]
)
def test_in_a_drill_a_notice_says_that_it_belongs_to_an_exercise(
    settings: Settings, locale: str, mark: str, said: str
) -> None:
    subject, body = notice(settings, locale, over(begun(), 90), drill=True)
    assert subject.startswith(mark)
    assert body.startswith(mark)
    assert said in subject


def test_the_same_changes_have_the_same_key_and_others_another(settings: Settings) -> None:
    reader = settings.contact_by_id["duty-officer"]
    messages = NoticeMessages(settings, "http://127.0.0.1:8080", drill=False)

    def key(*changes: Change) -> str:
        return messages.write(reader, reader.via[0], changes, datetime.now(UTC)).id

    assert key(begun()) == key(begun())
    assert len({key(begun()), key(over(begun(), 9)), key(begun(), begun(Kind.STORE_UNREADABLE))}) == 3


def test_a_telephone_gets_the_numbers_of_a_finding_about_outages(settings: Settings) -> None:
    phone = WebhookSettings(type="webhook", form="short", url="https://sms.example", secret=Secret(value="c2VjcmV0"))
    short = settings.model_copy(update={"channels": {"outbox": phone}})
    change = Change(
        Observation(Kind.REPORTS_QUARANTINED, NOW, texts("2 条等待处理", "2 wait"), texts("**词**", "**w**"))
    )
    assert "(UTC+08:00). 2 wait. An outage may be going on" in notice(short, "en", change)[1]
    assert "2013年6月23日03:00。2 条等待处理。可能有业务中断" in notice(short, "zh-CN", change)[1]
    assert "**" not in notice(short, "en", change)[1]
    assert notice(settings, "en", change)[1].count("**w**") == 1


def test_a_telephone_gets_one_text_without_markup(settings: Settings) -> None:
    phone = WebhookSettings(type="webhook", form="short", url="https://sms.example", secret=Secret(value="c2VjcmV0"))
    found = notice(settings.model_copy(update={"channels": {"outbox": phone}}), "en", begun())
    assert found[0] == found[1]
    assert found[1].startswith("[Watchdog] The writer is stuck, since 03:00 on 23 June 2013 (UTC+08:00). Events are")
    assert "*" not in found[1]


# Settings


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("AUDIENCE", '["duty-team", "duty-offcer"]', "did you mean 'duty-officer'?"),
        ("WORKER", "9s", "shorter than two heartbeats of the timers; expected at least 10s"),
        ("INTERVAL", "0s", "0s is no limit; expected a length of time, such as 10s"),
    ],
)
def test_settings_that_cannot_work_are_refused(key: str, value: str, said: str) -> None:
    with pytest.raises(InvalidFilesError) as refused:
        load_settings(CONFIG, LEAST | {PREFIX + "WATCHDOG__" + key: value})
    assert f"WATCHDOG__{key}" in str(refused.value)
    assert said in str(refused.value)


# Lost reports


def test_reports_that_were_refused_for_good_are_found_once() -> None:
    metrics = Metrics()
    metrics.count_lost("alertmanager", LostReason.BODY_TOO_LARGE)
    losses = LossProbe(metrics.lost)
    assert list(losses.probe(reading(0))) == []  # before the watchdog began
    metrics.count_lost("alertmanager", LostReason.BODY_TOO_LARGE, 2)
    metrics.count_lost("alertmanager", LostReason.QUARANTINE_LIMIT, 37)
    (found,) = losses.probe(reading(10))
    assert found.sentence == (
        "reports_lost: refused: 2 request(s) too large, "
        "37 alert(s) beyond the most that one request may put in quarantine"
    )
    assert found.kind in FOR_DUTY
    assert list(losses.probe(reading(20))) == []
