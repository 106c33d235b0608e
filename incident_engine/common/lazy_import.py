"""Import heavy, rarely used modules on first use, to keep start-up fast."""

import importlib
from typing import Any


class LazyModule:
    """Stands for a module and imports it when an attribute is first read.

    Put an import of the same module under TYPE_CHECKING beside it: it gives the types, and import-linter sees it.
    Several threads may use it at once, because Python locks imports.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
