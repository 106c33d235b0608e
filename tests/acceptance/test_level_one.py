"""One incident of level I from the first alert to the lessons: real SMTP and HTTP receivers, each message once."""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.message import EmailMessage
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx2
import pytest
from docx import Document
from support.bank import contacts, write_config
from support.budget import thorough
from support.servers import LOOPBACK, http_receiver, smtp_server

from incident_engine.common.clock import SteppedClock
from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import load_settings
from incident_engine.daemon import Daemon
from incident_engine.drills.settling import settle

pytestmark = thorough
BEGAN = datetime.fromisoformat("2026-03-02T09:00:00+08:00")  # a Monday
KEY = "INC-2026-03"
BY_MAIL = {
    "duty-officer",
    "duty-engineer",
    "execution-group",
    "support-group",
    "leading-group",
    "risk-reporter",
    "spokesperson",
    "customer-service",
    "relationship-desk",
    "branches",
    "partner-desk",
    "institutions",
    "suppliers",
}
PLAYBOOKS = ["emergency-response", "regulator-reports", "customer-communication", "partners"]


@dataclass
class Run:
    """What was sent to whom, and what the API said at the end."""

    mails: list[EmailMessage] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)
    incident: dict[str, Any] = field(default_factory=dict)
    reports: dict[str, bytes] = field(default_factory=dict)
    statistics: dict[str, Any] = field(default_factory=dict)


class House:
    """The daemon under a clock that jumps to whatever is due, and the people who talk to it."""

    def __init__(self, daemon: Daemon, clock: SteppedClock, http: httpx2.AsyncClient) -> None:
        self.daemon, self.clock, self.http = daemon, clock, http
        self.count = 0

    async def until(self, **after: float) -> None:
        instant = BEGAN + timedelta(**after)
        while True:
            due = await settle(self.daemon)
            if self.clock.now() >= instant:
                return
            self.clock.advance_to(instant if due is None else min(due, instant))

    async def say(self, kind: str, data: dict[str, Any] | None = None, **more: Any) -> None:
        self.count += 1
        event = {"source": "people", "id": str(self.count), "type": kind, "occurred_at": self.clock.now().isoformat()}
        event |= {"incident": KEY} | more | ({"data": data} if data else {})
        answer = await self.http.post("/api/v1/events", json=event)
        assert answer.status_code == 202, answer.text

    async def do(self, step: str, deed: str, **data: Any) -> None:
        answer = await self.http.post(f"/api/v1/steps/{KEY}:{step}/{deed}", json=data)
        assert answer.status_code == 202, answer.text

    async def outage(self, kind: str, *regions: str) -> None:
        await self.say(f"outage.{kind}", service="core-banking", regions=list(regions))


async def live(house: House) -> None:
    """What happens, and what people do about it."""
    await house.until(minutes=0)
    await house.outage("started", "CN-GD", "CN-HN")
    await house.until(minutes=20)
    await house.say("recovery.estimated", {"recovery_at": (BEGAN + timedelta(hours=2)).isoformat(), "by": "李工"})
    await house.until(minutes=32)
    await house.do("emergency-response:page:II", "acknowledge", by="李雷")
    await house.do("emergency-response:page-execution-group:II", "acknowledge", by="赵强")
    await house.until(minutes=40)
    await house.say("report.written", {"by": "王敏", "report": "cbrc-first-report", "fields": {"symptoms": "无法记账"}})
    await house.do("regulator-reports:first-report:first-report", "approve", by="王敏")
    await house.do("regulator-reports:first-report:first-report", "complete", by="王敏")
    await house.do("partners:partners-notice:partners-notice", "complete", by="孙莉")
    await house.do("partners:important-customers-call:II", "complete", by="何静")
    await house.until(hours=3, minutes=2)
    await house.do("emergency-response:page:I", "acknowledge", by="李雷")
    await house.do("emergency-response:page-execution-group:I", "acknowledge", by="赵强")
    await house.do("emergency-response:page-leading-group:I", "acknowledge", by="陈总")
    await house.do("partners:important-customers-call:I", "complete", by="何静")
    await house.do("customer-communication:customers-escalated:I", "approve", by="林薇")
    await house.until(hours=4, minutes=30)
    await house.do("regulator-reports:progress-report:progress-report.1", "complete", by="王敏", with_gaps=True)
    await house.until(hours=5, minutes=15)
    await house.outage("restored", "CN-GD", "CN-HN")
    await house.until(hours=6)
    await house.say("incident.closed", {"by": "陈总", "reason": "恢复正常"})
    await house.do(f"emergency-response:close:{at(hours=5, minutes=15)}", "complete", by="李雷")
    await house.until(hours=7, minutes=50)
    await house.do(f"customer-communication:customers-make-good:{at(hours=5, minutes=15)}", "approve", by="林薇")
    await house.do("regulator-reports:formal-report:formal-report", "complete", by="王敏", with_gaps=True)
    await house.until(hours=26)
    lesson = {"by": "赵强", "text": "日志卷须双份告警", "for_customers": "我们已为关键系统增加了双重告警"}
    await house.say("lesson.recorded", lesson)
    await house.do(f"emergency-response:lessons-review:{at(hours=6)}", "complete", by="赵强")
    await house.until(days=1, hours=2)
    await house.do("regulator-reports:summary-report:summary-report", "complete", by="王敏", with_gaps=True)
    await house.until(days=3, hours=1)
    await house.do(f"customer-communication:customers-lessons:{at(hours=6)}", "approve", by="林薇")
    await house.do(f"customer-communication:customers-follow-up:{at(hours=5, minutes=15)}", "complete", by="何静")
    await house.until(days=20)


def at(**after: float) -> str:
    utc = (BEGAN + timedelta(**after)).astimezone(datetime.fromisoformat("2026-01-01T00:00+00:00").tzinfo)
    return f"{utc:%Y%m%dT%H%M%SZ}"


async def play(config: Path, run: Run) -> None:
    clock = SteppedClock(BEGAN - timedelta(minutes=1))
    settings = load_settings(config, {})
    daemon = Daemon(settings, load_rulebook(settings, config), clock)
    async with daemon.running(), httpx2.AsyncClient(base_url=daemon.url, trust_env=False, timeout=30) as http:
        await live(House(daemon, clock, http))
        run.incident = (await http.get(f"/api/v1/incidents/{KEY}")).json()
        for name in ("cbrc-first-report", "cbrc-formal-report", "cbrc-summary-report"):
            for lang in ("zh-CN", "en"):
                params = {"format": "docx", "lang": lang}
                answer = await http.get(f"/api/v1/incidents/{KEY}/reports/{name}", params=params)
                assert answer.status_code == 200, answer.text
                run.reports[f"{name}.{lang}"] = answer.content
        period = {"from": "2026-01-01", "to": "2026-12-31"}
        run.statistics = (await http.get("/api/v1/reports/summary", params=period)).json()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("level-one")
    found = Run()
    with smtp_server() as (port, mails), http_receiver() as receiver:
        mail = {"type": "email", "host": LOOPBACK, "port": port, "sender": "ops@cloudsail.example", "tls": "none"}
        hook = {"type": "webhook", "url": receiver.url, "secret": {"value": "whsec_" + "c2VjcmV0" * 4}}
        by_mail = {name: [{"channel": "mail", "to": f"{name}@cloudsail.example"}] for name in BY_MAIL}
        by_hook = {name: [{"channel": "site", "to": name}] for name in ("customers-zh", "customers-en")}
        config = write_config(
            folder,
            channels={"outbox": {"type": "outbox", "directory": str(folder / "outbox")}, "mail": mail, "site": hook},
            contacts=contacts(by_mail | by_hook),
            server={"host": LOOPBACK, "port": 0},
            playbooks=PLAYBOOKS,
            closing={"observation": "30m"},
            outgoing={"allow": ["127.0.0.0/8"]},
        )
        asyncio.run(play(config, found))
        found.mails = list(mails)
        found.posts = [json.loads(posted.body)["data"] for posted in receiver.got]
    return found


def sent(run: Run) -> Counter[tuple[str, str]]:
    """Return how often each step reached each contact."""
    deliveries = {delivery["id"]: delivery for delivery in run.incident["deliveries"]}
    found: Counter[tuple[str, str]] = Counter()
    for mail in run.mails:
        delivery = deliveries[mail["Message-ID"].strip("<>").partition("@")[0]]
        assert mail["To"] == f"{delivery['contact']}@cloudsail.example"
        found[short(delivery["step_id"]), delivery["contact"]] += 1
    for post in run.posts:
        found[short(post["step"]), post["contact"]] += 1
    return found


def short(step_id: str) -> str:
    _, _, step, instance = step_id.split(":", 3)
    return f"{step}/{instance}"


def expected() -> set[tuple[str, str]]:
    """Return every message that must go out, by step and contact: all of them, and no other."""
    team, customers, staff = (
        ("duty-officer", "duty-engineer"),
        ("customers-zh", "customers-en"),
        ("branches", "customer-service"),
    )
    began, ended, closed, estimated = at(), at(hours=5, minutes=15), at(hours=6), at(hours=2)
    told: dict[str, tuple[str, ...]] = {
        "opened/opened": team,
        "level-ahead/II": team,
        "level-ahead/I": team,
        "page/II": team,
        "page-execution-group/II": ("execution-group",),
        "support-group/II": ("support-group",),
        "first-report/first-report": ("risk-reporter",),
        "formal-report/formal-report": ("risk-reporter",),
        "partners-notice/partners-notice": ("partner-desk",),
        f"staff-notice/{began}": staff,
        f"suppliers-notice/{began}": ("suppliers",),
        "institutions-notice/II": ("institutions",),
        "important-customers-call/II": ("relationship-desk",),
        "media/II": ("leading-group",),
        f"customers-acknowledge/{began}": customers,
        f"customers-progress/{began}": customers,  # 10:30
        f"customers-progress/{began}.2": customers,  # 11:30
        f"customers-delay-passed/{estimated}": customers,
        f"estimate-passed/{estimated}": (*team, "execution-group"),
        "page/I": team,
        "page-execution-group/I": ("execution-group",),
        "page-leading-group/I": ("leading-group",),
        "support-group/I": ("support-group",),
        "institutions-notice/I": ("institutions",),
        "important-customers-call/I": ("relationship-desk",),
        "media/I": ("leading-group",),
        "customers-escalated/I~ask": ("spokesperson",),
        "customers-escalated/I": customers,
        f"customers-progress/{began}.3": customers,  # 12:30, quickened by level I at 12:00
        f"customers-progress/{began}.4": customers,
        f"customers-progress/{began}.5": customers,
        f"customers-progress/{began}.6": customers,  # 14:00
        "progress-report/progress-report.1": ("risk-reporter",),
        "progress-report/progress-report.2": ("risk-reporter",),  # 14:00; withdrawn when it worked again at 14:15
        f"customers-resolved/{ended}": customers,
        f"staff-resolved/{ended}": staff,
        f"institutions-resolved/{ended}": ("institutions",),
        f"team-restored/{ended}": (*team, "execution-group"),
        f"close/{ended}": team,
        f"lessons-review/{closed}": ("execution-group",),
        f"customers-make-good/{ended}~ask": ("spokesperson",),
        f"customers-make-good/{ended}": customers,
        "summary-report/summary-report": ("risk-reporter",),
        f"customers-lessons/{closed}~ask": ("spokesperson",),
        f"customers-lessons/{closed}": customers,
        f"customers-follow-up/{ended}": ("customer-service",),
    }
    return {(step, contact) for step, members in told.items() for contact in members}


def test_every_message_that_must_go_out_did_so_exactly_once_and_no_other(run: Run) -> None:
    found = sent(run)
    wanted = expected()
    assert sorted(wanted - found.keys()) == []
    assert sorted(found.keys() - wanted) == []
    assert {pair: times for pair, times in found.items() if times != 1} == {}


def test_each_reader_reads_it_in_the_reader_s_own_language(run: Run) -> None:
    for mail in run.mails:
        wanted = "en" if mail["To"].startswith("duty-engineer@") else "zh-CN"
        assert mail["Content-Language"] == wanted
    languages = {
        post["contact"]: {p["locale"] for p in run.posts if p["contact"] == post["contact"]} for post in run.posts
    }
    assert languages == {"customers-zh": {"zh-CN"}, "customers-en": {"en"}}
    by_step = Counter(post["step"] for post in run.posts)
    assert set(by_step.values()) == {2}, "each word to customers in both languages"


def test_customers_are_told_when_the_next_word_comes_and_it_comes_then(run: Run) -> None:
    english = [post for post in run.posts if post["contact"] == "customers-en"]
    times = {delivery["id"]: delivery["created_at"] for delivery in run.incident["deliveries"]}
    by_step = {
        short(d["step_id"]): times[d["id"]] for d in run.incident["deliveries"] if d["contact"] == "customers-en"
    }
    promised = {short(post["step"]): post["body"] for post in english}
    began = at()
    for step, following in (
        (f"customers-acknowledge/{began}", f"customers-progress/{began}"),
        (f"customers-progress/{began}", f"customers-progress/{began}.2"),
        (f"customers-progress/{began}.3", f"customers-progress/{began}.4"),
    ):
        local = datetime.fromisoformat(by_step[following])
        assert f"{local:%H:%M}" in promised[step], (step, promised[step])


def test_the_levels_deadlines_and_the_end_are_as_the_law_wants_them(run: Run) -> None:
    verdict = run.incident["assessments"][0]
    rises = [(rise["level"], datetime.fromisoformat(rise["at"]) - BEGAN) for rise in verdict["trajectory"]]
    assert rises == [("II", timedelta(minutes=30)), ("I", timedelta(hours=3))]
    states = {status["id"]: (status["state"], status["met_late"]) for status in verdict["obligations"]}
    for name in ("first-report", "formal-report", "partners-notice", "progress-report", "summary-report"):
        assert states[name] == ("met", False), name
    assert run.incident["state"] == "closed"
    assert all(delivery["state"] == "delivered" for delivery in run.incident["deliveries"])
    assert not [step for step in run.incident["steps"] if step["state"] in ("pending", "awaiting", "failed")]


@pytest.mark.parametrize(
    ("lang", "title", "symptoms"), [("zh-CN", "首次报告", "无法记账"), ("en", "irst report", "无法记账")]
)
def test_the_first_report_opens_as_docx_with_what_was_written(run: Run, lang: str, title: str, symptoms: str) -> None:
    text = docx_text(run.reports[f"cbrc-first-report.{lang}"])
    assert title in text
    assert symptoms in text
    assert "王敏" not in text  # the names of its authors stay in the bank


@pytest.mark.parametrize("name", ["cbrc-formal-report", "cbrc-summary-report"])
@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_every_report_was_drafted_in_both_languages(run: Run, name: str, lang: str) -> None:
    text = docx_text(run.reports[f"{name}.{lang}"])
    assert ("广东" if lang == "zh-CN" else "Guangdong") in text
    assert KEY in text or "云帆" in text or "Cloudsail" in text


def docx_text(content: bytes) -> str:

    document = Document(BytesIO(content))
    cells = [cell.text for table in document.tables for row in table.rows for cell in row.cells]
    heads = [
        part.text for section in document.sections for part in (*section.header.paragraphs, *section.footer.paragraphs)
    ]
    return "\n".join([*(paragraph.text for paragraph in document.paragraphs), *cells, *heads])


def test_the_year_knows_how_fast_people_were(run: Run) -> None:
    assert run.statistics["incidents"]
