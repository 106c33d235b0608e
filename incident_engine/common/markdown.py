"""Messages' Markdown as HTML, for mail programs and pages."""

import re
from functools import cache
from typing import TYPE_CHECKING

from incident_engine.common.lazy_import import LazyModule

if TYPE_CHECKING:
    import markdown_it
else:
    markdown_it = LazyModule("markdown_it")

_BOLD = "**"
_ENDS_WITH_PUNCTUATION = re.compile(r"^(.*?)([。，；：！？、）】」』》]+)$")


def as_html(text: str) -> str:
    """Return a text as HTML; tags in it are shown as text, links and pictures are not made."""
    return str(_markdown().render("\n".join(_bold_before_punctuation(line) for line in text.split("\n"))))


@cache
def _markdown() -> "markdown_it.MarkdownIt":
    # What people add to a message must not become a link or load a picture in somebody's program.
    return markdown_it.MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink", "reference"])


def _bold_before_punctuation(line: str) -> str:
    """Return a line in which bold ends before the Chinese punctuation at its end: `**重要。**请` as `**重要**。请`.

    CommonMark takes the stars for text between punctuation and a character, where Chinese has no space.
    """
    parts = line.split(_BOLD)
    if len(parts) % 2 == 0:
        return line  # a star too many: leave it to the reader
    for place in range(1, len(parts), 2):
        found = _ENDS_WITH_PUNCTUATION.match(parts[place])
        if found is not None and found[1] and parts[place + 1][:1].isalnum():
            parts[place], parts[place + 1] = found[1], found[2] + parts[place + 1]
    return _BOLD.join(parts)
