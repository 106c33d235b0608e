"""Seeds a database with many open incidents: the daemon makes some, and their rows are copied under other ids.

An incident's id and its service occur as text in all of its rows (step ids, assessments, messages), and all ids have
the same length. So a copy is the original with two texts replaced, and equals the rows that the daemon would store.
"""

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from bank import numbered
from servers import BenchmarkError, Server
from sqlalchemy import JSON, String, Table

from incident_engine.domain.regions import PROVINCES
from incident_engine.store.tables import cases, events, metadata

INCIDENT, SERVICE = "open", "bank"
PER_SERVICE = 50
"""Incidents of one service at every size, so that only their total number changes."""
RIPE = 3
"""The original whose copies reach their first level (cn-cbrc-2008: one province, half an hour) at `Seed.ripe_at`."""
_HALF_AN_HOUR = timedelta(minutes=30)
_MOST_ORIGINALS = 400
_AT_ONCE = 20
_LASTING = ("content_hash", "level", "trajectory", "next", "forecast", "obligations")
"""Keys of an assessment that do not depend on the instant of the request."""
_OF_DELIVERIES = ("step_id", "contact", "channel", "locale", "subject", "body", "state")


@dataclass(frozen=True, slots=True)
class Seed:
    """A number of open incidents; the first of every `copies` is an original."""

    incidents: int
    ripe_at: datetime

    @property
    def copies(self) -> int:
        """Return the number of incidents for each original, itself included."""
        return max(PER_SERVICE, self.incidents // _MOST_ORIGINALS)

    @property
    def originals(self) -> range:
        """Return the numbers of the originals."""
        return range(0, self.incidents, self.copies)

    @property
    def ripe(self) -> range:
        """Return the numbers of the incidents that reach a level at `ripe_at` without any further event."""
        first = self.originals[RIPE]
        return range(first, first + self.copies)

    @property
    def services(self) -> int:
        """Return the number of services with incidents."""
        return -(-self.incidents // PER_SERVICE)


def report_originals(server: Server, seed: Seed, now: datetime) -> None:
    """Report the originals to a running daemon, and wait until their messages are out.

    Of twenty, sixteen are outages of one province, a few minutes old; three have three provinces; one is 40 minutes
    old, so that it has a level and its messages have gone out.
    """
    reports = [event for index, number in enumerate(seed.originals) for event in _original(seed, index, number, now)]
    for first in range(0, len(reports), _AT_ONCE):
        post(server, "/api/v1/events", reports[first : first + _AT_ONCE])
    path = server.log.parent / "incident-engine.db"
    deadline = time.monotonic() + 120
    while one(path, "SELECT count(*) FROM deliveries WHERE state IN ('pending', 'sending')"):
        if time.monotonic() > deadline:
            raise BenchmarkError("the originals' messages do not go out")
        time.sleep(0.2)


def copy_originals(path: Path, seed: Seed, now: datetime) -> None:
    """Copy the originals' rows, with no daemon on the database.

    Timers of all but the ripe incidents are put off by an hour or two, so that none fires during the measurement.
    """
    connection = sqlite3.connect(path)
    for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-1000000"):  # a loss would only cost this run
        connection.execute(f"PRAGMA {pragma}")
    with connection:
        for number in seed.originals:
            last = min(number + seed.copies, seed.incidents) - 1
            for table in sorted(metadata.sorted_tables, key=lambda table: table not in (cases, events)):
                _copy(connection, table, number, last)
        later = int(now.timestamp() + 3600) * 1_000_000
        ripe = numbered(INCIDENT, seed.ripe[0]), numbered(INCIDENT, seed.ripe[-1])
        connection.execute(
            "UPDATE timers SET due_at = ? + rowid % 3600 * 1000000 WHERE case_id NOT BETWEEN ? AND ?",
            (later, *ripe),
        )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()


def check_copies(server: Server, seed: Seed) -> None:
    """Compare some copies with their originals by the API. Raises BenchmarkError if any differs."""
    for index in (0, 16, 19):
        original = seed.originals[index]
        one, two = (_meaning(server, number) for number in (original, original + seed.copies - 1))
        if one != two:
            at = next(index for index, (a, b) in enumerate(zip(one, two, strict=False)) if a != b) - 40
            raise BenchmarkError(f"a copy of {original} differs from it: …{one[at:][:200]}… …{two[at:][:200]}…")


def post(server: Server, path: str, document: Any) -> None:
    """Post JSON. Raises BenchmarkError unless the answer is 202."""
    answer = server.client.post(path, json=document)
    if answer.status_code != 202:
        raise BenchmarkError(f"POST {path}: {answer.status_code} {answer.text[:500]}")


def outage(service: str, incident: str, region: str, at: datetime, number: int = 1) -> dict[str, Any]:
    """Return an event in the native format: the start of an outage, for the incident with this id."""
    return {
        "source": "benchmark",
        "id": f"{incident}/{number}",
        "type": "outage.started",
        "service": service,
        "regions": [region],
        "occurred_at": at.isoformat(),
        "incident": incident,
    }


def _original(seed: Seed, index: int, number: int, now: datetime) -> Sequence[dict[str, Any]]:
    minutes, regions = 1 + index % 9, 1
    if index % 20 in (16, 17, 18):
        regions = 3
    if index % 20 == 19:
        minutes = 40
    began = now - timedelta(minutes=minutes) if index != RIPE else seed.ripe_at - _HALF_AN_HOUR
    service, incident = numbered(SERVICE, number // PER_SERVICE), numbered(INCIDENT, number)
    return [
        outage(
            service, incident, PROVINCES[(index + step) % len(PROVINCES)].code, began + timedelta(seconds=step), step
        )
        for step in range(regions)
    ]


def _copy(connection: sqlite3.Connection, table: Table, number: int, last: int) -> None:
    where = _rows_of_one(table)
    if where is None or last == number:
        return
    values = {
        "incident": numbered(INCIDENT, number),
        "service": numbered(SERVICE, number // PER_SERVICE),
        "first": number + 1,
        "last": last,
    }
    columns = [column.name for column in table.columns if column.name != "seq" or table is events]
    copied = ", ".join(_copied(table, name) for name in columns)
    named = ", ".join(f'"{name}"' for name in columns)
    order = ", t.seq" if "seq" in table.c else ""
    connection.execute(
        f"WITH RECURSIVE k(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM k WHERE n < :last) "  # noqa: S608
        f"INSERT INTO {table.name} ({named}) "
        f"SELECT {copied} FROM k, {table.name} AS t WHERE {where} ORDER BY k.n{order}",
        values,
    )


def _rows_of_one(table: Table) -> str | None:
    if table.name == "cases":
        return "t.id = :incident"
    if "case_id" in table.c:
        return "t.case_id = :incident"
    if "delivery_id" in table.c:
        return "t.delivery_id IN (SELECT id FROM deliveries WHERE case_id = :incident)"
    return None


_DIGESTS = (("deliveries", "id"), ("attempts", "delivery_id"))
"""Ids that are digests and do not contain the incident's id."""
_EVENTS_OF_ONE = "(SELECT count(*) FROM events WHERE case_id = :incident)"


def _copied(table: Table, name: str) -> str:
    column = table.c[name]
    if table is events and name == "seq":
        return f"(SELECT max(seq) FROM events) + (k.n - :first) * {_EVENTS_OF_ONE} + {_position('t.seq')}"  # noqa: S608
    if name == "events_until":  # the last of its own events that the assessment knew
        first = f"(SELECT min(seq) FROM events WHERE case_id = printf('{INCIDENT}-%05d', k.n))"  # noqa: S608
        return f"{first} - 1 + {_position('t.events_until')}"
    if (table.name, name) in _DIGESTS:
        return f"t.{name} || printf('-%05d', k.n)"
    if not isinstance(column.type, (String, JSON)):
        return f't."{name}"'
    renamed = f"replace(t.\"{name}\", :incident, printf('{INCIDENT}-%05d', k.n))"
    return f"replace({renamed}, :service, printf('{SERVICE}-%05d', k.n / {PER_SERVICE}))"


def _position(seq: str) -> str:
    return f"(SELECT count(*) FROM events WHERE case_id = :incident AND seq <= {seq})"  # noqa: S608


def _meaning(server: Server, number: int) -> str:
    """Return the API's view of an incident without its id, its service and everything that changes with time."""
    document = server.get(f"/api/v1/incidents/{numbered(INCIDENT, number)}").json()
    sent = sorted(([row[key] for key in _OF_DELIVERIES] for row in document.pop("deliveries")), key=str)
    verdicts = [{key: verdict[key] for key in _LASTING} for verdict in document.pop("assessments")]
    text = json.dumps([document, verdicts, sent], ensure_ascii=False).replace(numbered(INCIDENT, number), INCIDENT)
    return text.replace(numbered(SERVICE, number // PER_SERVICE), SERVICE)


def one(path: Path, query: str) -> int:
    """Return the single number of a query; the daemon may run meanwhile."""
    connection = sqlite3.connect(path, timeout=30)
    try:
        return int(connection.execute(query).fetchone()[0])
    finally:
        connection.close()


def now() -> datetime:
    """Return the current instant."""
    return datetime.now(UTC)
