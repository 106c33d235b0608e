"""Every verdict that was ever stored can be worked out again from what was known then, to the last letter."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.builders import at, event_json, restored_json, started_json, unmet
from support.fixtures import SHANGHAI, House, bank, house
from support.reproduction import reproduced

from incident_engine.config.settings import Settings
from incident_engine.store.tables import assessments

SAID = {"by": "李工", "reason": "备件也坏了"}
TWO_PACKS = '["cn-cbrc-2008", "eu-dora-2024"]'


OVERDUE = unmet(
    "partners-notice",
    "immediate-report.20130623T032500Z",
    "plan-failure-report.20130623T033800Z",
    "progress-report.3",
)


def at_night(engine: House) -> None:
    """Sunday, the counter is closed: a repair fails, an estimate comes, a person corrects, it works again."""
    key = {"incident": "night"}
    engine.report(at("10:36"), started_json("down", at("10:35"), service="counter", **key))
    engine.report(at("10:40"), event_json("failed", "repair.failed", at("10:39"), **key, data=SAID))
    data = {"recovery_at": at("2013-06-24 09:40").isoformat()}
    engine.report(at("10:50"), event_json("estimate", "recovery.estimated", at("10:50"), **key, data=data))
    said = {"level": "III", "by": "陈总", "reason": "另一中心接管"}
    engine.report(at("11:00"), event_json("corrected", "level.corrected", at("10:58"), **key, data=said))
    for when in ("12:39", "16:00", "22:40"):
        engine.fire(at(when))
    engine.report(at("2013-06-24 09:30"), restored_json("up", at("2013-06-24 09:20"), service="counter", **key))
    engine.fire(at("2013-06-24 09:31"))


def in_disorder(engine: House) -> None:
    """Two provinces; reports arrive late, twice and in the wrong order; the clock fires between them."""
    engine.report(at("10:36"), started_json("gd", at("10:35")))
    engine.fire(at("11:05"))
    engine.report(at("11:10"), restored_json("gd-ok", at("10:50")))  # it was never III: held
    engine.report(at("11:12"), started_json("hn", at("10:40"), "CN-HN"), started_json("gd", at("10:35")))
    engine.report(at("11:20"), started_json("gd-again", at("10:52")), restored_json("hn-ok", at("11:15"), "CN-HN"))
    for when in ("11:35", "11:36", "13:00", "15:00", "18:00"):
        engine.fire(at(when))
    engine.report(at("18:05"), restored_json("gd-ok-2", at("18:01")))


def maintained(engine: House) -> None:
    """Maintenance is announced before, and reported both before and after the outage."""
    window = {"start": at("10:00").isoformat(), "end": at("11:00").isoformat()}
    given = {"service": "core-banking", "data": window}
    engine.report(at("09:00"), event_json("early", "maintenance.announced", at("08:00"), regions=["CN-HN"], **given))
    engine.report(at("10:36"), started_json("down", at("10:35"), "CN-GD", "CN-HN"))
    engine.report(at("10:50"), event_json("late", "maintenance.announced", at("08:30"), **given))
    mobile = given | {"service": "mobile"}
    engine.report(at("10:55"), event_json("other", "maintenance.announced", at("08:30"), **mobile))
    for when in ("11:05", "11:30", "12:01", "14:00"):
        engine.fire(at(when))
    engine.report(at("14:05"), started_json("mobile", at("14:04"), service="mobile"))
    engine.report(at("15:00"), restored_json("up", at("14:50"), "CN-GD", "CN-HN"))


def reported(engine: House) -> None:
    """Harm, reports in time and late, a failed plan, progress; two incidents at once."""
    harm = {"kind": "public", "seriousness": "serious", "cause": "data_leak", "by": "王敏", "reason": "x"}
    engine.report(at("10:36"), started_json("down", at("10:35"), "CN-GD", "CN-HN"))
    engine.report(at("10:37"), started_json("other", at("10:35"), service="payments"))
    engine.fire(at("11:05"))
    about = {"service": "core-banking"}
    done = {"by": "王敏", "fulfils": "first-report"}
    engine.report(at("11:20"), event_json("done", "step.completed", at("11:16"), **about, data=done))
    engine.report(at("11:30"), event_json("harm", "harm.assessed", at("11:25"), **about, data=harm))
    engine.report(at("11:40"), event_json("plan", "plan.failed", at("11:38"), **about, data=SAID))
    for when in ("11:53", "11:54", "12:00", "13:35", "15:36", "17:36"):
        engine.fire(at(when))
    progress = {"by": "王敏", "fulfils": "progress-report"}
    engine.report(at("17:40"), event_json("progress", "step.completed", at("17:38"), **about, data=progress))
    engine.fire(at("19:36"))
    engine.report(at("20:00"), restored_json("up", at("19:50"), "CN-GD", "CN-HN"))
    engine.report(at("20:01"), restored_json("other-up", at("19:55"), service="payments"))
    engine.report(
        at("20:30"), event_json("end", "incident.closed", at("20:30"), **about, data={"by": "陈总", "overdue": OVERDUE})
    )


def a_blip(engine: House) -> None:
    """What never reaches a level and closes itself."""
    engine.report(at("10:36"), started_json("down", at("10:35")), restored_json("up", at("10:36")))
    engine.fire(at("12:36"))


# Each with how many verdicts it comes to at least.
COURSES = [(at_night, 5), (in_disorder, 7), (maintained, 5), (reported, 12), (a_blip, 1)]


@pytest.mark.parametrize(("course", "verdicts"), COURSES, ids=[course.__name__ for course, _ in COURSES])
def test_every_stored_verdict_can_be_reproduced(tmp_path: Path, course: Callable[[House], None], verdicts: int) -> None:
    with house(tmp_path) as engine:
        course(engine)
        assert reproduced(engine) >= verdicts
    with house(tmp_path) as engine:  # and after a restart
        assert reproduced(engine) >= verdicts


def by_two_packs(folder: Path) -> Settings:
    return bank(folder, GRADING__PACKS=TWO_PACKS)


def test_the_verdicts_of_every_pack_can_be_reproduced(tmp_path: Path) -> None:
    day = "2026-03-02"
    with house(tmp_path, by_two_packs(tmp_path)) as engine:
        engine.report(at(f"{day} 10:36"), started_json("down", at(f"{day} 10:35"), "CN-GD", "DE-HE"))
        data = {"by": "王敏", "measures": {"costs_eur": 250_000.5, "data_loss": True}}
        about = {"service": "core-banking"}
        engine.report(
            at(f"{day} 11:20"), event_json("impact", "impact.measured", at(f"{day} 11:16"), **about, data=data)
        )
        engine.fire(at(f"{day} 12:36"))
        done = {"by": "王敏", "fulfils": "dora-initial-notification"}
        engine.report(at(f"{day} 13:00"), event_json("done", "step.completed", at(f"{day} 12:58"), **about, data=done))
        engine.report(at(f"{day} 16:00"), restored_json("up", at(f"{day} 15:50"), "CN-GD", "DE-HE"))
        assert reproduced(engine) >= 6
        packs = {row["pack"] for row in engine.rows(assessments)}
    assert packs == {"cn-cbrc-2008", "eu-dora-2024"}


def test_a_verdict_names_the_last_event_that_it_knew(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(at("10:36"), started_json("gd", at("10:35"), incident="k"))
        engine.fire(at("11:05"))
        engine.report(at("11:06"), started_json("hn", at("10:40"), "CN-HN", incident="k"))
        found = [(row["at"].astimezone(SHANGHAI).hour, row["events_until"]) for row in engine.rows(assessments)]
    assert found == [(10, 1), (11, 1), (11, 2)]
