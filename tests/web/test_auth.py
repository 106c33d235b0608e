"""Keys, hosts and proxies: who is let in, and what is counted and logged of the others."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.fixtures import Served, served

from incident_engine.common.telemetry import DeniedReason, Metrics
from incident_engine.web import auth, denials
from incident_engine.web.denials import BURST, MOST_ADDRESSES, Denials

NOW = datetime(2013, 6, 23, 2, 35, tzinfo=UTC)
KEY = "a-key-of-sufficient-length"


@pytest.fixture
def open_api(tmp_path: Path) -> Iterator[Served]:
    with served(tmp_path, NOW) as api:
        yield api


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(auth, "DELAY_SECONDS", 0.05)
    with served(tmp_path, NOW, keys=(KEY,)) as found:
        yield found


def problem(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


# Without keys

PROXY_HEADERS = [
    *("X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded", "X_Forwarded_For", "Forwarded", "Via"),
    *("X-Real-IP", "X-Original-Host", "X-Envoy-External-Address", "CF-Connecting-IP", "True-Client-IP", "Client-IP"),
]


@pytest.mark.parametrize("header", PROXY_HEADERS)
def test_without_keys_any_sign_of_a_proxy_is_refused_with_the_setting_that_is_missing(
    open_api: Served, header: str
) -> None:
    for method, path in (
        ("GET", "/api/v1/incidents"),
        ("POST", "/api/v1/events"),
        ("GET", "/metrics"),
        ("GET", "/docs"),
    ):
        answer = open_api.client.request(method, path, headers={"Host": "127.0.0.1", header: "203.0.113.9"})
        assert "server.keys" in problem(answer, 403)
    for path in ("/healthz", "/readyz"):
        assert open_api.client.get(path, headers={header: "203.0.113.9"}).status_code == 200
    # A signed link is meant to be reached through a proxy.
    assert open_api.client.get("/do/nothing", headers={header: "203.0.113.9"}).status_code == 404


def test_with_a_key_a_proxy_may_stand_in_front(api: Served) -> None:
    headers = {"authorization": f"Bearer {KEY}", "x-forwarded-for": "203.0.113.9", "host": "ops.bank.example"}
    assert api.client.get("/api/v1/incidents", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "host", ["", "127.0.0.1, evil.example", "127.0.0.1/x", "a b", "user@127.0.0.1", "127.0.0.1:x", "[::1"]
)
@pytest.mark.parametrize("keys", [(), (KEY,)])
def test_a_host_that_is_none_is_refused(tmp_path: Path, host: str, keys: tuple[str, ...]) -> None:
    with served(tmp_path, NOW, keys=keys) as api:
        headers = {"host": host, "authorization": f"Bearer {KEY}"}
        assert "exactly one Host" in problem(api.client.get("/api/v1/incidents", headers=headers), 400)


@pytest.mark.parametrize("second", ["127.0.0.1", "evil.example"])
def test_two_hosts_are_refused(open_api: Served, second: str) -> None:
    headers = [("host", "127.0.0.1"), ("host", second)]
    assert "exactly one Host" in problem(open_api.client.get("/api/v1/incidents", headers=headers), 400)
    assert open_api.client.get("/do/nothing", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8080", "localhost:8080", "[::1]:8080", "LOCALHOST", "127.8.9.1"]
)
def test_a_name_of_this_machine_is_served_without_a_key(open_api: Served, host: str) -> None:
    assert open_api.client.get("/api/v1/incidents", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "localhost.evil.example:80", "0.0.0.0"]
)
def test_another_name_is_not_served_without_a_key(open_api: Served, host: str) -> None:
    assert "a key" in problem(open_api.client.get("/api/v1/incidents", headers={"host": host}), 403)


# Wrong keys


def denied(lines: list[Any]) -> list[tuple[str, str]]:
    return [(line["reason"], line["address"]) for line in lines if line["event"] == "request_denied"]


def counts(api: Served) -> dict[str, float]:
    text = api.client.get("/metrics", headers={"authorization": f"Bearer {KEY}"}).text
    lines = [line for line in text.splitlines() if line.startswith("incident_engine_requests_denied_total{")]
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines}


def test_wrong_keys_are_counted_and_logged_once_in_a_while_with_the_address_and_never_the_key(api: Served) -> None:
    guesses = [f"guess-number-{number}-of-some-length" for number in range(BURST)]
    with capture_logs() as lines:
        for guess in guesses:
            answer = api.client.get("/api/v1/incidents", headers={"authorization": f"Bearer {guess}"})
            assert answer.status_code == 401
    assert denied(lines) == [("wrong_key", "testclient")]
    assert not any(guess in json.dumps(lines) for guess in guesses)
    assert counts(api)["wrong_key"] == BURST


def test_a_missing_key_is_counted_and_logged_too(api: Served) -> None:
    with capture_logs() as lines:
        assert api.client.get("/api/v1/incidents").status_code == 401
    assert denied(lines) == [("no_key", "testclient")]
    assert counts(api)["no_key"] == 1


def test_an_address_with_too_many_wrong_keys_is_slowed_down_and_a_right_key_is_not(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(denials, "ticks", lambda: 100.0)  # on a slow machine tries would be forgiven meanwhile
    answers = [
        api.client.get("/api/v1/incidents", headers={"authorization": f"Bearer wrong-{n}"}) for n in range(BURST + 3)
    ]
    assert [answer.status_code for answer in answers] == [401] * BURST + [429] * 3
    assert answers[-1].headers["retry-after"] == "1"
    assert "too many wrong keys" in problem(answers[-1], 429)
    assert answers[-1].elapsed.total_seconds() >= 0.05
    begun = time.monotonic()
    assert api.client.get("/api/v1/incidents", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    assert time.monotonic() - begun < 5
    assert counts(api)["many_wrong_keys"] == 3


def test_a_password_counts_like_a_key(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(denials, "ticks", lambda: 100.0)
    codes = [api.client.get("/docs", auth=("x", f"wrong-{n}")).status_code for n in range(BURST + 1)]
    assert codes[-2:] == [401, 429]


def test_addresses_are_slowed_down_each_for_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(denials, "ticks", lambda: now)
    counted = Denials(Metrics())
    assert [counted.exceeds("203.0.113.9") for _ in range(BURST + 1)] == [False] * BURST + [True]
    assert not counted.exceeds("203.0.113.10")
    now += 2
    assert [counted.exceeds("203.0.113.9") for _ in range(3)] == [False, False, True]
    # Whoever has one IPv6 address has 2^64 of them.
    assert [counted.exceeds(f"2001:db8::{n}") for n in range(1, BURST + 2)] == [False] * BURST + [True]
    assert not counted.exceeds("2001:db8:0:1::1")


def test_what_is_remembered_of_addresses_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(denials, "ticks", lambda: now)
    counted = Denials(Metrics())
    with capture_logs() as lines:
        for number in range(MOST_ADDRESSES + 50):
            counted.record(DeniedReason.WRONG_KEY, f"10.0.{number // 256}.{number % 256}")
    assert len(denied(lines)) == MOST_ADDRESSES + 1
    assert denied(lines)[-1] == ("wrong_key", "others")
    now += 1_000
    with capture_logs() as lines:
        counted.record(DeniedReason.WRONG_KEY, "198.51.100.1")
    assert denied(lines) == [("wrong_key", "198.51.100.1")]


# Pages of other sites


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/api/v1/incidents", "/do/nothing", "/healthz", "/nothing"])
def test_no_answer_can_be_framed(open_api: Served, path: str) -> None:
    headers = open_api.client.get(path).headers
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"


def test_the_documentation_runs_only_its_own_scripts(open_api: Served) -> None:
    policy = open_api.client.get("/docs").headers["content-security-policy"]
    rules = dict(rule.strip().partition(" ")[::2] for rule in policy.split(";"))
    assert rules["frame-ancestors"] == rules["default-src"] == "'none'"
    assert "unsafe-inline" not in rules["script-src"]
