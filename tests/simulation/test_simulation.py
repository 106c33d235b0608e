"""Some random worlds, and that what the simulation says can be relied on: it repeats itself, and it finds faults."""

import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, update
from support.budget import budget, thorough

from incident_engine.domain.response.delivery_outcome import DeliveryState
from incident_engine.engine import incident_cache
from incident_engine.engine.known_events import KnownEvents
from incident_engine.engine.update import CaseUpdater
from incident_engine.store import deliveries as outgoing
from incident_engine.store import held_texts, steps
from incident_engine.store.claims import ClaimedDelivery
from incident_engine.store.events import EventRow, append_all
from incident_engine.store.tables import deliveries
from simulation import invariants, play, scratch
from simulation.bank import DUTY, FULL, LEAN
from simulation.clock import DAY, SECOND
from simulation.command import main
from simulation.outages import ALERTED_REGION
from simulation.play import Result
from simulation.script import Act, Script, Story, script_of
from simulation.shrink import shortest

TESTS = Path(__file__).resolve().parents[1]


def short(seed: int, bank: str = LEAN, lasts: int = 2 * DAY) -> Script:
    """Return the world of a seed within a short time."""
    return script_of(seed, bank, lasts)


@pytest.mark.parametrize("seed", range(budget(full=5, quick=3)))
def test_a_small_bank_keeps_every_invariant(seed: int) -> None:
    result = play.play(short(seed), share=0.1)
    assert result.violation is None, "\n".join(result.trace[-40:])


@thorough
@pytest.mark.parametrize(("bank", "seed"), [(DUTY, 105), (FULL, 200)])
def test_a_bank_with_more_playbooks_keeps_every_invariant(bank: str, seed: int) -> None:
    result = play.play(short(seed, bank, DAY // 4), share=0.05)
    assert result.violation is None, "\n".join(result.trace[-40:])


def test_the_worlds_hold_what_they_are_meant_to_try() -> None:
    acts = {act.kind for seed in range(100) for story in script_of(seed).stories for act in story.acts}
    troubles = {"crash", "crash_within", "crash_after", "restart", "store_fails", "clock", "weather", "fair"}
    assert acts == {"event", "alert", "person", *troubles}


@thorough
def test_the_same_seed_gives_the_same_world_in_every_process() -> None:
    code = (
        "from simulation.test_simulation import short; from simulation.play import play; "
        "print([play(short(seed, 'lean')).digest for seed in (4, 5)])"
    )
    said = []
    for hashing in ("1", "20130623"):
        environment = {**os.environ, "PYTHONHASHSEED": hashing, "PYTHONPATH": str(TESTS)}
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=100, check=True
        )
        said.append(done.stdout)
    assert said[0] == said[1]
    assert len(said[0]) > 2 * 64


# A simulation that finds nothing is worth nothing: each of these faults is planted, and must be found.


def found(script: Script, share: float = 1.0) -> Result:
    result = play.play(script, share=share)
    assert result.violation is not None
    return result


def never_wakes(self: CaseUpdater, *_: object) -> None:
    return None


def forgets_the_lease(
    connection: Connection, delivery: ClaimedDelivery, state: DeliveryState, outcome: str, detail: str, now: datetime,
    retry_at: datetime | None, **_: object,
) -> bool:  # fmt: skip
    """Take what was delivered for what must be tried again."""
    again = {"state": DeliveryState.PENDING, "due_at": now + timedelta(minutes=1)}
    if state is DeliveryState.DELIVERED:
        connection.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(state=state, due_at=None))
        connection.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(**again))
    return True


def test_an_alarm_that_is_never_set_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CaseUpdater, "_next_change_at", never_wakes)
    result = found(two_provinces(LEAN))
    assert result.violation is not None
    assert result.violation.invariant in (scratch.OVERSLEPT, scratch.STEP_MISSING, scratch.VERDICT_DIFFERS)


def test_a_second_sending_of_what_was_delivered_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "record", forgets_the_lease)
    result = found(two_provinces(LEAN))
    assert result.violation is not None
    assert result.violation.invariant in (invariants.DELIVERED_TWICE, invariants.CHANGED_AFTERWARDS)


@thorough
def test_words_that_go_out_without_an_approval_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def lets_out(connection: Connection, step: Any) -> None:
        await_approval(connection, step)
        held_texts.release_held(connection, step.id, step.due_at)

    await_approval = steps.await_approval
    monkeypatch.setattr(steps, "await_approval", lets_out)
    result = found(two_provinces(FULL), share=0.0)
    assert result.violation is not None
    assert result.violation.invariant == invariants.SENT_UNAPPROVED


def test_a_lost_event_is_found_and_told_in_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    append = append_all

    def loses(connection: Connection, rows: Sequence[EventRow]) -> None:
        append(connection, [row for row in rows if row.type != "note.added"])

    monkeypatch.setattr(incident_cache, "append_all", loses)
    script = short(5)
    result = found(script, share=0.0)
    assert result.violation is not None
    assert result.violation.invariant == invariants.EVENTS_KEPT
    told = shortest(result, share=0.0, attempts=30)
    assert told.violation is not None
    assert sum(len(story.acts) for story in told.script.stories) == 2  # what begins the incident, and the note
    assert len(told.trace) < len(result.trace)


def firing_again() -> Script:
    """Return a world in which an alert fires, is resolved, fires again with its old start, and is resolved."""
    start = datetime.fromisoformat("2025-06-23T01:00:00+00:00")
    ends = [None, start + timedelta(seconds=14), None, start + timedelta(seconds=45)]
    acts = []
    for number, end in enumerate(ends):
        alert = {
            "status": "resolved" if end else "firing",
            "labels": {"service": "core-banking", "region": ALERTED_REGION},
            "startsAt": start.isoformat(),
            "endsAt": end.isoformat() if end else "0001-01-01T00:00:00Z",
            "fingerprint": "5ef77f1f8a3ecf8d",
        }
        acts.append(Act((number + 1) * 20 * SECOND, "alert", {"alert": alert, "story": "alert"}))
    return Script(1, LEAN, start, DAY // 24, 0.0, (Story("alert", tuple(acts)),))


def test_an_alert_that_fires_again_counts_to_its_latest_end() -> None:
    assert play.play(firing_again()).violation is None


def test_an_alert_that_is_taken_for_a_repeat_when_it_fires_again_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnownEvents, "alert_is_back", lambda *_: [])
    violation = found(firing_again()).violation
    assert violation is not None
    assert violation.invariant == invariants.ALERTS_COUNT


def test_a_key_that_is_taken_with_another_content_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KnownEvents, "conflicts", lambda *_: [])
    (story,) = two_provinces(LEAN).stories
    (act,) = story.acts
    other = Act(2 * SECOND, "event", {"document": act.data["document"] | {"regions": ["CN-SC"]}, "story": None})
    script = replace(two_provinces(LEAN), stories=(replace(story, acts=(act, other)),))
    violation = found(script).violation
    assert violation is not None
    assert violation.invariant == invariants.KNOWN_KEY


def two_provinces(bank: str) -> Script:
    """Return a world in which two provinces are down for hours: level I, where words for customers are held."""
    start = datetime.fromisoformat("2025-06-23T01:00:00+00:00")
    document = {
        "source": "monitor",
        "id": "down",
        "type": "outage.started",
        "service": "core-banking",
        "regions": ["CN-GD", "CN-HN"],
        "occurred_at": start.isoformat(),
    }
    story = Story("down", (Act(1, "event", {"document": document, "story": "down"}),))
    return Script(1, bank, start, DAY // 4, 0.0, (story,))


def test_the_command_says_how_much_was_played(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seeds", "2", "--start", "6", "--bank", LEAN, "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "seeds 6 to 7" in said
    assert "violations: 0" in said
