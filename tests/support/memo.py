"""Results of slow functions, kept for as long as their inputs are the same."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import pytest
from fastapi._compat import v2
from pydantic import TypeAdapter
from sqlalchemy import Connection, inspect

from incident_engine.common import failpoints, yaml_loader
from incident_engine.common.errors import Finding, Problem
from incident_engine.config import pack_checks, playbook_checks, rulebook
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import failing_cases
from incident_engine.domain.messages.templates import MessageBook
from incident_engine.domain.response.playbook import Playbook
from incident_engine.domain.rulebook import Rulebook
from incident_engine.store import migrate, schema


def remember_by_content(patch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Replace a module's function of one file by one that reads the file again only if its path or content differs."""
    function: Callable[[Path], Any] = getattr(module, name)
    results: dict[tuple[str, bytes], Any] = {}

    def result(path: Path) -> Any:
        key = str(path), path.read_bytes()
        if key not in results:
            results[key] = function(path)
        return results[key]

    patch.setattr(module, name, result)


def remember_rules(patch: pytest.MonkeyPatch) -> None:
    """Let the command line load right rules, and try a pack's cases, again only if a setting or a file differs."""
    load = rulebook.load_rulebook
    books: dict[tuple[str, str], Rulebook] = {}
    problems: dict[str, list[Problem]] = {}
    findings: dict[tuple[object, ...], list[Finding]] = {}

    def loaded(settings: Settings, config_file: Path, tried: str | None = None) -> Rulebook:
        if tried is not None:
            return load(settings, config_file, tried)
        key = settings.model_dump_json(), rulebook.fingerprint_of(settings)
        if key not in books:
            books[key] = load(settings, config_file)
        return books[key]

    def failing(pack: Pack) -> Iterator[Problem]:
        key = pack.model_dump_json()
        if key not in problems:
            problems[key] = list(failing_cases(pack))
        return iter(problems[key])

    def failing_templates(
        playbooks: Sequence[Playbook], messages: MessageBook, directory: Path, packs: Sequence[Pack]
    ) -> Iterator[Finding]:
        documents = tuple(document.model_dump_json() for document in (*playbooks, *packs))
        key = documents, str(directory), tuple(sorted(messages.sources.items())), str(messages.zone)
        if key not in findings:
            findings[key] = list(playbook_checks.failing_templates(playbooks, messages, directory, packs))
        return iter(findings[key])

    patch.setattr(yaml_loader, "load_text", lru_cache(maxsize=1000)(yaml_loader.load_text))
    patch.setattr(rulebook, "load_rulebook", loaded)
    patch.setattr(rulebook, "failing_templates", failing_templates)
    patch.setattr(pack_checks, "failing_cases", failing)


def remember_schema(patch: pytest.MonkeyPatch) -> None:
    """Let a new SQLite file get its tables from the statements that the migrations ran for the first one.

    Databases that have tables are migrated as ever.
    """
    upgrade, revisions_after, shipped = schema.upgrade, migrate.revisions_after, schema.MIGRATIONS
    known = cache(revisions_after)
    statements: list[str] = []

    def made(connection: Connection, name: object) -> None:
        is_new = connection.dialect.name == "sqlite" and not inspect(connection).get_table_names()
        if not is_new or shipped != schema.MIGRATIONS:  # tests of migrations have revisions of their own
            upgrade(connection, name)
        elif not statements:
            upgrade(connection, name)
            raw = connection.connection.driver_connection
            assert isinstance(raw, sqlite3.Connection)
            statements.extend(line for line in raw.iterdump() if line not in ("BEGIN TRANSACTION;", "COMMIT;"))
        else:
            for statement in statements:
                connection.exec_driver_sql(statement)
            failpoints.reach(failpoints.Point.DURING_MIGRATION)

    patch.setattr(schema, "upgrade", made)
    patch.setattr(
        migrate, "revisions_after", lambda *wanted: (known if wanted[0] == shipped else revisions_after)(*wanted)
    )


def remember_adapters(patch: pytest.MonkeyPatch) -> None:
    """Let FastAPI make the validator of a type once: each test makes an application with the same routes."""
    make = TypeAdapter
    adapters: dict[tuple[object, ...], Any] = {}

    def adapter(type_: Any, *, config: Any = None) -> Any:
        annotation, *rest = get_args(type_)
        key = annotation, repr(rest), repr(config)
        if key not in adapters:
            adapters[key] = make(type_, config=config)
        return adapters[key]

    patch.setattr(v2, "TypeAdapter", adapter)
