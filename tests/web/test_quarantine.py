"""POST /api/v1/quarantine/{source}/{key}: a person maps or dismisses a report that could not become an event."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from structlog.testing import capture_logs
from support.builders import at
from support.fixtures import Served, served

from incident_engine.store.tables import events, quarantine
from web.test_alertmanager import FINGERPRINT, alert, notification

NOW = at("10:40")
KEY = f"{FINGERPRINT}/2013-06-23T02:35:00.123000+00:00"
MAPPING = {"by": "王敏", "service": "core-banking", "regions": ["广东", "CN-HN"], "reason": "标签写错"}
WRONG = {"service": "corebankin", "region": None}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as found:
        yield found


def take(api: Served, *alerts: dict[str, Any]) -> dict[str, Any]:
    answer = api.client.post("/api/v1/alertmanager", json=notification(*alerts))
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def answer(api: Served, body: Any, key: str = KEY, source: str = "alertmanager") -> Response:
    return api.client.post(f"/api/v1/quarantine/{source}/{key}", json=body)


def waiting(api: Served) -> list[str]:
    return [row["key"] for row in api.client.get("/api/v1/quarantine").json()["quarantine"]]


def outages(api: Served) -> list[tuple[str, Any, list[str]]]:
    rows = [row for row in api.rows(events) if row["type"].startswith("outage")]
    return [(row["type"], row["occurred_at"], row["document"]["regions"]) for row in rows]


def test_a_mapped_alert_becomes_an_outage_at_its_own_time(api: Served) -> None:
    take(api, alert(labels=WRONG))
    mapped = answer(api, MAPPING)
    assert mapped.status_code == 202, mapped.text
    document = mapped.json()
    assert document["state"] == "mapped"
    assert [receipt["status"] for receipt in document["events"]] == ["accepted"]
    assert document["labels"] == {"service": "core-banking", "region": "CN-GD,CN-HN"}, "a lasting remedy"
    assert outages(api) == [
        ("outage.started", at("10:35") + timedelta(milliseconds=123), ["CN-GD", "CN-HN"]),
    ]
    assert waiting(api) == []


def test_who_mapped_it_and_why_is_in_the_incidents_timeline(api: Served) -> None:
    take(api, alert(labels=WRONG))
    incident = answer(api, MAPPING).json()["events"][0]["incident"]
    timeline = api.client.get(f"/api/v1/incidents/{incident}/timeline").text
    assert "王敏" in timeline
    assert "标签写错" in timeline
    assert FINGERPRINT in timeline


def test_an_alert_that_was_over_before_anybody_mapped_it_counts_whole(api: Served) -> None:
    take(api, alert(labels=WRONG))
    take(api, alert("resolved", labels=WRONG))
    answer(api, MAPPING)
    assert [kind for kind, _, _ in outages(api)] == ["outage.started", "outage.restored"]


def test_the_end_of_a_mapped_alert_is_taken_although_its_labels_are_still_wrong(api: Served) -> None:
    take(api, alert(labels=WRONG))
    answer(api, MAPPING)
    told = take(api, alert("resolved", labels=WRONG))
    assert told["quarantined"] == []
    assert [receipt["status"] for receipt in told["events"]] == ["duplicate", "accepted"]
    assert outages(api)[-1][0] == "outage.restored"
    assert waiting(api) == []


def test_a_repeat_of_a_mapped_alert_is_a_duplicate_and_pages_nobody_again(api: Served) -> None:
    take(api, alert(labels=WRONG))
    answer(api, MAPPING)
    told = take(api, alert(labels=WRONG))
    assert (told["quarantined"], [receipt["status"] for receipt in told["events"]]) == ([], ["duplicate"])
    assert waiting(api) == []


def test_the_same_mapping_again_changes_nothing_and_another_one_is_refused(api: Served) -> None:
    take(api, alert(labels=WRONG))
    answer(api, MAPPING)
    stored = api.rows(events)
    again = answer(api, MAPPING)
    assert (again.status_code, again.json()["events"][0]["status"]) == (202, "duplicate")
    other = answer(api, MAPPING | {"regions": ["CN-BJ"]})
    assert other.status_code == 409
    assert "王敏 has mapped it to core-banking in CN-GD, CN-HN" in other.json()["detail"]
    assert answer(api, {"by": "李强", "reason": "误报"}).status_code == 409
    assert api.rows(events) == stored


def test_a_dismissed_report_stays_on_record_with_name_and_reason_and_waits_no_more(api: Served) -> None:
    take(api, alert(labels=WRONG))
    dismissed = answer(api, {"by": "李强", "reason": "演练"})
    assert (dismissed.status_code, dismissed.json()["state"]) == (202, "dismissed")
    assert waiting(api) == []
    (row,) = api.client.get("/api/v1/quarantine", params={"state": "dismissed"}).json()["quarantine"]
    assert (row["ended_by"], row["ended_reason"], row["state"]) == ("李强", "演练", "dismissed")
    assert row["document"]["labels"]["service"] == "corebankin", "nothing is lost"
    assert outages(api) == []


def test_a_dismissed_alert_stays_dismissed_when_it_comes_again_and_its_next_start_waits(api: Served) -> None:
    take(api, alert(labels=WRONG))
    answer(api, {"by": "李强", "reason": "演练"})
    take(api, alert(labels=WRONG))
    assert waiting(api) == []
    take(api, alert(labels=WRONG, startsAt="2013-06-23T02:39:00Z"))
    assert waiting(api) == [f"{FINGERPRINT}/2013-06-23T02:39:00+00:00"]


def test_a_dismissal_in_error_can_still_be_mapped(api: Served) -> None:
    take(api, alert(labels=WRONG))
    answer(api, {"by": "李强", "reason": "演练"})
    assert answer(api, {"by": "李强", "reason": "又是演练"}).status_code == 409, "the first reason stays on record"
    assert answer(api, {"by": "李强", "reason": "演练"}).status_code == 202
    assert answer(api, MAPPING).json()["state"] == "mapped"
    assert len(outages(api)) == 1


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        (MAPPING | {"service": "core-bankin"}, "/service", "core-banking"),
        (MAPPING | {"regions": ["Guangdon"]}, "/regions/0", "Guangdong"),
        (MAPPING | {"regions": []}, "/regions", "at least one"),
        ({"by": "王敏", "service": "core-banking"}, "", "no label 'region'"),
        ({"by": "王敏"}, "", "a reason to dismiss"),
        ({"reason": "演练"}, "/by", "missing"),
        (MAPPING | {"action": "dismiss"}, "", "a dismissal names no service"),
        (MAPPING | {"servcie": "core-banking"}, "/servcie", "service"),
        ([1], "", "not an object"),
    ],
)
def test_an_answer_that_cannot_be_used_is_refused_with_the_place_and_the_remedy(
    api: Served, body: Any, pointer: str, said: str
) -> None:
    take(api, alert(labels=WRONG))
    refused = answer(api, body)
    assert refused.status_code == 422, refused.text
    assert refused.json()["errors"][0]["pointer"] == pointer
    assert said in refused.text
    assert waiting(api) == [KEY], "nothing has changed"


def test_an_unknown_key_is_not_found_and_the_nearest_is_named(api: Served) -> None:
    take(api, alert(labels=WRONG))
    missing = answer(api, MAPPING, key=KEY.replace("00.123", "00.124"))
    assert missing.status_code == 404
    assert KEY in missing.json()["detail"]
    assert answer(api, MAPPING, source="nagios").status_code == 404


def test_a_malformed_alert_cannot_be_mapped_but_dismissed(api: Served) -> None:
    take(api, alert(labels=WRONG, startsAt="yesterday"))
    (key,) = waiting(api)
    refused = answer(api, MAPPING, key=key)
    assert refused.status_code == 422
    assert "startsAt" in refused.text
    assert answer(api, {"by": "李强", "reason": "畸形"}, key=key).status_code == 202
    assert waiting(api) == []


def test_an_alert_from_ahead_of_the_clock_is_replayed_as_it_is_once_its_time_has_come(api: Served) -> None:
    take(api, alert(startsAt="2013-06-23T03:35:00Z"))
    (key,) = waiting(api)
    assert answer(api, {"by": "王敏", "action": "map"}, key=key).status_code == 422
    api.clock.set(at("11:40"))
    assert answer(api, {"by": "王敏", "action": "map"}, key=key).status_code == 202
    assert [kind for kind, _, _ in outages(api)] == ["outage.started"]
    assert waiting(api) == []


def test_a_mapping_whose_service_is_gone_since_waits_for_a_person_again(tmp_path: Path) -> None:
    with served(tmp_path, NOW) as api:
        take(api, alert(labels=WRONG))
        answer(api, MAPPING)
        api.writer.submit(lambda unit: unit.connection.execute(quarantine.update().values(service="telex"))).result(30)
        told = take(api, alert("resolved", labels=WRONG))
        assert [row["reason"] for row in told["quarantined"]] == ["no_region_label"]
        assert waiting(api) == [KEY]


def test_entering_the_quarantine_is_counted_by_reason_and_logged_once_for_each_reason(api: Served) -> None:
    with capture_logs() as logged:
        many = [alert(labels=WRONG, fingerprint=f"f{number}") for number in range(3)]
        take(api, *many, alert(labels={"service": None}))
        take(api, many[1])
    lines = [line for line in logged if line["event"] == "report_quarantined"]
    assert [(line["why"], line["count"]) for line in lines] == [("no_region_label", 3), ("no_service_label", 1)]
    assert "corebankin" not in str(lines), "words of alerts are no part of the log"
    metrics = api.client.get("/metrics").text
    name = "incident_engine_reports_quarantined_total"
    assert f'{name}{{reason="no_region_label",source="alertmanager"}} 3.0' in metrics, "a repeat is not counted again"
