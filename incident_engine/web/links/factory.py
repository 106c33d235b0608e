"""Open the signer of links in messages, with its stored key."""

import secrets

from incident_engine.common.signed_links import Links
from incident_engine.config.settings import Settings
from incident_engine.store.database import Database
from incident_engine.store.flags import get_or_set_link_key


def open_links(settings: Settings, database: Database) -> Links:
    """Return the signer of links; without server.public_url it makes none.

    The key is stored beside the messages, so that links stay valid after a restart.
    """
    if settings.server.public_url is None:
        return Links()
    given = settings.server.link_key
    with database.write() as connection:
        key = given.read() if given is not None else get_or_set_link_key(connection, secrets.token_urlsafe(32))
    return Links(settings.server.public_url, key)
