"""Channels in config.yaml: what each needs, and how each mistake is named without a secret."""

from pathlib import Path

import pytest
from support.builders import CONFIG, write

from incident_engine.cli.check import _channel_findings
from incident_engine.common.errors import InvalidFilesError
from incident_engine.config.channels import FeishuSettings, OutgoingSettings, WecomSettings, channel_secrets
from incident_engine.config.common import Rate
from incident_engine.config.placeholders import fill, in_header, in_json, in_query, in_xml, placeholders
from incident_engine.config.settings import Settings, load_settings

TEXT = CONFIG.read_text(encoding="utf-8")
SMS = (
    '{type: sms, url: \'https://sms.example/send\', body: \'{"to": "{to}", "text": "{text}"}\', '
    "secrets: {token: {file: secrets/token}}, headers: {authorization: 'Bearer {secret.token}'}}"
)


def load(folder: Path, channel: str, more: str = "") -> Settings:
    changed = TEXT.replace("channels:\n", f"{more}channels:\n  ops: {channel}\n", 1)
    return load_settings(write(folder, "config.yaml", changed), {})


def mistakes(folder: Path, channel: str, more: str = "") -> str:
    with pytest.raises(InvalidFilesError) as caught:
        load(folder, channel, more)
    return "\n".join(str(finding) for finding in caught.value.findings)


def test_each_robot_has_the_rate_of_its_vendor_unless_it_is_given_another(tmp_path: Path) -> None:
    url = "url: {value: 'https://h.example/x?key=k'}"
    rates = [
        load(tmp_path, f"{{type: {kind}, {url}}}").channels["ops"].rate for kind in ("wecom", "dingtalk", "feishu")
    ]
    assert rates == [Rate(per_minute=20), Rate(per_minute=20), Rate(per_minute=100, per_second=5)]
    assert load(tmp_path, f"{{type: wecom, {url}, rate: {{per_second: 1}}}}").channels["ops"].rate == Rate(per_second=1)


def test_only_text_messages_are_short(tmp_path: Path) -> None:
    assert load(tmp_path, SMS).channels["ops"].form == "short"
    assert load(tmp_path, "{type: outbox}").channels["ops"].form == "long"
    assert (WecomSettings.form, FeishuSettings.form) == ("long", "long")


@pytest.mark.parametrize(
    ("channel", "said"),
    [
        ("{type: weecom, url: {value: x}}", "channels.ops.type: unknown type 'weecom'"),
        ("{type: wecom}", "channels.ops.url: missing key 'url'"),
        ("{type: wecom, url: 'https://h/k3y'}", "channels.ops.url: a secret without its place; expected {value: …}"),
        ("{type: wecom, url: {value: 'h/k3y'}}", "channels.ops.url: not the address of a chat bot; expected https://"),
        ("{type: wecom, url: {value: 12345}}", "channels.ops.url: a secret that is not a text"),
        ("{type: feishu, url: {file: f}, secrt: {value: k3y}}", "unknown key 'secrt'"),
        ("{type: dingtalk, url: {file: f}, secret: {}}", "exactly one place"),
        ("{type: feishu, url: {file: f}, rate: {per_minut: 3}}", "did you mean 'per_minute'?"),
        ("{type: feishu, url: {file: f}, rate: {per_minute: 0}}", "channels.ops.rate.per_minute"),
        ("{type: sms, url: 'https://h/{too}/{text}'}", "unknown placeholder 'too'; expected one of: "),
        (SMS.replace("secret.token", "secret.tokn"), "did you mean 'secret.token'?"),
        ("{type: apprise}", "missing key 'url'"),
    ],
)
def test_a_mistake_in_a_channel_is_named_and_no_secret_shown(tmp_path: Path, channel: str, said: str) -> None:
    found = mistakes(tmp_path, channel)
    assert said in found
    assert "k3y" not in found
    assert "12345" not in found


@pytest.mark.parametrize("allow", ["10.1.2.0/24", "127.0.0.1", "fd00::/8", "sms.bank.example", "localhost"])
def test_what_requests_may_reach_is_a_network_or_a_name(tmp_path: Path, allow: str) -> None:
    found = load(tmp_path, "{type: outbox}", f"outgoing: {{allow: ['{allow}']}}\n")
    assert found.outgoing == OutgoingSettings(allow=(allow,))


@pytest.mark.parametrize("allow", ["10.1.2.0/33", "10.1.2.3/24", "10.1.2", "", "https://h.example", "h..example"])
def test_what_is_neither_is_refused(tmp_path: Path, allow: str) -> None:
    found = mistakes(tmp_path, "{type: outbox}", f"outgoing: {{allow: ['{allow}']}}\n")
    assert f"neither a network nor a host name: '{allow}'; expected such as 10.1.2.0/24" in found


def test_a_number_is_needed_for_a_text_message(tmp_path: Path) -> None:
    changed = TEXT.replace("channels:\n", f"channels:\n  ops: {SMS}\n", 1)
    changed = changed.replace("via: [{channel: outbox}]", "via: [{channel: ops}]", 1)
    with pytest.raises(InvalidFilesError, match="an SMS channel needs a number"):
        load_settings(write(tmp_path, "config.yaml", changed), {})


def test_every_secret_of_a_channel_is_found(tmp_path: Path) -> None:
    found = load(tmp_path, "{type: feishu, url: {file: a}, secret: {value: b}}").channels["ops"]
    assert [place for place, _ in channel_secrets(found)] == [("url",), ("secret",)]
    assert [place for place, _ in channel_secrets(load(tmp_path, SMS).channels["ops"])] == [("secrets", "token")]


def test_check_says_which_secrets_file_is_missing(tmp_path: Path) -> None:
    config = write(tmp_path, "config.yaml", TEXT.replace("channels:\n", f"channels:\n  ops: {SMS}\n", 1))
    found = [str(finding) for finding in _channel_findings(load_settings(config, {}), config)]
    assert any("channels.ops.secrets.token: there is no file secrets/token here" in each for each in found)


def test_values_stay_values_in_templates() -> None:
    values = {"to": '"}\r\n&<é', "secret.k": "k"}
    assert placeholders('{"a": "{to}", "b": {}, {To}} {secret.k}') == ["to", "secret.k"]
    assert fill('"{to}"', values, in_json) == '"\\"}\\r\\n&<é"'
    assert fill("{to}", values, in_query) == "%22%7D%0D%0A%26%3C%C3%A9"
    assert fill("{to}", values, in_xml) == "&quot;}\r\n&amp;&lt;é"
    assert fill("{to} {secret.k}", values, in_header) == '"}%0D%0A&<%C3%A9 k'
    assert fill("{to}", {"to": "{secret.k}", "secret.k": "k"}) == "{secret.k}"  # what is filled in is no template
    assert fill("{to}", {"to": "=?utf-8?q?x?="}, in_header) == "=%3Futf-8?q?x?="  # no gateway decodes it


@pytest.mark.parametrize(
    "sender",
    [
        "值班@bank.example", "ops@bank..example", "a,b@bank.example", "ops@银行.example", ".ops@bank.example",
        "ops.@bank.example", "o..ps@bank.example", "ops@-bank.example", "ops@bank.example.", "ops", "ops@",
        "@bank.example", "a@b@bank.example", "ops@bank.example\\r\\nx", "Ops <ops@bank.example>", "ops@bank_.example",
    ],
)  # fmt: skip
def test_a_sender_or_recipient_that_no_mail_server_takes_is_refused(tmp_path: Path, sender: str) -> None:
    found = mistakes(tmp_path, f'{{type: email, host: h, port: 25, sender: "{sender}"}}')
    assert "channels.ops.sender: not one plain address" in found
    channel = load(tmp_path, "{type: email, host: h, port: 25, sender: ops@bank.example}").channels["ops"]
    assert channel.address_problem(sender.replace("\\r\\n", "\r\n")) is not None


@pytest.mark.parametrize("sender", ["ops@bank.example", "ops+alarm@xn--fiq228c.example", "ops@localhost", "o.p's@b.cn"])
def test_a_plain_sender_is_taken(tmp_path: Path, sender: str) -> None:
    channel = load(tmp_path, f'{{type: email, host: h, port: 25, sender: "{sender}"}}').channels["ops"]
    assert channel.address_problem(sender) is None


@pytest.mark.parametrize("name", ["a b", "alarm..example", "[10.1.2]", "", "值班.example", "a\\r\\nMAIL"])
def test_a_greeting_that_is_no_host_is_refused(tmp_path: Path, name: str) -> None:
    found = mistakes(tmp_path, f'{{type: email, host: h, port: 25, sender: ops@b.example, ehlo_name: "{name}"}}')
    assert "channels.ops.ehlo_name: not the name of a host" in found
