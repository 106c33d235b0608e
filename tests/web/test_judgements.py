"""What people judge, measure, announce and correct: accepted, refused, and what becomes of it for those who look."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from prometheus_client.parser import text_string_to_metric_families
from support.builders import at, event_json, restored_json, started_json
from support.fixtures import Served, served

from incident_engine.store.tables import cases, events

BEGAN = at("10:35")
NOW = at("10:40")
TWO_PACKS = '["cn-cbrc-2008", "eu-dora-2024"]'
SAID = {"by": "李工", "reason": "备件也坏了"}
HARM = {"kind": "bank", "seriousness": "serious", "cause": "data_loss", "by": "王敏", "reason": "账簿受损"}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as found:
        yield found


@pytest.fixture
def in_europe(tmp_path: Path) -> Iterator[Served]:
    """A bank that is graded by two regulations, of which one knows measures, while both are in force."""
    with served(tmp_path, at("2026-03-02 10:40"), GRADING__PACKS=TWO_PACKS) as found:
        yield found


def post(api: Served, document: Any) -> Response:
    return api.client.post("/api/v1/events", json=document)


def accepted(api: Served, *documents: dict[str, Any]) -> list[dict[str, Any]]:
    answer = post(api, list(documents))
    assert answer.status_code == 202, answer.text
    found: list[dict[str, Any]] = answer.json()["events"]
    return found


def errors(answer: Response) -> dict[str, dict[str, str]]:
    assert answer.status_code == 422, answer.text
    return {error["pointer"]: error for error in answer.json()["errors"]}


def view(api: Served, name: str = "k") -> dict[str, Any]:
    answer = api.client.get(f"/api/v1/incidents/{name}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def verdict(api: Served, pack: str = "cn-cbrc-2008") -> dict[str, Any]:
    found: dict[str, Any] = next(each for each in view(api)["assessments"] if each["pack"] == pack)
    return found


def timeline(api: Served, kind: str) -> list[dict[str, Any]]:
    entries = api.client.get("/api/v1/incidents/k/timeline").json()["timeline"]
    return [entry for entry in entries if entry["kind"] == kind]


def value(api: Served, name: str, **labels: str) -> float | None:
    samples = (
        sample
        for family in text_string_to_metric_families(api.client.get("/metrics").text)
        for sample in family.samples
    )
    wanted = f"incident_engine_{name}", labels
    return next((sample.value for sample in samples if (sample.name, sample.labels) == wanted), None)


def maintenance(name: str, start: str, end: str, **more: Any) -> dict[str, Any]:
    data = {"start": at(start).isoformat(), "end": at(end).isoformat(), "by": "变更管理"}
    given = {"service": "core-banking", "data": data} | more
    return event_json(name, "maintenance.announced", at("08:00"), **given)


# Accepted.


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("repair.failed", SAID),
        ("plan.failed", SAID),
        ("harm.assessed", HARM),
        ("impact.measured", {"by": "王敏", "root_cause": "db-1 disk full"}),
        ("level.corrected", {"level": "II", "by": "陈总", "reason": "影响面更大"}),
        ("level.corrected", {"level": None, "pack": "cn-cbrc-2008", "by": "陈总", "reason": "探针误报"}),
    ],
)
def test_a_judgement_goes_to_the_open_incident_of_its_service_and_stands_on_the_timeline(
    api: Served, kind: str, data: dict[str, Any]
) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"))
    (receipt,) = accepted(api, event_json("said", kind, at("10:38"), service="core-banking", data=data))
    assert (receipt["status"], receipt["incident"]) == ("accepted", "k")
    told = next(entry for entry in timeline(api, "event") if entry["type"] == kind)
    assert data.items() <= told["data"].items()
    (again,) = accepted(api, event_json("said", kind, at("10:38"), service="core-banking", data=data))
    assert (again["status"], again["incident"]) == ("duplicate", "k")


@pytest.mark.parametrize("kind", ["repair.failed", "plan.failed", "level.corrected"])
def test_what_is_about_an_incident_opens_none(api: Served, kind: str) -> None:
    data = SAID | ({"level": "II"} if kind == "level.corrected" else {})
    found = errors(post(api, event_json("said", kind, NOW, service="core-banking", data=data)))
    assert found["/service"]["detail"] == "service 'core-banking' has no open incident"
    assert api.rows(events) == []


# Announced maintenance.


def test_maintenance_is_of_no_incident(api: Served) -> None:
    (receipt,) = accepted(api, maintenance("works", "10:00", "12:00"))
    assert receipt.pop("detail")["en"] == "it is on record"
    assert receipt == {
        "source": "monitor",
        "id": "works",
        "status": "accepted",
        "incident": None,
        "effect": "recorded",
    }
    (again,) = accepted(api, maintenance("works", "10:00", "12:00"))
    assert (again["status"], again["incident"], again["effect"]) == ("duplicate", None, "none")
    assert api.client.post("/api/v1/events", json=maintenance("works", "09:00", "20:00")).status_code == 409
    assert api.rows(cases) == []


def test_maintenance_that_was_announced_before_does_not_count(api: Served) -> None:
    accepted(api, maintenance("works", "10:00", "11:00"))
    accepted(api, started_json("down", BEGAN, incident="k"))
    api.clock.set(at("11:29"))
    api.fire()
    assert verdict(api)["level"] is None
    api.clock.set(at("11:30"))
    api.fire()
    found = verdict(api)
    assert [(step["level"], step["at"][11:16]) for step in found["trajectory"]] == [("III", "11:30")]
    assert (view(api)["occurred_at"], found["obligations"][0]["due_at"]) == (
        "2013-06-23T11:00:00+08:00",
        "2013-06-23T12:00:00+08:00",
    )
    (region,) = found["evidence"]["regions"]
    assert (region["in_service_seconds"], region["wall_clock_seconds"]) == (30 * 60, 55 * 60)
    assert [(each["start"][11:16], each["end"][11:16]) for each in region["maintenance"]] == [("10:35", "11:00")]


def test_an_announcement_that_arrives_late_bears_on_the_open_incident_at_once(api: Served) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"))
    assert verdict(api)["next"]["at"] == "2013-06-23T11:05:00+08:00"
    accepted(api, maintenance("works", "10:00", "11:00"))
    assert verdict(api)["next"]["at"] == "2013-06-23T11:30:00+08:00"
    api.clock.set(at("11:29"))
    assert api.fire() == 0  # it sleeps until the new instant
    api.clock.set(at("11:30"))
    assert api.fire() == 1


def test_an_announcement_takes_no_level_back_that_was_given(api: Served) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"))
    api.clock.set(at("11:05"))
    api.fire()
    accepted(api, maintenance("works", "10:00", "12:00"))
    found = verdict(api)
    assert (found["level"], found["level_retained"]) == ("III", True)


@pytest.mark.parametrize(
    "other", [{"service": "payments"}, {"regions": ["湖南"]}], ids=["another service", "another province"]
)
def test_other_maintenance_changes_nothing(api: Served, other: dict[str, Any]) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"), maintenance("works", "10:00", "11:00", **other))
    assert verdict(api)["next"]["at"] == "2013-06-23T11:05:00+08:00"


def test_maintenance_that_names_an_incident_or_is_announced_too_late_is_refused(api: Served) -> None:
    named = maintenance("works", "10:00", "11:00", incident="k")
    assert set(errors(post(api, named))) == {"/incident"}
    late = maintenance("works", "07:00", "11:00")
    assert "after it began" in errors(post(api, late))["/data"]["detail"]


# Measured impact.


def test_a_measure_that_no_pack_of_the_incident_knows_is_refused_at_its_place(in_europe: Served) -> None:
    down = at("2026-03-02 10:35")
    accepted(in_europe, started_json("down", down, "DE-HE", incident="k"))
    data = {"by": "王敏", "measures": {"cost_eur": 200_000, "data_loss": True}}
    found = errors(post(in_europe, [event_json("impact", "impact.measured", down, incident="k", data=data)]))
    assert set(found) == {"/0/data/measures/cost_eur"}
    problem = found["/0/data/measures/cost_eur"]
    assert (problem["detail"], problem["nearest"]) == ("unknown measure 'cost_eur'", "costs_eur")
    assert problem["expected"].startswith("one of: ")
    assert len(in_europe.rows(events)) == 1


@pytest.mark.parametrize(
    ("measures", "expected"),
    [({"costs_eur": True}, "a number"), ({"data_loss": 1}, "true or false"), ({"data_loss": 0.0}, "true or false")],
)
def test_a_measure_is_of_the_kind_that_the_pack_declares(
    in_europe: Served, measures: dict[str, Any], expected: str
) -> None:
    down = at("2026-03-02 10:35")
    accepted(in_europe, started_json("down", down, "DE-HE", incident="k"))
    data = {"by": "王敏", "measures": measures}
    found = errors(post(in_europe, event_json("impact", "impact.measured", down, incident="k", data=data)))
    (name,) = measures
    assert found[f"/data/measures/{name}"]["expected"] == expected


def test_without_a_pack_that_knows_measures_every_measure_is_refused(api: Served) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"))
    data = {"by": "王敏", "measures": {"loss": 1}}
    found = errors(post(api, event_json("impact", "impact.measured", NOW, incident="k", data=data)))
    assert set(found) == {"/data/measures/loss"}


def test_what_is_measured_grades_by_the_pack_that_knows_it_and_stands_in_its_evidence(in_europe: Served) -> None:
    down = at("2026-03-02 10:35")
    accepted(in_europe, started_json("down", down, "DE-HE", incident="k"))
    data = {"by": "王敏", "measures": {"costs_eur": 100_001, "data_loss": True}}
    accepted(in_europe, event_json("impact", "impact.measured", at("2026-03-02 10:38"), incident="k", data=data))
    by_dora, by_cbrc = verdict(in_europe, "eu-dora-2024"), verdict(in_europe)
    assert (by_dora["level"], by_cbrc["level"]) == ("major", None)
    assert by_dora["trajectory"][0]["at"] == "2026-03-02T10:38:00+08:00"
    measured = {found["name"]: (found["value"], found["by"]) for found in by_dora["evidence"]["measurements"]}
    assert measured == {"costs_eur": (100_001, "王敏"), "data_loss": (True, "王敏")}
    assert by_cbrc["evidence"]["measurements"] == []


# A corrected level.


def correction(name: str, when: str, level: str | None, **more: Any) -> dict[str, Any]:
    data = {"level": level, "by": "陈总", "reason": "探针误报"} | more
    return event_json(name, "level.corrected", at(when), incident="k", data=data)


@pytest.mark.parametrize(
    ("level", "more", "pointer", "nearest"),
    [
        ("IIII", {}, "/data/level", "III"),
        ("major", {}, "/data/level", ""),  # of another pack
        ("III", {"pack": "cn-cbrc-2018"}, "/data/pack", "cn-cbrc-2008"),
    ],
)
def test_a_correction_names_a_level_and_a_pack_that_exist(
    api: Served, level: str, more: dict[str, Any], pointer: str, nearest: str
) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"))
    found = errors(post(api, correction("said", "10:38", level, **more)))
    assert set(found) == {pointer}
    assert found[pointer].get("nearest", "") == nearest
    assert found[pointer]["expected"].startswith("one of: ")


def test_a_correction_cannot_be_said_before_the_incident_began(api: Served) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"))
    assert set(errors(post(api, correction("said", "10:34", None)))) == {"/occurred_at"}


def graded_and_corrected(api: Served) -> None:
    accepted(api, started_json("down", BEGAN, incident="k"))
    api.clock.set(at("11:05"))
    api.fire()
    api.clock.set(at("11:10"))
    accepted(api, correction("said", "11:08", None))


def test_a_correction_is_seen_in_the_incident_and_in_the_list(api: Served) -> None:
    graded_and_corrected(api)
    found = verdict(api)
    assert (found["level"], found["severity"], found["level_retained"]) == (None, 0, False)
    first, second = found["trajectory"]
    assert (first["level"], first["at"][11:16]) == ("III", "11:05")
    assert (second["level"], second["at"][11:16], second["corrected_by"], second["reason"]) == (
        None,
        "11:08",
        "陈总",
        "探针误报",
    )
    assert found["next"]["level"] == "II"
    assert view(api)["level"] is None
    (listed,) = api.client.get("/api/v1/incidents").json()["incidents"]
    assert listed["level"] is None


def test_a_correction_is_told_on_the_timeline_with_who_and_why(api: Served) -> None:
    graded_and_corrected(api)
    told = [(e["at"][11:16], e["level"], e["corrected_by"], e["reason"]) for e in timeline(api, "level")]
    assert told == [("11:05", "III", None, None), ("11:08", None, "陈总", "探针误报")]


def test_a_correction_is_measured(api: Served) -> None:
    about = {"incident": "k", "pack": "cn-cbrc-2008"}
    graded_and_corrected(api)
    assert value(api, "incident_level", **about, level="none") == 0
    assert value(api, "incident_level", **about, level="III") is None
    assert value(api, "open_incidents", level="none") == 1
    assert value(api, "open_incidents", level="III") == 0
    due = {"obligation": "first-report", "state": "pending"}
    assert value(api, "obligation_due_timestamp_seconds", **about, **due) is None  # nothing is owed any more


def test_a_corrected_level_rises_again_by_the_clock(api: Served) -> None:
    graded_and_corrected(api)
    api.clock.set(at("13:35"))
    assert api.fire() == 1
    assert (view(api)["level"], verdict(api)["level"]) == ("II", "II")
    assert value(api, "incident_level", incident="k", pack="cn-cbrc-2008", level="II") == 2


def test_a_correction_of_another_pack_leaves_the_primary_one_alone(in_europe: Served) -> None:
    began = at("2026-03-02 07:00")
    accepted(in_europe, started_json("down", began, "CN-GD", incident="k"))  # II since 10:00
    data = {"level": "major", "pack": "eu-dora-2024", "by": "陈总", "reason": "公众影响"}
    said = event_json("said", "level.corrected", at("2026-03-02 10:30"), incident="k", data=data)
    accepted(in_europe, said)
    assert (verdict(in_europe)["level"], verdict(in_europe, "eu-dora-2024")["level"]) == ("II", "major")
    assert verdict(in_europe)["evidence"]["corrections"] == []
    assert view(in_europe)["level"] == "II"


# A harm without an outage.


def test_a_harm_opens_an_incident_without_any_outage(api: Served) -> None:
    (receipt,) = accepted(api, event_json("harm", "harm.assessed", BEGAN, service="core-banking", data=HARM))
    name = receipt["incident"]
    found = view(api, name)
    assert (found["state"], found["level"], found["occurred_at"], found["restored_at"]) == (
        "open",
        "II",
        "2013-06-23T10:35:00+08:00",
        None,
    )
    (assessment,) = found["assessments"]
    assert [(step["rule"], step["at"][11:16]) for step in assessment["trajectory"]] == [("art9-2-1", "10:35")]
    due = {each["id"]: each["due_at"][11:16] for each in assessment["obligations"] if each["due_at"]}
    assert due == {
        "first-report": "11:35",
        "formal-report": "22:35",
        "immediate-report": "10:50",
        "partners-notice": "11:35",
    }
    assert assessment["evidence"]["harms"][0]["reason"] == "账簿受损"
    (same,) = accepted(api, started_json("down", NOW))
    assert same["incident"] == name


def test_a_harm_that_names_neither_service_nor_incident_belongs_to_nothing(api: Served) -> None:
    assert "/incident" in errors(post(api, event_json("harm", "harm.assessed", BEGAN, data=HARM)))


def test_a_harm_may_name_an_incident_that_begins_with_it(api: Served) -> None:
    (receipt,) = accepted(api, event_json("harm", "harm.assessed", BEGAN, incident="k", data=HARM))
    assert receipt["incident"] == "k"
    assert verdict(api)["level"] == "II"


# Outside service hours (clause 3). 2013-06-23 is a Sunday: the counter is closed.


def test_a_repair_that_failed_while_the_doors_are_closed_is_graded_provisionally_until_somebody_says_more(
    api: Served,
) -> None:
    accepted(api, started_json("down", BEGAN, service="counter", incident="k"))
    assert verdict(api)["level"] is None
    accepted(api, event_json("failed", "repair.failed", at("10:39"), service="counter", data=SAID))
    found = verdict(api)
    assert (found["level"], found["provisional"]) == ("I", True)
    assert found["trajectory"][0]["cite"] == "Art. 9(1)3"
    assert found["evidence"]["closed_doors"] == [{"at": "2013-06-23T10:39:00+08:00", "recovery_expected_at": None}]
    api.clock.set(at("10:50"))
    accepted(api, correction("said", "10:45", "I"))
    found = verdict(api)
    assert (found["level"], found["provisional"]) == ("I", False)


def test_a_repair_that_failed_is_graded_by_the_estimate(api: Served) -> None:
    # Monday 09:00 to 09:40 would be lost: level III.
    data = {"recovery_at": at("2013-06-24 09:40").isoformat()}
    accepted(
        api,
        started_json("down", BEGAN, service="counter", incident="k"),
        event_json("estimate", "recovery.estimated", at("10:36"), incident="k", data=data),
        event_json("failed", "repair.failed", at("10:39"), incident="k", data=SAID),
    )
    found = verdict(api)
    assert (found["level"], found["provisional"], found["trajectory"][0]["rule"]) == ("III", False, "art9-3-3")
    accepted(api, restored_json("up", at("10:40"), service="counter", incident="k"))
    assert verdict(api)["level"] == "III"  # it was to be expected then


@pytest.mark.parametrize("level", ["II", "ii", "Ⅱ", "ⅱ", "2", "二", "二级", "Ⅱ级", "II级", "2级", "Level 2"])
def test_a_level_is_taken_by_its_number_in_any_form(api: Served, level: str) -> None:
    accepted(api, started_json("a", BEGAN, incident="k"))
    data = {"level": level, "by": "王敏", "reason": "范围有限"}
    accepted(api, event_json("c", "level.corrected", at("10:38"), incident="k", data=data))
    assert verdict(api)["level"] == "II"
    stored = [row["document"]["data"]["level"] for row in api.rows(events) if row["type"] == "level.corrected"]
    assert stored == ["II"]


@pytest.mark.parametrize("level", ["4", "Ⅳ", "二二", "零", "级"])
def test_a_number_of_no_level_is_refused(api: Served, level: str) -> None:
    accepted(api, started_json("a", BEGAN, incident="k"))
    data = {"level": level, "by": "王敏", "reason": "范围有限"}
    answer = post(api, event_json("c", "level.corrected", at("10:38"), incident="k", data=data))
    assert list(errors(answer)) == ["/data/level"]


def test_a_service_is_taken_by_its_name_in_either_language(api: Served) -> None:
    for name, incident in (("手机银行", "zh"), ("mobile banking", "en"), ("mobile", "id")):
        accepted(api, started_json(incident, BEGAN, service=name, incident=incident))
        assert view(api, incident)["services"] == ["mobile"]
    found = errors(post(api, started_json("x", BEGAN, service="手机银杏")))
    assert found["/service"]["nearest"] == "手机银行"
