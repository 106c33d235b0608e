"""Convert the Markdown of messages to HTML, for mail programs and pages."""

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
    """Return a text as HTML. HTML tags are escaped; links and images stay plain text."""
    return str(_markdown().render("\n".join(_bold_before_punctuation(line) for line in text.split("\n"))))


@cache
def _markdown() -> "markdown_it.MarkdownIt":
    # Text that people add to a message must not become a link, or load a tracking image in a mail program.
    return markdown_it.MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink", "reference"])


def _bold_before_punctuation(line: str) -> str:
    """Move Chinese punctuation at the end of bold text behind the stars: `**重要。**请` becomes `**重要**。请`.

    CommonMark does not close bold between punctuation and a letter, and Chinese puts no space between them.
    """
    parts = line.split(_BOLD)
    if len(parts) % 2 == 0:
        return line  # unpaired stars: CommonMark shows them as they are
    for index in range(1, len(parts), 2):
        match = _ENDS_WITH_PUNCTUATION.match(parts[index])
        if match is not None and match[1] and parts[index + 1][:1].isalnum():
            parts[index], parts[index + 1] = match[1], match[2] + parts[index + 1]
    return _BOLD.join(parts)
