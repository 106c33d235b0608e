"""Monitors that send each event again until it is acknowledged."""

import http.client
import json
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from support.fast_bank import REGIONS
from support.servers import LOOPBACK, PATIENCE

_OPEN_AT_ONCE = 4
Key = tuple[str, str]


@dataclass(slots=True)
class _Case:
    """An incident as its monitor sees it."""

    name: str
    down: list[str] = field(default_factory=list)
    reported: bool = False


class Sender:
    """A monitor. Its events follow from its seed, their times from how fast it is answered."""

    def __init__(self, name: str, seed: int, port: int, pause_seconds: float) -> None:
        self.name = name
        self.acknowledged: set[Key] = set()
        self.refused: dict[Key, str] = {}
        """Events that were refused, with the answer: none of them may be stored."""
        self.overloaded = 0
        self.is_waiting = False
        """Whether a request is under way."""
        self._chance = random.Random(f"{seed}/{name}")
        self._port = port
        self._pause = pause_seconds
        self._made = 0
        self._cases: list[_Case] = []
        self._finishing, self._given_up = threading.Event(), threading.Event()
        self._connection: http.client.HTTPConnection | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to report."""
        self._thread.start()

    def finish(self) -> None:
        """Report no new event; return once all are acknowledged."""
        self._finishing.set()
        self._thread.join(PATIENCE)
        self._disconnect()
        assert not self._thread.is_alive(), f"{self.name} is not acknowledged within {PATIENCE:g} s"

    def give_up(self) -> None:
        """Stop reporting, even if an event is not acknowledged."""
        self._finishing.set()
        self._given_up.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)
        self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _run(self) -> None:
        while not self._finishing.is_set():
            events = self._events()
            while not self._is_settled(events) and not self._given_up.is_set():
                time.sleep(0.02)
            time.sleep(self._chance.uniform(0, self._pause))

    def _is_settled(self, events: list[dict[str, Any]]) -> bool:
        self.is_waiting = True
        try:
            status, said = self._post(json.dumps(events).encode())
        except (OSError, http.client.HTTPException):
            self._disconnect()
            return False
        finally:
            self.is_waiting = False
        keys = {(event["source"], event["id"]) for event in events}
        if status == 202:
            self.acknowledged |= keys
        elif status == 503:
            self.overloaded += 1
            return False
        else:
            self.refused |= dict.fromkeys(keys, said)
        return True

    def _post(self, body: bytes) -> tuple[int, str]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=PATIENCE)
        self._connection.request("POST", "/api/v1/events", body, {"content-type": "application/json"})
        answer = self._connection.getresponse()
        return answer.status, answer.read().decode()

    def _events(self) -> list[dict[str, Any]]:
        if len(self._cases) < _OPEN_AT_ONCE or self._chance.random() < 0.1:
            self._cases.append(_Case(f"{self.name}-{self._made}"))
            if len(self._cases) > _OPEN_AT_ONCE:
                self._cases.pop(0)  # it gets no more events, so that its level rises by the clock alone
            return [self._outage("started", self._cases[-1], region) for region in self._some(REGIONS)]
        case = self._chance.choice(self._cases)
        up = [region for region in REGIONS if region not in case.down]
        choice = self._chance.random()
        if not case.down:
            self._cases.remove(case)
            return [self._event("incident.closed", case, data={"by": "Wang Min"})]
        if choice < 0.3 and up:
            return [self._outage("started", case, region) for region in self._some(up)]
        if choice < 0.5 and not case.reported:
            case.reported = True
            return [self._event("step.completed", case, data={"by": "Wang Min", "fulfils": "first-report"})]
        if choice < 0.6:
            return [self._event("note.added", case, data={"text": "still working on it"})]
        return [self._outage("restored", case, region) for region in self._some(list(case.down))]

    def _some(self, regions: tuple[str, ...] | list[str]) -> list[str]:
        return self._chance.sample(list(regions), self._chance.randint(1, min(2, len(regions))))

    def _outage(self, kind: str, case: _Case, region: str) -> dict[str, Any]:
        (case.down.append if kind == "started" else case.down.remove)(region)
        return self._event(f"outage.{kind}", case, service="core-banking", regions=[region])

    def _event(self, kind: str, case: _Case, **more: Any) -> dict[str, Any]:
        self._made += 1
        at = datetime.now(UTC).isoformat()
        return {
            "source": self.name, "id": str(self._made), "type": kind, "incident": case.name, "occurred_at": at, **more
        }  # fmt: skip
