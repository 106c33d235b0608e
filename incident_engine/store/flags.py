"""Marks: what was done, so that nobody does it again."""

from sqlalchemy import Connection, insert, select

from incident_engine.store.dialect import upsert
from incident_engine.store.tables import keys

RULES_TRIED = "rules_tried"
"""The fingerprint of the rules with which a daemon came up: their templates need not be tried again."""


def get_flag(connection: Connection, name: str) -> str | None:
    """Return what was noted under a name; None: nothing yet."""
    return connection.scalar(select(keys.c.value).where(keys.c.name == name))


def set_flag(connection: Connection, name: str, value: str) -> None:
    """Note a value under a name, in place of what stood there."""
    statement = upsert(connection.dialect.name, keys).values(name=name, value=value)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["name"], set_={"value": statement.excluded.value})
    )


def link_key(connection: Connection, new: str) -> str:
    """Return the key that signs the links of this database's messages; `new` becomes it if there is none."""
    known = connection.scalar(select(keys.c.value).where(keys.c.name == _LINK_KEY))
    if known is None:
        connection.execute(insert(keys).values(name=_LINK_KEY, value=new))
    return new if known is None else str(known)


_LINK_KEY = "links"
