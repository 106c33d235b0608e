"""Statements that SQLAlchemy writes once and the driver runs: at a tenth of what it costs to have it run them.

For the writer's hot path, where the same twenty statements run for every change of an incident.
"""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Delete, Dialect, Insert, Select, Table, Update, bindparam, insert, update
from sqlalchemy.types import TypeEngine

from incident_engine.store.dialect import as_sqlalchemy_errors, driver

_Convert = Callable[[Any], Any]
_KEY = "key_"
"""The parameter that chooses the rows of an update; a column's name would stand for its new value."""


_Statement = Select[Any] | Insert | Update | Delete


class Prepared:
    """A statement whose parameters are all named: `bindparam("name")`, or the columns of an insert or update.

    Rows are named tuples of Python's values. Errors are SQLAlchemy's, as if it had run the statement.
    """

    def __init__(self, statement: _Statement, columns: Sequence[str] | None = None) -> None:
        self._statement = statement
        self._columns = columns
        self._written: dict[str, _Written] = {}

    def rows(self, connection: Connection, **values: object) -> list[Any]:
        """Return all rows."""
        written = self._for(connection)
        with as_sqlalchemy_errors(connection, written.text):
            found = driver(connection).execute(written.text, written.bound(values)).fetchall()
        return [written.row(row) for row in found]

    def row(self, connection: Connection, **values: object) -> Any:
        """Return the first row; None: there is none."""
        written = self._for(connection)
        with as_sqlalchemy_errors(connection, written.text):
            found = driver(connection).execute(written.text, written.bound(values)).fetchone()
        return None if found is None else written.row(found)

    def value(self, connection: Connection, **values: object) -> Any:
        """Return the first row's first value; None: there is no row."""
        found = self.row(connection, **values)
        return None if found is None else found[0]

    def run(self, connection: Connection, values: Mapping[str, object]) -> int:
        """Run it; return how many rows it wrote."""
        written = self._for(connection)
        with as_sqlalchemy_errors(connection, written.text):
            return int(driver(connection).execute(written.text, written.bound(values)).rowcount)

    def _for(self, connection: Connection) -> "_Written":
        dialect = connection.dialect
        written = self._written.get(dialect.name)
        if written is None:
            written = self._written[dialect.name] = _Written(self._statement, self._columns, dialect)
        return written


class _Written:
    """A statement in a database's own words."""

    def __init__(self, statement: _Statement, columns: Sequence[str] | None, dialect: Dialect) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=None if columns is None else list(columns))
        self.text = str(compiled)
        if compiled.post_compile_params:
            raise ValueError(f"a list of changing length cannot be prepared: {self.text}")
        self._order: Sequence[str] | None = compiled.positiontup
        self._wanted: dict[str, _Convert | None] = {}
        self._fixed: dict[str, object] = {}
        for bind, name in compiled.bind_names.items():
            convert = bind.type.dialect_impl(dialect).bind_processor(dialect)
            if bind.required:
                self._wanted[name] = convert
            else:
                self._fixed[name] = bind.value if convert is None else convert(bind.value)
        read = list(statement.exported_columns)
        self._converts = [
            (place, convert)
            for place, column in enumerate(read)
            if (convert := _reading(column.type, dialect)) is not None
        ]
        named = namedtuple("Row", [column.key or "" for column in read], rename=True)  # type: ignore[misc]
        self._row: Callable[[Sequence[Any]], Any] = named._make

    def bound(self, values: Mapping[str, object]) -> Mapping[str, object] | Sequence[object]:
        """Return parameters as the driver takes them. Raises KeyError if one is missing."""
        given = dict(self._fixed)
        for name, convert in self._wanted.items():
            given[name] = values[name] if convert is None else convert(values[name])
        return given if self._order is None else [given[name] for name in self._order]

    def row(self, found: Sequence[Any]) -> Any:
        """Return a row of the driver's in Python's values."""
        values = list(found)
        for place, convert in self._converts:
            values[place] = convert(values[place])
        return self._row(values)


def _reading(kind: TypeEngine[Any], dialect: Dialect) -> _Convert | None:
    return kind.dialect_impl(dialect).result_processor(dialect, None)


@cache
def inserting(table: Table, columns: tuple[str, ...]) -> Prepared:
    """Return the statement that inserts a row with these columns."""
    return Prepared(insert(table).inline(), columns)


@cache
def updating(table: Table, columns: tuple[str, ...]) -> Prepared:
    """Return the statement that gives the row with the id `key_` new values in these columns."""
    return Prepared(update(table).where(table.c.id == bindparam(_KEY)), columns)


def insert_row(connection: Connection, table: Table, values: Mapping[str, object]) -> None:
    """Insert a row."""
    inserting(table, tuple(values)).run(connection, values)


def update_row(connection: Connection, table: Table, row_id: str, values: Mapping[str, object]) -> int:
    """Give the row with an id new values; return how many there are with it (1, or 0)."""
    return updating(table, tuple(values)).run(connection, {**values, _KEY: row_id})
