"""Every verdict that was ever stored can be worked out again from what was known then, to the last letter."""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.fixtures import SHANGHAI, House, bank, cst, event, house, restored, started
from support.reproduction import reproduced

from incident_engine.config.settings import Settings
from incident_engine.store.tables import assessments

SAID = {"by": "李工", "reason": "备件也坏了"}
TWO_PACKS = '["cn-cbrc-2008", "eu-dora-2024"]'


def at_night(engine: House) -> None:
    """Sunday, the counter is closed: a repair fails, an estimate comes, a person corrects, it works again."""
    key = {"incident": "night"}
    engine.report(cst("10:36"), started("down", cst("10:35"), service="counter", **key))
    engine.report(cst("10:40"), event("failed", "repair.failed", cst("10:39"), **key, data=SAID))
    data = {"recovery_at": cst("09:40", "2013-06-24").isoformat()}
    engine.report(cst("10:50"), event("estimate", "recovery.estimated", cst("10:50"), **key, data=data))
    said = {"level": "III", "by": "陈总", "reason": "另一中心接管"}
    engine.report(cst("11:00"), event("corrected", "level.corrected", cst("10:58"), **key, data=said))
    for when in ("12:39", "16:00", "22:40"):
        engine.fire(cst(when))
    engine.report(cst("09:30", "2013-06-24"), restored("up", cst("09:20", "2013-06-24"), service="counter", **key))
    engine.fire(cst("09:31", "2013-06-24"))


def in_disorder(engine: House) -> None:
    """Two provinces; reports arrive late, twice and in the wrong order; the clock fires between them."""
    engine.report(cst("10:36"), started("gd", cst("10:35")))
    engine.fire(cst("11:05"))
    engine.report(cst("11:10"), restored("gd-ok", cst("10:50")))  # it was never III: held
    engine.report(cst("11:12"), started("hn", cst("10:40"), "CN-HN"), started("gd", cst("09:00")))
    engine.report(cst("11:20"), started("gd-again", cst("10:52")), restored("hn-ok", cst("11:15"), "CN-HN"))
    for when in ("11:35", "11:36", "13:00", "15:00", "18:00"):
        engine.fire(cst(when))
    engine.report(cst("18:05"), restored("gd-ok-2", cst("18:01")))


def maintained(engine: House) -> None:
    """Maintenance is announced before, and reported both before and after the outage."""
    window = {"start": cst("10:00").isoformat(), "end": cst("11:00").isoformat()}
    given = {"service": "core-banking", "data": window}
    engine.report(cst("09:00"), event("early", "maintenance.announced", cst("08:00"), regions=["CN-HN"], **given))
    engine.report(cst("10:36"), started("down", cst("10:35"), "CN-GD", "CN-HN"))
    engine.report(cst("10:50"), event("late", "maintenance.announced", cst("08:30"), **given))
    mobile = given | {"service": "mobile"}
    engine.report(cst("10:55"), event("other", "maintenance.announced", cst("08:30"), **mobile))
    for when in ("11:05", "11:30", "12:01", "14:00"):
        engine.fire(cst(when))
    engine.report(cst("14:05"), started("mobile", cst("14:04"), service="mobile"))
    engine.report(cst("15:00"), restored("up", cst("14:50"), "CN-GD", "CN-HN"))


def reported(engine: House) -> None:
    """Harm, reports in time and late, a failed plan, progress; two incidents at once."""
    harm = {"kind": "public", "seriousness": "serious", "cause": "data_leak", "by": "王敏", "reason": "x"}
    engine.report(cst("10:36"), started("down", cst("10:35"), "CN-GD", "CN-HN"))
    engine.report(cst("10:37"), started("other", cst("10:35"), service="payments"))
    engine.fire(cst("11:05"))
    about = {"service": "core-banking"}
    done = {"by": "王敏", "fulfils": "first-report"}
    engine.report(cst("11:20"), event("done", "step.completed", cst("11:16"), **about, data=done))
    engine.report(cst("11:30"), event("harm", "harm.assessed", cst("11:25"), **about, data=harm))
    engine.report(cst("11:40"), event("plan", "plan.failed", cst("11:38"), **about, data=SAID))
    for when in ("11:53", "11:54", "12:00", "13:35", "15:36", "17:36"):
        engine.fire(cst(when))
    progress = {"by": "王敏", "fulfils": "progress-report"}
    engine.report(cst("17:40"), event("progress", "step.completed", cst("17:38"), **about, data=progress))
    engine.fire(cst("19:36"))
    engine.report(cst("20:00"), restored("up", cst("19:50"), "CN-GD", "CN-HN"))
    engine.report(cst("20:01"), restored("other-up", cst("19:55"), service="payments"))
    engine.report(cst("20:30"), event("end", "incident.closed", cst("20:30"), **about, data={"by": "陈总"}))


def a_blip(engine: House) -> None:
    """What never reaches a level and closes itself."""
    engine.report(cst("10:36"), started("down", cst("10:35")), restored("up", cst("10:36")))
    engine.fire(cst("12:36"))


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
        engine.report(cst("10:36", day), started("down", cst("10:35", day), "CN-GD", "DE-HE"))
        data = {"by": "王敏", "measures": {"costs_eur": 250_000.5, "data_loss": True}}
        about = {"service": "core-banking"}
        engine.report(cst("11:20", day), event("impact", "impact.measured", cst("11:16", day), **about, data=data))
        engine.fire(cst("12:36", day))
        done = {"by": "王敏", "fulfils": "dora-initial-notification"}
        engine.report(cst("13:00", day), event("done", "step.completed", cst("12:58", day), **about, data=done))
        engine.report(cst("16:00", day), restored("up", cst("15:50", day), "CN-GD", "DE-HE"))
        assert reproduced(engine) >= 6
        packs = {row["pack"] for row in engine.rows(assessments)}
    assert packs == {"cn-cbrc-2008", "eu-dora-2024"}


def test_a_verdict_names_the_last_event_that_it_knew(tmp_path: Path) -> None:
    with house(tmp_path) as engine:
        engine.report(cst("10:36"), started("gd", cst("10:35"), incident="k"))
        engine.fire(cst("11:05"))
        engine.report(cst("11:06"), started("hn", cst("10:40"), "CN-HN", incident="k"))
        found = [(row["at"].astimezone(SHANGHAI).hour, row["events_until"]) for row in engine.rows(assessments)]
    assert found == [(10, 1), (11, 1), (11, 2)]
