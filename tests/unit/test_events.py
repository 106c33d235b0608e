"""What an event may say on the wire, and how each mistake is named: JSON pointer, what was expected, nearest name."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from support.builders import event

from incident_engine.common.errors import Problem
from incident_engine.common.validation import problems_of
from incident_engine.domain.events.actions import StepCompleted
from incident_engine.domain.events.fields import KNOWN_SERVICES
from incident_engine.domain.events.model import Event, MaintenanceAnnounced, OutageEvent, RecoveryEstimated, wire

EVENTS: TypeAdapter[list[Event]] = TypeAdapter(list[Event])

SERVICES = {"core-banking": None, "counter": None, "mobile": None}


def outage(**changed: Any) -> dict[str, Any]:
    document = {
        "source": "zabbix-bj",
        "id": "evt-81734",
        "type": "outage.started",
        "service": "core-banking",
        "regions": ["CN-GD", "440300", "湖南"],
        "occurred_at": "2013-06-23T10:35:00+08:00",
        "incident": None,
        "data": {},
    } | changed
    return {key: value for key, value in document.items() if value != "(left out)"}


def personal(kind: str, data: object) -> dict[str, Any]:
    return {
        "source": "console",
        "id": "1",
        "type": kind,
        "incident": "INC-1",
        "occurred_at": "2013-06-23T11:16:00+08:00",
        "data": data,
    }


def parsed(document: dict[str, Any]) -> Event:
    return EVENTS.validate_python([document], context={KNOWN_SERVICES: SERVICES})[0]


def problems(*documents: object) -> list[Problem]:
    with pytest.raises(ValidationError) as caught:
        EVENTS.validate_python(list(documents), context={KNOWN_SERVICES: SERVICES})
    return problems_of(caught.value, list[Event], list(documents))


def problem(document: object) -> Problem:
    found = problems(document)
    assert len(found) == 1, found
    return found[0]


def test_an_outage_is_read_with_its_regions_resolved_and_its_instant_in_utc() -> None:
    read = parsed(outage())
    assert isinstance(read, OutageEvent)
    assert read.regions == ("CN-GD", "CN-HN")
    assert read.occurred_at == datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
    assert read.occurred_at.tzinfo is UTC
    assert read.data.signal is None


def test_an_event_goes_back_on_the_wire_as_it_came() -> None:
    document = outage(regions=["CN-HN"], occurred_at="2013-06-23T02:35:00Z", data={"signal": "ping", "host": "db1"})
    assert wire(parsed(document)) == document


def test_an_event_is_never_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        setattr(parsed(outage()), "source", "other")  # noqa: B010 - mypy knows that it is frozen


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("recovery.estimated", {"recovery_at": "2013-06-23T14:45:00+08:00", "by": "李工"}),
        ("note.added", {"text": "切换备库"}),
        ("step.completed", {"by": "王敏", "fulfils": "first-report"}),
        ("incident.closed", {"by": "陈总", "reason": "业务恢复正常"}),
    ],
)
def test_people_report_about_an_incident_without_naming_a_service(kind: str, data: dict[str, str]) -> None:
    assert parsed(personal(kind, data)).incident == "INC-1"


def test_an_estimate_is_in_utc() -> None:
    read = parsed(personal("recovery.estimated", {"recovery_at": "2013-06-23T14:45:00+08:00"}))
    assert isinstance(read, RecoveryEstimated)
    assert read.data.recovery_at == datetime(2013, 6, 23, 6, 45, tzinfo=UTC)


def test_a_completion_names_who_did_it() -> None:
    read = parsed(personal("step.completed", {"by": "王敏", "step": "INC-1:p:s:1"}))
    assert isinstance(read, StepCompleted)
    assert (read.data.by, read.data.step, read.data.fulfils) == ("王敏", "INC-1:p:s:1", None)


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    found = problem(outage(regons=["CN-GD"]))
    assert found.pointer == "/0/regons"
    assert found.message == "unknown key 'regons'"
    assert found.nearest == "regions"
    assert "occurred_at" in found.expected


def test_an_unknown_type_is_named_with_the_nearest_one() -> None:
    found = problem(outage(type="outage.start"))
    assert found.pointer == "/0/type"
    assert found.message == "unknown type 'outage.start'"
    assert found.nearest == "outage.started"
    assert "incident.closed" in found.expected


def test_a_missing_type_is_named() -> None:
    found = problem(outage(type="(left out)"))
    assert (found.pointer, found.message) == ("/0/type", "missing key 'type'")


@pytest.mark.parametrize("key", ["source", "id", "service", "regions", "occurred_at"])
def test_a_missing_key_is_named(key: str) -> None:
    found = problem(outage(**{key: "(left out)"}))
    assert (found.pointer, found.message) == (f"/0/{key}", f"missing key '{key}'")


@pytest.mark.parametrize("instant", ["2013-06-23T10:35:00", "2013-06-23 10:35", "2013-06-23"])
def test_an_instant_without_an_offset_is_refused(instant: str) -> None:
    found = problem(outage(occurred_at=instant))
    assert found.pointer == "/0/occurred_at"
    assert "offset" in found.message
    assert "+08:00" in found.expected


@pytest.mark.parametrize("instant", ["23.6.2013", "2013-06-31T10:35:00+08:00", "yesterday", "", None, []])
def test_what_is_no_instant_is_refused(instant: object) -> None:
    found = problem(outage(occurred_at=instant))
    assert found.pointer == "/0/occurred_at"
    assert "instant" in found.message or "offset" in found.message


@pytest.mark.parametrize(
    "document",
    [
        outage(occurred_at="0001-01-01T00:00:00Z"),
        outage(occurred_at="0001-01-01T00:00:00+08:00"),
        outage(occurred_at="9999-12-31T23:59:59-08:00"),
        personal("recovery.estimated", {"recovery_at": "9999-12-31T23:59:59-08:00"}),
    ],
    ids=["the zero of some programs", "before year 1 in UTC", "after year 9999 in UTC", "an estimate after year 9999"],
)
def test_an_instant_outside_the_calendar_is_refused(document: dict[str, Any]) -> None:
    assert problem(document).message


def test_an_unknown_service_is_named_with_the_nearest_one() -> None:
    found = problem(outage(service="core-bankin"))
    assert found.pointer == "/0/service"
    assert found.message == "unknown service 'core-bankin'"
    assert found.expected == "one of: core-banking, counter, mobile"
    assert found.nearest == "core-banking"


def test_without_a_list_of_services_any_name_is_accepted() -> None:
    read = EVENTS.validate_python([outage(service="anything")])[0]
    assert read.service == "anything"


def test_an_unknown_region_is_named_at_its_place_in_the_list() -> None:
    found = problem(outage(regions=["CN-GD", "Gungdong"]))
    assert found.pointer == "/0/regions/1"
    assert found.message == "unknown region 'Gungdong'"
    assert found.nearest == "Guangdong"


def test_an_outage_needs_a_region() -> None:
    found = problem(outage(regions=[]))
    assert found.pointer == "/0/regions"
    assert "at least one" in found.sentence()


@pytest.mark.parametrize("key", ["source", "id"])
@pytest.mark.parametrize("text", [" x", "x ", "a\nb", "a\x00b", "a\u200eb"])
def test_a_name_is_printable_and_has_no_outer_spaces(key: str, text: str) -> None:
    found = problem(outage(**{key: text}))
    assert found.pointer == f"/0/{key}"
    assert found.expected == "printable characters without spaces at the ends"


@pytest.mark.parametrize(("key", "length"), [("source", 201), ("id", 201), ("service", 201), ("incident", 81)])
def test_a_name_has_a_longest_length(key: str, length: int) -> None:
    assert problem(outage(**{key: "x" * length})).pointer == f"/0/{key}"


@pytest.mark.parametrize("key", ["../etc", "a b", "-a", "", "事件"])
def test_an_incident_key_is_a_plain_identifier(key: str) -> None:
    assert problem(outage(incident=key)).pointer == "/0/incident"


@pytest.mark.parametrize("key", ["INC-1", "20130623-banking-0a1b2c3d", "a.b_c"])
def test_an_incident_key_may_have_dots_dashes_and_underscores(key: str) -> None:
    assert parsed(outage(incident=key)).incident == key


@pytest.mark.parametrize("key", ["source", "id", "service", "regions", "type"])
def test_null_is_no_value(key: str) -> None:
    assert problem(outage(**{key: None})).pointer == f"/0/{key}"


@pytest.mark.parametrize("document", [None, 1, "outage", [1]])
def test_what_is_no_object_is_refused_at_its_place(document: object) -> None:
    assert problem(document).pointer.startswith("/0")


@pytest.mark.parametrize(
    ("kind", "data", "pointer"),
    [
        ("recovery.estimated", {}, "/0/data/recovery_at"),
        ("recovery.estimated", {"recovery_at": "2013-06-23T14:45:00"}, "/0/data/recovery_at"),
        ("note.added", {"text": ""}, "/0/data/text"),
        ("note.added", {"text": "x" * 10_001}, "/0/data/text"),
        ("step.completed", {"step": "s"}, "/0/data/by"),
        ("incident.closed", {"reason": "over"}, "/0/data/by"),
        ("incident.closed", {"by": "陈总", "reazon": "over"}, "/0/data/reazon"),
        ("incident.closed", "over", "/0/data"),
    ],
)
def test_what_people_report_is_checked_too(kind: str, data: object, pointer: str) -> None:
    assert problem(personal(kind, data)).pointer == pointer


# What people judge, measure and decide.

HARM = {"kind": "customers", "seriousness": "serious", "cause": "data_leak", "by": "王敏", "reason": "账户信息泄露"}
IMPACT = {"by": "王敏", "measures": {"loss": 12.5, "clients": 7, "media": True}, "root_cause": "db-1 disk full"}
CORRECTION = {"level": "III", "pack": "cn-cbrc-2008", "by": "陈总", "reason": "探针误报"}
FAILURE = {"by": "王敏", "reason": "备件也坏了"}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("repair.failed", FAILURE),
        ("harm.assessed", HARM),
        ("impact.measured", IMPACT),
        ("impact.measured", {"by": "王敏", "root_cause": "db-1 disk full"}),
        ("plan.failed", FAILURE),
        ("level.corrected", CORRECTION),
        ("level.corrected", {"level": None, "by": "陈总", "reason": "探针误报"}),
    ],
)
def test_a_judgement_goes_back_on_the_wire_as_it_came(kind: str, data: dict[str, Any]) -> None:
    sent = wire(parsed(personal(kind, data)))["data"]
    assert {key: value for key, value in sent.items() if key in data} == data
    assert all(not value for key, value in sent.items() if key not in data)


@pytest.mark.parametrize(
    ("kind", "data", "pointer", "message", "nearest"),
    [
        ("repair.failed", {"reason": "x"}, "by", "missing key 'by'", ""),
        ("repair.failed", {"by": "王敏"}, "reason", "missing key 'reason'", ""),
        ("repair.failed", {"by": "王敏", "reason": ""}, "reason", "empty", ""),
        ("plan.failed", {"by": "王敏"}, "reason", "missing key 'reason'", ""),
        ("plan.failed", FAILURE | {"resaon": "x"}, "resaon", "unknown key 'resaon'", "reason"),
        ("harm.assessed", HARM | {"kind": "costumers"}, "kind", "unknown value 'costumers'", "customers"),
        ("harm.assessed", HARM | {"seriousness": "seriouss"}, "seriousness", "unknown value 'seriouss'", "serious"),
        ("harm.assessed", HARM | {"cause": "data_leek"}, "cause", "unknown value 'data_leek'", "data_leak"),
        ("harm.assessed", HARM | {"by": ""}, "by", "empty", ""),
        ("impact.measured", {"by": "王敏"}, "", "nothing is measured", ""),
        ("impact.measured", {"by": "王敏", "measures": {}}, "", "nothing is measured", ""),
        ("impact.measured", {"by": "王敏", "measures": [1]}, "measures", "not an object", ""),
        ("impact.measured", {"measures": {"loss": 1}}, "by", "missing key 'by'", ""),
        ("level.corrected", {"by": "陈总", "reason": "x"}, "level", "missing key 'level'", ""),
        ("level.corrected", {"level": "III", "by": "陈总"}, "reason", "missing key 'reason'", ""),
        ("level.corrected", {"level": "III", "reason": "x"}, "by", "missing key 'by'", ""),
        ("level.corrected", CORRECTION | {"level": ""}, "level", "not an id: ''", ""),
        ("level.corrected", CORRECTION | {"pakc": "x"}, "pakc", "unknown key 'pakc'", "pack"),
    ],
)
def test_a_mistake_in_a_judgement_is_named_with_its_place_and_the_nearest_name(
    kind: str, data: dict[str, Any], pointer: str, message: str, nearest: str
) -> None:
    found = problem(personal(kind, data))
    assert found.pointer == f"/0/data/{pointer}".removesuffix("/")
    assert found.message.startswith(message)
    assert found.nearest == nearest


@pytest.mark.parametrize("key", ["kind", "seriousness", "cause", "by", "reason"])
def test_a_harm_says_what_how_serious_by_what_cause_who_and_why(key: str) -> None:
    found = problem(personal("harm.assessed", {name: value for name, value in HARM.items() if name != key}))
    assert (found.pointer, found.message) == (f"/0/data/{key}", f"missing key '{key}'")


def test_what_is_expected_of_a_harm_is_listed() -> None:
    kinds = problem(personal("harm.assessed", HARM | {"kind": "x"})).expected
    assert kinds == "one of: economic_disorder, financial_stability, public, bank, customers"
    causes = problem(personal("harm.assessed", HARM | {"cause": "x"})).expected
    assert causes == "one of: system_interruption, data_damage, data_loss, data_leak"


@pytest.mark.parametrize("figure", [0, -3, 12.5, 10**18, True, False])
def test_a_figure_is_a_number_or_yes_or_no_and_stays_what_it_is(figure: object) -> None:
    sent = wire(parsed(personal("impact.measured", {"by": "王敏", "measures": {"loss": figure}})))
    kept = sent["data"]["measures"]["loss"]
    assert (kept, type(kept)) == (figure, type(figure))


@pytest.mark.parametrize("figure", ["12", None, [], float("nan"), float("inf")])
def test_what_is_no_figure_is_refused(figure: object) -> None:
    document = personal("impact.measured", {"by": "王敏", "measures": {"loss": figure}})
    assert all(found.pointer.startswith("/0/data/measures/loss") for found in problems(document))


@pytest.mark.parametrize("figure", ["12", None, float("nan")])
def test_what_is_no_figure_is_named_once_at_its_place(figure: object) -> None:
    found = problem(personal("impact.measured", {"by": "王敏", "measures": {"loss": figure}}))
    assert found.pointer == "/0/data/measures/loss"


def test_a_measure_is_named_like_any_id() -> None:
    found = problem(personal("impact.measured", {"by": "王敏", "measures": {"total loss": 1}}))
    assert "not an id: 'total loss'" in found.message
    assert found.pointer.startswith("/0/data/measures/total loss")


# Maintenance.


def maintenance(**changed: Any) -> dict[str, Any]:
    window = {"start": "2013-06-23T22:00:00+08:00", "end": "2013-06-24T02:00:00+08:00"}
    return {
        "source": "console",
        "id": "1",
        "type": "maintenance.announced",
        "service": "core-banking",
        "occurred_at": "2013-06-23T11:16:00+08:00",
        "data": window | changed.pop("data", {}),
    } | changed


def test_maintenance_is_of_a_service_and_everywhere_unless_regions_are_named() -> None:
    everywhere, there = parsed(maintenance()), parsed(maintenance(regions=["湖南"]))
    assert isinstance(everywhere, MaintenanceAnnounced)
    assert isinstance(there, MaintenanceAnnounced)
    assert everywhere.data.start == datetime(2013, 6, 23, 14, tzinfo=UTC)
    assert everywhere.covers("core-banking", "CN-GD")
    assert not everywhere.covers("mobile", "CN-GD")
    assert (there.covers("core-banking", "CN-HN"), there.covers("core-banking", "CN-GD")) == (True, False)


def test_maintenance_may_be_announced_up_to_the_instant_at_which_it_starts() -> None:
    assert parsed(maintenance(occurred_at="2013-06-23T22:00:00+08:00"))
    found = problem(maintenance(occurred_at="2013-06-23T22:00:01+08:00"))
    assert "after it began" in found.message
    assert "once it has begun, report an outage" in found.expected


@pytest.mark.parametrize("end", ["2013-06-23T22:00:00+08:00", "2013-06-23T21:59:59+08:00"])
def test_maintenance_ends_after_it_starts(end: str) -> None:
    found = problem(maintenance(data={"end": end}))
    assert found.pointer == "/0/data"
    assert (found.message.split(",")[1], found.expected) == (" not after it starts", "an end after the start")


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"service": None}, "/0/service"),
        ({"service": "core-bankin"}, "/0/service"),
        ({"regions": ["Gungdong"]}, "/0/regions/0"),
        ({"data": {"start": "2013-06-23T22:00:00"}}, "/0/data/start"),
        ({"data": {"end": None}}, "/0/data/end"),
        ({"data": {"form": "x"}}, "/0/data/form"),
        ({"incident": "INC-1"}, "/0/incident"),
    ],
)
def test_a_mistake_in_an_announcement_is_named_at_its_place(change: dict[str, Any], pointer: str) -> None:
    assert problem(maintenance(**change)).pointer == pointer


def test_maintenance_belongs_to_no_incident() -> None:
    found = problem(maintenance(incident="INC-1"))
    assert (found.pointer, "INC-1" in found.message) == ("/0/incident", True)


def test_a_wrong_key_within_data_is_named_with_the_nearest_one() -> None:
    found = problem(personal("step.completed", {"by": "王敏", "fulfills": "first-report"}))
    assert (found.message, found.nearest) == ("unknown key 'fulfills'", "fulfils")


def test_whatever_else_the_monitor_says_is_kept() -> None:
    read = parsed(outage(data={"host": "db1", "value": 3}))
    assert wire(read)["data"] == {"host": "db1", "value": 3, "signal": None}


def test_every_problem_of_every_event_is_named_at_once() -> None:
    found = problems(outage(), outage(service="x", regions=["nowhere"]), outage(extra=1))
    assert [each.pointer for each in found] == ["/1/service", "/1/regions/0", "/2/extra"]


def test_a_pointer_escapes_tilde_and_slash() -> None:
    assert problem(outage(**{"a/b~c": 1})).pointer == "/0/a~1b~0c"


def test_the_builder_of_the_tests_makes_valid_events() -> None:
    assert event("outage.started", "10:35").service == "core-banking"
