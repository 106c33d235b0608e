"""From settings to a watchdog that has somebody to tell."""

from incident_engine.common.clock import Clock
from incident_engine.config.settings import Settings
from incident_engine.delivery.channels.registry import open_channels
from incident_engine.watchdog.notice_message import NoticeMessages
from incident_engine.watchdog.notifier import Notifier
from incident_engine.watchdog.watchdog import Watchdog, WatchdogMetrics, WatchedParts


def open_watchdog(settings: Settings, watched: WatchedParts, clock: Clock, url: str, *, drill: bool) -> Watchdog:
    """Return the watchdog, which tells the audience over channels of its own.

    Raises StartupError if a secret of a channel cannot be read or used.
    """
    gauges = WatchdogMetrics(watched.metrics.registry)
    notices = None
    if settings.watchdog.audience:
        ours = {name: channel for name, channel in settings.channels.items() if channel.form != "web"}
        letters = NoticeMessages(settings, url, drill=drill)
        channels = open_channels(ours, settings.outgoing)
        notices = Notifier(settings, channels, letters, clock, gauges.count_notice)
    return Watchdog(settings, watched, clock, gauges, notices, drill=drill)
