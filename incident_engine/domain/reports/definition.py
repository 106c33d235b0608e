"""A report's definition: to whom, which fields, which of them the facts fill in and which people must write.

Definitions are files under rules/reports; a regulation's reports are added without Python.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from incident_engine.common.errors import InvalidDocumentError, Problem
from incident_engine.common.validation import Strict, invalid, problems_of, unknown_problems
from incident_engine.domain.events.actions import ReportWritten
from incident_engine.domain.grading.obligation import Recipient
from incident_engine.domain.values import Identifier, LocalizedText


def _for_both(value: Any) -> Any:
    return {"zh-CN": value, "en": value} if isinstance(value, str) else value


Template = Annotated[LocalizedText, BeforeValidator(_for_both, json_schema_input_type=str | LocalizedText)]
"""A text in Jinja for each language, or one that is the same in both."""


class ReportField(Strict):
    """One thing that a report says."""

    id: Identifier
    """By which people write it (report.written); unique within the report."""
    label: LocalizedText
    cite: str = ""
    """The article that asks for it, such as Art. 36."""
    required: bool = False
    """Whether it is marked as a gap while neither the facts nor people have filled it in."""
    facts: Template | None = None
    """What the facts say of it. An empty text: they say nothing yet. What people write stands below it."""


class ReportSection(Strict):
    """Fields that belong together."""

    id: Identifier
    title: LocalizedText
    fields: tuple[ReportField, ...] = Field(min_length=1)


class ReportDefinition(Strict):
    """One report that a regulation asks for."""

    report: Identifier
    title: LocalizedText
    source: str
    """The regulation that asks for it."""
    cite: str = ""
    addressee: Recipient
    """Who gets it; for `regulator` the unit of the bank decides which one (bank.unit)."""
    pack: Identifier | None = None
    """The pack whose level, deadlines and figures it tells; the primary pack unless another is named."""
    progress: bool = False
    """Whether it tells how long things have lasted so far, which ages with every new fact."""
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
    """Return the report that a document defines; raises InvalidDocumentError with every problem and its path."""
    try:
        return ReportDefinition.model_validate(document)
    except ValidationError as error:
        raise InvalidDocumentError(problems_of(error, ReportDefinition, document)) from None


def report_entry_problems(event: ReportWritten, definitions: Mapping[str, ReportDefinition]) -> Iterator[Problem]:
    """Yield a problem if a person writes into a report that there is not, or into a field that it does not have."""
    name = event.data.report
    yield from unknown_problems(("data", "report"), "report", name, definitions)
    if name in definitions:
        known = [field.id for field in definitions[name].fields]
        for field in event.data.fields:
            yield from unknown_problems(("data", "fields", field), f"field of {name}", field, known)
