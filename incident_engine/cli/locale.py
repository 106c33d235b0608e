"""The operator's language, from the environment."""

import os
from collections.abc import Mapping


def locale_of(environment: Mapping[str, str] = os.environ) -> str:
    """Return the operator's language, zh-CN or en, by LC_ALL, LC_MESSAGES and LANG as POSIX ranks them."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if environment.get(name):
            return "zh-CN" if environment[name].lower().startswith("zh") else "en"
    return "en"
