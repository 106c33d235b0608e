"""The daemon killed under load, at every named point and at random instants: nothing is lost, nothing doubled.

A thousand kills of the same kind: benchmarks/crash.py.
"""

import random
from collections import Counter
from pathlib import Path

import pytest
from support.budget import budget, thorough
from support.crash import Kill, play, schedule
from support.crash_checks import StoredState, wrong_after_a_kill
from support.fake_receiver import Arrival
from support.load_senders import Sender
from support.process import ColdStarter, ForkStarter

from incident_engine.common.failpoints import Point

FIRST = [Point.DURING_MIGRATION, Point.DURING_RECOVERY]
LATER = [point for point in Point if point not in FIRST]
NOTHING = StoredState(Counter(), frozenset(), frozenset(), {}, 0)
KILLS = 5


def test_killed_at_every_named_point_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    times = random.Random(5)
    kills = [Kill(0, point=point) for point in FIRST]
    later = LATER[:: budget(full=1, quick=3)]
    kills += [Kill(0, point=point, time=times.randint(1, 4)) for point in later]
    tally = play(tmp_path, 5, ForkStarter(), kills)
    assert tally.points == Counter([*FIRST, *later]), f"not reached: {dict(tally.missed)}"
    assert tally.acknowledged > 0
    assert tally.deliveries > 0


@thorough
def test_killed_at_random_instants_as_an_operator_starts_it_nothing_is_lost_and_nothing_doubled(tmp_path: Path) -> None:
    tally = play(tmp_path, 6, ColdStarter(), schedule(6, KILLS, startup_seconds=1.5))
    assert tally.kills == KILLS
    assert tally.acknowledged > 0
    assert tally.deliveries > 0


# What the suite looks for, it finds.


def sender(*acknowledged: str) -> Sender:
    found = Sender("monitor", 1, 1, 0)
    found.acknowledged |= {("monitor", name) for name in acknowledged}
    return found


def arrival(name: str, life: int = 2, *, taken: bool = True) -> Arrival:
    return Arrival(name, life, "step", "officer", "words", taken)


def stored(*names: str, attempts: dict[str, int] | None = None, delivered: frozenset[str] = frozenset()) -> StoredState:
    return StoredState(Counter(("monitor", name) for name in names), delivered, frozenset(), attempts or {}, 0)


def test_an_acknowledged_event_that_is_not_stored_is_found() -> None:
    [said] = wrong_after_a_kill(stored("1"), NOTHING, [sender("1", "2")], [])
    assert said == "1 acknowledged events are lost: [('monitor', '2')]"


def test_an_event_that_was_refused_and_is_stored_is_found() -> None:
    refused = sender()
    refused.refused["monitor", "1"] = "unknown region"
    [said] = wrong_after_a_kill(stored("1"), NOTHING, [refused], [])
    assert said == "refused and yet stored: [('monitor', '1')]"


def test_an_event_that_is_stored_twice_is_found() -> None:
    assert list(wrong_after_a_kill(stored("1", "1"), NOTHING, [sender("1")], []))


def test_a_message_that_was_on_record_and_comes_again_is_found() -> None:
    before = stored(attempts={"a": 1}, delivered=frozenset({"a"}))
    [said] = wrong_after_a_kill(stored(attempts={"a": 1}), before, [], [arrival("a")])
    assert said == "a was on record as delivered, and was sent again in life 2"


def test_a_message_that_comes_twice_in_one_life_is_found_unless_it_was_not_taken() -> None:
    found = stored(attempts={"a": 2})
    assert list(wrong_after_a_kill(found, NOTHING, [], [arrival("a"), arrival("a")]))
    assert not list(wrong_after_a_kill(found, NOTHING, [], [arrival("a", taken=False), arrival("a")]))


def test_a_message_that_was_sent_before_its_claim_was_on_disk_is_found() -> None:
    [said] = wrong_after_a_kill(stored(attempts={"a": 0}), NOTHING, [], [arrival("a")])
    assert said == "a was sent before its claim was on disk"


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_gives_the_same_schedule(seed: int) -> None:
    assert schedule(seed, 20, 1.0) == schedule(seed, 20, 1.0) != schedule(seed + 2, 20, 1.0)
