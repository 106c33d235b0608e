"""The inbound formats: one row a format."""

from incident_engine.config.settings import Settings
from incident_engine.intake.alertmanager import AlertmanagerFormat
from incident_engine.intake.base import Format
from incident_engine.intake.native import NativeFormat

FORMATS: tuple[type[Format], ...] = (NativeFormat, AlertmanagerFormat)
"""The native format is first: the banner of `serve` shows its address without a name."""


def open_formats(settings: Settings) -> tuple[Format, ...]:
    """Return the formats with the bank's settings."""
    return tuple(format_type(settings) for format_type in FORMATS)
