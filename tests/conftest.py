"""Work that all tests share is done once in a process."""

from collections.abc import Iterator

import pytest
from support.memo import remember, remember_rules

from incident_engine.config import rulebook


@pytest.fixture(scope="session", autouse=True)
def _rules_are_tried_once() -> Iterator[None]:
    """Keep what trying the rules gives: the shipped ones are tried by hundreds of tests and never change."""
    with pytest.MonkeyPatch.context() as patch:
        remember(patch, rulebook, "template_problems")
        remember_rules(patch)
        yield
