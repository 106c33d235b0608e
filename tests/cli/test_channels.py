"""`test-message`, `check --connect`, and what `check` says of files and folders."""

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from contract.servers import LOOPBACK, Answer, free_port, mail_server, web_server
from support.builders import CONFIG

from incident_engine.cli import app as cli

from .conftest import Ran

Run = Callable[..., Ran]
LINK = "https://bot.example/hook?key=s3cr3t-k3y"


def config(folder: Path, channels: str = "", via: str = "[{channel: outbox}]", more: str = "") -> Path:
    text = CONFIG.read_text(encoding="utf-8").replace("channels:\n", f"channels:\n{channels}", 1)
    contact = f"contacts:\n  - {{id: li-lei, name: {{zh-CN: 李雷, en: Li Lei}}, locale: zh-CN, via: {via}}}\n"
    text = text.replace("contacts:", "contacts:\n", 1)
    lines = text.split("\n")
    at = next(index for index, line in enumerate(lines) if line.startswith("contacts:"))
    lines[at] = contact.rstrip("\n")
    path = folder / "config.yaml"
    path.write_text(more + "\n".join(lines), encoding="utf-8")
    return path


def test_a_test_message_goes_over_every_channel_and_each_answer_is_printed(run: Run, tmp_path: Path) -> None:
    with mail_server() as server:
        mail = f"  mail: {{type: email, host: {LOOPBACK}, port: {server.port}, sender: ops@bank.example, tls: none}}\n"
        via = "[{channel: mail, to: li@bank.example}, {channel: outbox}]"
        ran = run("test-message", "li-lei", "--config", config(tmp_path, mail, via))
    assert ran.code == 0, ran.err
    first, second = ran.out.splitlines()
    assert first == "mail li@bank.example: accepted: 2.0.0 Ok: queued as 4ABC"
    assert second.startswith("outbox: accepted: var/outbox/test-message/")
    (received,) = server.mails
    assert received.message["Subject"].startswith("【测试消息】")
    plain = received.message.get_body(("plain",))
    assert plain is not None
    assert "没有发生任何中断" in plain.get_content()
    assert not (tmp_path / "var" / "incident-engine.db").exists()


def test_a_test_message_that_is_refused_is_said_and_the_other_channels_are_tried(run: Run, tmp_path: Path) -> None:
    with mail_server() as server:
        server.to_recipient["li@bank.example"] = "550 5.1.1 No such user here"
        mail = f"  mail: {{type: email, host: {LOOPBACK}, port: {server.port}, sender: ops@bank.example, tls: none}}\n"
        via = "[{channel: mail, to: li@bank.example}, {channel: outbox}]"
        ran = run("test-message", "li-lei", "--config", config(tmp_path, mail, via), "--lang", "zh-CN")
    assert ran.code == 1
    first, second = ran.out.splitlines()
    assert first == "mail li@bank.example: 被拒绝: 550 5.1.1 No such user here"
    assert second.startswith("outbox: 已被接收: ")


def test_a_test_message_keeps_to_the_addresses_that_may_be_reached(run: Run, tmp_path: Path) -> None:
    with web_server(Answer(200, body='{"errcode": 0}')) as server:
        bot = f"  bot: {{type: wecom, url: {{value: '{server.url}?key=s3cr3t-k3y'}}}}\n"
        refused = run("test-message", "li-lei", "--config", config(tmp_path, bot, "[{channel: bot}]"))
        allow = f"outgoing: {{allow: ['{LOOPBACK}']}}\n"
        taken = run("test-message", "li-lei", "--config", config(tmp_path, bot, "[{channel: bot}]", allow))
    assert (refused.code, taken.code) == (1, 0)
    assert "bot: misconfigured: " in refused.out
    assert "name it in outgoing.allow" in refused.out
    assert taken.out == 'bot: accepted: HTTP 200: {"errcode": 0}\n'
    assert "s3cr3t-k3y" not in refused.out + taken.out
    assert len(server.posted) == 1


def test_an_unknown_contact_is_refused_with_the_nearest_one(run: Run, tmp_path: Path) -> None:
    ran = run("test-message", "li-lie", "--config", config(tmp_path))
    assert ran.code == 2
    assert "did you mean 'li-lei'?" in ran.err


def test_check_opens_every_channel_without_a_message(run: Run, tmp_path: Path) -> None:
    with mail_server() as mails, web_server() as web:
        channels = (
            f"  mail: {{type: email, host: {LOOPBACK}, port: {mails.port}, sender: ops@bank.example, tls: none}}\n"
            f"  bot: {{type: wecom, url: {{value: '{web.url}?key=s3cr3t-k3y'}}}}\n"
            f"  gone: {{type: email, host: {LOOPBACK}, port: {free_port()}, sender: ops@bank.example, tls: none}}\n"
        )
        path = config(tmp_path, channels, more=f"outgoing: {{allow: ['{LOOPBACK}']}}\n")
        ran = run("check", "--connect", "--config", path)
    lines = dict(line.split(": ", 1) for line in ran.out.splitlines())
    assert ran.code == 1
    assert lines["mail"].startswith("reached: 250")
    assert lines["bot"].startswith(f"reached: {LOOPBACK} port ")
    assert lines["gone"].startswith("connection failed: ")
    assert lines["outbox"] == "reached: var/outbox"
    assert (mails.mails, web.posted) == ([], [])


def test_check_names_an_outbox_and_a_database_that_cannot_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "var").write_text("a file where the folder should be")
    ran = run("check", "--config", config(tmp_path))
    assert ran.code == 1
    assert "channels.outbox.directory: no files can be written in var/outbox here" in ran.out
    assert "store.url: no files can be written in var here" in ran.out


def test_check_warns_of_a_database_in_a_folder_that_does_not_exist(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCIDENT_ENGINE__STORE__URL", "sqlite:///vra/engine.db")
    ran = run("check", "--config", config(tmp_path))
    assert ran.code == 0
    assert "store.url: vra: there is no such folder; serve will make it with an empty database" in ran.err
    (tmp_path / "vra").mkdir()
    assert "store.url" not in run("check", "--config", config(tmp_path)).err


def test_a_key_file_with_a_byte_order_mark_is_the_key_without_it(run: Run, tmp_path: Path) -> None:
    from incident_engine.config.secret import Secret

    (tmp_path / "key").write_bytes(b"\xef\xbb\xbfk3y\r\n")
    assert Secret(file=tmp_path / "key").read() == "k3y"


def test_check_names_a_secret_that_is_not_utf_8(run: Run, tmp_path: Path) -> None:
    (tmp_path / "url").write_bytes(LINK.encode("utf-16"))
    ran = run("check", "--config", config(tmp_path, "  bot: {type: wecom, url: {file: url}}\n"))
    assert ran.code == 1
    assert "channels.bot.url: the file url is not UTF-8" in ran.out


def test_a_terminal_that_cannot_show_a_character_gets_another(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    monkeypatch.setattr(sys, "argv", ["incident-engine", "check", "--lang", "zh-CN", "--config", str(config(tmp_path))])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    sys.stdout.flush()
    assert not ended.value.code
    assert b"config.yaml: 1" in raw.getvalue()
