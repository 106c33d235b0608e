"""A secret in config.yaml or in a file of its own, kept out of logs and error messages."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Self

from pydantic import Field, model_validator

from incident_engine.common.validation import Strict, invalid

SHORTEST_KEY = 16
"""The fewest characters of a key."""
FEWEST_DISTINCT = 6
"""The fewest different characters of a key."""


def key_fault(key: str) -> str:
    """Return why a text cannot be a key of the API or of the links; "" if it can. The text is never quoted."""
    if len(key) < SHORTEST_KEY:
        return f"a key needs at least {SHORTEST_KEY} characters; make one with 'openssl rand -hex 32'"
    # RFC 6750 allows no others in a header; a byte order mark or a space within would refuse every request.
    if not all("!" <= char <= "~" for char in key):
        return "a key consists of ASCII letters, digits and signs without spaces; make one with 'openssl rand -hex 32'"
    if len(set(key)) < FEWEST_DISTINCT:
        return f"a key of fewer than {FEWEST_DISTINCT} different characters is guessed; use 'openssl rand -hex 32'"
    return ""


class Secret(Strict):
    """A secret: its text in `value`, or the path of a file that contains it in `file`."""

    value: str | None = Field(default=None, repr=False)
    file: FilePath | None = None
    """A file that contains only the secret; white space around it is ignored."""

    @model_validator(mode="before")
    @classmethod
    def _shape(cls, data: Any) -> Any:
        """Refuse data of a wrong shape without quoting it: it may be the secret itself."""
        if isinstance(data, Mapping):
            if not isinstance(data.get("value"), str | None):
                raise invalid("a secret that is not a text", "a text; put it in quotation marks")
        elif not isinstance(data, Secret):
            raise invalid("a secret without its place", "{value: …} or {file: …}")
        return data

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.file is None):
            raise invalid("a secret has exactly one place", "value or file")
        return self

    def read(self) -> str:
        """Return the secret. Raises OSError if its file cannot be read, and ValueError if it is not UTF-8."""
        if self.value is not None:
            return self.value
        assert self.file is not None  # noqa: S101 - the validator saw to it
        # Editors end a file with a newline, and some begin it with a byte order mark.
        return self.file.read_text(encoding="utf-8-sig").strip()
