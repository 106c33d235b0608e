"""From a real Alertmanager through the daemon to mailboxes, a signed webhook and a real Prometheus, and a crash."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx2
import pytest
from standardwebhooks import Webhook
from support.bank import PACK, contacts, write_config, write_rules
from support.servers import (
    ALERTMANAGER,
    LOOPBACK,
    PROMETHEUS,
    Posted,
    alertmanager,
    client,
    daemon,
    free_port,
    http_receiver,
    need,
    prometheus,
    smtp_server,
    wait_for,
)

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgYWNjZXB0YW5jZSB0ZXN0"
III_AFTER = timedelta(seconds=3)
"""One province down for so long."""
II_AFTER = timedelta(seconds=8)
"""Two provinces down for so long: enough to notice the second one, crash and come back before it."""


def config_with_every_channel(directory: Path, smtp_port: int, hook: str) -> Path:
    rules = write_rules(directory, one_province_iii="3s", two_provinces_ii="8s")
    desk = {"channel": "desk"}
    return write_config(
        directory,
        rules,
        outgoing={"allow": [LOOPBACK]},
        channels={
            "outbox": {"type": "outbox", "directory": str(directory / "outbox")},
            "mail": {
                "type": "email",
                "host": LOOPBACK,
                "port": smtp_port,
                "sender": "ops@cloudsail.example",
                "tls": "none",
            },
            # Patient: the answer that is withheld below must be lost by the crash, not by a timeout.
            "desk": {"type": "webhook", "url": hook, "secret": {"value": SECRET}, "timeout": "60s"},
        },
        contacts=contacts(
            {
                "duty-officer": [{"channel": "mail", "to": "officer@cloudsail.example"}],
                "duty-engineer": [{"channel": "mail", "to": "engineer@cloudsail.example"}, desk],
                "risk-reporter": [{"channel": "outbox"}],
                "leading-group": [{"channel": "outbox"}],
                "customers-zh": [{"channel": "mail", "to": "zh@customers.example"}, desk],
                "customers-en": [{"channel": "mail", "to": "en@customers.example"}, desk],
            }
        ),
    )


def alert(region: str, starts_at: datetime, ends_at: datetime | None = None) -> dict[str, Any]:
    labels = {"alertname": "CoreBankingDown", "service": "core-banking", "region": region}
    end = {"endsAt": ends_at.isoformat()} if ends_at else {}
    return {"labels": labels, "annotations": {"summary": "no bookings"}, "startsAt": starts_at.isoformat(), **end}


def instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


DUTY = [("duty-officer", "mail"), ("duty-engineer", "mail"), ("duty-engineer", "desk")]


def step_of(delivery: dict[str, Any]) -> str:
    """Return a delivery's step without the incident and the playbook, such as duty-notice:III."""
    step, instance = str(delivery["step_id"]).split(":")[2:]
    return (
        f"{step}:{instance}" if not instance.endswith("Z") else step
    )  # named by an instant, which the test cannot know


class Api:
    """What the tests ask the daemon."""

    def __init__(self, http: httpx2.Client) -> None:
        self._http = http

    def incident(self) -> dict[str, Any]:
        listed = self._http.get("/api/v1/incidents").json()
        assert listed["total"] == 1, listed
        found: dict[str, Any] = self._http.get(f"/api/v1/incidents/{listed['incidents'][0]['id']}").json()
        return found

    def when(self, what: str, condition: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Return the only incident as soon as the condition holds of it."""

        def probe() -> dict[str, Any]:
            incident = self.incident()
            assert condition(incident), incident
            return incident

        return wait_for(what, probe)


def queried(prom: str, query: str) -> list[tuple[dict[str, str], float]]:
    with client(prom) as http:
        answer = http.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", answer
    return [(series["metric"], float(series["value"][1])) for series in answer["data"]["result"]]


def wait_until_prometheus_says(prom: str, incident: str, level: str, severity: int) -> None:
    def probe() -> bool:
        series = queried(prom, "incident_engine_incident_level")
        labels = [{name: found[name] for name in ("incident", "pack", "level")} for found, _ in series]
        assert labels == [{"incident": incident, "pack": PACK, "level": level}], series
        assert [value for _, value in series] == [severity], series
        return True

    wait_for(f"Prometheus sees level {level}", probe)


def verified(posted: Posted) -> dict[str, Any]:
    """Return what was posted, if its signature is that of the secret that both sides know."""
    document: dict[str, Any] = json.loads(posted.body)
    assert Webhook(SECRET).verify(posted.body, posted.headers) == document
    return document


def told(mails: list[EmailMessage], recipient: str) -> list[EmailMessage]:
    return [mail for mail in mails if mail["To"] == recipient]


def plain(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert isinstance(part, EmailMessage)
    return str(part.get_content())


@pytest.mark.servers
def test_alerts_of_two_provinces_go_the_whole_way_to_people_and_prometheus_across_a_crash(tmp_path: Path) -> None:
    need(ALERTMANAGER, PROMETHEUS)
    port = free_port()
    crashed: list[bool] = []

    def answer(posted: Posted) -> int | None:
        """Never answer the English notice to customers before the crash: it is the message in flight."""
        data = json.loads(posted.body)["data"]
        held = not crashed and data["contact"] == "customers-en" and "customers-acknowledge" in data["step"]
        return None if held else 204

    with (
        smtp_server() as (smtp_port, mails),
        http_receiver(answer) as desk,
        daemon(config_with_every_channel(tmp_path / "bank", smtp_port, desk.url), port, is_cold=True) as ours,
        alertmanager(tmp_path / "am", f"{ours.url}/api/v1/alertmanager") as alerts_url,
        prometheus(tmp_path / "prom", f"{LOOPBACK}:{port}") as prom,
        client(alerts_url) as alerts,
        client(ours.url) as http,
    ):
        api = Api(http)

        # Guangdong has been down for a second when its alert comes: III three seconds after it began.
        guangdong = datetime.now(UTC) - timedelta(seconds=1)
        iii_at = guangdong + III_AFTER
        assert alerts.post("/api/v2/alerts", json=[alert("CN-GD", guangdong)]).status_code == 200
        incident = api.when(
            "every message of level III but the one that is held is delivered",
            lambda found: Counter(d["state"] for d in found["deliveries"]) == {"delivered": 7, "sending": 1},
        )
        [assessment] = incident["assessments"]
        assert [(r["level"], instant(r["at"]), r["rule"]) for r in assessment["trajectory"]] == [
            ("III", iii_at, "art9-3-2")
        ]
        [in_flight] = [delivery for delivery in incident["deliveries"] if delivery["state"] == "sending"]
        assert (in_flight["contact"], in_flight["channel"]) == ("customers-en", "desk")
        wait_until_prometheus_says(prom, incident["id"], "III", 1)

        # Hunan follows; eight seconds later it will be II. In between the daemon is killed.
        hunan = datetime.now(UTC)
        ii_at = hunan + II_AFTER
        assert alerts.post("/api/v2/alerts", json=[alert("CN-HN", hunan)]).status_code == 200
        incident = api.when("Hunan is part of the incident", lambda found: found["regions"] == ["CN-GD", "CN-HN"])
        upcoming = incident["assessments"][0]["next"]
        assert (upcoming["level"], instant(upcoming["at"])) == ("II", ii_at)
        ours.kill()
        assert datetime.now(UTC) < ii_at, "this machine was too slow to crash the daemon before level II"
        crashed.append(True)
        ours.start_ready()

        incident = api.when(
            "every message up to level II is delivered",
            lambda found: Counter(d["state"] for d in found["deliveries"]) == {"delivered": 14},
        )
        [assessment] = incident["assessments"]
        assert [(r["level"], instant(r["at"]), r["rule"]) for r in assessment["trajectory"]] == [
            ("III", iii_at, "art9-3-2"),
            ("II", ii_at, "art9-2-2"),
        ]
        of_ii = [delivery for delivery in incident["deliveries"] if step_of(delivery) == "duty-notice:II"]
        assert len(of_ii) == 3
        assert all(instant(delivery["created_at"]) >= ii_at for delivery in of_ii)
        wait_until_prometheus_says(prom, incident["id"], "II", 2)

        # Both work again; a second (`settle`) later customers are told.
        guangdong_end = datetime.now(UTC) - timedelta(milliseconds=200)
        hunan_end = guangdong_end + timedelta(milliseconds=100)
        ended = [alert("CN-GD", guangdong, guangdong_end), alert("CN-HN", hunan, hunan_end)]
        assert alerts.post("/api/v2/alerts", json=ended).status_code == 200
        incident = api.when(
            "every message up to the restoration is delivered",
            lambda found: Counter(d["state"] for d in found["deliveries"]) == {"delivered": 18},
        )
        assert incident["state"] == "restored"
        assert instant(incident["restored_at"]) == hunan_end
        of_the_end = [delivery for delivery in incident["deliveries"] if "customers-resolved" in delivery["step_id"]]
        assert all(instant(delivery["created_at"]) >= hunan_end + timedelta(seconds=1) for delivery in of_the_end)
        # The level that was reached stays (Art. 10).
        assert [r["level"] for r in incident["assessments"][0]["trajectory"]] == ["III", "II"]
        assert incident["level"] == "II"

    # Who was told what, over which channel: worked out from the playbook and the contacts' addresses.
    assert Counter((step_of(d), d["contact"], d["channel"]) for d in incident["deliveries"]) == Counter(
        [
            *(("duty-notice:" + level, "duty-officer", "mail") for level in ("III", "II")),
            *(("duty-notice:" + level, "duty-engineer", via) for level in ("III", "II") for via in ("mail", "desk")),
            *(("duty-update", who, via) for who, via in DUTY),
            ("first-report:first-report", "risk-reporter", "outbox"),
            *(
                (step, who, via)
                for step in ("customers-acknowledge", "customers-resolved")
                for who in ("customers-zh", "customers-en")
                for via in ("mail", "desk")
            ),
        ]
    )
    assert [len(d["attempts"]) for d in incident["deliveries"] if d["id"] != in_flight["id"]] == [1] * 17

    # Each e-mail came once, under the id of its delivery, in the language of its reader.
    mailed = {delivery["id"] for delivery in incident["deliveries"] if delivery["channel"] == "mail"}
    assert Counter(mail["Message-ID"] for mail in mails) == Counter(f"<{name}@cloudsail.example>" for name in mailed)
    assert [mail["Subject"] for mail in told(mails, "officer@cloudsail.example")] == [
        "【III级】核心账务，广东",
        "【III级】范围扩大或再次中断：核心账务，广东和湖南",
        "【II级】核心账务，广东和湖南",
    ]
    assert [mail["Subject"] for mail in told(mails, "engineer@cloudsail.example")] == [
        "[Level III] Core banking in Guangdong",
        "[Level III] Wider or down again: Core banking in Guangdong and Hunan",
        "[Level II] Core banking in Guangdong and Hunan",
    ]
    chinese, english = told(mails, "zh@customers.example"), told(mails, "en@customers.example")
    assert (len(chinese), len(english)) == (2, 2)
    assert "正在全力处理" in plain(chinese[0])
    assert "我们负责查清并妥善处理" in plain(chinese[1])
    assert "we are doing all we can" in plain(english[0])
    assert "put it in order" in plain(english[1])

    # Each webhook came once and verifies; only the one in flight came again, the same message under the same id.
    documents = [verified(posted) for posted in desk.got]
    times = Counter(posted.headers["webhook-id"] for posted in desk.got)
    posted_ids = {delivery["id"] for delivery in incident["deliveries"] if delivery["channel"] == "desk"}
    assert times == {name: 2 if name == in_flight["id"] else 1 for name in posted_ids}
    twice = [
        d for d, posted in zip(documents, desk.got, strict=True) if posted.headers["webhook-id"] == in_flight["id"]
    ]
    assert twice[0] == twice[1]
    assert Counter(document["data"]["locale"] for document in documents) == {"zh-CN": 2, "en": 6}

    # The reporter's notice is a file.
    [report] = (tmp_path / "bank" / "outbox" / incident["id"]).iterdir()
    assert "首次报告" in report.read_text(encoding="utf-8")
