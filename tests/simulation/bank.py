"""The banks of the simulation: the shipped one with several channels, by the least and by all of the playbooks."""

import json
import shutil
import sqlite3
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import yaml
from support.fixtures import CONFIG

from incident_engine.config.rulebook import load_rulebook
from incident_engine.config.settings import Settings, load_settings
from incident_engine.domain.rulebook import Rulebook
from incident_engine.store.database import Database

LEAN, DUTY, FULL = "lean", "duty", "full"
_CHOICES: dict[str, dict[str, Any]] = {
    LEAN: {"packs": ["cn-cbrc-2008"], "playbooks": ["outage-response"]},
    DUTY: {"packs": ["cn-cbrc-2008"], "playbooks": ["emergency-response", "regulator-reports"]},
    FULL: {
        "packs": ["cn-cbrc-2008", "cn-pboc-2025", "eu-dora-2024"],
        "playbooks": [
            "emergency-response",
            "regulator-reports",
            "customer-communication",
            "partners",
            "dora-reports",
        ],
    },
}
_CHANNELS = {
    "outbox": {"type": "outbox", "directory": "unused"},
    "mail": {"type": "email", "host": "mail.bank.example", "port": 25, "sender": "ops@bank.example", "tls": "none"},
    "desk": {"type": "webhook", "url": "https://desk.bank.example/", "secret": {"value": "MfKQ9r8GKYqrTwjUPD8ILPZI"}},
    "robot": {"type": "wecom", "url": {"value": "https://robot.example/send?key=0123456789"}},
    "chat": {"type": "feishu", "url": {"value": "https://chat.example/hook/0123456789"}},
}
_VIA: dict[str, list[dict[str, str]]] = {
    "duty-officer": [{"channel": "robot"}, {"channel": "mail", "to": "officer@bank.example", "after": "3m"}],
    "duty-engineer": [{"channel": "mail", "to": "engineer@bank.example"}, {"channel": "chat", "after": "2m"}],
    "execution-group": [{"channel": "robot"}, {"channel": "chat", "after": "5m"}],
    "risk-reporter": [{"channel": "mail", "to": "risk@bank.example"}, {"channel": "robot", "after": "10m"}],
    "spokesperson": [{"channel": "chat"}, {"channel": "mail", "to": "word@bank.example", "after": "1m"}],
    "customers-zh": [{"channel": "desk"}],
    "customers-en": [{"channel": "desk"}, {"channel": "outbox", "after": "1m"}],
    "leading-group": [{"channel": "robot"}],
}


@dataclass(frozen=True, slots=True)
class Bank:
    """A configuration with its rules."""

    settings: Settings
    rulebook: Rulebook


@cache
def bank_of(name: str) -> Bank:
    """Return a bank; reading its rules takes a second, and they never change."""
    document = yaml.safe_load(CONFIG.read_text(encoding="utf-8"))
    chosen = _CHOICES[name]
    document["grading"] = {"packs": chosen["packs"], "primary": chosen["packs"][0]}
    document["playbooks"] = chosen["playbooks"]
    document["channels"] = _CHANNELS
    for contact in document["contacts"]:
        contact["via"] = _VIA.get(contact["id"], [{"channel": "outbox"}])
    folder = Path(mkdtemp(prefix="simulation-"))
    try:
        file = folder / "config.yaml"
        file.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
        settings = load_settings(file, {})
        return Bank(settings, load_rulebook(settings, file))
    finally:
        shutil.rmtree(folder)


_WATCH = """
CREATE TABLE watched (
    seq INTEGER PRIMARY KEY, kind TEXT, id TEXT, incident_id TEXT, step_id TEXT, before TEXT, after TEXT
);
CREATE TRIGGER events_stay BEFORE UPDATE ON events BEGIN SELECT RAISE(ABORT, 'an event was changed'); END;
CREATE TRIGGER events_last BEFORE DELETE ON events BEGIN SELECT RAISE(ABORT, 'an event was deleted'); END;
"""
_WATCHED = {
    "steps": ("state", "generation", "started_at", "due_at", "approved_at", "completed_at", "completed_by"),
    "deliveries": ("state", "attempts", "ended_at", "body"),
    "cases": ("level", "severity", "closed_at", "last_at", "first_at"),
    "reports": ("state", "content_hash"),
}


def _columns(table: str, row: str) -> str:
    return "json_object(" + ", ".join(f"'{name}', {row}.{name}" for name in _WATCHED[table]) + ")"


def _triggers(table: str) -> str:
    """Return triggers that write down every change of a table: what a transaction undoes, they forget with it."""
    key = "seq" if table == "reports" else "id"
    of = {"steps": ("case_id", "id"), "deliveries": ("case_id", "step_id"), "cases": ("id", "NULL")}
    incident, step = of.get(table, ("case_id", "NULL"))
    named = [("NEW", "INSERT", "NULL", _columns(table, "NEW"), "")]
    named += [("OLD", "DELETE", _columns(table, "OLD"), "NULL", "")]
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _WATCHED[table])
    when = "" if table == "cases" else f"WHEN {changed}"  # every update says that it was brought up to date
    named += [("NEW", "UPDATE", _columns(table, "OLD"), _columns(table, "NEW"), when)]
    return "".join(
        f"CREATE TRIGGER {table}_{event.lower()} AFTER {event} ON {table} {when} BEGIN INSERT INTO watched "
        f"(kind, id, incident_id, step_id, before, after) VALUES ('{table}', {row}.{key}, {row}.{incident}, "
        f"{'NULL' if step == 'NULL' else f'{row}.{step}'}, {before}, {after}); END;\n"
        for row, event, before, after, when in named
    )


@cache
def _empty_database() -> bytes:
    """Return a database with the newest schema and triggers that write down what changes; made once a process."""
    folder = Path(mkdtemp(prefix="simulation-"))
    try:
        file = folder / "empty.db"
        Database(f"sqlite:///{file}").close()
        connection = sqlite3.connect(file)
        connection.executescript(_WATCH + "".join(map(_triggers, _WATCHED)))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        return file.read_bytes()
    finally:
        shutil.rmtree(folder)


def new_database(folder: Path) -> Path:
    """Write an empty database and return its file."""
    file = folder / "engine.db"
    file.write_bytes(_empty_database())
    return file


def changed(text: str | None) -> dict[str, Any]:
    """Return the columns that a trigger wrote down."""
    found: dict[str, Any] = {} if text is None else json.loads(text)
    return found
