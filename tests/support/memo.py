"""Results of slow functions, kept for as long as their inputs are the same."""

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from incident_engine.common import yaml_loader
from incident_engine.common.errors import Finding, Problem
from incident_engine.config import pack_checks, playbook_checks, rulebook
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_case_runner import failing_cases
from incident_engine.domain.messages.templates import MessageBook
from incident_engine.domain.response.playbook import Playbook
from incident_engine.domain.rulebook import Rulebook


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
