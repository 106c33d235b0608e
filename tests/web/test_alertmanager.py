"""POST /api/v1/alertmanager: notifications as Alertmanager sends them (webhook, version 4)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from support.builders import at, event_json, restored_json
from support.fixtures import Served, served

from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.values import NEVER
from incident_engine.engine import incident_cache
from incident_engine.store import events as store_events
from incident_engine.store.events import events_of
from incident_engine.store.tables import cases, events

NOW = at("10:40")
FINGERPRINT = "5ef77f1f8a3ecf8d"


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as found:
        yield found


def alert(status: str = "firing", **changes: Any) -> dict[str, Any]:
    """Return an alert with everything that Alertmanager 0.28 puts into it."""
    labels = {
        "alertname": "CoreBankingDown",
        "instance": "cb-gd-01:9100",
        "job": "core-banking",
        "region": "CN-GD",
        "service": "core-banking",
        "severity": "critical",
    }
    return {
        "status": status,
        "labels": {name: value for name, value in (labels | changes.pop("labels", {})).items() if value is not None},
        "annotations": {
            "summary": "Core banking does not answer in Guangdong",
            "runbook_url": "https://wiki.example/cb",
        },
        "startsAt": "2013-06-23T02:35:00.123Z",
        "endsAt": "0001-01-01T00:00:00Z" if status == "firing" else "2013-06-23T02:38:30.5Z",
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
        "fingerprint": FINGERPRINT,
        **changes,
    }


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "receiver": "incident-engine",
        "status": "firing",
        "alerts": list(alerts),
        "groupLabels": {"service": "core-banking"},
        "commonLabels": {"job": "core-banking", "service": "core-banking", "severity": "critical"},
        "commonAnnotations": {"runbook_url": "https://wiki.example/cb"},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": '{}/{severity="critical"}:{service="core-banking"}',
        "truncatedAlerts": 0,
        **changes,
    }


def post(api: Served, document: Any) -> Response:
    return api.client.post("/api/v1/alertmanager", json=document)


def accepted(api: Served, *alerts: dict[str, Any]) -> dict[str, Any]:
    answer = post(api, notification(*alerts))
    assert answer.status_code == 202, answer.text
    document: dict[str, Any] = answer.json()
    return document


def statuses(answer: dict[str, Any]) -> list[str]:
    return [receipt["status"] for receipt in answer["events"]]


def the_incident(api: Served) -> dict[str, Any]:
    listed = api.client.get("/api/v1/incidents").json()
    assert listed["total"] == 1
    found: dict[str, Any] = api.client.get(f"/api/v1/incidents/{listed['incidents'][0]['id']}").json()
    return found


def quarantine(api: Served) -> dict[str, Any]:
    found: dict[str, Any] = api.client.get("/api/v1/quarantine").json()
    return found


def test_a_firing_alert_is_an_outage_that_began_when_the_alert_did(api: Served) -> None:
    answer = accepted(api, alert())
    assert statuses(answer) == ["accepted"]
    assert answer["quarantined"] == []
    found = the_incident(api)
    assert (found["state"], found["services"], found["regions"]) == ("open", ["core-banking"], ["CN-GD"])
    assert found["occurred_at"] == "2013-06-23T10:35:00.123000+08:00"


def test_what_the_alert_is_called_and_says_is_kept(api: Served) -> None:
    accepted(api, alert())
    (row,) = api.rows(events)
    assert (row["source"], row["type"]) == ("alertmanager", "outage.started")
    assert row["document"]["data"] == {
        "signal": FINGERPRINT,
        "alertname": "CoreBankingDown",
        "summary": "Core banking does not answer in Guangdong",
    }


def test_a_resolved_alert_is_a_restoration_when_the_alert_ended(api: Served) -> None:
    accepted(api, alert())
    assert statuses(accepted(api, alert("resolved"))) == ["duplicate", "accepted"]
    found = the_incident(api)
    assert (found["state"], found["restored_at"]) == ("restored", "2013-06-23T10:38:30.500000+08:00")


def test_a_resolved_alert_of_which_nothing_was_known_is_an_outage_that_is_over(api: Served) -> None:
    assert statuses(accepted(api, alert("resolved"))) == ["accepted", "accepted"]
    assert the_incident(api)["state"] == "restored"


def test_an_alert_that_is_notified_again_changes_nothing(api: Served) -> None:
    accepted(api, alert())
    before = the_incident(api)
    assert statuses(accepted(api, alert(), alert())) == ["duplicate", "duplicate"]
    assert the_incident(api) == before


def test_a_resolution_that_is_notified_again_changes_nothing(api: Served) -> None:
    accepted(api, alert("resolved"))
    assert statuses(accepted(api, alert("resolved"))) == ["duplicate", "duplicate"]


def test_the_same_instant_spelled_with_another_offset_is_the_same_alert(api: Served) -> None:
    accepted(api, alert())
    assert statuses(accepted(api, alert(startsAt="2013-06-23T10:35:00.123+08:00"))) == ["duplicate"]


def test_an_alert_that_fires_anew_is_another_outage_of_the_same_incident(api: Served) -> None:
    accepted(api, alert("resolved"))
    assert statuses(accepted(api, alert(startsAt="2013-06-23T02:39:00Z"))) == ["accepted"]
    assert the_incident(api)["state"] == "open"


def test_a_resolution_ends_its_own_alert_only(api: Served) -> None:
    other: dict[str, Any] = {"fingerprint": "aaaa7f1f8a3ecf8d", "labels": {"alertname": "CoreBankingSlow"}}
    accepted(api, alert(), alert(**other))
    accepted(api, alert("resolved"))
    assert the_incident(api)["state"] == "open"
    accepted(api, alert("resolved", **other))
    assert the_incident(api)["state"] == "restored"


@pytest.mark.parametrize("regions", ["CN-GD,CN-HN", " CN-GD , 湖南,", "440300,430100"])
def test_one_label_may_name_several_regions(api: Served, regions: str) -> None:
    accepted(api, alert(labels={"region": regions}))
    assert the_incident(api)["regions"] == ["CN-GD", "CN-HN"]


def test_the_bank_chooses_the_labels_and_the_separator(tmp_path: Path) -> None:
    names: dict[str, Any] = {
        "ALERTMANAGER__SERVICE_LABEL": "app",
        "ALERTMANAGER__REGION_LABEL": "province",
        "ALERTMANAGER__REGION_SEPARATOR": "|",
    }
    with served(tmp_path, NOW, **names) as api:
        accepted(api, alert(labels={"app": "payments", "province": "CN-GD|CN-HN"}))
        found = the_incident(api)
    assert (found["services"], found["regions"]) == (["payments"], ["CN-GD", "CN-HN"])


def test_an_alert_that_ended_when_it_began_leaves_nothing_down(api: Served) -> None:
    accepted(api, alert("resolved", endsAt="2013-06-23T02:35:00.123Z"))
    assert the_incident(api)["state"] == "restored"


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"labels": {"service": None}}, "no_service_label", "no label 'service'"),
        ({"labels": {"service": "erp"}}, "unknown_service", "unknown service 'erp'"),
        ({"labels": {"region": None}}, "no_region_label", "no label 'region'"),
        ({"labels": {"region": " , "}}, "no_region_label", "no label 'region'"),
        ({"labels": {"region": "Gaungdong"}}, "unknown_region", "did you mean 'Guangdong'?"),
        ({"labels": {"region": "CN-GD,nowhere"}}, "unknown_region", "unknown region 'nowhere'"),
        ({"startsAt": "2013-06-23T02:46:00Z"}, "from_the_future", "has not come"),
    ],
)
def test_an_alert_that_cannot_be_mapped_waits_in_quarantine_while_the_others_pass(
    api: Served, change: dict[str, Any], reason: str, detail: str
) -> None:
    odd = alert(fingerprint="0dd0dd0dd0dd0dd0", **change)
    answer = accepted(api, odd, alert())
    assert statuses(answer) == ["accepted"]
    (told,) = answer["quarantined"]
    assert told["reason"] == reason
    assert detail in told["detail"]
    listed = quarantine(api)
    assert listed["total"] == 1
    (kept,) = listed["quarantine"]
    assert (kept["source"], kept["key"], kept["reason"], kept["times"]) == ("alertmanager", told["key"], reason, 1)
    assert kept["key"].startswith("0dd0dd0dd0dd0dd0/2013-06-23T02:")
    assert kept["document"]["labels"] == odd["labels"]
    assert kept["first_received_at"] == kept["last_received_at"] == "2013-06-23T10:40:00+08:00"


def test_an_alert_in_quarantine_that_comes_again_is_counted_and_not_listed_again(api: Served) -> None:
    odd = alert(labels={"service": "erp"})
    accepted(api, odd)
    api.clock.set(at("10:45"))
    accepted(api, odd)
    accepted(api, odd, alert("resolved", labels={"service": "erp"}))
    listed = quarantine(api)
    assert listed["total"] == 1
    (kept,) = listed["quarantine"]
    assert kept["times"] == 4
    assert kept["first_received_at"] == "2013-06-23T10:40:00+08:00"
    assert kept["last_received_at"] == "2013-06-23T10:45:00+08:00"
    assert api.rows(cases) == []


def test_the_quarantine_is_listed_the_latest_first_and_page_by_page(api: Served) -> None:
    for minute in range(3):
        api.clock.set(at(f"10:5{minute}"))
        accepted(api, alert(fingerprint=f"f{minute}", labels={"service": "erp"}))
    page = api.client.get("/api/v1/quarantine", params={"limit": 2, "offset": 1}).json()
    assert page["total"] == 3
    assert [row["key"].split("/")[0] for row in page["quarantine"]] == ["f1", "f0"]


@pytest.mark.parametrize("version", ["3", "5", 4])
def test_another_version_of_the_notification_is_refused(api: Served, version: Any) -> None:
    answer = post(api, notification(alert(), version=version))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/version"
    assert error["expected"] == "one of: 4"
    assert api.rows(events) == []


def test_a_malformed_alert_waits_in_quarantine_with_every_error_and_keeps_nobody_out(api: Served) -> None:
    broken = alert(startsAt="yesterday", status="gone")
    del broken["labels"]
    answer = accepted(api, broken, alert())
    assert statuses(answer) == ["accepted"]
    (told,) = answer["quarantined"]
    assert told["reason"] == "invalid"
    for pointer in ("/startsAt", "/status", "/labels"):
        assert f"{pointer}: " in told["detail"]


def test_a_notification_that_is_not_json_is_refused_with_line_and_column(api: Served) -> None:
    answer = api.client.post("/api/v1/alertmanager", content=b'{"version": "4",\n}')
    assert answer.status_code == 400
    assert answer.json()["line"] == 2


def test_a_notification_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with served(tmp_path, NOW, INTAKE__MAX_BODY_BYTES="1024") as api:
        assert post(api, notification(*[alert()] * 5)).status_code == 413


@pytest.mark.parametrize("place", ["status", "labels", "annotations", "startsAt", "endsAt", "fingerprint"])
@pytest.mark.parametrize("value", [{}, [], [{}], 1, True, 1.5, "", "\x00", {"a": "\x00"}])
def test_a_wrong_type_at_any_place_of_an_alert_costs_no_other_alert(api: Served, place: str, value: Any) -> None:
    answer = accepted(api, alert(fingerprint="before"), alert() | {place: value}, alert(fingerprint="after"))
    ids = {receipt["id"].split("/")[0] for receipt in answer["events"]}
    assert ids >= {"before", "after"}
    assert len(answer["quarantined"]) == 1 or len(ids) == 3


def test_an_alert_without_a_beginning_waits_in_quarantine(api: Served) -> None:
    answer = accepted(api, alert(startsAt="0001-01-01T00:00:00Z", fingerprint="00"), alert())
    assert statuses(answer) == ["accepted"]
    assert [told["key"].split("/")[0] for told in answer["quarantined"]] == ["00"]
    assert the_incident(api)["occurred_at"].startswith("2013-06-23T10:35")


@pytest.mark.parametrize(
    ("service", "region", "regions"),
    [
        ("core-banking", "深圳", ["CN-GD"]),
        ("核心账务", "广州市", ["CN-GD"]),
        ("Core banking", "Shenzhen", ["CN-GD"]),
        ("core BANKING", "CN-44", ["CN-GD"]),
        ("core-banking", "广东，湖南", ["CN-GD", "CN-HN"]),
        ("core-banking", "深圳、广州;长沙", ["CN-GD", "CN-HN"]),
        ("core-banking", "CN-GD CN-HN", ["CN-GD", "CN-HN"]),
        ("core-banking", "全国", ["CN-BJ", "CN-GD", "CN-HN"]),
    ],
)
def test_an_alert_names_services_and_regions_as_people_do(
    tmp_path: Path, service: str, region: str, regions: list[str]
) -> None:
    with served(tmp_path, NOW, REGIONS__EVERYWHERE='["北京", "广东", "CN-HN"]') as api:
        labels = {"service": service, "region": region}
        assert statuses(accepted(api, alert(labels=labels))) == ["accepted"]
        assert (the_incident(api)["services"], the_incident(api)["regions"]) == (["core-banking"], regions)


@pytest.mark.parametrize(
    ("label", "reason", "detail"),
    [
        ("Suzhou", "unknown_region", "'Suzhou' is ambiguous: 苏州市 (江苏 Jiangsu) or 宿州市 (安徽 Anhui)"),
        ("全国", "unknown_region", "set regions.everywhere in config.yaml"),
        ("广东、火星", "unknown_region", "unknown region '火星'"),
    ],
)
def test_a_region_that_is_not_clear_waits_in_quarantine(api: Served, label: str, reason: str, detail: str) -> None:
    accepted(api, alert(labels={"region": label}))
    [entry] = quarantine(api)["quarantine"]
    assert entry["reason"] == reason
    assert detail in entry["detail"]


# An alert that fires again with its old start: Prometheus was frozen, or could not reach Alertmanager.

T1, T2 = "2013-06-23T02:35:14Z", "2013-06-23T02:35:45Z"
FROZEN: dict[str, Any] = {"startsAt": "2013-06-23T02:35:00Z"}


def resolved_at(instant: str, **fields: Any) -> dict[str, Any]:
    return alert("resolved", endsAt=instant, **FROZEN | fields)


def intervals(api: Served) -> list[tuple[str, str | None]]:
    found = api.client.get("/api/v1/incidents").json()["incidents"]
    with api.database.read() as connection:
        outages = [outage for row in found for outage in fold(row["id"], events_of(connection, row["id"])).outages]
    return [
        (f"{i.start:%H:%M:%S}", None if i.end == NEVER else f"{i.end:%H:%M:%S}")
        for outage in outages
        for i in outage.intervals
    ]


def test_an_alert_that_fires_again_with_its_old_start_is_down_again_since_its_end(api: Served) -> None:
    assert statuses(accepted(api, alert(**FROZEN))) == ["accepted"]
    accepted(api, resolved_at(T1))
    assert intervals(api) == [("02:35:00", "02:35:14")]
    assert statuses(accepted(api, alert(**FROZEN))) == ["accepted"]
    assert intervals(api) == [("02:35:00", None)]
    assert statuses(accepted(api, alert(**FROZEN))) == ["duplicate"]  # the answer was lost, and it comes again
    accepted(api, resolved_at(T2))
    assert intervals(api) == [("02:35:00", "02:35:45")]


def test_it_may_fire_again_any_number_of_times(api: Served) -> None:
    accepted(api, alert(**FROZEN))
    for second in range(1, 20):
        accepted(api, resolved_at(f"2013-06-23T02:36:{second:02}Z"))
        assert intervals(api) == [("02:35:00", f"02:36:{second:02}")]
        assert statuses(accepted(api, alert(**FROZEN))) == ["accepted"]
        assert intervals(api) == [("02:35:00", None)]


def test_a_resolution_with_a_later_end_counts_though_the_firing_before_it_was_missed(api: Served) -> None:
    accepted(api, resolved_at(T1))
    assert statuses(accepted(api, resolved_at(T2))) == ["duplicate", "accepted"]
    assert intervals(api) == [("02:35:00", "02:35:45")]


@pytest.mark.parametrize("older", ["2013-06-23T02:35:10Z", T1, T2])
def test_an_older_resolution_changes_nothing(api: Served, older: str) -> None:
    for one in (alert(**FROZEN), resolved_at(T1), alert(**FROZEN), resolved_at(T2)):
        accepted(api, one)
    assert statuses(accepted(api, resolved_at(older))) == ["duplicate", "duplicate"]
    assert intervals(api) == [("02:35:00", "02:35:45")]


def test_a_resolution_from_before_the_alert_fired_again_does_not_end_it(api: Served) -> None:
    for one in (alert(**FROZEN), resolved_at(T1), alert(**FROZEN)):
        accepted(api, one)
    assert statuses(accepted(api, resolved_at("2013-06-23T02:35:10Z"))) == ["duplicate", "duplicate"]
    assert intervals(api) == [("02:35:00", None)]


def test_a_cluster_that_says_again_that_it_is_resolved_takes_back_a_firing_that_came_late(api: Served) -> None:
    # Another member had not heard of the end, and notified once more; then all of them repeat the end.
    for one in (alert(**FROZEN), resolved_at(T1), alert(**FROZEN)):
        accepted(api, one)
    assert statuses(accepted(api, resolved_at(T1))) == ["duplicate", "accepted"]
    assert intervals(api) == [("02:35:00", "02:35:14")]
    assert statuses(accepted(api, alert(**FROZEN))) == ["accepted"]  # and it can fire again after that
    accepted(api, resolved_at(T2))
    assert intervals(api) == [("02:35:00", "02:35:45")]


def test_a_firing_of_before_the_alert_began_anew_is_stale(api: Served) -> None:
    accepted(api, resolved_at(T1))
    accepted(api, alert("resolved", startsAt="2013-06-23T02:36:00Z", endsAt="2013-06-23T02:37:00Z"))
    assert statuses(accepted(api, alert(**FROZEN))) == ["duplicate"]
    assert intervals(api) == [("02:35:00", "02:35:14"), ("02:36:00", "02:37:00")]


def test_a_firing_that_expired_before_the_end_is_stale(api: Served) -> None:
    accepted(api, resolved_at(T1))
    assert statuses(accepted(api, alert(endsAt="2013-06-23T02:35:13Z", **FROZEN))) == ["duplicate"]
    assert intervals(api) == [("02:35:00", "02:35:14")]
    assert statuses(accepted(api, alert(endsAt="2013-06-23T02:39:30Z", **FROZEN))) == ["accepted"]
    assert intervals(api) == [("02:35:00", None)]


def test_a_repeat_does_not_overrule_the_person_who_said_that_it_works(api: Served) -> None:
    accepted(api, alert(**FROZEN))
    assert api.client.post("/api/v1/events", json=restored_json("r", at("10:36"), source="desk")).status_code == 202
    assert statuses(accepted(api, alert(**FROZEN))) == ["duplicate"]
    assert intervals(api) == [("02:35:00", "02:36:00")]


def test_it_fires_again_in_an_incident_that_was_closed_as_another_one(api: Served) -> None:
    accepted(api, resolved_at(T1))
    incident = the_incident(api)["id"]
    closing = event_json("c", "incident.closed", at("10:39"), incident=incident, data={"by": "陈总"})
    assert api.client.post("/api/v1/events", json=closing).status_code == 202
    again = accepted(api, alert(**FROZEN))
    assert statuses(again) == ["accepted"]
    assert again["events"][0]["incident"] != incident
    assert statuses(accepted(api, alert(**FROZEN))) == ["duplicate"]
    accepted(api, resolved_at(T2))
    assert sorted(intervals(api)) == [("02:35:00", "02:35:14"), ("02:35:14", "02:35:45")]


def test_alerts_that_fire_again_cost_no_statement_until_they_do(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up: list[int] = []
    before = store_events.known_events

    def counted(connection: Any, keys: Any) -> Any:
        wanted = list(keys)
        looked_up.append(len(wanted))
        return before(connection, wanted)

    monkeypatch.setattr(incident_cache, "known_events", counted)
    alerts = [alert(fingerprint=f"{number:016x}") for number in range(20)]
    accepted(api, *alerts)
    accepted(api, *alerts)
    assert looked_up == [20, 20]


def test_the_words_of_an_alert_may_change_from_repeat_to_repeat(api: Served) -> None:
    accepted(api, alert(annotations={"summary": "5 s"}))
    assert statuses(accepted(api, alert(annotations={"summary": "6 s"}))) == ["duplicate"]
    assert quarantine(api)["total"] == 0


def test_an_alert_that_maps_to_another_region_than_before_waits_in_quarantine_and_its_end_counts(
    tmp_path: Path,
) -> None:
    with served(tmp_path, NOW) as api:
        accepted(api, alert(labels={"province": "CN-HN"}))
    with served(tmp_path, NOW, ALERTMANAGER__REGION_LABEL="province") as api:
        answer = accepted(api, alert(labels={"province": "CN-HN"}))
        assert statuses(answer) == ["quarantined"]
        (entry,) = quarantine(api)["quarantine"]
        assert (entry["reason"], entry["times"]) == ("event_conflict", 1)
        assert "is known with CN-GD, not CN-HN" in entry["detail"]
        assert the_incident(api)["regions"] == ["CN-GD"]
        assert statuses(accepted(api, alert("resolved", labels={"province": "CN-HN"}))) == ["quarantined", "accepted"]
        assert the_incident(api)["state"] == "restored"


OWN_URL = (
    "http://prometheus.example:9090/graph?g0.expr=incident_engine_incident_level%7Bpack%3D%22x%22%7D+%3E%3D+2&g0.tab=1"
)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {"origin": "incident-engine", "service": None, "region": None}},
        {"labels": {"origin": "incident-engine"}},  # such as with external labels that name a service
        {"labels": {"service": None, "region": None}, "generatorURL": OWN_URL},
        {"generatorURL": OWN_URL},
    ],
)
@pytest.mark.parametrize("status", ["firing", "resolved"])
def test_an_alert_from_the_engines_own_metrics_is_no_outage_and_waits_nowhere(
    api: Served, changes: dict[str, Any], status: str
) -> None:
    answer = accepted(api, alert(status, **changes), alert(fingerprint="other"))
    assert answer["own"] == 1
    assert (len(answer["events"]), answer["quarantined"]) == (1, [])
    assert quarantine(api)["total"] == 0
    metrics = api.client.get("/metrics").text
    assert 'incident_engine_events_total{outcome="own",source="alertmanager"} 1.0' in metrics


def test_other_alerts_with_a_label_of_that_name_are_outages(api: Served) -> None:
    assert statuses(accepted(api, alert(labels={"origin": "Shenzhen"}))) == ["accepted"]
    malformed = accepted(api, alert(labels={"region": None}, generatorURL=7))
    assert "own" not in malformed


def truncated(api: Served, *alerts: dict[str, Any], left_out: Any = 37) -> None:
    assert post(api, notification(*alerts, truncatedAlerts=left_out)).status_code == 202


def notes(api: Served) -> list[str]:
    return [row["document"]["data"]["text"] for row in api.rows(events) if row["type"] == "note.added"]


def test_alerts_that_were_left_out_are_noted_in_the_incident_in_both_languages_and_counted(api: Served) -> None:
    truncated(api, alert())
    (note,) = notes(api)
    assert "略去了 37 条告警" in note
    assert "left 37 alert(s) out" in note
    timeline = api.client.get(f"/api/v1/incidents/{the_incident(api)['id']}/timeline").text
    assert "left 37 alert(s) out" in timeline
    assert "incident_engine_alerts_truncated_total 37.0" in api.client.get("/metrics").text


def test_a_repeated_notification_is_noted_and_counted_once_and_another_number_anew(api: Served) -> None:
    truncated(api, alert())
    truncated(api, alert())
    assert len(notes(api)) == 1
    truncated(api, alert(), left_out=40)
    assert len(notes(api)) == 2
    assert "incident_engine_alerts_truncated_total 77.0" in api.client.get("/metrics").text


def test_alerts_left_out_of_a_notification_without_any_incident_are_counted_all_the_same(api: Served) -> None:
    truncated(api, alert(labels={"region": None}))
    assert notes(api) == []
    assert "incident_engine_alerts_truncated_total 37.0" in api.client.get("/metrics").text


@pytest.mark.parametrize("left_out", [0, -1, None, "37", True, 1e300, {}])
def test_a_number_of_left_out_alerts_that_is_none_keeps_nobody_out(api: Served, left_out: Any) -> None:
    truncated(api, alert(), left_out=left_out)
    assert (len(api.rows(events)), notes(api)) == (1, [])
