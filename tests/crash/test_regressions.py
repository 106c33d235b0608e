"""Faults that were found once and must not come back: each would have cost a level, a notice or the daemon."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import Connection
from support.builders import at, event_json
from support.delivery_claims import claim_each
from support.fake_receiver import fake_receiver
from support.fast_bank import write_bank
from support.fixtures import House, house, served

from incident_engine.common.clock import SystemClock
from incident_engine.common.errors import InvalidFilesError, StoreError
from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import load_settings
from incident_engine.daemon import Daemon
from incident_engine.domain.events.model import Event
from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.domain.response.step import StepState
from incident_engine.intake.native import parse_events
from incident_engine.store import deliveries as outgoing
from incident_engine.store.claims import ClaimedDelivery
from incident_engine.store.tables import assessments, cases, deliveries, steps, timers
from incident_engine.store.unit_of_work import UnitOfWork

KEY = "outage-1"


def outage(name: str, kind: str, at: datetime, region: str = "CN-GD", **more: Any) -> dict[str, Any]:
    given = {"service": "core-banking", "regions": [region], "incident": KEY} | more
    return event_json(name, f"outage.{kind}", at, **given)


@pytest.mark.parametrize(
    "spans",
    [
        [("09:00", "13:00")],
        [("10:00", "10:10"), ("12:00", "12:20")],
        [("08:00", "08:20"), ("09:00", "13:00")],
    ],
    ids=["longer than the window", "two short ones", "one after the other"],
)
def test_one_request_makes_the_incidents_that_many_requests_make(tmp_path: Path, spans: list[tuple[str, str]]) -> None:
    events = [
        outage(f"{kind}-{place}", kind, at(moment), incident=None)
        for place, span in enumerate(spans)
        for kind, moment in zip(("started", "restored"), span, strict=True)
    ]
    now = at("14:00")
    found = []
    for name, requests in (("together", [events]), ("singly", [[each] for each in events])):
        (tmp_path / name).mkdir()
        with house(tmp_path / name) as engine:
            for request in requests:
                engine.report(now, *request)
            # Not the level: told of a start alone, the engine had to take it for an outage that lasts (Art. 10).
            found.append([(row["first_at"], row["last_at"]) for row in engine.rows(cases)])
    assert found[0] == found[1]
    assert [row[1] for row in found[0]] == [at(spans[-1][1])]  # one incident, over


def test_a_clock_that_is_set_back_loses_no_level_and_refuses_no_event(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(at("10:35"), outage("down", "started", at("10:35")))
        engine.fire(at("11:05"))
        note = event_json("note", "note.added", at("11:00"), incident=KEY, data={"text": "looked"})
        engine.report(at("11:03"), note)  # two minutes before the level that has been reached
        (row,) = engine.rows(cases)
    assert row["level"] == "III"


def _record_failure(unit: UnitOfWork, delivery: ClaimedDelivery, now: datetime) -> bool:
    return outgoing.record(unit.connection, delivery, DeliveryState.FAILED, "refused", "550 no", now, None)


def test_a_step_of_which_no_message_got_through_has_failed_and_is_not_called_completed(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(at("10:35"), outage("down", "started", at("10:35")))
        engine.fire(at("11:05"))
        now = at("11:06")
        claimed = engine.work(lambda unit: claim_each(unit.connection, now, now + timedelta(minutes=1), 100))
        for delivery in claimed:
            engine.work(
                partial(_record_failure, delivery=delivery, now=now),
            )
        assert {row["state"] for row in engine.rows(deliveries)} == {DeliveryState.FAILED}
        ends = {row["step"]: row["state"] for row in engine.rows(steps) if row["started_at"]}
    assert ends["duty-notice"] == ends["customers-acknowledge"] == StepState.FAILED
    assert ends["first-report"] == StepState.STARTED  # it waits for a person's word


def test_customers_get_no_all_clear_when_a_restoration_is_reported_late_and_something_else_is_down(
    tmp_path: Path,
) -> None:
    with house(tmp_path) as engine:
        engine.report(at("11:40"), outage("gd", "started", at("09:00")))
        engine.report(at("11:41"), outage("hn", "started", at("11:30"), "CN-HN"))
        engine.report(at("11:42"), outage("gd-ok", "restored", at("11:00")))
        told = [row["step_id"] for row in engine.rows(deliveries)]
    assert not [step for step in told if "customers-resolved" in step]


def test_a_report_cannot_be_handed_in_before_its_incident_began(tmp_path: Path) -> None:
    early = event_json(
        "done", "step.completed", at("09:00"), incident=KEY, data={"fulfils": "first-report", "by": "Wang"}
    )
    with served(tmp_path, at("11:10")) as api:
        api.client.post("/api/v1/events", json=outage("down", "started", at("10:35")))
        answer = api.client.post("/api/v1/events", json=early)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/occurred_at"


def test_readers_however_many_do_not_keep_the_writer_waiting(tmp_path: Path) -> None:
    with served(tmp_path, at("11:10")) as api, ExitStack() as reading:
        for _ in range(12):  # more than the readers' pool holds without waiting
            reading.enter_context(api.database.read())
        answer = api.client.post("/api/v1/events", json=outage("down", "started", at("10:35")))
    assert answer.status_code == 202


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "http://["},
        {"sec-fetch-site": "cross-site"},
        {"host": "evil.example"},
        {"host": "["},
    ],
    ids=["another origin", "no origin at all", "a cross-site request", "a name made to point here", "no name at all"],
)
def test_a_page_of_another_site_cannot_report_events(tmp_path: Path, headers: dict[str, str]) -> None:
    with served(tmp_path, at("11:10")) as api:
        answer = api.client.post("/api/v1/events", json=outage("down", "started", at("10:35")), headers=headers)
        assert answer.status_code == (400 if headers.get("host") == "[" else 403)  # RFC 9112, section 3.2
        assert api.rows(cases) == []


def test_a_wrong_secret_is_never_shown(tmp_path: Path) -> None:
    shipped = Path(__file__).parents[2] / "config.yaml"
    channel = "  mail: {type: email, host: h, port: 25, sender: a@b.example, username: u, password: hunter2}\n"
    text = shipped.read_text(encoding="utf-8").replace("\nchannels:\n", f"\nchannels:\n{channel}")
    config = tmp_path / "config.yaml"
    config.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidFilesError) as caught:
        load_settings(config, {"INCIDENT_ENGINE__SERVER__KEYS": '["s3cr3t-key"]'})
    said = str(caught.value)
    assert "channels.mail" in said
    assert "INCIDENT_ENGINE__SERVER__KEYS" in said
    assert "hunter2" not in said
    assert "s3cr3t" not in said


def test_a_figure_opens_a_blip_again_for_the_window_and_then_it_ends_by_itself(tmp_path: Path) -> None:
    """It was closed as too small before the figure was known. It used to be closed at the very instant of the figure.

    At one instant a closing comes before what opens again, so it stayed open, and the next look at that instant failed.
    """
    with house(tmp_path) as bank:
        bank.report(at("10:00"), outage("down", "started", at("10:00")))
        bank.report(at("10:05"), outage("up", "restored", at("10:05")))
        bank.fire(at("12:05"))
        assert [row["closed_at"] for row in bank.rows(cases)] == [at("12:05")]
        said = {"by": "王敏", "root_cause": "交换机故障"}
        bank.report(at("15:00"), event_json("figure", "impact.measured", at("15:00"), incident=KEY, data=said))
        assert [row["closed_at"] for row in bank.rows(cases)] == [None]
        assert [row["due_at"] for row in bank.rows(timers)] == [at("17:00")]
        bank.fire(at("17:00"))
        assert [row["closed_at"] for row in bank.rows(cases)] == [at("17:00")]
        assert bank.rows(timers) == []


REQUESTS: dict[str, tuple[list[list[dict[str, Any]]], int]] = {
    "a late beginning of what is over": (
        [
            [outage("s", "started", at("10:00"), incident=None), outage("e", "restored", at("10:30"), incident=None)],
            [outage("late", "started", at("09:58"), incident=None)],
            [outage("new", "started", at("16:00"), incident=None)],
        ],
        2,
    ),
    "an incident that was closed breaks again": (
        [
            [outage("s", "started", at("10:00")), outage("e", "restored", at("10:30"))],
            [event_json("close", "incident.closed", at("11:00"), incident=KEY, data={"by": "王敏"})],
            [outage("again", "started", at("15:50"))],
            [outage("more", "started", at("15:55"), region="CN-HN", incident=None)],
        ],
        1,
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_what_shares_a_transaction_makes_the_incidents_that_several_transactions_make(
    tmp_path: Path, name: str
) -> None:
    requests, number = REQUESTS[name]
    found = []
    for way in ("together", "singly"):
        (tmp_path / way).mkdir()
        with house(tmp_path / way) as engine:
            parsed = [parse_events(documents, engine.settings.service_names) for documents in requests]

            def report(unit: UnitOfWork, engine: House = engine, parsed: list[list[Event]] = parsed) -> None:
                for each in parsed:
                    engine.engine.report(unit, each, at("16:30"))

            if way == "together":
                engine.work(report)
            else:
                for documents in requests:
                    engine.report(at("16:30"), *documents)
            found.append(sorted((row["id"], row["first_at"], row["last_at"]) for row in engine.rows(cases)))
    assert found[0] == found[1]
    assert len(found[0]) == number


def test_a_commit_that_fails_does_not_disarm_the_alarm_for_what_is_stored(tmp_path: Path) -> None:
    """The restoration that failed would have ended the wait for the level; a request that is refused comes after it."""

    def one(name: str, kind: str, **more: object) -> dict[str, object]:
        about = {"source": "monitor", "service": "core-banking", "regions": ["CN-GD"], "incident": KEY}
        return about | {"id": name, "type": f"outage.{kind}", "occurred_at": datetime.now(UTC).isoformat(), **more}

    async def test() -> None:
        fails = False

        @contextmanager
        def breaking() -> Iterator[Connection]:
            with write() as connection:
                yield connection
                if fails:
                    raise StoreError("planted: the disk failed at the commit")

        with fake_receiver(1, refused=0) as told:
            config = write_bank(tmp_path, told.address(1))
            settings = load_settings(config, {"INCIDENT_ENGINE__SERVER__PORT": "0"})
            daemon = Daemon(settings, load_rulebook(settings, config), SystemClock())
            database = daemon.database
            write = database.write
            database.write = breaking  # type: ignore[method-assign]
            async with daemon.running(), httpx2.AsyncClient(base_url=daemon.url, trust_env=False) as http:
                path = "/api/v1/events"
                assert (await http.post(path, json=one("1", "started"))).status_code == 202
                fails = True
                assert (await http.post(path, json=one("2", "restored"))).status_code == 503
                fails = False
                assert (await http.post(path, json=one("3", "started", service="nobody-knows"))).status_code == 422
                async with asyncio.timeout(20):
                    while (await http.get(f"/api/v1/incidents/{KEY}")).json()["level"] is None:
                        await asyncio.sleep(0.05)

    asyncio.run(test())


def test_a_second_person_who_confirms_a_correction_stands_in_the_verdict_too(tmp_path: Path) -> None:
    def corrected(name: str, moment: str, by: str) -> dict[str, Any]:
        data = {"level": None, "pack": "cn-cbrc-2008", "by": by, "reason": "探针误报"}
        return event_json(name, "level.corrected", at(moment), incident=KEY, data=data)

    with house(tmp_path) as engine:
        engine.report(at("11:10"), outage("down", "started", at("10:35")))
        for name, moment, by in (("first", "11:11", "Li Lei"), ("second", "11:12", "王敏")):
            engine.report(at(moment), corrected(name, moment, by))
        verdict = max(engine.rows(assessments), key=lambda row: row["seq"])
        assert [each["by"] for each in verdict["document"]["evidence"]["corrections"]] == ["Li Lei", "王敏"]
