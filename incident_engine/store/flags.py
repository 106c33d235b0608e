"""The table of keys: named values that belong to the database as a whole."""

from sqlalchemy import Connection, insert, select

from incident_engine.store.dialect import upsert
from incident_engine.store.tables import keys

RULES_TRIED = "rules_tried"
"""Name of the fingerprint of the rules with which a daemon last started.

Templates of the same rules need not be tried again, which saves most of the time of a start."""
_LINK_KEY = "links"


def get_flag(connection: Connection, name: str) -> str | None:
    """Return the value of a flag; None if it was never set."""
    return connection.scalar(select(keys.c.value).where(keys.c.name == name))


def set_flag(connection: Connection, name: str, value: str) -> None:
    """Set the value of a flag, replacing any earlier one."""
    statement = upsert(connection.dialect.name, keys).values(name=name, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
    )


def get_or_set_link_key(connection: Connection, new: str) -> str:
    """Return the key that signs the links in this database's messages; store `new` as the key if there is none."""
    key = get_flag(connection, _LINK_KEY)
    if key is None:
        connection.execute(insert(keys).values(name=_LINK_KEY, value=new))
    return new if key is None else key
