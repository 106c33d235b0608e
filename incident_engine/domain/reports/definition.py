"""The definition of a report: its recipient, its fields, and the texts by which facts fill them.

Definitions are files under rules/reports, so that a regulation's reports are added without Python.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.validation import Strict, invalid, problems_of, unknown_problems
from incident_engine.domain.events.actions import ReportWritten
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.handling import Handling
from incident_engine.domain.values import Identifier, LocalizedText

MAX_FIELD = 10_000
"""The most characters that people may write into a field of a report."""
MAX_REPORT = 100_000
"""The most characters of people's texts in all fields of a report."""
MAX_ENTRIES = 200
"""How often people may write into a report of an incident: every version is kept with all its texts."""

Template = Annotated[
    LocalizedText,
    BeforeValidator(
        lambda value: {"zh-CN": value, "en": value} if isinstance(value, str) else value,
        json_schema_input_type=str | LocalizedText,
    ),
]
"""A Jinja text for each language, or one for both."""


class ReportField(Strict):
    """A field of a report."""

    id: Identifier
    """The name by which people write into it (event `report.written`); unique within the report."""
    label: LocalizedText
    cite: str = ""
    """The article that requires the field, such as Art. 36."""
    required: bool = False
    """Whether the field is marked as a gap while it is empty."""
    facts: Template | None = None
    """The text from the facts, in Jinja; it may be empty. The text that people write follows below it."""


class ReportSection(Strict):
    """A section of a report."""

    id: Identifier
    title: LocalizedText
    fields: tuple[ReportField, ...] = Field(min_length=1)


class ReportDefinition(Strict):
    """A report that a regulation requires."""

    report: Identifier
    title: LocalizedText
    source: str
    """The official number of the regulation that requires the report."""
    cite: str = ""
    """The article that requires the report."""
    addressee: Recipient
    """The recipient; for `regulator`, the bank's unit decides which one (bank.unit)."""
    pack: Identifier | None = None
    """The pack whose level, deadlines and figures it reports. Default: the primary pack."""
    progress: bool = False
    """Whether outages that last have a length up to the latest fact; else they have none."""
    sections: tuple[ReportSection, ...] = Field(min_length=1)

    @property
    def fields(self) -> tuple[ReportField, ...]:
        """Return the fields of all sections, in order."""
        return tuple(field for section in self.sections for field in section.fields)

    @model_validator(mode="after")
    def _unique(self) -> Self:
        for kind, ids in (
            ("sections", [section.id for section in self.sections]),
            ("fields", [field.id for field in self.fields]),
        ):
            twice = sorted({name for name in ids if ids.count(name) > 1})
            if twice:
                raise invalid(f"{kind} named twice: {', '.join(twice)}", "an id of its own for each")
        return self


def parse_report(document: object) -> ReportDefinition:
    """Return the definition in a document. Raises InvalidDocumentError with all problems, each with its path."""
    try:
        return ReportDefinition.model_validate(document)
    except ValidationError as error:
        raise InvalidDocumentError(problems_of(error, ReportDefinition, document)) from None


def report_entry_problems(event: ReportWritten, definitions: Mapping[str, ReportDefinition]) -> Iterator[Problem]:
    """Yield a problem if an event writes into an unknown report, and for each unknown field."""
    name = event.data.report
    yield from unknown_problems(("data", "report"), "report", name, definitions)
    if name in definitions:
        fields = [field.id for field in definitions[name].fields]
        for field, text in event.data.fields.items():
            yield from unknown_problems(("data", "fields", field), f"field of {name}", field, fields)
            if len(text) > MAX_FIELD:
                message = f"a text of {len(text)} characters"
                yield Problem(("data", "fields", field), message, f"at most {MAX_FIELD} for a field")


def report_size_problems(event: ReportWritten, handling: Handling) -> Iterator[Problem]:
    """Yield a problem if an entry would make a report too long, or write into it too often."""
    name = event.data.report
    texts = {field: text for field, (text, _) in handling.entries_in(name).items()} | event.data.fields
    length = sum(map(len, texts.values()))
    if length > MAX_REPORT:
        message = f"people's texts in '{name}' would have {length} characters"
        yield Problem(("data", "fields"), message, f"at most {MAX_REPORT} for a report; shorten a field")
    entries = sum(entry.data.report == name for entry in handling.reported.get(ReportWritten))
    if entries >= MAX_ENTRIES:
        message = f"people wrote {entries} times into '{name}'"
        yield Problem(("data", "report"), message, f"at most {MAX_ENTRIES} entries: each is a version that is kept")
