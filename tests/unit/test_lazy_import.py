"""What a start need not have is not read by it, and is there when it is wanted."""

import subprocess
import sys

import pytest

from incident_engine.common.lazy_import import LazyModule

RARELY_NEEDED = {"alembic", "docx", "markdown_it", "psycopg", "procrastinate"}


def test_a_daemon_does_not_read_what_it_rarely_needs() -> None:
    code = "import sys, incident_engine.daemon; print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert RARELY_NEEDED & set(shown.stdout.split()) == set()


def test_it_is_there_when_it_is_wanted() -> None:
    assert LazyModule("incident_engine.common.errors").StoreError.__name__ == "StoreError"


def test_a_wrong_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        LazyModule("incident_engine.common.errors").nothing  # noqa: B018
