"""From settings to a self-audit that has somebody to tell."""

from incident_engine.common.clock import Clock
from incident_engine.config.settings import Settings
from incident_engine.delivery.channels.registry import open_channels
from incident_engine.watchdog.notice_message import Letters
from incident_engine.watchdog.notifier import Notices
from incident_engine.watchdog.watchdog import Gauges, SelfAudit, Watched


def open_self_audit(settings: Settings, watched: Watched, clock: Clock, url: str, *, drill: bool) -> SelfAudit:
    """Return the self-audit, which tells the audience over channels of its own.

    Raises StartupError if a secret of a channel cannot be read or used.
    """
    gauges = Gauges(watched.metrics.registry)
    notices = None
    if settings.self_audit.audience:
        ours = {name: channel for name, channel in settings.channels.items() if channel.form != "web"}
        letters = Letters(settings, url, drill=drill)
        channels = open_channels(ours, settings.outgoing)
        notices = Notices(settings, channels, letters, clock, gauges.count_notice)
    return SelfAudit(settings, watched, clock, gauges, notices, drill=drill)
