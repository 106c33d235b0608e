"""Builds the dispatcher with the channels of the settings."""

from incident_engine.common.clock import Clock
from incident_engine.common.telemetry import Metrics
from incident_engine.config.settings import Settings
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.delivery.dispatcher import Dispatcher
from incident_engine.delivery.endpoints import Endpoints
from incident_engine.store.writer import Writer


def open_dispatcher(settings: Settings, writer: Writer, clock: Clock, metrics: Metrics) -> Dispatcher:
    """Return the dispatcher of the configured channels. Raises StartupError if a channel's secret cannot be used."""
    channels = open_channels(settings.channels, settings.outgoing)
    return Dispatcher(writer, channels, settings.retry, clock, metrics, Endpoints(settings.channels))
