"""POST /api/v1/events: what is accepted, what is refused and how plainly, and that a refusal stores nothing."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import MICROSECOND, Served, held_up, served

from incident_engine.store.tables import cases, events

NOW = at("10:40")
BEGAN = at("10:35")


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as found:
        yield found


def post(api: Served, document: Any) -> Response:
    return api.client.post("/api/v1/events", json=document)


def accepted(api: Served, document: Any) -> list[dict[str, Any]]:
    answer = post(api, document)
    assert answer.status_code == 202, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


def refused(answer: Response, status: int = 422) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = answer.json()
    assert document["type"] == "about:blank"
    assert document["status"] == status
    return document


def errors(answer: Response) -> dict[str, dict[str, str]]:
    return {error["pointer"]: error for error in refused(answer)["errors"]}


def stored(api: Served) -> list[str]:
    return [row["event_id"] for row in api.rows(events)]


def incident(api: Served, name: str) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get(f"/api/v1/incidents/{name}").json()
    return found


def is_down(api: Served, name: str) -> bool:
    """Return whether anything of an incident is down now, or will have a level if nothing happens."""
    (row,) = [row for row in api.rows(cases) if row["id"] == name]
    assessments = incident(api, name)["assessments"]
    assert (row["last_at"] is None) is any(assessment["forecast"] for assessment in assessments)
    return row["last_at"] is None


# Accepted


def test_an_event_is_accepted_and_its_incident_is_named(api: Served) -> None:
    (receipt,) = accepted(api, started_json("e1", BEGAN))
    assert receipt.pop("incident").startswith("20130623-banking-")
    assert receipt.pop("detail")["en"] == "impaired now: Core banking in Guangdong"
    assert receipt == {"source": "monitor", "id": "e1", "status": "accepted", "effect": "started"}


def test_an_array_is_answered_event_by_event_in_its_order(api: Served) -> None:
    payments = started_json("e3", BEGAN, service="payments")
    receipts = accepted(api, [started_json("e2", BEGAN), started_json("e1", BEGAN, "CN-HN"), payments])
    assert [receipt["id"] for receipt in receipts] == ["e2", "e1", "e3"]
    # Both of core banking share an incident; payments is a group of its own.
    assert receipts[0]["incident"] == receipts[1]["incident"] != receipts[2]["incident"]


def test_an_empty_array_is_accepted_and_changes_nothing(api: Served) -> None:
    assert accepted(api, []) == []
    assert api.rows(cases) == []


def test_an_event_sent_again_changes_nothing_and_says_so(api: Served) -> None:
    first = accepted(api, started_json("e1", BEGAN))
    before = incident(api, first[0]["incident"])
    again = accepted(api, started_json("e1", BEGAN))
    detail = {"zh-CN": "此前已收到，没有变化", "en": "it was received before; nothing changes"}
    assert again == [first[0] | {"status": "duplicate", "effect": "none", "detail": detail}]
    assert stored(api) == ["e1"]
    assert incident(api, first[0]["incident"]) == before


def test_the_same_content_in_other_spelling_is_the_same_event(api: Served) -> None:
    first = accepted(api, started_json("e1", BEGAN, "CN-HN", "CN-GD"))
    other = started_json("e1", BEGAN, "广东", "湖南省") | {"occurred_at": "2013-06-23T02:35:00.000Z", "data": {}}
    (again,) = accepted(api, other)
    assert again == first[0] | {"status": "duplicate", "effect": "none", "detail": again["detail"]}


def test_a_known_id_with_another_content_is_refused_with_both(api: Served) -> None:
    accepted(api, started_json("e1", BEGAN))
    before = api.rows(events)
    other = restored_json("e1", at("10:38"), "CN-GD", "CN-HN", data={"signal": "ping", "host": "客户张三"})
    answer = post(api, other)
    found = refused(answer, 409)
    assert found["title"] == "Another content"
    assert {error["pointer"]: error["detail"] for error in found["errors"]} == {
        "/type": "event 'e1' of 'monitor' is known with outage.started, not outage.restored",
        "/regions": "event 'e1' of 'monitor' is known with CN-GD, not CN-GD, CN-HN",
        "/occurred_at": "event 'e1' of 'monitor' is known with 2013-06-23T02:35:00Z, not 2013-06-23T02:38:00Z",
        "/data/signal": "event 'e1' of 'monitor' is known with nothing, not ping",
        "/data/host": "event 'e1' of 'monitor' is known with nothing, not other words",
    }
    assert api.rows(events) == before
    assert 'incident_engine_events_total{outcome="conflict",source="monitor"} 1.0' in api.client.get("/metrics").text
    assert 'outcome="invalid"' not in api.client.get("/metrics").text


def test_one_known_id_with_another_content_refuses_the_whole_array(api: Served) -> None:
    pair = [started_json("1", BEGAN, source="z"), restored_json("1", at("10:38"), source="z")]
    found = refused(post(api, [started_json("e0", BEGAN), *pair]), 409)
    assert {error["pointer"] for error in found["errors"]} == {"/2/type", "/2/occurred_at"}
    assert stored(api) == []


def test_a_conflict_beside_another_mistake_is_told_with_it(api: Served) -> None:
    accepted(api, started_json("e1", BEGAN))
    answer = post(api, [restored_json("e1", BEGAN), started_json("e2", BEGAN, service="erp")])
    assert set(errors(answer)) == {"/0/type", "/1/service"}


def test_a_correction_sent_again_without_the_pack_that_was_filled_in_is_the_same(api: Served) -> None:
    incident_id = accepted(api, started_json("e1", BEGAN))[0]["incident"]
    correction = event_json("c", "level.corrected", at("10:38"), incident=incident_id)
    said = {"by": "李", "reason": "误报"}
    for status in ("accepted", "duplicate"):
        assert accepted(api, correction | {"data": said | {"level": "III"}})[0]["status"] == status
    found = refused(post(api, correction | {"data": said | {"level": "II", "reason": "客户张三的话"}}), 409)
    assert [(error["pointer"], "张三" in error["detail"]) for error in found["errors"]] == [
        ("/data/level", False),
        ("/data/reason", False),
    ]


def test_an_end_received_after_its_start_ends_it_though_the_clock_of_the_monitor_is_ahead(api: Served) -> None:
    ahead = started_json("s", NOW + timedelta(seconds=30), data={"signal": "ping"})
    (receipt,) = accepted(api, ahead)
    api.clock.advance(timedelta(seconds=5))
    accepted(api, restored_json("r", NOW, data={"signal": "ping"}))
    assert not is_down(api, receipt["incident"])


@pytest.mark.parametrize(("order", "lasts"), [((0, 1), False), ((1, 0), True)])
def test_in_one_request_the_order_in_which_it_tells_counts_for_a_start_that_lies_ahead(
    api: Served, order: tuple[int, int], lasts: bool
) -> None:
    pair = [
        started_json("s", NOW + timedelta(seconds=30), data={"signal": "ping"}),
        restored_json("r", NOW, data={"signal": "ping"}),
    ]
    receipts = accepted(api, [pair[index] for index in order])
    assert is_down(api, receipts[0]["incident"]) is lasts


def test_an_end_goes_to_the_incident_in_which_its_own_signal_is_down(api: Served) -> None:
    accepted(api, started_json("1", at("10:20"), incident="INC-1", data={"signal": "7"}))
    accepted(api, started_json("2", at("10:30"), incident="INC-2", source="other", data={"signal": "7"}))
    (receipt,) = accepted(api, restored_json("3", at("10:35"), data={"signal": "7"}))
    assert receipt["incident"] == "INC-1"
    assert [incident(api, name)["state"] for name in ("INC-1", "INC-2")] == ["restored", "open"]


@pytest.mark.parametrize("together", [True, False])
def test_an_outage_of_no_length_is_over_in_any_grouping_of_regions(api: Served, together: bool) -> None:
    told = [
        started_json("s", BEGAN, "CN-GD", "CN-HN"),
        restored_json("r1", BEGAN, "CN-HN"),
        restored_json("r2", BEGAN, "CN-GD"),
    ]
    receipts = accepted(api, told) if together else [accepted(api, event)[0] for event in told]
    assert not is_down(api, receipts[0]["incident"])


def test_an_end_of_nothing_takes_no_outage_away(api: Served) -> None:
    for pair in (
        [restored_json("r", BEGAN, source="desk"), started_json("s", BEGAN)],
        [started_json("t", BEGAN, "CN-HN"), restored_json("u", BEGAN, "CN-HN", source="desk")],
    ):
        (*_, receipt) = [accepted(api, event)[0] for event in pair]
    assert incident(api, receipt["incident"])["regions"] == ["CN-GD", "CN-HN"]
    assert incident(api, receipt["incident"])["state"] == "open"


def test_an_event_twice_in_one_request_is_taken_once(api: Served) -> None:
    receipts = accepted(api, [started_json("e1", BEGAN), started_json("e1", BEGAN)])
    assert [receipt["status"] for receipt in receipts] == ["accepted", "duplicate"]
    assert stored(api) == ["e1"]


def test_the_same_id_of_another_source_is_another_event(api: Served) -> None:
    receipts = accepted(api, [started_json("e1", BEGAN), started_json("e1", BEGAN) | {"source": "other"}])
    assert [receipt["status"] for receipt in receipts] == ["accepted", "accepted"]


@pytest.mark.parametrize(
    ("region", "code"),
    [
        ("CN-GD", "CN-GD"),
        ("440300", "CN-GD"),
        ("湖南", "CN-HN"),
        ("湖南省", "CN-HN"),
        ("Guangdong", "CN-GD"),
        ("DE-HE", "DE-HE"),
    ],
)
def test_a_region_is_known_by_each_of_its_names(api: Served, region: str, code: str) -> None:
    (receipt,) = accepted(api, started_json("e1", BEGAN, region))
    assert incident(api, receipt["incident"])["regions"] == [code]


def test_what_else_a_monitor_says_of_an_outage_is_kept_and_shown(api: Served) -> None:
    (receipt,) = accepted(api, started_json("e1", BEGAN, data={"host": "db-1", "速度": 0.5}))
    timeline = api.client.get(f"/api/v1/incidents/{receipt['incident']}/timeline").json()["timeline"]
    assert timeline[0]["data"] == {"signal": None, "host": "db-1", "速度": 0.5}


# Refused


def test_one_bad_event_refuses_the_whole_array_and_every_error_is_told(api: Served) -> None:
    answer = post(
        api,
        [
            started_json("good", BEGAN),
            started_json("bad", BEGAN, "Gaungdong", "Hunnan", service="core-bankin", severity="high"),
            {"source": "monitor", "id": "short", "type": "outage.started"},
            7,
        ],
    )
    found = errors(answer)
    assert set(found) == {
        "/1/regions/0",
        "/1/regions/1",
        "/1/service",
        "/1/severity",
        "/2/service",
        "/2/regions",
        "/2/occurred_at",
        "/3",
    }
    assert (found["/1/regions/0"]["nearest"], found["/1/regions/1"]["nearest"]) == ("Guangdong", "Hunan")
    assert "adcode" in found["/1/regions/0"]["expected"]
    assert found["/1/service"]["nearest"] == "core-banking"
    assert found["/1/service"]["expected"] == "one of: atm, core-banking, counter, mobile, payments"
    assert found["/1/severity"]["detail"] == "unknown key 'severity'"
    assert "occurred_at" in found["/1/severity"]["expected"]
    assert found["/2/service"]["detail"] == "missing key 'service'"
    document = answer.json()
    assert document["title"] == "Invalid events"
    assert document["detail"] == "8 errors; nothing of this request was stored"
    assert (stored(api), api.rows(cases)) == ([], [])


def test_the_errors_of_a_single_object_point_into_the_object_itself(api: Served) -> None:
    document = started_json("e1", BEGAN, "Gaungdong", data={"signal": ""})
    del document["service"]
    assert set(errors(post(api, document))) == {"/regions/0", "/service", "/data/signal"}


def test_a_pointer_escapes_what_a_pointer_must(api: Served) -> None:
    assert set(errors(post(api, started_json("e1", BEGAN) | {"a/b~c": 1}))) == {"/a~1b~0c"}


@pytest.mark.parametrize(("given", "near"), [("outage.start", "outage.started"), ("incident.close", "incident.closed")])
def test_an_unknown_type_is_told_the_nearest(api: Served, given: str, near: str) -> None:
    error = errors(post(api, started_json("e1", BEGAN) | {"type": given}))["/type"]
    assert error["nearest"] == near
    assert "outage.restored" in error["expected"]


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"occurred_at": "2013-06-23T10:35:00"}, "/occurred_at"),  # whose clock?
        ({"occurred_at": "yesterday"}, "/occurred_at"),
        ({"occurred_at": None}, "/occurred_at"),
        ({"regions": []}, "/regions"),
        ({"regions": "CN-GD"}, "/regions"),
        ({"regions": ["CN"]}, "/regions/0"),
        ({"regions": ["999999"]}, "/regions/0"),
        ({"source": ""}, "/source"),
        ({"id": " e1"}, "/id"),
        ({"id": "e\n1"}, "/id"),
        ({"id": "x" * 201}, "/id"),
        ({"incident": "../../etc/passwd"}, "/incident"),
        ({"data": []}, "/data"),
    ],
)
def test_a_value_that_means_nothing_is_refused_at_its_place(api: Served, change: dict[str, Any], pointer: str) -> None:
    found = errors(post(api, started_json("e1", BEGAN) | change))
    assert set(found) == {pointer}
    assert found[pointer]["detail"]
    assert stored(api) == []


@pytest.mark.parametrize("body", [b"null", b"7", b'"text"', b"true"])
def test_what_is_neither_an_object_nor_an_array_is_refused(api: Served, body: bytes) -> None:
    assert set(errors(api.client.post("/api/v1/events", content=body))) == {""}


@pytest.mark.parametrize("ahead", [timedelta(minutes=5) + MICROSECOND, timedelta(days=1)])
def test_an_event_from_the_future_is_refused_and_nothing_with_it_is_stored(api: Served, ahead: timedelta) -> None:
    found = errors(post(api, [started_json("e1", BEGAN), started_json("e2", NOW + ahead)]))
    assert "ahead of this machine's clock" in found["/1/occurred_at"]["detail"]
    assert set(errors(post(api, started_json("e2", NOW + ahead)))) == {"/occurred_at"}
    assert stored(api) == []


def test_a_clock_that_is_ahead_within_the_skew_is_believed(api: Served) -> None:
    accepted(api, started_json("e1", NOW + timedelta(minutes=5)))


@pytest.mark.parametrize(
    "instant", ["0001-01-01T00:00:00+08:00", "0001-01-01T00:00:00Z", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z"]
)
def test_an_instant_that_no_monitor_can_mean_is_refused_at_its_place(api: Served, instant: str) -> None:
    """0001-01-01T00:00:00Z is what Go's monitors send for "no time"."""
    assert set(errors(post(api, started_json("e1", BEGAN) | {"occurred_at": instant}))) == {"/occurred_at"}
    accepted(api, started_json("e2", BEGAN))


# Not JSON


@pytest.mark.parametrize(
    ("body", "line", "column"),
    [
        (b"", 1, 1),
        (b'{"source": "monitor",\n "id": }', 2, 8),
        (b'[\n  {"id": 1},\n  {"id" 2}\n]', 3, 9),
        (b'{"id": 1} {"id": 2}', 1, 11),
        (b'{"source": "monitor",\n "id": "\xff"}', 2, 9),
        ('{"id": "事件", "source": }'.encode(), 1, 24),
    ],
)
def test_malformed_json_is_refused_with_line_and_column(api: Served, body: bytes, line: int, column: int) -> None:
    document = refused(api.client.post("/api/v1/events", content=body), 400)
    assert (document["line"], document["column"]) == (line, column)
    assert f"line {line}, column {column}" in document["detail"]


def test_a_body_that_is_not_utf_8_says_so(api: Served) -> None:
    body = json.dumps(started_json("e1", BEGAN, "湖南"), ensure_ascii=False).encode("gb18030")
    assert "not UTF-8" in refused(api.client.post("/api/v1/events", content=body), 400)["detail"]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 5_000, b'{"id": NaN}', b'{"id": "\\ud800"}'])
def test_what_only_looks_like_json_is_refused_and_harms_nobody(api: Served, body: bytes) -> None:
    refused(api.client.post("/api/v1/events", content=body), 400)
    accepted(api, started_json("e1", BEGAN))


# Too large


def padded(size: int) -> bytes:
    body = json.dumps(started_json("e1", BEGAN)).encode()
    return body + b" " * (size - len(body))


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused_and_one_at_the_limit_is_taken(tmp_path: Path, chunked: bool) -> None:
    with served(tmp_path, NOW, INTAKE__MAX_BODY_BYTES="2048") as api:

        def send(size: int) -> Response:
            body = padded(size)
            parts = (body[start : start + 500] for start in range(0, len(body), 500))
            return api.client.post("/api/v1/events", content=parts if chunked else body)

        document = refused(send(2049), 413)
        assert "2048 bytes (intake.max_body_bytes)" in document["detail"]
        assert stored(api) == []
        assert send(2048).status_code == 202


# People


def test_a_persons_event_for_an_incident_that_does_not_exist_is_told_the_nearest(api: Served) -> None:
    accepted(api, started_json("e1", BEGAN, incident="outage-2013"))
    answer = post(api, event_json("n", "note.added", NOW, incident="outage-2031", data={"text": "hello"}))
    error = errors(answer)["/incident"]
    assert error["detail"] == "there is no incident 'outage-2031'"
    assert error["nearest"] == "outage-2013"
    assert stored(api) == ["e1"]


def test_a_persons_event_for_a_service_without_an_open_incident_is_refused(api: Served) -> None:
    answer = post(api, [event_json("n", "note.added", NOW, service="payments", data={"text": "hello"})])
    assert errors(answer)["/0/service"]["detail"] == "service 'payments' has no open incident"


def test_a_persons_event_for_nothing_at_all_is_refused(api: Served) -> None:
    answer = post(api, event_json("n", "note.added", NOW, data={"text": "hello"}))
    assert "/incident" in errors(answer)


def test_a_persons_event_that_names_a_service_goes_to_its_open_incident(api: Served) -> None:
    (outage,) = accepted(api, started_json("e1", BEGAN))
    (note,) = accepted(api, event_json("n", "note.added", NOW, service="mobile", data={"text": "hello", "by": "Li"}))
    assert note["incident"] == outage["incident"]  # mobile and core banking are of one group


def reported(api: Served) -> tuple[str, str]:
    """Report an outage, let it reach level III, and return the incident and the step of the first report."""
    (receipt,) = accepted(api, started_json("e1", BEGAN))
    api.clock.set(at("11:05"))
    api.fire()
    steps = incident(api, receipt["incident"])["steps"]
    return receipt["incident"], next(step["id"] for step in steps if step["step"] == "first-report")


def test_a_step_completed_by_its_id_meets_the_obligation_that_it_fulfils(api: Served) -> None:
    name, step = reported(api)
    api.clock.set(at("11:20"))
    accepted(api, event_json("c", "step.completed", at("11:18"), incident=name, data={"by": "王敏", "step": step}))
    found = incident(api, name)
    status = next(each for each in found["assessments"][0]["obligations"] if each["id"] == "first-report")
    assert (status["state"], status["met_by"]) == ("met", "王敏")
    assert (status["met_at"], status["met_late"]) == ("2013-06-23T11:18:00+08:00", False)
    completed = next(row for row in found["steps"] if row["id"] == step)
    assert (completed["state"], completed["completed_by"]) == ("completed", "王敏")


def test_a_step_that_does_not_exist_cannot_be_completed(api: Served) -> None:
    name, step = reported(api)
    answer = post(
        api, event_json("c", "step.completed", at("11:05"), incident=name, data={"by": "Li", "step": step[:-1]})
    )
    error = errors(answer)["/data/step"]
    assert error["nearest"] == step


def test_an_obligation_that_does_not_exist_cannot_be_fulfilled(api: Served) -> None:
    name, _ = reported(api)
    data = {"by": "Li", "fulfils": "first-raport"}
    error = errors(post(api, [event_json("c", "step.completed", at("11:05"), incident=name, data=data)]))[
        "/0/data/fulfils"
    ]
    known = "first-report, formal-report, immediate-report, partners-notice, plan-failure-report, progress-report"
    assert (error["expected"], error["nearest"]) == (f"one of: {known}, summary-report", "first-report")


def test_a_completion_that_names_neither_step_nor_obligation_is_refused(api: Served) -> None:
    name, _ = reported(api)
    assert set(errors(post(api, event_json("c", "step.completed", NOW, incident=name, data={"by": "Li"})))) == {"/data"}


def test_an_incident_is_closed_by_a_person_and_what_breaks_later_is_another(api: Served) -> None:
    (first,) = accepted(api, started_json("e1", BEGAN))
    api.clock.set(at("12:00"))
    accepted(api, restored_json("e2", at("11:10")))
    accepted(api, event_json("end", "incident.closed", at("11:30"), incident=first["incident"], data={"by": "陈总"}))
    found = incident(api, first["incident"])
    assert (found["state"], found["closed_at"], found["closed_by"]) == ("closed", "2013-06-23T11:30:00+08:00", "陈总")
    (second,) = accepted(api, started_json("e3", at("11:40")))
    assert second["incident"] != first["incident"]


def test_an_incident_that_is_still_down_cannot_be_closed(api: Served) -> None:
    accepted(api, started_json("e1", BEGAN, "CN-GD", "CN-HN", incident="k"))
    accepted(api, restored_json("e2", at("10:36"), "CN-GD", incident="k"))
    end = event_json("end", "incident.closed", at("10:37"), incident="k", data={"by": "Chen"})
    found = errors(post(api, end))
    assert found["/type"]["detail"] == "incident 'k' is still impaired: core-banking in CN-HN"
    assert stored(api) == ["e1", "e2"]
    accepted(api, restored_json("e3", at("10:37"), "CN-HN", incident="k"))
    accepted(api, end)
    assert incident(api, "k")["state"] == "closed"


def test_an_outage_that_names_a_closed_incident_opens_it_again(api: Served) -> None:
    accepted(api, [started_json("e1", BEGAN, incident="k"), restored_json("e2", at("10:36"), incident="k")])
    accepted(api, event_json("end", "incident.closed", at("10:37"), incident="k", data={"by": "Chen"}))
    accepted(api, started_json("e3", at("10:38"), incident="k"))
    assert incident(api, "k")["state"] == "open"


# Late and out of order


def test_events_are_folded_where_they_belong_in_time_in_whatever_order_they_arrive(tmp_path: Path) -> None:
    history = [
        started_json("gd", BEGAN, incident="k"),
        started_json("hn", at("10:50"), "CN-HN", incident="k"),
        restored_json("gd up", at("11:20"), incident="k"),
        restored_json("hn up", at("11:25"), "CN-HN", incident="k"),
    ]
    verdicts = []
    for place, order in enumerate(([0, 1, 2, 3], [3, 1, 2, 0], [2, 3, 0, 1])):
        with served(tmp_path / str(place), at("12:00")) as api:
            for index in order:
                accepted(api, history[index])
            found = incident(api, "k")
            verdicts.append((found["assessments"][0]["trajectory"], found["restored_at"], found["occurred_at"]))
    # Guangdong 10:35-11:20, Hunan 10:50-11:25: III at 11:05, both for 30 minutes at 11:20: II.
    assert [(rise["level"], rise["at"][11:19]) for rise in verdicts[0][0]] == [("III", "11:05:00"), ("II", "11:20:00")]
    assert verdicts[0][1:] == ("2013-06-23T11:25:00+08:00", "2013-06-23T10:35:00+08:00")
    assert verdicts == [verdicts[0]] * 3


def test_an_outage_reported_hours_late_is_graded_from_when_it_began(api: Served) -> None:
    (receipt,) = accepted(api, started_json("e1", at("07:00")))
    found = incident(api, receipt["incident"])
    # 07:00 and 30 minutes, and 3 hours: II since 10:00.
    assert [rise["at"][11:16] for rise in found["assessments"][0]["trajectory"]] == ["07:30", "10:00"]
    assert found["assessments"][0]["obligations"][0]["overdue_at_detection"] is True


# Overload


def test_an_overloaded_daemon_says_when_to_come_back_and_stores_nothing(tmp_path: Path) -> None:
    with served(tmp_path, NOW, INTAKE__QUEUE="1") as api:
        with held_up(api.writer):
            api.writer.submit(lambda _: None)
            answer = post(api, started_json("e1", BEGAN))
            document = refused(answer, 503)
            assert answer.headers["retry-after"] == "1"
            assert document["title"] == "Overloaded"
            alerts = api.client.post("/api/v1/alertmanager", json={"version": "4", "alerts": []})
            assert refused(alerts, 503)["title"] == "Overloaded"
            assert api.client.get("/healthz").status_code == 200
        assert stored(api) == []
        assert accepted(api, started_json("e1", BEGAN))[0]["status"] == "accepted"


def test_an_estimate_for_the_end_of_time_is_refused_and_hides_nothing(api: Served) -> None:
    (receipt,) = accepted(api, started_json("e1", BEGAN))
    data = {"recovery_at": "9999-12-31T23:59:59Z"}
    answer = post(api, event_json("r", "recovery.estimated", NOW, incident=receipt["incident"], data=data))
    assert set(errors(answer)) == {"/data/recovery_at"}
    assert api.client.get(f"/api/v1/incidents/{receipt['incident']}").status_code == 200


def test_an_unknown_type_does_not_hide_what_else_is_wrong(api: Served) -> None:
    answer = post(api, {"type": "outage.start", "service": "core", "regions": ["Gungdong"], "occurred_at": "now"})
    assert answer.status_code == 422
    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert pointers == {"/type", "/source", "/id", "/occurred_at", "/service", "/regions/0"}
    assert {error["pointer"] for error in post(api, {}).json()["errors"]} == {"/type", "/source", "/id", "/occurred_at"}
