"""Several words of persons at one instant: in doubt the worse one stands, in whatever order they came."""

from itertools import permutations

import pytest
from support.build import at, recorded, started, steps_of, verdict

from incident_engine.domain.events.model import Recorded


def corrected(name: str, level: str | None) -> Recorded:
    return recorded("level.corrected", "10:00", id=name, data={"level": level, "by": "李", "reason": "探针误报"})


@pytest.mark.parametrize(
    ("levels", "stands"), [(("III", None), "III"), (("II", "III"), "II"), ((None, "II", "III"), "II")]
)
def test_of_several_corrections_at_one_instant_the_worst_stands(levels: tuple[str | None, ...], stands: str) -> None:
    for order in permutations(levels):
        said = [corrected(f"{place}", level) for place, level in enumerate(order)]
        found = verdict("10:00", started("09:00"), *said)
        assert found.level == stands
        assert found.trajectory[0].at == at("09:30")
        assert steps_of(found.trajectory)[0] == ("III", "09:30:00", "art9-3-2")
