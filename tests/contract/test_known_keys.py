"""Events under known keys, on both databases: repeats, contradictions, alerts that fire again."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.builders import at, restored_json, started_json
from support.fixtures import House, bank, house

from incident_engine.common.errors import ConflictError
from incident_engine.domain.events.model import Repeats
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.values import NEVER
from incident_engine.engine.receipts import Receipt
from incident_engine.intake.alertmanager import AlertmanagerFormat
from incident_engine.intake.base import IntakeContext
from incident_engine.store.events import events_of
from incident_engine.store.tables import events

NOW = at("10:40")


@pytest.fixture
def opened(tmp_path: Path, store_url: str) -> Any:
    with house(tmp_path, bank(tmp_path, STORE__URL=store_url)) as engine:
        yield engine


def notified(engine: House, status: str, ended_at: str | None = None) -> list[Receipt]:
    """Report the alert of one check as Alertmanager does."""
    alert = {
        "status": status,
        "labels": {"service": "core-banking", "region": "CN-GD"},
        "startsAt": "2013-06-23T02:35:00Z",
        "endsAt": ended_at or "0001-01-01T00:00:00Z",
        "fingerprint": "5ef77f1f8a3ecf8d",
    }
    body = json.dumps({"version": "4", "alerts": [alert]}).encode()
    batch = AlertmanagerFormat(engine.settings).parse(body, IntakeContext(NOW, timedelta(0)))
    return engine.work(lambda unit: engine.engine.report(unit, batch.events, NOW, repeats=Repeats.ALERTS))


def test_the_same_event_is_a_duplicate_and_another_under_its_key_is_refused(opened: House) -> None:
    known = started_json("1", at("10:35"), "CN-HN", "CN-GD", data={"signal": "7", "host": "主机一"})
    opened.report(NOW, known)
    assert [row.outcome for row in opened.report(NOW, known | {"regions": ["广东", "湖南"]})] == ["duplicate"]
    with pytest.raises(ConflictError, match=r"is known with outage\.started, not outage\.restored"):
        opened.report(NOW, started_json("2", at("10:36")), restored_json("1", at("10:35"), "CN-GD"))
    assert [row["event_id"] for row in opened.rows(events)] == ["1"]


def test_an_alert_that_fires_again_with_its_old_start_counts_to_its_latest_end(opened: House) -> None:
    for status, ended_at, outcomes in (
        ("firing", None, ["accepted"]),
        ("firing", None, ["duplicate"]),
        ("resolved", "2013-06-23T02:35:14Z", ["duplicate", "accepted"]),
        ("firing", None, ["accepted"]),
        ("firing", None, ["duplicate"]),
        ("resolved", "2013-06-23T02:35:45Z", ["duplicate", "accepted"]),
        ("resolved", "2013-06-23T02:35:14Z", ["duplicate", "duplicate"]),
    ):
        assert [row.outcome for row in notified(opened, status, ended_at)] == outcomes
    (case_id,) = {row["case_id"] for row in opened.rows(events)}
    with opened.database.read() as connection:
        (outage,) = fold(case_id, events_of(connection, case_id)).outages
    (interval,) = outage.intervals
    assert (interval.start, interval.end) == (at("10:35:00"), at("10:35:45"))
    assert interval.end != NEVER
