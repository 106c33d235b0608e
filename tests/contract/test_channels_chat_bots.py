"""The robots of WeCom, DingTalk and Feishu against a server that answers as they do."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from incident_engine.common.errors import StartupError
from incident_engine.config.channels import DingtalkSettings, FeishuSettings, OutgoingSettings, WecomSettings
from incident_engine.config.secret import Secret
from incident_engine.delivery.channels.base import Channel, DeliveryError, DeliveryOutcome
from incident_engine.delivery.channels.dingtalk import DingtalkChannel
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.delivery.channels.feishu import FeishuChannel
from incident_engine.delivery.channels.wecom import WecomChannel

from .channel_support import CREATED, LOCAL, claimed, failure, send
from .servers import LOOPBACK, Answer, Posted, free_port, silent_server, web_server

KEY = "693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa"
WECOM_OK = json.dumps({"errcode": 0, "errmsg": "ok"})
FEISHU_OK = json.dumps({"code": 0, "data": {}, "msg": "success", "StatusCode": 0, "StatusMessage": "success"})
Make = Callable[..., Channel]


def wecom(url: str, timeout: float = 5) -> WecomChannel:
    secret = Secret(value=f"{url}/cgi-bin/webhook/send?key={KEY}")
    return WecomChannel(WecomSettings(type="wecom", url=secret, timeout=timedelta(seconds=timeout)), LOCAL)


def dingtalk(url: str, timeout: float = 5, secret: str | None = None) -> DingtalkChannel:
    settings = DingtalkSettings(
        type="dingtalk",
        url=Secret(value=f"{url}/robot/send?access_token={KEY}"),
        secret=Secret(value=secret) if secret else None,
        timeout=timedelta(seconds=timeout),
    )
    return DingtalkChannel(settings, LOCAL)


def feishu(url: str, timeout: float = 5, secret: str | None = None) -> FeishuChannel:
    settings = FeishuSettings(
        type="feishu",
        url=Secret(value=f"{url}/open-apis/bot/v2/hook/{KEY}"),
        secret=Secret(value=secret) if secret else None,
        timeout=timedelta(seconds=timeout),
    )
    return FeishuChannel(settings, LOCAL)


ROBOTS = [
    pytest.param(wecom, WECOM_OK, id="wecom"),
    pytest.param(dingtalk, WECOM_OK, id="dingtalk"),
    pytest.param(feishu, FEISHU_OK, id="feishu"),
]
every_bot = pytest.mark.parametrize(("make", "ok"), ROBOTS)


def text_of(posted: Posted) -> str:
    """Return what people would read of a message."""
    said: Any = json.loads(posted.body)
    if "card" in said:
        header = said["card"].get("header", {"title": {"content": ""}})
        return str(header["title"]["content"] + "\n" + said["card"]["elements"][0]["content"])
    return str(said["markdown"].get("content") or said["markdown"]["text"])


@every_bot
def test_a_message_arrives_whole_as_json(make: Make, ok: str) -> None:
    with web_server(Answer(200, body=ok)) as server:
        (said,) = send(make(server.url))
    (posted,) = server.posted
    assert KEY in posted.path
    assert posted.headers["content-type"] == "application/json; charset=utf-8"
    assert "【III级】核心账务，广东" in text_of(posted)
    assert "- 条款：Art. 9(3)2" in text_of(posted)
    assert said == f"HTTP 200: {ok}"


def test_wecom_gets_markdown() -> None:
    with web_server(Answer(200, body=WECOM_OK)) as server:
        send(wecom(server.url))
    said = json.loads(server.posted[0].body)
    assert said["msgtype"] == "markdown"
    assert said["markdown"]["content"].startswith("### 【III级】核心账务，广东\n\n中断已达到 **III级（较大）**。\n")


def test_dingtalk_gets_markdown_with_a_title_signed_with_the_secret() -> None:
    with web_server(Answer(200, body=WECOM_OK)) as server:
        send(dingtalk(server.url, secret="SEC0123"))
    (posted,) = server.posted
    said = json.loads(posted.body)
    assert (said["msgtype"], said["markdown"]["title"]) == ("markdown", "【III级】核心账务，广东")
    query = parse_qs(urlsplit(posted.path).query)
    stamp = str(int(CREATED.timestamp() * 1000))
    digest = hmac.new(b"SEC0123", f"{stamp}\nSEC0123".encode(), hashlib.sha256).digest()
    assert query == {"access_token": [KEY], "timestamp": [stamp], "sign": [base64.b64encode(digest).decode()]}


def test_feishu_gets_a_card_signed_with_the_secret() -> None:
    with web_server(Answer(200, body=FEISHU_OK)) as server:
        send(feishu(server.url, secret="SEC0123"))
    said = json.loads(server.posted[0].body)
    stamp = str(int(CREATED.timestamp()))
    digest = hmac.new(f"{stamp}\nSEC0123".encode(), b"", hashlib.sha256).digest()
    assert (said["timestamp"], said["sign"]) == (stamp, base64.b64encode(digest).decode())
    assert said["msg_type"] == "interactive"


@pytest.mark.parametrize("make", [dingtalk, feishu])
def test_without_a_secret_nothing_is_signed(make: Make) -> None:
    ok = FEISHU_OK if make is feishu else WECOM_OK
    with web_server(Answer(200, body=ok)) as server:
        send(make(server.url))
    assert "sign" not in server.posted[0].path + server.posted[0].body


@every_bot
def test_nobody_is_mentioned_and_no_link_is_hidden_by_what_a_message_says(make: Make, ok: str) -> None:
    body = '<at id="all"></at> <@everybody> <font color="red">x</font> ![p](http://p) [l](http://l) 3 < 4'
    with web_server(Answer(200, body=ok)) as server:
        send(make(server.url), claimed(body=body))
    text = text_of(server.posted[0])
    assert "<at" not in text
    assert "<@" not in text
    assert "<font" not in text
    assert "](" not in text
    assert "3 < 4" in text


# What is an error


@pytest.mark.parametrize(
    ("make", "code", "words", "outcome", "permanent", "wait"),
    [
        (wecom, 45009, "api freq out of limit", DeliveryOutcome.RATE_LIMITED, False, 60),
        (wecom, 93000, "invalid webhook url", DeliveryOutcome.AUTHENTICATION_FAILED, True, None),
        (wecom, 40058, "markdown.content exceed max length 4096", DeliveryOutcome.REFUSED, True, None),
        (wecom, -1, "system busy", DeliveryOutcome.SERVER_ERROR, False, None),
        (wecom, 12345, "what is this", DeliveryOutcome.REFUSED, False, None),
        (dingtalk, 130101, "send too fast, exceed 20 times per minute", DeliveryOutcome.RATE_LIMITED, False, 60),
        (dingtalk, 410100, "发送速度太快而限流", DeliveryOutcome.RATE_LIMITED, False, 60),
        (dingtalk, 310000, "keywords not in content", DeliveryOutcome.REFUSED, True, None),
        (dingtalk, 300005, "token is not exist", DeliveryOutcome.AUTHENTICATION_FAILED, True, None),
        (dingtalk, -1, "系统繁忙", DeliveryOutcome.SERVER_ERROR, False, None),
        (feishu, 11232, "frequency limited psm", DeliveryOutcome.RATE_LIMITED, False, None),
        (feishu, 9499, "too many request", DeliveryOutcome.RATE_LIMITED, False, None),
        (feishu, 9499, "Bad Request", DeliveryOutcome.REFUSED, True, None),
        (feishu, 19001, "incoming webhook access token invalid", DeliveryOutcome.AUTHENTICATION_FAILED, True, None),
        (feishu, 19021, "sign match fail or timestamp is not within one hour", DeliveryOutcome.REFUSED, True, None),
        (feishu, 19024, "Key Words Not Found", DeliveryOutcome.REFUSED, True, None),
        (feishu, 77777, "what is this", DeliveryOutcome.REFUSED, False, None),
    ],
)
@pytest.mark.parametrize("status", [200, 400])
def test_an_error_code_is_a_failure_with_any_status(
    make: Make, code: int, words: str, outcome: DeliveryOutcome, permanent: bool, wait: int | None, status: int
) -> None:
    names = ("code", "msg") if make is feishu else ("errcode", "errmsg")
    body = json.dumps({names[0]: code, names[1]: words}, ensure_ascii=False)
    with web_server(Answer(status, body=body)) as server:
        error = failure(make(server.url))
    assert (error.outcome, error.permanent) == (outcome, permanent)
    assert words in error.detail
    assert error.retry_after == (timedelta(seconds=wait) if wait else None)


@pytest.mark.parametrize("header", ["Retry-After", "x-ogw-ratelimit-reset"])
@pytest.mark.parametrize("status", [200, 400, 429])
def test_a_robot_that_says_how_long_to_wait_is_obeyed(header: str, status: int) -> None:
    with web_server(Answer(status, {header: "52"}, '{"code": 11232, "msg": "frequency limited"}')) as server:
        error = failure(feishu(server.url))
    assert (error.outcome, error.retry_after) == (DeliveryOutcome.RATE_LIMITED, timedelta(seconds=52))


@every_bot
@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>busy</html>",
        "[]",
        "0",
        "{}",
        '{"errmsg": "ok"}',
        '{"errcode": "0", "code": "0"}',
        '{"errcode": null, "code": null}',
        '{"errcode": false, "code": false}',
    ],
)
def test_an_answer_without_a_code_that_can_be_read_is_a_failure(make: Make, ok: str, body: str) -> None:
    with web_server(Answer(200, body=body)) as server:
        error = failure(make(server.url))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.SERVER_ERROR, False)


@pytest.mark.parametrize("body", ['{"code": 0, "StatusCode": 9499}', '{"code": 9499, "StatusCode": 0}'])
def test_both_codes_of_feishu_must_be_those_of_success(body: str) -> None:
    with web_server(Answer(200, body=body)) as server:
        assert failure(feishu(server.url)).outcome is DeliveryOutcome.REFUSED


@every_bot
@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (500, DeliveryOutcome.SERVER_ERROR),
        (503, DeliveryOutcome.SERVER_ERROR),
        (429, DeliveryOutcome.RATE_LIMITED),
        (404, DeliveryOutcome.REFUSED),
        (302, DeliveryOutcome.REFUSED),
        (401, DeliveryOutcome.AUTHENTICATION_FAILED),
    ],
)
def test_a_status_of_failure_is_one_even_with_the_body_of_success(
    make: Make, ok: str, status: int, outcome: DeliveryOutcome
) -> None:
    with web_server(Answer(status, body=ok)) as server:
        assert failure(make(server.url)).outcome is outcome


@every_bot
def test_a_robot_that_does_not_answer_is_a_timeout(make: Make, ok: str) -> None:
    with silent_server() as port:
        error = failure(make(f"http://{LOOPBACK}:{port}", 0.2))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.TIMED_OUT, False)


@every_bot
def test_a_robot_that_cuts_the_connection_is_a_failed_connection(make: Make, ok: str) -> None:
    with web_server(Answer(None)) as server:
        error = failure(make(server.url))
    assert (error.outcome, error.permanent) == (DeliveryOutcome.CONNECTION_FAILED, False)


@every_bot
def test_a_robot_that_is_not_there_is_a_failed_connection(make: Make, ok: str) -> None:
    assert failure(make(f"http://{LOOPBACK}:{free_port()}")).outcome is DeliveryOutcome.CONNECTION_FAILED


# Long messages


LONG = "".join(f"{number}. 第{number}条事实，广东与湖南两省核心账务中断\n" for number in range(700))


@pytest.mark.parametrize(("make", "ok", "limit"), [(wecom, WECOM_OK, 4096), (dingtalk, WECOM_OK, 20_000),
                                                   (feishu, FEISHU_OK, 20_000)])  # fmt: skip
@pytest.mark.parametrize("subject", ["【III级】核心账务，广东", "很长的标题" * 900])
def test_a_long_message_goes_out_in_numbered_parts_and_nothing_is_lost(
    make: Make, ok: str, limit: int, subject: str
) -> None:
    with web_server(Answer(200, body=ok)) as server:
        (said,) = send(make(server.url), claimed(body=LONG, subject=subject))
    count = len(server.posted)
    assert count > 1
    assert said.endswith(f"({count} parts)")
    texts = [text_of(posted) for posted in server.posted]
    for place, (posted, text) in enumerate(zip(server.posted, texts, strict=True), 1):
        assert f"（{place}/{count}）" in text.partition("\n")[0]
        size = len(text.encode()) if make is wecom else len(posted.body.encode())
        assert size <= limit
    joined = "".join(texts)
    for number in range(700):
        assert joined.count(f"{number}. 第{number}条事实，广东与湖南两省核心账务中断") == 1
    assert subject[:40] in joined


def test_in_english_a_part_is_numbered_so() -> None:
    with web_server(Answer(200, body=WECOM_OK)) as server:
        send(wecom(server.url), claimed(body=LONG, subject="Level III", locale="en"))
    assert text_of(server.posted[0]).startswith(f"### Level III (1/{len(server.posted)})\n")


def test_a_repeat_goes_on_with_the_part_that_did_not_arrive() -> None:
    busy = Answer(200, body='{"errcode": -1, "errmsg": "busy"}')
    ok = Answer(200, body=WECOM_OK)
    body = "".join(f"line {number} of a message in some parts\n" for number in range(200))
    with web_server(ok, busy, ok) as server:
        channel = wecom(server.url)

        class Twice:
            async def send(self, delivery: Any, now: datetime) -> str:
                with pytest.raises(DeliveryError):
                    await channel.send(delivery, now)
                return await channel.send(delivery, now)

            async def close(self) -> None:
                await channel.close()

        send(Twice(), claimed(body=body, locale="en"))
    marks = [text_of(posted).partition("\n")[0][-5:] for posted in server.posted]
    assert marks == ["(1/2)", "(2/2)", "(2/2)"]


# Settings


@pytest.mark.parametrize("url", ["", "qyapi.weixin.qq.com/send?key=k", "https://", "https://host", "ftp://h/x y"])
def test_an_address_in_a_file_that_is_none_stops_the_start_and_is_not_shown(tmp_path: Any, url: str) -> None:
    (tmp_path / "url").write_text(url)
    settings = WecomSettings(type="wecom", url=Secret(file=tmp_path / "url"))
    with pytest.raises(StartupError, match=r"^channels\.ops: url is not the address of a chat bot") as caught:
        open_channels({"ops": settings}, OutgoingSettings())
    assert url in ("", "https://") or url not in str(caught.value)
