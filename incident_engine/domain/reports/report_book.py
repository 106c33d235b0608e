"""The definitions of a bank's reports, and the texts of their fields, compiled.

It knows no facts: `drafting` fills the fields with them.
"""

from collections.abc import Iterable, Mapping
from datetime import tzinfo
from functools import lru_cache
from typing import Any

from jinja2 import Template

from incident_engine.domain.messages.sandbox import sandbox
from incident_engine.domain.reports.definition import ReportDefinition, ReportField
from incident_engine.domain.values import LOCALES


class ReportBook:
    """The definitions of reports by name, with the texts of their fields."""

    def __init__(self, definitions: Iterable[ReportDefinition], zone: tzinfo) -> None:
        self.definitions: Mapping[str, ReportDefinition] = {definition.report: definition for definition in definitions}
        self.texts = FieldTexts(zone)


class FieldTexts:
    """Renders the texts of fields from the facts. Each text is compiled once."""

    def __init__(self, zone: tzinfo) -> None:
        environments = {locale: sandbox(locale, zone) for locale in LOCALES}

        @lru_cache(maxsize=4_096)  # compiling takes far longer than rendering, and drafts are made with every event
        def compiled(source: str, locale: str) -> Template:
            return environments[locale].from_string(source)

        self._compiled = compiled

    def render(self, field: ReportField, locale: str, variables: Mapping[str, Any]) -> str:
        """Return the text; empty if the facts give nothing. Raises any exception that the text raises."""
        if field.facts is None:
            return ""
        lines = self._compiled(field.facts.in_(locale), locale).render(variables).splitlines()
        return "\n".join(line.rstrip() for line in lines if line.strip()).strip()
