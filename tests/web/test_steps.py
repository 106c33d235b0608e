"""What people do with steps: by the API, and by the signed link in their message."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support.builders import UNMET, started_json
from support.fixtures import Served, served

from incident_engine.common.signed_links import VALID_SECONDS, Link, LinkAction, Links
from incident_engine.store.tables import deliveries, events

BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
KEY = "outage-1"
LINKS = Links("https://ops.bank.example", "a key for the tests")
PLAYBOOKS = '["emergency-response", "regulator-reports", "customer-communication", "partners"]'


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, BEGAN, links=LINKS, PLAYBOOKS=PLAYBOOKS) as found:
        answer = found.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY))
        assert answer.status_code == 202
        wait_until(found, BEGAN + timedelta(minutes=30))
        yield found


def wait_until(api: Served, instant: datetime) -> None:
    api.clock.set(instant)
    api.fire()


def step(api: Served, step_id: str) -> dict[str, Any]:
    found = api.client.get(f"/api/v1/incidents/{KEY}").json()["steps"]
    return next(each for each in found if each["id"] == step_id)


def deed(api: Served, step_id: str, what: str, **data: Any) -> Any:
    return api.client.post(f"/api/v1/steps/{step_id}/{what}", json=data)


def words(api: Served, step_id: str, contact: str | None = None) -> list[str]:
    rows = [row for row in api.rows(deliveries) if row["step_id"] == step_id]
    return [row["body"] for row in rows if contact in (None, row["contact"])]


def link_in(text: str) -> str:
    found = re.search(r"https://ops\.bank\.example(/do/[\w.-]+)", text)
    assert found is not None, text
    return found[1]


PAGE = f"{KEY}:emergency-response:page:III"
TO_CUSTOMERS = f"{KEY}:customer-communication:customers-escalated:I"


def test_whoever_acknowledges_ends_the_paging(api: Served) -> None:
    assert step(api, f"{PAGE}~1.1")["state"] == "pending"
    answer = deed(api, PAGE, "acknowledge", by="李雷")
    assert answer.status_code == 202
    assert answer.json()["status"] == "accepted"
    assert step(api, PAGE)["state"] == "completed"
    assert step(api, PAGE)["completed_by"] == "李雷"
    assert step(api, f"{PAGE}~1.1")["state"] == "withdrawn"
    assert step(api, f"{PAGE}~1.1")["reason"] == "done"


def test_if_nobody_acknowledges_the_next_tier_is_told_and_then_it_starts_over(api: Served) -> None:
    for minutes in (35, 40, 45):
        wait_until(api, BEGAN + timedelta(minutes=minutes))
    told = {row["step_id"]: row for row in api.rows(deliveries) if row["step_id"].startswith(f"{PAGE}~")}
    assert {name.partition("~")[2]: row["contact"] for name, row in told.items()} == {
        "1.1": "execution-group",
        "1.2": "leading-group",
        "2.0": told[f"{PAGE}~2.0"]["contact"],
    }
    [again] = words(api, f"{PAGE}~2.0", "duty-officer")
    assert "15分钟" in again
    assert step(api, f"{PAGE}~2.1")["due_at"] == "2013-06-23T11:25:00+08:00"


def test_the_same_key_again_changes_nothing(api: Served) -> None:
    for wanted in ("accepted", "duplicate"):
        answer = api.client.post(
            f"/api/v1/steps/{PAGE}/acknowledge", json={"by": "李雷"}, headers={"Idempotency-Key": "once"}
        )
        assert answer.json()["status"] == wanted


def test_the_same_key_with_another_body_is_refused(api: Served) -> None:
    path, headers = f"/api/v1/steps/{PAGE}/acknowledge", {"Idempotency-Key": "once"}
    assert api.client.post(path, json={"by": "李雷"}, headers=headers).status_code == 202
    api.clock.advance(timedelta(minutes=1))  # our clock stamps it, so the instant makes no difference
    assert api.client.post(path, json={"by": "李雷"}, headers=headers).json()["status"] == "duplicate"
    refused = api.client.post(path, json={"by": "韩梅梅"}, headers=headers)
    assert refused.status_code == 409
    assert [error["pointer"] for error in refused.json()["errors"]] == ["/by"]
    assert "李雷" not in refused.text


def test_a_key_used_for_adding_another_step_is_refused(api: Served) -> None:
    path, headers = f"/api/v1/incidents/{KEY}/steps", {"Idempotency-Key": "once"}
    task = {"by": "李雷", "reason": "要", "title": "查日志"}
    assert api.client.post(path, json=task, headers=headers).json()["status"] == "accepted"
    other = api.client.post(path, json=task | {"title": "查网络"}, headers=headers)
    assert (other.status_code, [error["pointer"] for error in other.json()["errors"]]) == (409, ["/title"])


def test_a_link_shows_what_it_is_about_and_does_nothing_until_the_button_is_pressed(api: Served) -> None:
    [body] = words(api, PAGE, "duty-engineer")
    path = link_in(body)
    shown = api.client.get(path)
    assert shown.status_code == 200
    assert shown.headers["cache-control"] == "no-store"
    assert "Duty engineer" in shown.text
    assert "<form" in shown.text
    assert step(api, PAGE)["state"] == "started"
    done = api.client.post(path, data={"by": "Li Lei"})
    assert done.status_code == 200
    assert "Acknowledged; nobody else is called." in done.text
    assert step(api, PAGE)["completed_by"] == "Li Lei"
    again = api.client.post(path, data={"by": "somebody else"})
    assert "Done by Li Lei" in again.text
    assert "<form" not in again.text
    assert step(api, PAGE)["completed_by"] == "Li Lei"
    assert len([row for row in api.rows(events) if row["type"] == "step.acknowledged"]) == 1


def test_a_link_shows_nobody_else_s_message(api: Served) -> None:
    token = LINKS.for_step(PAGE, "duty-engineer")
    assert token is not None
    shown = api.client.get(link_in(token["acknowledge"])).text
    [others] = words(api, PAGE, "duty-officer")
    assert link_in(others).rpartition("/")[2] not in shown


def test_who_gives_no_name_is_asked_for_it(api: Served) -> None:
    path = link_in(words(api, PAGE, "duty-engineer")[0])
    answer = api.client.post(path, data={"by": "  "})
    assert answer.status_code == 422
    assert "Please give your name." in answer.text
    assert step(api, PAGE)["state"] == "started"


@pytest.mark.parametrize("changed", ["x", "eyJhIjoxfQ.aaaa.bbbb", ""])
def test_a_link_that_was_changed_is_refused(api: Served, changed: str) -> None:
    path = link_in(words(api, PAGE, "duty-engineer")[0])
    token = (path[:-2] + "xx") if changed == "x" else f"/do/{changed or 'nothing'}"
    answer = api.client.get(token)
    assert answer.status_code == 404
    assert "This link is not valid" in answer.text
    assert api.client.post(token, data={"by": "x"}).status_code == 404


def test_a_link_signed_with_another_key_is_refused(api: Served) -> None:
    other = Links("https://ops.bank.example", "another key").for_step(PAGE, "duty-engineer")
    assert other is not None
    assert api.client.get(link_in(other["acknowledge"])).status_code == 404


def test_an_old_link_says_that_it_is_old(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    path = link_in(words(api, PAGE, "duty-engineer")[0])
    monkeypatch.setattr("time.time", lambda: datetime.now(UTC).timestamp() + VALID_SECONDS + 60)
    answer = api.client.get(path)
    assert answer.status_code == 410
    assert "This link is too old" in answer.text


def test_customers_get_no_link(api: Served) -> None:
    for row in api.rows(deliveries):
        if row["contact"].startswith("customers") or row["contact"] in ("branches", "institutions", "suppliers"):
            assert "/do/" not in row["body"]


def escalated_to_one(api: Served) -> None:
    api.client.post("/api/v1/events", json=started_json("b", BEGAN, "CN-HN", incident=KEY))
    wait_until(api, BEGAN + timedelta(hours=3))


def test_words_that_need_an_approval_wait_for_it_and_then_go_out_as_they_were_shown(api: Served) -> None:
    escalated_to_one(api)
    assert step(api, TO_CUSTOMERS)["state"] == "awaiting"
    held = [row for row in api.rows(deliveries) if row["step_id"] == TO_CUSTOMERS]
    assert {row["state"] for row in held} == {"held"}
    [request] = words(api, f"{TO_CUSTOMERS}~ask", "spokesperson")
    for row in held:
        assert row["subject"] in request
    wait_until(api, BEGAN + timedelta(hours=3, minutes=10))
    held = [row for row in api.rows(deliveries) if row["step_id"] == TO_CUSTOMERS]  # written anew for the second tier
    path = link_in(request.replace("acknowledge", ""))
    links = re.findall(r"https://ops\.bank\.example(/do/[\w.-]+)", request)
    approving = [each for each in links if LINKS.read(each.removeprefix("/do/")).action is LinkAction.APPROVE]
    assert approving, path
    shown = api.client.get(approving[0]).text
    assert held[0]["subject"] in shown
    answer = api.client.post(approving[0], data={"by": "赵发言"})
    assert "Approved; it goes out now." in answer.text
    sent = [row for row in api.rows(deliveries) if row["step_id"] == TO_CUSTOMERS]
    assert {row["state"] for row in sent} == {"pending"}
    assert [row["body"] for row in sent] == [row["body"] for row in held]
    assert step(api, TO_CUSTOMERS)["approved_by"] == "赵发言"


def test_waiting_for_an_approval_is_never_silent(api: Served) -> None:
    escalated_to_one(api)
    for minutes in (185, 190, 195):
        wait_until(api, BEGAN + timedelta(minutes=minutes))
    asked = [
        (row["contact"], row["step_id"].rpartition("~")[2])
        for row in api.rows(deliveries)
        if TO_CUSTOMERS in row["step_id"]
    ]
    assert ("spokesperson", "ask") in asked
    assert ("spokesperson", "1.1") in asked
    assert ("leading-group", "1.2") in asked
    assert ("spokesperson", "2.0") in asked


def test_the_spokesperson_s_own_wording_goes_out(api: Served) -> None:
    escalated_to_one(api)
    wording = {"zh-CN": {"subject": "改过的标题", "body": "改过的正文"}}
    assert deed(api, TO_CUSTOMERS, "approve", by="林薇", wording=wording).status_code == 422, "the English is missing"
    wording["en"] = {"subject": "A subject of mine", "body": "My words"}
    assert deed(api, TO_CUSTOMERS, "approve", by="赵发言", wording=wording).status_code == 202
    sent = {row["locale"]: row for row in api.rows(deliveries) if row["step_id"] == TO_CUSTOMERS}
    assert sent["zh-CN"]["subject"] == "改过的标题"
    assert sent["zh-CN"]["body"] == "改过的正文"
    assert sent["en"]["body"] == "My words"


def test_words_about_what_is_over_are_withdrawn_unsaid(api: Served) -> None:
    moved = f"{KEY}:customer-communication:customers-make-good:x"
    assert deed(api, moved, "approve", by="x").status_code == 404
    escalated_to_one(api)
    api.client.post(
        "/api/v1/events",
        json={
            "source": "ops",
            "id": "r",
            "type": "level.corrected",
            "incident": KEY,
            "occurred_at": (BEGAN + timedelta(hours=3)).isoformat(),
            "data": {"level": None, "by": "陈总", "reason": "误报"},
        },
    )
    assert step(api, TO_CUSTOMERS)["state"] in ("withdrawn", "awaiting")


def test_a_step_that_is_skipped_is_told_to_nobody_and_says_why(api: Served) -> None:
    escalated_to_one(api)
    assert deed(api, TO_CUSTOMERS, "skip", by="陈总", reason="已由发布会说明").status_code == 202
    found = step(api, TO_CUSTOMERS)
    assert (found["state"], found["completed_by"], found["reason"]) == ("skipped", "陈总", "已由发布会说明")
    assert not [row for row in api.rows(deliveries) if row["step_id"] == TO_CUSTOMERS]
    wait_until(api, BEGAN + timedelta(hours=3, minutes=20))
    assert step(api, f"{TO_CUSTOMERS}~1.1")["state"] == "withdrawn"
    assert step(api, f"{TO_CUSTOMERS}~1.1")["reason"] == "skipped"


def test_what_the_law_demands_stays_overdue_though_its_step_was_skipped(api: Served) -> None:
    report = f"{KEY}:regulator-reports:first-report:first-report"
    assert deed(api, report, "skip", by="王敏", reason="电话已报").status_code == 202
    assert step(api, report)["state"] == "skipped"
    wait_until(api, BEGAN + timedelta(minutes=61))
    assert [row["contact"] for row in api.rows(deliveries) if row["step_id"] == f"{report}~1.2"] == ["leading-group"]
    verdict = api.client.get(f"/api/v1/incidents/{KEY}").json()["assessments"][0]
    [status] = [each for each in verdict["obligations"] if each["id"] == "first-report"]
    assert status["state"] == "overdue"


def test_a_step_that_is_handed_over_is_told_to_the_new_owner_and_so_are_its_reminders(api: Served) -> None:
    report = f"{KEY}:regulator-reports:first-report:first-report"
    answer = deed(api, report, "assign", by="王敏", to="duty-officer", reason="换班")
    assert answer.status_code == 202
    assert step(api, report)["assignee"] == "duty-officer"
    [told] = [row for row in api.rows(deliveries) if row["step_id"].startswith(f"{report}~to.")]
    assert told["contact"] == "duty-officer"
    assert "换班" in told["body"]
    wait_until(api, BEGAN + timedelta(minutes=45))
    assert [row["contact"] for row in api.rows(deliveries) if row["step_id"] == f"{report}~1.1"] == ["duty-officer"]


def test_a_task_goes_to_whom_it_is_given_and_is_reminded_of_until_it_is_done(api: Served) -> None:
    due_at = BEGAN + timedelta(days=3)
    body = {"by": "陈总", "reason": "复盘", "title": "核对日志", "assignee": "suppliers", "due_at": due_at.isoformat()}
    assert api.client.post(f"/api/v1/incidents/{KEY}/steps", json=body).status_code == 202
    [task] = [
        each
        for each in api.client.get(f"/api/v1/incidents/{KEY}").json()["steps"]
        if each["step"] == "task" and not each["parent_id"]
    ]
    assert (task["audience"], task["deadline"]) == ("suppliers", "2013-06-26T10:35:00+08:00")
    wait_until(api, due_at - timedelta(days=1))
    assert [row["contact"] for row in api.rows(deliveries) if row["step_id"] == f"{task['id']}~1.1"] == ["suppliers"]
    assert deed(api, task["id"], "complete", by="供应商", note="已核对").status_code == 202
    wait_until(api, due_at + timedelta(hours=1))
    assert not [row for row in api.rows(deliveries) if row["step_id"] == f"{task['id']}~1.2"]


def test_the_word_to_customers_can_come_before_any_level_and_then_comes_once(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, PLAYBOOKS=PLAYBOOKS) as api:
        api.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY))
        api.clock.set(BEGAN + timedelta(minutes=5))
        body = {"by": "赵发言", "reason": "客户已在询问", "step": "customers-acknowledge", "confirm": True}
        assert api.client.post(f"/api/v1/incidents/{KEY}/steps", json=body).status_code == 202
        told = [row for row in api.rows(deliveries) if ":customers-acknowledge:" in row["step_id"]]
        assert {row["contact"] for row in told} == {"customers-zh", "customers-en"}
        wait_until(api, BEGAN + timedelta(minutes=30))
        assert [row for row in api.rows(deliveries) if ":customers-acknowledge:" in row["step_id"]] == told


@pytest.mark.parametrize(
    ("what", "data", "said"),
    [
        ("acknowledge", {}, "/by"),
        ("acknowledge", {"by": "x", "step": "other"}, "/step"),
        ("skip", {"by": "x"}, "/reason"),
        ("assign", {"by": "x", "to": "duty-oficer", "reason": "y"}, "/to"),
        ("approve", {"by": "x"}, "/step"),
        ("complete", {"by": "x", "extra": 1}, "/extra"),
    ],
)
def test_wrong_deeds_are_refused_with_the_place(api: Served, what: str, data: dict[str, Any], said: str) -> None:
    answer = deed(api, PAGE, what, **data)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [said]
    assert not [row for row in api.rows(events) if row["source"] == "api"]


def test_what_is_only_told_awaits_nobody(api: Served) -> None:
    answer = deed(api, f"{KEY}:partners:staff-notice:20130623T023500Z", "acknowledge", by="x")
    assert answer.status_code == 422
    assert "awaits no action" in answer.text


def test_there_is_no_such_step_or_incident(api: Served) -> None:
    assert deed(api, "outage-1:no:such:step", "acknowledge", by="x").status_code == 404
    answer = api.client.post("/api/v1/incidents/none/steps", json={"by": "x", "reason": "y", "title": "z"})
    assert answer.status_code == 404


def test_a_body_that_is_no_object_is_refused(api: Served) -> None:
    assert api.client.post(f"/api/v1/steps/{PAGE}/acknowledge", content=b"[]").status_code == 422
    assert api.client.post(f"/api/v1/steps/{PAGE}/acknowledge", content=b"{").status_code == 400
    assert api.client.post(f"/api/v1/steps/{PAGE}/acknowledge", content=b" " * 1_100_000).status_code == 413


def test_a_key_is_asked_of_the_api_and_not_of_a_signed_link(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, keys=("k" * 16,), links=LINKS, PLAYBOOKS=PLAYBOOKS) as api:
        header = {"Authorization": "Bearer " + "k" * 16}
        api.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY), headers=header)
        wait_until(api, BEGAN + timedelta(minutes=30))
        assert deed(api, PAGE, "acknowledge", by="x").status_code == 401
        path = link_in(words(api, PAGE, "duty-engineer")[0])
        assert api.client.get(path).status_code == 200
        assert "Acknowledged" in api.client.post(path, data={"by": "Li Lei"}).text


def test_an_incident_is_closed_only_once_it_was_observed(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, PLAYBOOKS=PLAYBOOKS, CLOSING__OBSERVATION="30m") as api:
        api.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY))
        ended = BEGAN + timedelta(hours=1)
        wait_until(api, ended)
        restored = {"source": "m", "id": "r", "type": "outage.restored", "service": "core-banking"}
        api.client.post("/api/v1/events", json=restored | {"regions": ["CN-GD"], "occurred_at": ended.isoformat()})
        closing = {
            "source": "ops",
            "id": "c",
            "type": "incident.closed",
            "incident": KEY,
            "data": {"by": "陈总", "overdue": UNMET},
        }
        api.clock.set(ended + timedelta(minutes=29))
        early = closing | {"occurred_at": (ended + timedelta(minutes=29)).isoformat()}
        answer = api.client.post("/api/v1/events", json=early)
        assert answer.status_code == 422
        assert "under observation until 2013-06-23T04:05:00" in answer.text
        wait_until(api, ended + timedelta(minutes=30))
        asked = [row["contact"] for row in api.rows(deliveries) if ":close:" in row["step_id"]]
        assert sorted(asked) == ["duty-engineer", "duty-officer"]
        late = closing | {"occurred_at": (ended + timedelta(minutes=30)).isoformat()}
        assert api.client.post("/api/v1/events", json=late).status_code == 202
        assert api.client.get(f"/api/v1/incidents/{KEY}").json()["state"] == "closed"


def test_links_say_what_they_were_made_of() -> None:
    made = LINKS.for_step(PAGE, "duty-engineer")
    assert made is not None
    read = {action: LINKS.read(url.rpartition("/")[2]) for action, url in made.items()}
    assert read == {action: Link(PAGE, LinkAction(action), "duty-engineer") for action in LinkAction}
    assert Links().for_step(PAGE, "duty-engineer") is None


def test_nothing_is_approved_before_its_words_are_written(api: Served) -> None:
    api.client.post("/api/v1/events", json=started_json("b", BEGAN, "CN-HN", incident=KEY))
    assert step(api, TO_CUSTOMERS)["state"] == "pending"
    answer = deed(api, TO_CUSTOMERS, "approve", by="林薇")
    assert answer.status_code == 422
    assert "has not started" in answer.text
    wait_until(api, BEGAN + timedelta(hours=3))
    assert step(api, TO_CUSTOMERS)["state"] == "awaiting"


def test_a_page_is_not_acknowledged_before_it_was_sent(api: Served) -> None:
    api.client.post("/api/v1/events", json=started_json("b", BEGAN, "CN-HN", incident=KEY))
    coming = f"{KEY}:emergency-response:page:I"
    assert step(api, coming)["state"] == "pending"
    assert deed(api, coming, "acknowledge", by="x").status_code == 422
    wait_until(api, BEGAN + timedelta(hours=3))
    wait_until(api, BEGAN + timedelta(hours=3, minutes=5))
    assert [row["contact"] for row in api.rows(deliveries) if row["step_id"] == f"{coming}~1.1"] == ["execution-group"]


def test_a_report_is_completed_by_its_link_and_cannot_be_acknowledged(api: Served) -> None:
    report = f"{KEY}:regulator-reports:first-report:first-report"
    assert deed(api, report, "acknowledge", by="x").status_code == 422
    path = link_in(words(api, report, "risk-reporter")[0])
    answer = api.client.post(path, data={"by": "王敏"})
    assert "Recorded as done." in answer.text
    assert step(api, report)["completed_by"] == "王敏"


def test_a_step_added_now_does_not_wait_for_its_offset(api: Served) -> None:
    wait_until(api, BEGAN + timedelta(minutes=50))
    body = {"by": "赵发言", "reason": "损失已查明", "step": "customers-make-good", "confirm": True}
    assert api.client.post(f"/api/v1/incidents/{KEY}/steps", json=body).status_code == 202
    [added] = [
        each
        for each in api.client.get(f"/api/v1/incidents/{KEY}").json()["steps"]
        if each["step"] == "customers-make-good" and not each["parent_id"]
    ]
    assert added["state"] == "awaiting"


def test_a_wrong_step_is_told_with_the_nearest(api: Served) -> None:
    answer = deed(api, PAGE.replace(":III", ":IIII"), "acknowledge", by="x")
    assert answer.status_code == 404
    assert f"did you mean '{PAGE}'?" in answer.text


def test_a_person_who_raises_the_level_calls_everybody_whom_a_rule_would_call(api: Served) -> None:
    word = {"level": "I", "by": "陈总", "reason": "全行停摆"}
    event = {"source": "ops", "id": "c", "type": "level.corrected", "incident": KEY, "data": word}
    at_once = BEGAN + timedelta(minutes=31)
    api.clock.set(at_once)
    assert api.client.post("/api/v1/events", json=event | {"occurred_at": at_once.isoformat()}).status_code == 202
    begun = {row["step_id"].split(":", 2)[2]: row["contact"] for row in api.rows(deliveries)}
    assert begun["page-leading-group:I"] == "leading-group"
    assert {"page:I", "page-execution-group:I", "support-group:I", "media:I", "customers-escalated:I~ask"} <= set(begun)


def test_nobody_is_called_for_what_a_person_said_to_be_nothing(api: Served) -> None:
    word = {"level": None, "by": "陈总", "reason": "误报"}
    event = {"source": "ops", "id": "c", "type": "level.corrected", "incident": KEY, "data": word}
    at_once = BEGAN + timedelta(minutes=31)
    api.clock.set(at_once)
    assert api.client.post("/api/v1/events", json=event | {"occurred_at": at_once.isoformat()}).status_code == 202
    assert step(api, f"{PAGE}~1.1")["state"] == "withdrawn"
    before = len(api.rows(deliveries))
    for minutes in (35, 40, 45, 150, 152):
        wait_until(api, BEGAN + timedelta(minutes=minutes))
    assert len(api.rows(deliveries)) == before


def restore(api: Served, name: str, minutes: int) -> None:
    instant = BEGAN + timedelta(minutes=minutes)
    api.clock.set(instant)
    event = {"source": "m", "id": name, "type": "outage.restored", "service": "core-banking", "regions": ["CN-GD"]}
    answer = api.client.post("/api/v1/events", json=event | {"occurred_at": instant.isoformat()})
    assert answer.status_code == 202


def test_what_was_given_up_and_is_wanted_again_is_told_again(api: Served) -> None:
    restore(api, "r1", 60)
    for minutes in (65, 90):
        wait_until(api, BEGAN + timedelta(minutes=minutes))
    summary = f"{KEY}:regulator-reports:summary-report:summary-report"
    assert step(api, summary)["state"] == "started"
    wait_until(api, BEGAN + timedelta(minutes=100))
    api.client.post("/api/v1/events", json=started_json("again", BEGAN + timedelta(minutes=100), "CN-GD", incident=KEY))
    assert step(api, summary)["state"] == "withdrawn"
    restore(api, "r2", 150)
    for minutes in (155, 180):
        wait_until(api, BEGAN + timedelta(minutes=minutes))
    assert step(api, summary)["state"] == "started"
    asked = [row for row in api.rows(deliveries) if row["step_id"] == summary]
    assert [row["contact"] for row in asked] == ["risk-reporter", "risk-reporter"]
    assert len({row["id"] for row in asked}) == 2
    assert deed(api, summary, "complete", by="王敏", with_gaps=True).status_code == 202
    versions = api.client.get(f"/api/v1/incidents/{KEY}/reports").json()
    states = [v["state"] for r in versions["reports"] if r["report"] == "cbrc-summary-report" for v in r["versions"]]
    assert states[-1] == "submitted"


def test_an_approver_is_asked_again_for_words_that_were_withdrawn_and_written_anew(api: Served) -> None:
    good = f"{KEY}:customer-communication:customers-make-good"
    restore(api, "r1", 60)
    for minutes in (65, 185):
        wait_until(api, BEGAN + timedelta(minutes=minutes))
    first = next(
        each for each in api.client.get(f"/api/v1/incidents/{KEY}").json()["steps"] if each["id"].startswith(good)
    )
    assert first["state"] == "awaiting"
    asked = len([row for row in api.rows(deliveries) if row["step_id"].startswith(good) and "~ask" in row["step_id"]])
    api.client.post("/api/v1/events", json=started_json("again", BEGAN + timedelta(minutes=185), "CN-GD", incident=KEY))
    restore(api, "r2", 187)
    for minutes in (192, 312, 320):
        wait_until(api, BEGAN + timedelta(minutes=minutes))
    again = len([row for row in api.rows(deliveries) if row["step_id"].startswith(good) and "~ask" in row["step_id"]])
    assert (asked, again) == (1, 2)


def test_only_an_approval_lets_held_words_out(api: Served) -> None:
    escalated_to_one(api)
    answer = deed(api, f"{TO_CUSTOMERS}~ask", "complete", by="x")
    assert answer.status_code == 422
    assert "awaits an approval" in answer.text
    assert step(api, TO_CUSTOMERS)["state"] == "awaiting"


def test_a_handed_over_approval_reminds_the_new_owner(api: Served) -> None:
    escalated_to_one(api)
    assert deed(api, TO_CUSTOMERS, "assign", by="林薇", to="duty-officer", reason="在途").status_code == 202
    wait_until(api, BEGAN + timedelta(hours=3, minutes=5))
    told = [row["contact"] for row in api.rows(deliveries) if row["step_id"] == f"{TO_CUSTOMERS}~1.1"]
    assert told == ["duty-officer"]


def test_a_closed_incident_is_not_closed_again(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, PLAYBOOKS=PLAYBOOKS) as api:
        api.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY))
        wait_until(api, BEGAN + timedelta(minutes=60))
        restore(api, "r", 60)
        closing = {
            "source": "ops",
            "type": "incident.closed",
            "incident": KEY,
            "data": {"by": "陈总", "overdue": UNMET},
        }
        for name, minutes, status in (("c1", 61, 202), ("c2", 70, 422)):
            instant = BEGAN + timedelta(minutes=minutes)
            api.clock.set(instant)
            answer = api.client.post("/api/v1/events", json=closing | {"id": name, "occurred_at": instant.isoformat()})
            assert answer.status_code == status
        assert "was closed at" in answer.text


def test_the_same_key_for_another_step_is_another_deed(api: Served) -> None:
    api.client.post("/api/v1/events", json=started_json("b", BEGAN, "CN-HN", incident=KEY))
    wait_until(api, BEGAN + timedelta(minutes=32))
    for name in ("page", "page-execution-group"):
        answer = api.client.post(
            f"/api/v1/steps/{KEY}:emergency-response:{name}:II/acknowledge",
            json={"by": "李雷"},
            headers={"Idempotency-Key": "k"},
        )
        assert answer.json()["status"] == "accepted", answer.text


def test_a_word_to_customers_that_is_added_goes_out_at_once_and_not_when_it_is_over(api: Served) -> None:
    wait_until(api, BEGAN + timedelta(minutes=40))
    body = {"by": "赵发言", "reason": "客户仍在询问", "step": "customers-acknowledge", "confirm": True}
    assert api.client.post(f"/api/v1/incidents/{KEY}/steps", json=body).status_code == 202
    told = [row for row in api.rows(deliveries) if ":customers-acknowledge:" in row["step_id"]]
    assert len(told) == 4, "the first word, and the one that was asked for, in both languages"
    restore(api, "r", 50)
    wait_until(api, BEGAN + timedelta(minutes=56))
    assert [row for row in api.rows(deliveries) if ":customers-acknowledge:" in row["step_id"]] == told


def test_whoever_is_asked_again_reads_words_that_are_not_old(api: Served) -> None:
    escalated_to_one(api)
    first = {row["locale"]: row["body"] for row in api.rows(deliveries) if row["step_id"] == TO_CUSTOMERS}
    wait_until(api, BEGAN + timedelta(hours=4, minutes=10))
    held = {row["locale"]: row["body"] for row in api.rows(deliveries) if row["step_id"] == TO_CUSTOMERS}
    assert held != first
    latest = max(
        (row for row in api.rows(deliveries) if row["step_id"].startswith(f"{TO_CUSTOMERS}~")),
        key=lambda row: row["created_at"],
    )
    assert held["zh-CN"].strip().splitlines()[2] in latest["body"]


def test_a_page_that_was_given_up_says_that_it_waits_for_nobody(api: Served) -> None:
    restore(api, "r", 60)
    wait_until(api, BEGAN + timedelta(minutes=66))
    instant = BEGAN + timedelta(minutes=70)
    api.clock.set(instant)
    closing = {
        "source": "ops",
        "id": "c",
        "type": "incident.closed",
        "incident": KEY,
        "data": {"by": "陈总", "overdue": UNMET},
    }
    api.client.post("/api/v1/events", json=closing | {"occurred_at": instant.isoformat()})
    answer = deed(api, PAGE, "acknowledge", by="李雷")
    assert answer.status_code == 422
    assert "no longer awaits an action" in answer.text
