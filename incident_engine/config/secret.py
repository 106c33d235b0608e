"""A secret, in place or in a file of its own, that nothing shows by accident."""

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any, Self

from pydantic import Field, model_validator

from incident_engine.common.validation import Strict, invalid


class Secret(Strict):
    """A secret, given in place (`value`) or in a file of its own (`file`)."""

    value: str | None = Field(default=None, repr=False)
    file: FilePath | None = None

    @model_validator(mode="before")
    @classmethod
    def _shape(cls, given: Any) -> Any:
        """Refuse what is no secret before anything quotes it: it may be the secret itself, put in the wrong form."""
        if isinstance(given, Mapping):
            if not isinstance(given.get("value"), str | None):
                raise invalid("a secret that is not a text", "a text; put it in quotation marks")
        elif not isinstance(given, Secret):
            raise invalid("a secret without its place", "{value: …} or {file: …}")
        return given

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.value is None) == (self.file is None):
            raise invalid("a secret has exactly one place", "value or file")
        return self

    def read(self) -> str:
        """Return the secret. Raises OSError if its file cannot be read."""
        if self.value is not None:
            return self.value
        assert self.file is not None  # noqa: S101 - the validator saw to it
        return self.file.read_text(encoding="utf-8").strip()
