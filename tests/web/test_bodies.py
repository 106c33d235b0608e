"""Large, repeated and hostile bodies of events and alerts: nothing is lost silently, nothing stops the daemon."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from support.builders import at
from support.fixtures import Served, served

from incident_engine.common.errors import InvalidDocumentError, TooLargeError
from incident_engine.intake.document import MOST_VALUES, parse_json, parse_plain_json

NOW = at("10:40")
ALERTS = "/api/v1/alertmanager"
EVENTS = "/api/v1/events"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as found:
        yield found


def alert(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "status": "firing",
        "labels": {"alertname": "Down", "service": "core-banking", "region": "CN-GD"},
        "annotations": {"summary": "Core banking does not answer"},
        "startsAt": "2013-06-23T02:35:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "fingerprint": f"{number:016x}",
    } | changes


def notification(*alerts: Any) -> dict[str, Any]:
    return {"version": "4", "alerts": list(alerts)}


def event(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "source": "zabbix",
        "id": f"e{number}",
        "type": "outage.started",
        "service": "core-banking",
        "regions": ["CN-GD"],
        "occurred_at": "2013-06-23T10:35:00+08:00",
    } | changes


def post(api: Served, path: str, body: bytes) -> Response:
    return api.client.post(path, content=body)


def metric(api: Served, name: str) -> float:
    lines = api.client.get("/metrics").text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name))


# Size


def test_a_group_of_2500_alerts_is_taken_whole(api: Served) -> None:
    alerts = [alert(number, annotations={"summary": "x" * 400}) for number in range(2_500)]
    body = json.dumps(notification(*alerts)).encode()
    assert len(body) > 1_500_000
    answer = post(api, ALERTS, body)
    assert answer.status_code == 202
    assert [receipt["status"] for receipt in answer.json()["events"]] == ["accepted"] * 2_500


@pytest.mark.parametrize("path", [ALERTS, EVENTS])
def test_a_body_that_is_too_large_is_counted_as_lost(tmp_path: Path, path: str) -> None:
    with served(tmp_path, NOW, INTAKE__MAX_BODY_BYTES="1024") as api:
        answer = post(api, path, b" " * 1_025)
        assert answer.status_code == 413
        assert "1024 bytes (intake.max_body_bytes)" in answer.json()["detail"]
        assert metric(api, 'incident_engine_reports_lost_total{reason="body_too_large"') == 1
        assert metric(api, "incident_engine_events_total{") == 1


@pytest.mark.parametrize(("path", "one"), [(ALERTS, alert), (EVENTS, event)])
def test_a_body_with_too_many_events_is_refused_and_one_at_the_limit_is_taken(
    tmp_path: Path, path: str, one: Any
) -> None:
    def body(count: int) -> bytes:
        items = [one(number) for number in range(count)]
        return json.dumps(notification(*items) if path == ALERTS else items).encode()

    with served(tmp_path, NOW, INTAKE__MAX_EVENTS="3") as api:
        answer = post(api, path, body(4))
        assert answer.status_code == 413
        assert answer.json()["detail"].startswith("the body has 4 events, more than 3 (intake.max_events)")
        assert metric(api, "incident_engine_reports_lost_total{") == 1
        assert post(api, path, body(3)).status_code == 202


def test_a_notification_that_cannot_be_read_is_counted_as_lost(api: Served) -> None:
    assert post(api, ALERTS, b'{"version": "4",').status_code == 400
    assert post(api, ALERTS, b'{"version": "3", "alerts": []}').status_code == 422
    assert metric(api, 'incident_engine_reports_lost_total{reason="body_invalid",source="alertmanager"}') == 2


def test_a_person_who_sends_an_invalid_event_reads_the_answer_so_nothing_is_lost(api: Served) -> None:
    assert post(api, EVENTS, b"{").status_code == 400
    assert metric(api, "incident_engine_reports_lost_total{") == 0


@pytest.mark.parametrize("text", [b"{}", b"[]", b"0", b'{"a":1}', b"[[]]"])
def test_a_body_with_too_many_values_is_refused_before_it_is_parsed(text: bytes) -> None:
    with pytest.raises(TooLargeError, match="more than 500000 values"):
        parse_json(b"[" + (text + b",") * MOST_VALUES + text + b"]")


def test_commas_and_braces_in_texts_are_no_values() -> None:
    text = '{,["' + "\\," * MOST_VALUES
    assert parse_json(json.dumps([text]).encode()) == [text]


# Errors


@pytest.mark.parametrize("one", [{}, {"type": "outage.starte"}, 1, None, event(service="core-bankin")])
def test_the_first_100_errors_are_named_and_the_others_counted(api: Served, one: Any) -> None:
    answer = post(api, EVENTS, json.dumps([one] * 5_000).encode())
    assert answer.status_code == 422
    document = answer.json()
    assert len(document["errors"]) == 100
    assert document["more"] >= 4_900
    assert f"the first 100 are listed, {document['more']} more are not" in document["detail"]
    assert len(answer.content) < 100_000


def test_few_errors_are_all_named(api: Served) -> None:
    document = post(api, EVENTS, json.dumps([event(service="x")] * 100).encode()).json()
    assert len(document["errors"]) == 100
    assert "more" not in document


# Quarantine


def test_one_request_puts_as_many_alerts_in_quarantine_as_the_setting_allows(tmp_path: Path) -> None:
    with served(tmp_path, NOW, INTAKE__MAX_QUARANTINED="2") as api:
        unmapped = [alert(number, labels={}) for number in range(1, 6)]
        answer = post(api, ALERTS, json.dumps(notification(*unmapped, alert())).encode())
        assert answer.status_code == 202
        document = answer.json()
        assert [receipt["status"] for receipt in document["events"]] == ["accepted"]
        assert (len(document["quarantined"]), document["dropped"]) == (2, 3)
        assert metric(api, 'incident_engine_reports_lost_total{reason="quarantine_limit",source="alertmanager"}') == 3


def test_equal_alerts_of_a_request_are_one_entry_of_the_quarantine(api: Served) -> None:
    document = post(api, ALERTS, json.dumps(notification(*[{}] * 5_000)).encode()).json()
    assert len(document["quarantined"]) == 1
    assert "dropped" not in document


# Keys


@pytest.mark.parametrize(
    ("text", "pointers"),
    [
        ('{"id": "1", "id": "2"}', ["/id"]),
        ('[{"a": 1}, {"data": {"x:y": {"k": 1, "k": 1}}}]', ["/1/data/x:y/k"]),
        ('{"a": 1, "\\u0061": 2}', ["/a"]),
        ('{"a": {"b": 1, "b": 2}, "c": 3, "c": 4}', ["/a/b", "/c"]),
        ('{"": 1, "": 2}', ["/"]),
        # The colons in the texts make up for the lost one.
        ('{"a\\u003a": 1, "b": 1, "b": 2}', ["/b"]),
    ],
)
def test_a_key_that_is_there_twice_is_refused_with_its_pointer(text: str, pointers: list[str]) -> None:
    with pytest.raises(InvalidDocumentError) as caught:
        parse_json(text.encode())
    assert sorted(problem.pointer for problem in caught.value.problems) == pointers


@pytest.mark.parametrize(
    "text",
    ['{"a:": ":", "b\\u003a\\u003A": "\\\\u003a"}', '[{"a": 1}, {"a": 1}]', '{"a": {"a": {"a": 1}}}', '":"', "[1e999]"],
)
def test_keys_of_different_objects_and_colons_in_texts_are_no_keys_twice(text: str) -> None:
    assert parse_json(text.encode()) == json.loads(text)


@pytest.mark.parametrize("path", [ALERTS, EVENTS])
def test_a_body_with_a_key_twice_is_refused(api: Served, path: str) -> None:
    text = json.dumps(notification(alert()) if path == ALERTS else event())
    answer = post(api, path, text.replace('"service": ', '"service": "payments", "service": ').encode())
    assert answer.status_code == 422
    pointer = "/alerts/0/labels/service" if path == ALERTS else "/service"
    (error,) = answer.json()["errors"]
    assert error == {"pointer": pointer, "detail": "key 'service' is here twice", "expected": "it once"}


# Texts


def test_control_characters_of_monitors_are_replaced() -> None:
    body = '{"a\\u0000": "\\u001b[2J\\u009b x\u202e\x7f", "lines": "1\\r\\n2\\t\\n", "n": [1, null, "\u201c\u00e9"]}'
    assert parse_plain_json(body.encode()) == {
        "a\ufffd": "\ufffd[2J\ufffd x\ufffd\ufffd",
        "lines": "1\n2\t\n",
        "n": [1, None, "\u201c\u00e9"],
    }


@pytest.mark.parametrize("character", ["\x00", "\x1b", "\x9b", "\x7f", "\u202e", "\x07"])
@pytest.mark.parametrize(
    ("place", "pointer"),
    [
        ({"id": "e{}1"}, "/id"),
        ({"source": "z{}x"}, "/source"),
        ({"data": {"summary": "down{}"}}, "/data"),
        ({"data": {"deep": [{"k{}": 1}]}}, "/data"),
        ({"data": {"signal": "a{}b"}}, "/data/signal"),
        ({"service": "core{}banking"}, "/service"),
        ({"regions": ["CN{}-GD"]}, "/regions/0"),
        ({"type": "note.added", "data": {"by": "王敏", "text": "a{}b"}}, "/data/text"),
    ],
)
def test_control_characters_in_native_events_are_refused_and_not_repeated(
    api: Served, character: str, place: dict[str, Any], pointer: str
) -> None:
    changes = json.loads(json.dumps(place).replace("{}", json.dumps(character)[1:-1], 1))
    answer = post(api, EVENTS, json.dumps(event(**changes)).encode())
    assert answer.status_code == 422
    assert pointer in [error["pointer"] for error in answer.json()["errors"]]


def test_an_alert_with_control_characters_is_taken_without_them(api: Served) -> None:
    odd = alert(annotations={"summary": "\x1b]0;pwned\x07\x00 down\r\n"}, fingerprint="f\x001")
    document = post(api, ALERTS, json.dumps(notification(odd, alert(2))).encode()).json()
    assert [receipt["status"] for receipt in document["events"]] == ["accepted", "accepted"]
    incident = api.client.get(f"/api/v1/incidents/{document['events'][0]['incident']}").text
    assert "pwned" not in incident or "\\u001b" not in incident


def test_lines_of_forms_and_of_windows_are_taken_with_line_feeds(api: Served) -> None:
    post(api, EVENTS, json.dumps(event(data={"note": "a\r\nb"})).encode())
    note = event(1, type="note.added", data={"by": "王敏", "text": "one\r\ntwo\rthree\tfour"})
    del note["regions"]
    answer = post(api, EVENTS, json.dumps(note).encode())
    assert answer.status_code == 202, answer.text


# Regions


def regions(count: int) -> list[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    codes = [f"{country}-{a}{b}{c}" for country in ("US", "DE") for a in letters for b in letters for c in letters]
    return codes[:count]


def test_an_event_has_up_to_a_thousand_regions(api: Served) -> None:
    assert post(api, EVENTS, json.dumps(event(regions=regions(1_000))).encode()).status_code == 202
    answer = post(api, EVENTS, json.dumps(event(1, regions=regions(1_001))).encode())
    (error,) = answer.json()["errors"]
    assert (error["pointer"], error["detail"]) == ("/regions", "1001 regions")


def test_a_region_that_is_named_again_counts_once(api: Served) -> None:
    answer = post(api, EVENTS, json.dumps(event(regions=["CN-GD", "广东", "440000"] * 20_000)).encode())
    assert answer.status_code == 202
    incident = api.client.get(f"/api/v1/incidents/{answer.json()['events'][0]['incident']}").json()
    assert incident["regions"] == ["CN-GD"]


def test_sixty_thousand_unknown_regions_are_one_error(api: Served) -> None:
    answer = post(api, EVENTS, json.dumps(event(regions=[f"Guang{n}" for n in range(60_000)])).encode())
    assert [error["detail"] for error in answer.json()["errors"]] == ["60000 regions"]


def test_an_incident_has_as_many_outages_as_the_setting_allows(tmp_path: Path) -> None:
    with served(tmp_path, NOW, INTAKE__MAX_OUTAGES="1000") as api:
        assert post(api, EVENTS, json.dumps(event(1, regions=regions(1_000))).encode()).status_code == 202
        assert post(api, EVENTS, json.dumps(event(2, regions=regions(1_000))).encode()).status_code == 202
        answer = post(api, EVENTS, json.dumps(event(3, regions=["CN-GD"])).encode())
        assert answer.status_code == 422
        assert "more than 1000 outages (intake.max_outages)" in answer.json()["errors"][0]["detail"]
        restored = event(4, type="outage.restored", regions=regions(1_000))
        assert post(api, EVENTS, json.dumps(restored).encode()).status_code == 202
