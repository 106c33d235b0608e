"""The result of a drill."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from incident_engine.drills.checks import Check, ObligationOutcome, obligation_outcomes


@dataclass(slots=True)
class DrillResult:
    """The result of a drill."""

    directory: Path
    incidents: list[dict[str, Any]] = field(default_factory=list)
    """Documents of GET /api/v1/incidents/ID."""
    checks: list[Check] = field(default_factory=list)
    reports: list[Path] = field(default_factory=list)
    """The files of the report on the drill."""
    is_exact: bool = True
    """Whether times and counts were compared exactly."""

    @property
    def failures(self) -> list[Check]:
        """Return the expectations that were not met."""
        return [check for check in self.checks if not check.ok]

    @property
    def obligations(self) -> list[ObligationOutcome]:
        """Return every deadline that applied."""
        return list(obligation_outcomes(self.incidents))
