"""A secret in config.yaml or in a file of its own, kept out of logs and error messages."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Self

from pydantic import Field, model_validator

from incident_engine.common.validation import Strict, invalid


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
