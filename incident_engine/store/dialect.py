"""The few places in which the databases are not of one mind."""

from typing import TypeAlias

from sqlalchemy import BigInteger, Connection, Integer, Table
from sqlalchemy.dialects import postgresql, sqlite

Insert: TypeAlias = sqlite.Insert | postgresql.Insert

NUMBER = BigInteger().with_variant(Integer(), "sqlite")
"""A number that counts up for ever; SQLite's own counting column must be an INTEGER, which has 64 bits there."""


def upsert(connection: Connection, table: Table) -> Insert:
    """Return an insert that may say what to do when the row is there already."""
    return postgresql.insert(table) if connection.dialect.name == "postgresql" else sqlite.insert(table)
