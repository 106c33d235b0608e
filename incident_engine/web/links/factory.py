"""Builds the signer of links, with the configured or stored key."""

import secrets

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.store.database import Database
from incident_engine.store.flags import get_or_set_link_key


def open_links(settings: Settings, database: Database) -> Links:
    """Return the signer of links; without server.public_url it makes none."""
    if settings.server.public_url is None:
        return Links()
    secret = settings.server.link_key
    with database.write() as connection:
        # Stored beside the messages, so that links in messages from before a restart or a restore stay valid.
        key = secret.read() if secret is not None else get_or_set_link_key(connection, secrets.token_urlsafe(32))
    return Links(settings.server.public_url, key)
