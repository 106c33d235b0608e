"""Convert the Markdown of messages to HTML, for mail programs and pages."""

import re
from functools import cache
from typing import TYPE_CHECKING

from incident_engine.common.lazy_import import LazyModule

if TYPE_CHECKING:
    import markdown_it
    from markdown_it.rules_inline import StateInline
else:
    markdown_it = LazyModule("markdown_it")

_BOLD = "**"
_SCHEME = re.compile(r"(?<![A-Za-z0-9+.-])https?$", re.IGNORECASE)
# ASCII only: a letter of another script could pass for one of the bank's name. No user name before the host either,
# which could pass for the host, and no star, which closes bold text.
_ADDRESS = re.compile(
    r"https?://[A-Za-z0-9.:\[\]-]+(?![A-Za-z0-9.:%_~-]*@)(?:[/?#][A-Za-z0-9._~:/?#@!$&'()+,;=%-]*)?", re.I
)
_END_OF_SENTENCE = ".,:;!?'"
_ENDS_WITH_PUNCTUATION = re.compile(r"^(.*?)([。，；：！？、）】」』》]+)$")


def as_html(text: str) -> str:
    """Return a text as HTML. HTML tags are escaped.

    A bare http or https address becomes a link that shows this address. Other links, and images, stay plain text.
    """
    return str(_markdown().render("\n".join(_bold_before_punctuation(line) for line in text.split("\n"))))


@cache
def _markdown() -> "markdown_it.MarkdownIt":
    # Text that people add to a message must not hide where a link leads, or load a tracking image in a mail program.
    parser = markdown_it.MarkdownIt("commonmark", {"html": False}).disable(["link", "image", "autolink", "reference"])
    parser.inline.ruler.after("text", "bare_address", _bare_address)
    return parser


def _bare_address(state: "StateInline", silent: bool) -> bool:
    """Parse an address that stands in the text as it is, so that a `_` in it is no emphasis."""
    # Inline rules are called at special characters such as the colon; the scheme is then among the pending text.
    scheme = _SCHEME.search(state.pending)
    if scheme is None or not state.src.startswith("://", state.pos) or state.linkLevel > 0:
        return False
    start = state.pos - len(scheme[0])
    match = _ADDRESS.match(state.src, start)
    if match is None:
        return False
    address = _without_end_of_sentence(match[0])
    if not silent:
        state.pending = state.pending[: -len(scheme[0])]
        state.push("link_open", "a", 1).attrs = {"href": address, "rel": "noreferrer nofollow"}
        state.push("text", "", 0).content = address
        state.push("link_close", "a", -1)
    state.pos = start + len(address)
    return True


def _without_end_of_sentence(address: str) -> str:
    """Return an address without the punctuation of the sentence around it; paired brackets belong to it."""
    while address[-1] in _END_OF_SENTENCE or (address[-1] == ")" and address.count(")") > address.count("(")):
        address = address[:-1]
    return address


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
