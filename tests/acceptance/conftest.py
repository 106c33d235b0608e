"""A process that runs commands, for all pages that a worker follows."""

import pytest
from support.checkout import CommandServer
from support.servers import need


@pytest.fixture(scope="session")
def commands() -> CommandServer:
    """Return the process that runs the commands, which lives as long as the worker."""
    need("bash", "curl", "make")
    return CommandServer()
