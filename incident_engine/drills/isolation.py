"""Isolate a drill: a database and an outbox of its own, and no readers but its recipients."""

from pathlib import Path
from typing import Any

from incident_engine.common.errors import StartupError
from incident_engine.config.channels import OutboxSettings
from incident_engine.config.settings import RetentionSettings, ServerSettings, Settings, StoreSettings


def prepared(settings: Settings, directory: Path, *, real: bool = False) -> Settings:
    """Return the settings of a drill, with a database and an outbox of its own.

    Without `real` every message becomes a file. With `real` the configured channels are used, but every audience
    consists of the drill's recipients and all other contacts are removed. Raises StartupError if `real` and the
    settings name no recipients.
    """
    outbox = OutboxSettings(type="outbox", directory=directory / "outbox")
    changes: dict[str, Any] = {
        "server": ServerSettings(host="127.0.0.1", port=0),  # a free port: the real daemon may be running
        "store": StoreSettings(url=f"sqlite:///{directory / 'drill.db'}"),
        "retention": RetentionSettings(),  # an incident archived during the drill could not be checked
    }
    if real:
        channels = {
            name: outbox if isinstance(channel, OutboxSettings) else channel
            for name, channel in settings.channels.items()
        }
        return _for_recipients(settings).model_copy(update={**changes, "channels": channels})
    return settings.model_copy(update={**changes, "channels": dict.fromkeys(settings.channels, outbox)})


def _for_recipients(settings: Settings) -> Settings:
    """Return the settings with the recipients of drills as the only contacts and audiences."""
    names = settings.drills.recipients
    if not names:
        raise StartupError(
            "drills.recipients is empty, but a drill over real channels sends messages only to its recipients; "
            "name contacts or rotations, such as drills: {recipients: [duty-officer]}, or use --channels outbox"
        )
    rotations = tuple(rotation for rotation in settings.rotations if rotation.id in names)
    ids = {*names} | {member for rotation in rotations for member in rotation.members}
    ids |= {override.contact for rotation in rotations for override in rotation.overrides}
    changed = settings.model_copy(
        update={
            "contacts": tuple(contact for contact in settings.contacts if contact.id in ids),
            "rotations": rotations,
            "audiences": dict.fromkeys(settings.people.names, names),
        }
    )
    changed.__dict__.pop("contact_by_id", None)  # model_copy keeps cached properties, and this one has all contacts
    return changed
