"""Builds the watchdog from the settings, with channels of its own if it has an audience."""

from collections.abc import Sequence

from incident_engine.common.clock import Clock
from incident_engine.config.settings import Settings
from incident_engine.delivery.channels.factory import open_channels
from incident_engine.domain.response.playbook import Playbook, duty_audience
from incident_engine.watchdog.metrics import WatchdogMetrics
from incident_engine.watchdog.notice_message import NoticeMessages
from incident_engine.watchdog.notifier import Notifier
from incident_engine.watchdog.watchdog import Watchdog, Watched


def open_watchdog(
    settings: Settings, playbooks: Sequence[Playbook], watched: Watched, clock: Clock, url: str, *, drill: bool
) -> Watchdog:
    """Return the watchdog, which notifies `watchdog.audience` over channels of its own.

    `quarantine.audience`, by default the audience that the playbooks page at a level, is told, too, of outages that may
    go on ungraded.
    Raises StartupError if a secret of a channel cannot be read or used.
    """
    metrics = WatchdogMetrics(watched.metrics.registry)
    notifier = None
    paged = duty_audience(playbooks)
    duty = settings.quarantine.audience or ((paged,) if paged else ())
    if settings.watchdog.audience or duty:
        # Pages for the public carry no notices, so their channels stay closed.
        internal = {name: channel for name, channel in settings.channels.items() if channel.form != "web"}
        messages = NoticeMessages(settings, url, drill=drill)
        channels = open_channels(internal, settings.outgoing)
        notifier = Notifier(settings, channels, messages, clock, metrics.count_notice, duty=duty)
    return Watchdog(settings, watched, clock, metrics, notifier, drill=drill)
