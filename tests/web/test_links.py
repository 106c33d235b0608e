"""Pages of signed links: every error is a page in the reader's language, and a link belongs to one reader."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from sqlalchemy import delete
from structlog.testing import capture_logs
from support.builders import started_json
from support.fixtures import Served, held_up, served

from incident_engine.common.link_path import without_tokens
from incident_engine.common.signed_links import Links
from incident_engine.common.telemetry import configure_logging, logger
from incident_engine.store.tables import archived_incidents, deliveries, steps
from incident_engine.web.action_events import ActionEvents

BEGAN = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
KEY = "outage-1"
PAGE = f"{KEY}:emergency-response:page:III"
LINKS = Links("https://ops.bank.example", "a key for the tests")
PLAYBOOKS = '["emergency-response", "regulator-reports", "customer-communication", "partners"]'


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, BEGAN, links=LINKS, PLAYBOOKS=PLAYBOOKS) as found:
        answer = found.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY))
        assert answer.status_code == 202
        wait_until(found, 30)
        yield found


def wait_until(api: Served, minutes: int) -> None:
    api.clock.set(BEGAN + timedelta(minutes=minutes))
    api.fire()


def link(contact: str = "duty-engineer", action: str = "acknowledge", step: str = PAGE) -> str:
    links = LINKS.for_step(step, contact)
    assert links is not None
    return links[action].removeprefix("https://ops.bank.example")


def state(api: Served, step_id: str = PAGE) -> str:
    found = api.client.get(f"/api/v1/incidents/{KEY}").json()["steps"]
    return str(next(each["state"] for each in found if each["id"] == step_id))


def names(api: Served) -> list[str]:
    entries = api.client.get(f"/api/v1/incidents/{KEY}/timeline").json()["timeline"]
    return [entry["data"]["by"] for entry in entries if entry["kind"] == "event" and "by" in (entry["data"] or {})]


def is_page(answer: object, status: int, english: str, chinese: str) -> None:
    assert getattr(answer, "status_code") == status  # noqa: B009
    headers, text = getattr(answer, "headers"), getattr(answer, "text")  # noqa: B009
    assert headers["content-type"].startswith("text/html")
    assert headers["cache-control"] == "no-store"
    assert english in text
    assert chinese in text


# Errors


@pytest.mark.parametrize("name", ["\x1b[2J", "李\x00雷", "Li\ue000"])
def test_a_name_that_cannot_be_used_is_said_on_the_page_which_asks_again(api: Served, name: str) -> None:
    answer = api.client.post(
        link(), content="by=" + "".join(f"%{b:02x}" for b in name.encode("utf-8", "surrogatepass"))
    )
    if name == "\ud800":  # no text in UTF-8: replaced by a sign that can be shown
        assert answer.status_code == 200
        return
    is_page(answer, 409, "type it again", "请重新填写")
    assert "<form" in answer.text
    assert state(api) == "started"


def test_an_action_that_is_not_possible_is_said_in_both_languages(api: Served) -> None:
    ask = f"{KEY}:emergency-response:page:III~1.1"
    answer = api.client.get(link(step=ask))
    assert answer.status_code == 200
    gone = api.client.get(link(step=f"{KEY}:emergency-response:nothing:III"))
    is_page(gone, 404, "This step no longer exists", "此步骤已不存在")


@pytest.mark.parametrize("path", ["/do/", "/do/a/b", "/do/nothing"])
def test_a_link_that_leads_nowhere_is_a_page(api: Served, path: str) -> None:
    is_page(api.client.get(path), 404, "This link is not valid", "链接无效")


def test_another_method_is_answered_by_a_page(api: Served) -> None:
    answer = api.client.put(link())
    is_page(answer, 405, "This link cannot be used this way", "无法这样使用此链接")


def test_a_body_that_is_too_large_is_answered_by_a_page(api: Served) -> None:
    answer = api.client.post(link(), content=b"by=" + b"x" * api.settings.server.max_body_bytes)
    is_page(answer, 413, "Too much was sent", "提交的内容过大")
    assert state(api) == "started"


def test_a_full_queue_is_answered_by_a_page_that_says_when_to_come_again(tmp_path: Path) -> None:
    with served(tmp_path, BEGAN, links=LINKS, PLAYBOOKS=PLAYBOOKS, INTAKE__QUEUE="1") as api:
        api.client.post("/api/v1/events", json=started_json("a", BEGAN, "CN-GD", incident=KEY))
        wait_until(api, 30)
        with held_up(api.writer):
            api.writer.submit(lambda _: None)  # fills the queue
            answer = api.client.post(link(), data={"by": "Li Lei"})
        is_page(answer, 503, "The system is busy", "系统繁忙")
        assert answer.headers["retry-after"] == "1"


def test_a_fault_of_the_program_is_answered_by_a_page_and_the_log_has_no_token(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("said")

    monkeypatch.setattr(ActionEvents, "event", fail)
    path = link()
    with capture_logs() as lines:
        answer = api.client.post(path, data={"by": "Li Lei"})
    is_page(answer, 500, "Something went wrong", "办理时出错")
    [line] = [line for line in lines if line["event"] == "request_failed"]
    assert line["path"] == "/do/…"
    assert path.rpartition("/")[2] not in json.dumps(lines)


def test_no_line_of_the_log_has_the_token_of_a_link() -> None:
    stream, token = StringIO(), link().rpartition("/")[2]
    configure_logging(stream)
    try:
        logger("web").warning("anything", url=f"https://ops.bank.example/do/{token}?x=1", error=f"see </do/{token}>")
    finally:
        configure_logging()
    assert token not in stream.getvalue()
    line = json.loads(stream.getvalue())
    assert (line["url"], line["error"]) == ("https://ops.bank.example/do/…", "see </do/…>")
    assert without_tokens("nothing to hide") == "nothing to hide"


@pytest.mark.parametrize(
    ("wanted", "first"),
    [
        ("en-GB,en;q=0.9", "This link is not valid"),
        ("zh-TW,zh;q=0.8", "链接无效"),
        ("fr, en", "This link is not valid"),
        ("fr", "链接无效"),
    ],
)
def test_a_page_of_an_unknown_reader_is_in_the_language_of_the_browser(api: Served, wanted: str, first: str) -> None:
    text = api.client.get("/do/nothing", headers={"accept-language": wanted}).text
    assert re.findall(r"<h1><span lang=\"[\w-]+\">([^<]+)</span>", text) == [first]


def test_a_page_of_a_known_reader_is_in_the_readers_language_first(api: Served) -> None:
    locales = {contact.id: contact.locale for contact in api.settings.contacts}
    assert set(locales.values()) == {"zh-CN", "en"}
    for locale, first in (("zh-CN", "此步骤已不存在"), ("en", "This step no longer exists")):
        contact = next(name for name, language in locales.items() if language == locale)
        text = api.client.get(link(contact, step="nothing"), headers={"accept-language": "fr"}).text
        assert re.findall(r"<h1><span lang=\"[\w-]+\">([^<]+)</span>", text) == [first]


def test_a_link_of_an_archived_step_says_that_the_incident_was_archived(api: Served) -> None:
    with api.database.write() as connection:
        connection.execute(delete(deliveries))
        connection.execute(delete(steps))
        connection.execute(
            archived_incidents.insert().values(
                id=KEY,
                service_group="banking",
                levels={},
                occurred_at=BEGAN,
                closed_at=BEGAN,
                archived_at=BEGAN,
                file="incidents.jsonl.gz",
                sha256="0" * 64,
            )
        )
    for answer in (api.client.get(link()), api.client.post(link(), data={"by": "Li Lei"})):
        is_page(answer, 410, "This incident was archived", "此事件已归档")


# Names


@pytest.mark.parametrize(
    ("typed", "recorded"),
    [
        ("Li\u200b Lei", "Li Lei"),
        ("\ufeffLi\u00a0Lei\u200d", "Li Lei"),
        ("\u202eLi\u202c\u3000 Lei", "Li Lei"),
        ("李\u2060雷", "李雷"),
        ("Li\u00ad\r\nLei\ufe0f", "Li Lei"),
        ("\u3164Li\u2066 Lei\u2069\U000e0041", "Li Lei"),
    ],
)
def test_invisible_characters_and_odd_spaces_are_taken_off_a_name(api: Served, typed: str, recorded: str) -> None:
    assert api.client.post(link(), data={"by": typed}).status_code == 200
    assert names(api) == [recorded]


@pytest.mark.parametrize("typed", ["\u200b", "\u3000\u00a0", "\u3164", "\u2063\ufeff"])
def test_a_name_of_nothing_visible_is_no_name(api: Served, typed: str) -> None:
    answer = api.client.post(link(), data={"by": typed})
    is_page(answer, 422, "Please give your name.", "请填写姓名。")
    answer = api.client.post(f"/api/v1/steps/{PAGE}/acknowledge", json={"by": typed})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/by"
    assert state(api) == "started"


def test_a_name_is_cleaned_the_same_way_when_it_comes_by_the_api_or_in_an_event(api: Served) -> None:
    name = "\u200bLi\u00a0 Lei\u2069"
    assert api.client.post(f"/api/v1/steps/{PAGE}/acknowledge", json={"by": name}).status_code == 202
    note = {"source": "ops", "id": "n", "type": "note.added", "incident": KEY, "data": {"by": name, "text": "\u200b"}}
    answer = api.client.post("/api/v1/events", json=note | {"occurred_at": api.clock.now().isoformat()})
    assert answer.status_code == 202, answer.text
    assert names(api) == ["Li Lei", "Li Lei"]


# Whose link it is


def test_the_record_says_whose_link_was_used(api: Served) -> None:
    assert api.client.post(link("duty-engineer"), data={"by": "Li Lei"}).status_code == 200
    timeline = api.client.get(f"/api/v1/incidents/{KEY}/timeline").json()["timeline"]
    [entry] = [entry for entry in timeline if entry.get("type") == "step.acknowledged"]
    assert (entry["source"], entry["data"]["by"], entry["data"]["link_of"]) == ("link", "Li Lei", "duty-engineer")


def test_nobody_else_can_record_that_a_link_was_used(api: Served) -> None:
    data = {"by": "Li Lei", "link_of": "duty-engineer"}
    answer = api.client.post(f"/api/v1/steps/{PAGE}/acknowledge", json=data)
    assert answer.status_code == 422
    assert "came by none" in answer.text
    event = {"source": "ops", "id": "x", "type": "step.acknowledged", "incident": KEY, "data": data | {"step": PAGE}}
    answer = api.client.post("/api/v1/events", json=event | {"occurred_at": api.clock.now().isoformat()})
    assert answer.status_code == 422
    assert state(api) == "started"


def test_a_link_of_somebody_who_is_no_contact_any_more_is_refused(api: Served) -> None:
    for answer in (api.client.get(link("retired")), api.client.post(link("retired"), data={"by": "Li Lei"})):
        is_page(answer, 410, "The reader of this link is no longer a contact", "收件人已不在联系人名单中")
    assert state(api) == "started"


def test_a_link_is_refused_once_its_step_was_assigned_to_somebody_else(api: Served) -> None:
    body = {"by": "王敏", "to": "leading-group", "reason": "end of shift"}
    assert api.client.post(f"/api/v1/steps/{PAGE}/assign", json=body).status_code == 202
    for answer in (api.client.get(link()), api.client.post(link(), data={"by": "Li Lei"})):
        is_page(answer, 403, "This step was assigned to somebody else", "此步骤已移交他人")
    assert state(api) == "started"
    new_owner = api.settings.people.members("leading-group", api.clock.now())[0].id
    assert api.client.post(link(new_owner), data={"by": "Chen"}).status_code == 200
    assert state(api) == "completed"


def test_who_is_called_after_the_hand_over_may_answer_by_the_link(api: Served) -> None:
    body = {"by": "王敏", "to": "leading-group", "reason": "end of shift"}
    assert api.client.post(f"/api/v1/steps/{PAGE}/assign", json=body).status_code == 202
    before = {row["id"] for row in api.rows(deliveries)}
    for minutes in (35, 40, 45, 50):
        wait_until(api, minutes)
    called = {
        row["contact"] for row in api.rows(deliveries) if row["id"] not in before and row["step_id"].startswith(PAGE)
    }
    assert called
    for contact in called:
        assert api.client.get(link(contact)).status_code == 200


def test_a_wrong_signature_is_counted_and_logged_with_the_address_and_without_the_token(api: Served) -> None:
    with capture_logs() as lines:
        assert api.client.get("/do/abc.def.ghi").status_code == 404
    [line] = [line for line in lines if line["event"] == "request_denied"]
    assert (line["reason"], line["address"]) == ("link", "testclient")
    assert "abc.def" not in json.dumps(lines)
    assert 'incident_engine_requests_denied_total{reason="link"} 1.0' in api.client.get("/metrics").text
