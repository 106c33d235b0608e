"""E-mails as a mail server gets them from the daemon."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from support.bank import contacts, write_config
from support.servers import LOOPBACK, client, daemon, smtp_server, wait_for


@pytest.fixture
def notice(tmp_path: Path) -> Iterator[EmailMessage]:
    """The notice of level III to the officer on duty, who reads Chinese; everybody else has the outbox."""
    members = ("duty-engineer", "risk-reporter", "leading-group", "customers-zh", "customers-en")
    with smtp_server() as (port, mails):
        mail = {"type": "email", "host": LOOPBACK, "port": port, "sender": "ops@cloudsail.example", "tls": "none"}
        outbox = {"type": "outbox", "directory": str(tmp_path / "outbox")}
        config = write_config(
            tmp_path,
            channels={"outbox": outbox, "mail": mail},
            contacts=contacts(
                {member: [{"channel": "outbox"}] for member in members}
                | {"duty-officer": [{"channel": "mail", "to": "officer@cloudsail.example"}]}
            ),
        )
        with daemon(config) as ours, client(ours.url) as http:
            event = {
                "source": "test",
                "id": "1",
                "type": "outage.started",
                "service": "core-banking",
                "regions": ["CN-GD"],
                "occurred_at": (datetime.now(UTC) - timedelta(minutes=40)).isoformat(),
            }
            assert http.post("/api/v1/events", json=event).status_code == 202
            wait_for("the officer's notice", lambda: mails)
        yield mails[0]


def test_a_mail_says_in_which_language_it_is_written(notice: EmailMessage) -> None:
    assert notice["Content-Language"] == "zh-CN"


def test_a_mail_comes_from_the_bank_and_asks_for_no_automatic_answer(notice: EmailMessage) -> None:
    assert notice["From"] == "ops@cloudsail.example"
    assert notice["To"] == "officer@cloudsail.example"
    assert notice["Auto-Submitted"] == "auto-generated"
    assert notice["Date"].datetime.tzinfo is not None
    assert [part.get_content_type() for part in notice.iter_parts()] == ["text/plain", "text/html"]
