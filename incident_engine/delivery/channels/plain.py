"""Words of people for receivers that read markup: chat bots and services behind Apprise."""

import re

_TAG = re.compile(r"<(?=[@/!?A-Za-z])")
_DEFINITION = re.compile(r"^([ \t>]*\[[^\]\n]+\]):(?=[ \t]*\S)", re.MULTILINE)


def without_markup(text: str) -> str:
    """Return a text without mentions of people, tags, pictures and links whose address is hidden."""
    # `[x]: address` on one line and `[text][x]` on another are a link as well.
    return _DEFINITION.sub(r"\1 :", _TAG.sub("＜", text).replace("](", "] (").replace("][", "] ["))


def title_of(text: str) -> str:
    """Return a text as one line in which no receiver finds an encoded word (RFC 2047)."""
    return without_markup(" ".join(text.split())).replace("=?", "=\uff1f")
