"""The tables of procrastinate, brought to the version that is installed.

Source: https://procrastinate.readthedocs.io/en/stable/howto/production/migrations.html (its schema and migrations are
plain SQL; the application must remember the applied ones).
"""

from pathlib import Path

from procrastinate.schema import SchemaManager
from sqlalchemy import Connection

from incident_engine.store.dialect import driver
from incident_engine.store.flags import get_flag, set_flag

_FLAG = "procrastinate_schema"


def prepare(connection: Connection) -> None:
    """Create procrastinate's tables, or bring them to the installed version. No other process may write meanwhile."""
    scripts = sorted(Path(SchemaManager.get_migrations_path()).glob("*.sql"))
    applied = get_flag(connection, _FLAG)
    if applied is None:
        statements = [SchemaManager.get_schema()]
    else:
        statements = [script.read_text(encoding="utf-8") for script in scripts if script.name > applied]
    for sql in statements:
        # By the driver itself: each script holds several statements.
        driver(connection).execute(sql)
    set_flag(connection, _FLAG, scripts[-1].name)
