"""Results of slow functions, kept for as long as their inputs are the same."""

from collections.abc import Callable, Hashable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from incident_engine.common.errors import Problem
from incident_engine.config import pack_checks, rulebook
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import failing_cases
from incident_engine.domain.rulebook import Rulebook


def remember(patch: pytest.MonkeyPatch, module: ModuleType, name: str) -> None:
    """Replace a module's function of hashable arguments by one that works out each result once.

    An iterator's items are kept, so that each caller can iterate over them.
    """
    function: Callable[..., Any] = getattr(module, name)

    @cache
    def result(*arguments: Hashable) -> Any:
        value = function(*arguments)
        return tuple(value) if isinstance(value, Iterator) else value

    patch.setattr(module, name, result)


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

    patch.setattr(rulebook, "load_rulebook", loaded)
    patch.setattr(pack_checks, "failing_cases", failing)
