"""An SMS gateway as the settings describe it, against a server that answers as gateways do."""

import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from pydantic import ValidationError

from incident_engine.config.secret import Secret
from incident_engine.config.sms import SmsCase, SmsSettings, SmsSuccess
from incident_engine.delivery.channels.base import DeliveryOutcome
from incident_engine.delivery.channels.sms import SmsChannel

from .channel_support import CREATED, LOCAL, claimed, failure, send
from .servers import LOOPBACK, Answer, free_port, silent_server, web_server

OK = '{"code": "0", "msg": "ok", "data": [{"state": 200}]}'
BODY = '{"mobile": "{to}", "content": "{text}", "ref": "{id}", "sign": "{secret.sign}", "nested": {"n": {}}}'


def settings(url: str = "https://sms.example/send", **more: Any) -> SmsSettings:
    values: dict[str, Any] = {
        "type": "sms",
        "url": url,
        "body": BODY,
        "headers": {"Authorization": "Bearer {secret.token}"},
        "secrets": {"token": {"value": "t0ken-value"}, "sign": {"value": 's"ign'}},
        "success": {"json_path": "code", "equals": 0},
        "permanent": {"status": 400, "equals": ["isv.MOBILE_NUMBER_ILLEGAL"]},
        "rate_limited": {"status": [429], "equals": "isv.BUSINESS_LIMIT_CONTROL"},
        "timeout": timedelta(seconds=5),
    }
    return SmsSettings.model_validate({**values, **more})


def sms(url: str, **more: Any) -> SmsChannel:
    return SmsChannel(settings(url, **more), LOCAL)


TO = claimed(address="+86 139", subject="III级", body='核心账务 "中断"\n\\ & <b> {to}\n')


def test_a_message_is_filled_in_as_json() -> None:
    with web_server(Answer(200, body=OK)) as server:
        assert send(sms(server.url), TO) == [f"HTTP 200: {OK}"]
    (posted,) = server.posted
    assert posted.headers["authorization"] == "Bearer t0ken-value"
    assert posted.headers["content-type"] == "application/json; charset=utf-8"
    assert json.loads(posted.body) == {
        "mobile": "+86 139",
        "content": 'III级\n核心账务 "中断"\n\\ & <b> {to}',
        "ref": "msg_0123456789abcdef0123456789abcdef",
        "sign": 's"ign',
        "nested": {"n": {}},
    }


def test_a_message_is_filled_in_as_a_form() -> None:
    with web_server(Answer(200, body=OK)) as server:
        send(sms(server.url, body="to={to}&text={text}&at={timestamp}", content="form"), TO)
    (posted,) = server.posted
    assert posted.headers["content-type"] == "application/x-www-form-urlencoded"
    stamp = str(int(CREATED.timestamp()))
    assert parse_qs(posted.body) == {
        "to": ["+86 139"], "text": ['III级\n核心账务 "中断"\n\\ & <b> {to}'], "at": [stamp]
    }  # fmt: skip


def test_a_message_is_filled_in_as_xml_with_a_type_of_ones_own() -> None:
    headers = {"Content-Type": "text/xml"}
    with web_server(Answer(200, body=OK)) as server:
        send(sms(server.url, body='<sms to="{to}">{body}\v</sms>', content="xml", headers=headers), TO)
    (posted,) = server.posted
    assert posted.headers["content-type"] == "text/xml"
    assert "&quot;中断&quot;" in posted.body
    assert "&amp; &lt;b&gt; {to}" in posted.body


def test_a_gateway_may_take_everything_in_the_address() -> None:
    with web_server(Answer(200, body=OK)) as server:
        send(sms(f"{server.url}?to={{to}}&m={{text}}", method="GET", body=None, headers={"x-id": "{id}"}), TO)
    (posted,) = server.posted
    assert (posted.method, posted.body) == ("GET", "")
    assert parse_qs(urlsplit(posted.path).query)["m"] == ['III级\n核心账务 "中断"\n\\ & <b> {to}']


def test_no_value_begins_a_header_of_its_own() -> None:
    with web_server(Answer(200, body=OK)) as server:
        send(sms(server.url, headers={"x-to": "{to}"}), claimed(address="1\r\nx-evil: 1", subject="s", body="级"))
    assert server.posted[0].headers["x-to"] == "1%0D%0Ax-evil: 1"
    assert "x-evil" not in server.posted[0].headers


def test_a_long_message_goes_out_in_numbered_parts_each_with_its_own_id() -> None:
    body = "".join(f"{number}号事实，核心账务中断\n" for number in range(20))
    with web_server(Answer(200, body=OK)) as server:
        (said,) = send(sms(server.url, longest=100), claimed(address="139", subject="III级", body=body))
    sent = [json.loads(posted.body) for posted in server.posted]
    assert said.endswith(f"({len(sent)} parts)")
    assert [each["ref"].removeprefix("msg_0123456789abcdef0123456789abcdef") for each in sent] == ["", "-2", "-3"]
    assert all(len(each["content"]) <= 100 for each in sent)
    assert sent[1]["content"].endswith("（2/3）")
    joined = "".join(each["content"] for each in sent)
    assert all(f"{number}号事实" in joined for number in range(20))


def test_a_repeat_goes_on_with_the_part_that_did_not_arrive() -> None:
    channel_body = "".join(f"{number} line of words\n" for number in range(12))
    delivery = claimed(address="139", subject="III", body=channel_body)
    with web_server(Answer(200, body=OK), Answer(500), Answer(200, body=OK)) as server:
        channel = sms(server.url, longest=100)
        failure(channel, delivery)
    ids = [json.loads(posted.body)["ref"][-2:] for posted in server.posted]
    assert ids == ["ef", "-2"]


@pytest.mark.parametrize(
    ("answer", "outcome", "permanent", "wait"),
    [
        (Answer(200, body='{"code": "isv.MOBILE_NUMBER_ILLEGAL"}'), DeliveryOutcome.REFUSED, True, None),
        (Answer(400, body="bad"), DeliveryOutcome.REFUSED, True, None),
        (
            Answer(200, {"Retry-After": "7"}, '{"code": "isv.BUSINESS_LIMIT_CONTROL"}'),
            DeliveryOutcome.RATE_LIMITED,
            False,
            7,
        ),
        (Answer(429, {"Retry-After": "7"}, "slow"), DeliveryOutcome.RATE_LIMITED, False, 7),
        (Answer(429, {}, "slow"), DeliveryOutcome.RATE_LIMITED, False, None),
        (Answer(200, body='{"code": 17}'), DeliveryOutcome.REFUSED, False, None),
        (Answer(200, body='{"message": "?"}'), DeliveryOutcome.SERVER_ERROR, False, None),
        (Answer(200, body="<html>"), DeliveryOutcome.SERVER_ERROR, False, None),
        (Answer(200, body='{"code": {"a": 1}}'), DeliveryOutcome.SERVER_ERROR, False, None),
        (Answer(201, body=OK), DeliveryOutcome.REFUSED, False, None),
        (Answer(302, body=OK), DeliveryOutcome.REFUSED, False, None),
        (Answer(401, body=OK), DeliveryOutcome.AUTHENTICATION_FAILED, False, None),
        (Answer(503, {"Retry-After": "9"}, OK), DeliveryOutcome.SERVER_ERROR, False, 9),
        (Answer(None), DeliveryOutcome.CONNECTION_FAILED, False, None),
    ],
)
def test_an_answer_is_judged_as_the_settings_say(
    answer: Answer, outcome: DeliveryOutcome, permanent: bool, wait: int | None
) -> None:
    with web_server(answer) as server:
        error = failure(sms(server.url), TO)
    assert (error.outcome, error.permanent) == (outcome, permanent)
    assert error.retry_after == (timedelta(seconds=wait) if wait else None)


@pytest.mark.parametrize(
    ("path", "equals", "body"),
    [("data.0.state", 200, OK), ("ok", "true", '{"ok": true}'), ("a.b", ["x", "y"], '{"a": {"b": "y"}}')],
)
def test_success_may_stand_anywhere_in_the_answer(path: str, equals: Any, body: str) -> None:
    success = {"status": [200, 202], "json_path": path, "equals": equals}
    with web_server(Answer(202, body=body)) as server:
        send(sms(server.url, success=success), TO)


def test_without_a_place_in_the_answer_the_status_alone_is_success() -> None:
    with web_server(Answer(200, body="whatever")) as server:
        send(sms(server.url, success={}, permanent={}, rate_limited={}), TO)


def test_a_gateway_that_is_silent_or_not_there() -> None:
    with silent_server() as port:
        error = failure(sms(f"http://{LOOPBACK}:{port}", timeout=timedelta(seconds=0.2)), TO)
    assert error.outcome is DeliveryOutcome.TIMED_OUT
    assert failure(sms(f"http://{LOOPBACK}:{free_port()}"), TO).outcome is DeliveryOutcome.CONNECTION_FAILED


# Settings


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"body": '{"to": "{too}", "text": "{text}"}'}, "unknown placeholder 'too'"),
        ({"body": '{"to": "{to}", "text": "{text}", "k": "{secret.key}"}'}, "unknown placeholder 'secret.key'"),
        ({"body": '{"text": "{text}"}'}, "url, headers and body do not contain the number or the text"),
        ({"body": '{"to": "{to}"}'}, "url, headers and body do not contain the number or the text"),
        ({"body": '{"to": {to}, "text": {text}}'}, "body is not JSON"),
        ({"method": "GET"}, "a GET request has no body"),
        ({"url": "https://{to}.example/{text}"}, "not the address of a gateway"),
        ({"url": "sms.example"}, "not the address of a gateway"),
        ({"success": {"json_path": "code"}}, "only one of json_path and equals"),
        ({"success": {}}, "equals without success.json_path"),
        ({"secrets": {"token": "t0ken-value"}}, "a secret without its place"),
    ],
)
def test_a_description_that_cannot_work_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as caught:
        settings(**changes)
    (error,) = caught.value.errors()
    assert said in error["msg"]


def test_settings_are_read_as_they_are_written() -> None:
    found = settings()
    assert (found.success, found.permanent) == (
        SmsSuccess(json_path="code", equals=("0",)),
        SmsCase(status=(400,), equals=("isv.MOBILE_NUMBER_ILLEGAL",)),
    )
    assert found.secrets["token"] == Secret(value="t0ken-value")
