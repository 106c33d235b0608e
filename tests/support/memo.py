"""Results of slow functions, kept for as long as their inputs are the same."""

from collections.abc import Callable, Hashable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


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
