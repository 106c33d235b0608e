"""Modules that are read when first used: what a start need not have, it need not wait for."""

import importlib
from typing import Any


class LazyModule:
    """Stands for a module until something of it is wanted.

    For the few that bring much for a rare deed; typed by an import under TYPE_CHECKING beside it, which also keeps it
    within sight of what proves the layers. Two threads may come at once: Python lets one of them read it.
    """

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(importlib.import_module(self._name), attribute)
