"""A daemon with something broken in it: it sees it by itself, says so everywhere, tells the operators, and says it is
over once it is mended. The limits are short; by default everything takes less than a minute."""

import asyncio
import io
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import insert, update
from support.bank import contacts, write_config
from support.servers import LOOPBACK, Posted, Receiver, http_receiver

from incident_engine.common.clock import SystemClock
from incident_engine.common.telemetry import configure_logging
from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import load_settings
from incident_engine.config.watchdog import WatchdogSettings
from incident_engine.daemon import Daemon
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.drills.settling import settle
from incident_engine.store.tables import deliveries, steps, timers
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.timers.local import LocalTimers

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgYWNjZXB0YW5jZSB0ZXN0"
TENTH = timedelta(seconds=0.1)
SHORT = {
    "interval": TENTH,
    "overdue": 5 * TENTH,
    "worker": 5 * TENTH,
    "loop": 5 * TENTH,
    "quiet": 3 * TENTH,
}
PATIENCE = 30.0
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def quick_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incident_engine.timers.local.HEARTBEAT_SECONDS", 0.1)


class ShiftedClock(SystemClock):
    """The machine's clock, which can be set."""

    by = timedelta(0)

    def now(self) -> datetime:
        """Return the time that this clock shows."""
        return super().now() + self.by

    def real_time_of(self, instant: datetime) -> datetime:
        """Return when it shows an instant."""
        return instant - self.by


@dataclass
class Running:
    """A daemon in this process, somebody who is told, and what it logs."""

    daemon: Daemon
    clock: ShiftedClock
    http: httpx2.AsyncClient
    desk: Receiver
    log: io.StringIO
    go_on: threading.Event = field(default_factory=threading.Event)

    def lines(self, kind: str, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in found if line.get("reason") == kind and line["event"] == event]

    def notices(self) -> list[str]:
        """Return the subjects of what the operators got."""
        bodies = [json.loads(posted.body)["data"] for posted in self.desk.got]
        return [body["subject"] for body in bodies if body["incident"] == "watchdog"]

    async def is_shown(self, kind: str) -> tuple[bool, bool, bool]:
        """Return whether readiness gives it as a reason, or as a warning, and whether it is in the metrics."""
        ready = (await self.http.get("/readyz")).json()
        assert (ready["status"] == "unready") == bool(ready["reasons"])
        reasons, warnings = ([line.partition(":")[0] for line in ready[name]] for name in ("reasons", "warnings"))
        metrics = (await self.http.get("/metrics")).text.splitlines()
        return kind in reasons, kind in warnings, f'incident_engine_watchdog_finding{{kind="{kind}"}} 1.0' in metrics


@asynccontextmanager
async def running(
    directory: Path, desk: Receiver, *, drill: bool = False, quarantine: str = "2m", **audit: Any
) -> AsyncIterator[Running]:
    config = write_config(
        directory,
        quarantine={"tell_after": quarantine},
        outgoing={"allow": [LOOPBACK]},
        channels={
            "outbox": {"type": "outbox", "directory": str(directory / "outbox")},
            "desk": {"type": "webhook", "url": desk.url, "secret": {"value": SECRET}},
        },
        contacts=contacts({"duty-officer": [{"channel": "outbox"}], "duty-engineer": [{"channel": "desk"}]}),
    )
    limits = WatchdogSettings.model_construct(**{**dict(WatchdogSettings()), **SHORT, **audit})
    settings = load_settings(config, {"INCIDENT_ENGINE__SERVER__PORT": "0"}).model_copy(update={"watchdog": limits})
    log, clock = io.StringIO(), ShiftedClock()
    configure_logging(log)
    daemon = Daemon(settings, load_rulebook(settings, config), clock, drill=drill)
    async with (
        daemon.running(),
        httpx2.AsyncClient(base_url=daemon.url, trust_env=False, timeout=PATIENCE) as http,
    ):
        found = Running(daemon, clock, http, desk, log)
        try:
            yield found
        finally:
            found.go_on.set()


async def until(what: Callable[[], Awaitable[bool]], said: str) -> None:
    end = time.monotonic() + PATIENCE
    while not await what():
        assert time.monotonic() < end, f"not within {PATIENCE} s: {said}"
        await asyncio.sleep(0.05)


async def incident(run: Running) -> str:
    """Report a short outage, and wait until all that follows from it is done."""
    now = run.clock.now()
    event = {
        "source": "test",
        "id": "1",
        "type": "outage.started",
        "service": "core-banking",
        "regions": ["CN-GD"],
        "occurred_at": (now - timedelta(minutes=1)).isoformat(),
    }
    answer = await run.http.post("/api/v1/events", json=event)
    assert answer.status_code == 202, answer.text
    await settle(run.daemon)
    name: str = answer.json()["events"][0]["incident"]
    return name


# How each fault is brought about, behind the daemon's back, and mended


async def kill_dispatcher(run: Running) -> None:
    assert run.daemon.dispatcher._task is not None
    run.daemon.dispatcher._task.cancel()


async def revive_dispatcher(run: Running) -> None:
    run.daemon.dispatcher.start()


async def block_writer(run: Running) -> None:
    def wait(_: UnitOfWork) -> None:
        run.go_on.wait(PATIENCE)

    run.daemon.writer.submit(wait, urgent=True)


async def go_on(run: Running) -> None:
    run.go_on.set()


async def stop_heartbeat(run: Running) -> None:
    """Hold the lock that an alarm needs, with an alarm in the past: the heartbeat cannot go on."""
    timers_ = run.daemon._timers
    assert isinstance(timers_, LocalTimers)
    held = threading.Event()

    def hold() -> None:
        with timers_._lock:
            timers_._armed = run.clock.now() - HOUR
            held.set()
            run.go_on.wait(PATIENCE)

    threading.Thread(target=hold, daemon=True).start()
    await asyncio.to_thread(held.wait, PATIENCE)


async def plant_overdue_timer(run: Running) -> None:
    """Make a timer overdue without a commit of the writer: nobody arms the alarm clock for it."""
    name = await incident(run)
    await asyncio.sleep(0.3)  # the alarm has been armed for what there is
    with run.daemon.database.write() as connection:
        values = {"due_at": run.clock.now() - timedelta(minutes=1)}
        connection.execute(update(timers).where(timers.c.case_id == name).values(**values))


async def plant_hanging_delivery(run: Running) -> None:
    name = await incident(run)
    await asyncio.sleep(0.3)
    with run.daemon.database.write() as connection:
        now = run.clock.now()
        connection.execute(
            insert(steps).values(
                id="a-step", case_id=name, playbook="p", step="s", instance="", due_at=now, audience="duty-team",
                template="t", state="started",
            )
        )  # fmt: skip
        connection.execute(
            insert(deliveries).values(
                id="msg_hangs", step_id="a-step", case_id=name, contact="duty-officer", channel="outbox",
                locale="en", subject="s", body="b", priority=2, position=0, state=DeliveryState.SENDING, attempts=1,
                due_at=now - timedelta(minutes=1), created_at=now,
            )
        )  # fmt: skip


async def any_work(run: Running) -> None:
    """Have the writer commit anything: it arms the alarm clock and wakes the dispatcher for what is due."""
    await asyncio.wrap_future(run.daemon.writer.submit(lambda _: None, urgent=True))


async def set_clock(run: Running) -> None:
    run.clock.by = HOUR


async def nothing(_: Running) -> None:
    """Wait: a step of the clock is over when there was no other for a while."""


async def report_from_the_future(run: Running) -> None:
    at = (run.clock.now() + HOUR).isoformat()
    event = {"source": "fast", "id": "1", "type": "outage.started", "service": "core-banking", "occurred_at": at}
    assert (await run.http.post("/api/v1/events", json=event | {"regions": ["CN-GD"]})).status_code == 422


async def send_a_body_that_is_too_large(run: Running) -> None:
    assert (await run.http.post("/api/v1/alertmanager", content=b" " * 17_000_000)).status_code == 413


FAULTS = {
    "dispatcher_dead": (kill_dispatcher, revive_dispatcher, "The dispatcher does not run"),
    "writer_stuck": (block_writer, go_on, "The writer is stuck"),
    "timers_stuck": (stop_heartbeat, go_on, "The timers are stuck"),
    "timer_overdue": (plant_overdue_timer, any_work, "Timers are overdue"),
    "delivery_lease_lapsed": (plant_hanging_delivery, any_work, "Messages hang while being sent"),
    "clock_stepped": (set_clock, nothing, "The clock was set"),
    "reports_lost": (send_a_body_that_is_too_large, nothing, "Reports of monitors were refused"),
    "events_ahead": (report_from_the_future, nothing, "Events from ahead of the clock"),
}
MAKES_UNREADY = {"dispatcher_dead", "writer_stuck", "timers_stuck"}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_fault_is_seen_told_and_seen_to_be_over(tmp_path: Path, kind: str) -> None:
    bring_about, mend, title = FAULTS[kind]
    unready = kind in MAKES_UNREADY

    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk, audience=("duty-engineer",)) as run:
            await bring_about(run)

            async def is_seen() -> bool:
                return await run.is_shown(kind) == (unready, not unready, True)

            async def is_told() -> bool:
                return any(title in subject for subject in run.notices())

            await until(is_seen, f"{kind} in readiness and metrics; log: {run.log.getvalue()[-2000:]}")
            await until(is_told, f"a notice of {kind}")
            await mend(run)

            async def is_over() -> bool:
                return await run.is_shown(kind) == (False, False, False)

            async def is_told_over() -> bool:
                return any(f"over: {title}" in subject for subject in run.notices())

            await until(is_over, f"{kind} is over")
            await until(is_told_over, f"a notice that {kind} is over")
            (began,), (ended,) = run.lines(kind, "finding"), run.lines(kind, "finding_over")
            assert (began["level"], ended["level"]) == ("warning", "info")
            assert sum(title in subject for subject in run.notices()) == 2

    with http_receiver() as desk:
        asyncio.run(play(desk))


def test_a_writer_that_has_ended_is_told_although_nothing_can_be_stored(tmp_path: Path) -> None:
    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk, audience=("duty-engineer",)) as run:
            run.daemon.writer.stop(PATIENCE)
            answer = await run.http.get("/readyz")  # at once, before any probe
            assert answer.status_code == 503
            assert answer.json()["reasons"] == ["writer_dead: the writer does not run"]
            assert (await run.http.get("/healthz")).status_code == 200

            async def is_told() -> bool:
                return any("The writer does not run" in subject for subject in run.notices())

            await until(is_told, "a notice")
            assert "Reports and notices that are due may not go out." in json.loads(desk.got[0].body)["data"]["body"]

    with http_receiver() as desk:
        asyncio.run(play(desk))


def test_in_a_drill_a_notice_is_marked_and_a_leap_of_its_clock_is_none(tmp_path: Path) -> None:
    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk, drill=True, audience=("duty-engineer",)) as run:
            run.clock.by = HOUR
            await kill_dispatcher(run)

            async def is_told() -> bool:
                return bool(run.notices())

            await until(is_told, "a notice")
            assert run.notices() == ["[DRILL] [Cloudsail Bank watchdog] The dispatcher does not run"]

    with http_receiver() as desk:
        asyncio.run(play(desk))


def test_while_the_event_loop_stands_still_the_operators_are_told(tmp_path: Path) -> None:
    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk, audience=("duty-engineer",)) as run:
            await asyncio.sleep(0.3)
            end = time.monotonic() + PATIENCE
            while not run.notices() and time.monotonic() < end:
                time.sleep(0.05)
            assert [subject for subject in run.notices() if "The event loop does not answer" in subject]

    with http_receiver() as desk:
        asyncio.run(play(desk))


def test_a_notice_goes_by_the_next_channel_and_is_tried_again_until_somebody_has_it(tmp_path: Path) -> None:
    answers = iter([503, 503])

    def answer(_: Posted) -> int:
        return next(answers, 200)

    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk, audience=("duty-engineer", "duty-officer")) as run:
            run.daemon._settings.__dict__["retry"] = run.daemon._settings.retry.model_copy(update={"first": TENTH})
            await kill_dispatcher(run)

            async def is_told() -> bool:
                return len(run.desk.got) == 3

            await until(is_told, "a third attempt")
            ids = {posted.headers["webhook-id"] for posted in run.desk.got}
            assert len(ids) == 1  # a repeat can be recognised
            await revive_dispatcher(run)
            [file] = list((tmp_path / "outbox" / "watchdog").glob("*.md"))[:1]
            assert "消息发送已停止" in file.read_text(encoding="utf-8")
            metrics = (await run.http.get("/metrics")).text
            assert 'incident_engine_watchdog_notices_total{channel="desk",outcome="server_error"} 2.0' in metrics

    with http_receiver(answer) as desk:
        asyncio.run(play(desk))


def test_without_an_audience_it_is_said_that_nobody_is_told(tmp_path: Path) -> None:
    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk) as run:
            assert [line["set"] for line in run.lines("no_audience", "nobody_is_told")] == ["watchdog.audience"]
            await kill_dispatcher(run)

            async def is_seen() -> bool:
                return (await run.is_shown("dispatcher_dead"))[2]

            await until(is_seen, "it is found all the same")
            await revive_dispatcher(run)

    with http_receiver() as desk:
        asyncio.run(play(desk))


def quarantined_alert(name: str, started_at: datetime) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": name, "service": "corebankin", "region": "CN-GD"},
        "annotations": {"summary": f"{name}: no answer `from` Guangdong"},
        "startsAt": started_at.isoformat(),
        "fingerprint": f"fp-{name}",
    }


def test_the_duty_team_is_paged_for_alerts_that_nobody_grades_with_the_commands_that_answer_them(
    tmp_path: Path,
) -> None:
    async def play(desk: Receiver) -> None:
        # Nobody is told of the daemon's own faults; the duty team of the playbook is told of outages all the same.
        async with running(tmp_path, desk, quarantine="0s", pause=TENTH) as run:
            began = run.clock.now() - timedelta(minutes=3)

            async def take(*names: str) -> None:
                alerts = [quarantined_alert(name, began) for name in names]
                answer = await run.http.post("/api/v1/alertmanager", json={"version": "4", "alerts": alerts})
                assert answer.status_code == 202, answer.text

            def told() -> list[str]:
                bodies = [json.loads(posted.body)["data"] for posted in run.desk.got]
                return [body["body"] for body in bodies if "Alerts wait in quarantine" in body["subject"]]

            async def until_told(number: int) -> None:
                async def is_told() -> bool:
                    return len(told()) >= number

                await until(is_told, f"notice no. {number}; log: {run.log.getvalue()[-2000:]}")

            await take("CoreDown", "AtmDown")
            await until_told(1)
            (page,) = told()  # one message for both
            for words in ("CoreDown: no answer 'from' Guangdong", "**AtmDown**", "service=corebankin"):
                assert words in page
            assert "unknown service 'corebankin'; expected one of" in page
            assert "Reason: the service is not in config.yaml" in page
            key = f"fp-CoreDown/{began.isoformat()}"
            assert f"`incident-engine quarantine map alertmanager {key} --service SERVICE --region REGION --by" in page
            assert f"`incident-engine quarantine dismiss alertmanager {key} --by NAME --reason REASON`" in page
            warnings = (await run.http.get("/readyz")).json()["warnings"]
            assert [line for line in warnings if line.startswith("reports_quarantined: 2 wait")]
            assert "CoreDown" not in str(warnings), "readiness needs no key, so it has no words of alerts"
            assert "no answer" not in run.log.getvalue()
            await take("CoreDown", "AtmDown")  # repeats are no news
            await asyncio.sleep(0.5)
            assert len(told()) == 1
            await take("PosDown")
            await until_told(2)
            assert "**PosDown**" in told()[1]
            for name in ("CoreDown", "AtmDown", "PosDown"):
                path = f"/api/v1/quarantine/alertmanager/fp-{name}/{began.isoformat()}"
                assert (await run.http.post(path, json={"by": "李强", "reason": "演练"})).status_code == 202

            async def is_over() -> bool:
                return await run.is_shown("reports_quarantined") == (False, False, False)

            await until(is_over, "the finding is over")

    with http_receiver() as desk:
        asyncio.run(play(desk))


def test_a_watchdog_that_does_not_probe_is_seen_in_readiness_and_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk) as run:
            go_on = threading.Event()
            monkeypatch.setattr(run.daemon._watchdog, "probe", lambda _: go_on.wait(PATIENCE))

            async def is_seen() -> bool:
                answer = (await run.http.get("/readyz")).json()
                return any(reason.startswith("watchdog_silent") for reason in answer["reasons"])

            await until(is_seen, "it is silent")
            [line] = [
                line
                for line in (await run.http.get("/metrics")).text.splitlines()
                if line.startswith("incident_engine_watchdog_last_probe_age_seconds ")
            ]
            assert float(line.split()[1]) > 0.3
            go_on.set()

    with http_receiver() as desk:
        asyncio.run(play(desk))


def test_a_probe_that_fails_is_a_finding_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(desk: Receiver) -> None:
        async with running(tmp_path, desk) as run:
            monkeypatch.setattr(run.daemon._watchdog._workers, "probe", lambda _: 1 / 0)

            async def is_seen() -> bool:
                return await run.is_shown("probe_failed") == (False, True, True)

            await until(is_seen, "a probe has failed")

    with http_receiver() as desk:
        asyncio.run(play(desk))
