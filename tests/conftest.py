"""Work that all tests share is done once in a process."""

from collections.abc import Iterator

import pytest
from support.memo import remember

from incident_engine.config import rulebook


@pytest.fixture(scope="session", autouse=True)
def _templates_are_examined_once() -> Iterator[None]:
    """Keep the problems of each template's text: the shipped ones are read by hundreds of tests and never change."""
    with pytest.MonkeyPatch.context() as patch:
        remember(patch, rulebook, "template_problems")
        yield
