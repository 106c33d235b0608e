"""The path of signed links, and how to hide their tokens."""

import re

LINK_PATH = "/do/"
"""The path of all links. Their signature takes the place of a key."""
_TOKEN = re.compile(re.escape(LINK_PATH) + r"[^\s\"'<>)]+")


def without_tokens(text: str) -> str:
    """Return a text with the token of each signed link replaced by an ellipsis."""
    return _TOKEN.sub(f"{LINK_PATH}…", text)
