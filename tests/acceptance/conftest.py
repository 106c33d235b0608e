"""A process that runs commands, for all pages that a worker follows."""

from collections.abc import Iterator

import pytest
from support.checkout import CommandServer, command_server
from support.servers import need


@pytest.fixture(scope="session")
def commands() -> Iterator[CommandServer]:
    """Run the process as long as tests may need it: its start takes four seconds."""
    need("bash", "curl", "make")
    with command_server() as server:
        yield server
