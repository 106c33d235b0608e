"""Typed errors. Each names the place, the expected value and the remedy, and is raised where the cause is known."""

from collections.abc import Sequence
from dataclasses import dataclass

Path = tuple[str | int, ...]
MOST_PROBLEMS = 100
"""The most problems that an error names; further ones are counted."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem at one place of a document, such as a request body or a YAML file."""

    path: Path
    """Keys and list indices from the root of the document to the place."""
    message: str
    expected: str = ""
    nearest: str = ""
    """The valid name most similar to an unknown one; empty if none is similar."""

    @property
    def pointer(self) -> str:
        """Return the path as a JSON pointer (RFC 6901)."""
        # "~" first, because the escape of "/" contains one (RFC 6901, section 3).
        return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in self.path)

    def sentence(self) -> str:
        """Return the problem as one line of text."""
        parts = [self.message]
        if self.expected:
            parts.append(f"expected {self.expected}")
        if self.nearest:
            parts.append(f"did you mean {self.nearest!r}?")
        return "; ".join(parts)


class Conflict(Problem):
    """An event contradicts a stored one with the same idempotency key."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One problem with its place in a file; line and column count from 1."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.text}"


class IncidentEngineError(Exception):
    """Base of every error that this program raises on purpose."""


class InvalidDocumentError(IncidentEngineError):
    """The document is invalid: its first 100 problems, each with its path, and the number of further ones."""

    def __init__(self, problems: Sequence[Problem], more: int = 0) -> None:
        """Name the first problems; `more` is the number of further ones that were counted only."""
        named = problems[:MOST_PROBLEMS]
        self.problems = tuple(named)
        self.more = more + len(problems) - len(named)
        sentences = [f"{p.pointer}: {p.sentence()}".removeprefix(": ") for p in named]
        super().__init__("; ".join(sentences + ([f"and {self.more} more"] if self.more else [])))


class ConflictError(InvalidDocumentError):
    """The document contradicts stored events with the same keys, and nothing else is wrong with it."""


class InvalidFilesError(IncidentEngineError):
    """Files that operators write are invalid: all findings, each with file, line and column."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


class MalformedBodyError(IncidentEngineError):
    """A request body is not valid JSON."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"not valid JSON at line {line}, column {column}: {message}")
        self.line = line
        self.column = column


class TooLargeError(IncidentEngineError):
    """A request body exceeds a limit. Nothing of it was stored; it must be sent in parts."""


class OverloadedError(IncidentEngineError):
    """A bounded queue is full. Nothing was stored; the sender should try again."""

    retry_after_seconds = 1


class StoreError(IncidentEngineError):
    """The database cannot be used in its present state."""


class StartupError(IncidentEngineError):
    """The daemon must not start with this configuration."""


class ArchiveError(IncidentEngineError):
    """An archive file cannot be written or read."""
