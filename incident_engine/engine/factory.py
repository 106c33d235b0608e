"""Builds the reader with every kind of case."""

from incident_engine.config.settings import Settings
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.case_types import CaseTypes
from incident_engine.engine.incident_type import incident_type
from incident_engine.engine.reader import Reader


def open_reader(settings: Settings, rulebook: Rulebook) -> Reader:
    """Return the reader of the bank's cases, graded by its rulebook."""
    # Not in the reader itself: web and reviews only ask it, and need not import all grading and planning for that.
    return Reader(settings, rulebook, CaseTypes([incident_type(settings, rulebook)]))
