"""The table of packs: the content of each pack under which a case was graded."""

from sqlalchemy import Connection, select

from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.pack_parser import parse_pack
from incident_engine.store.dialect import upsert
from incident_engine.store.tables import packs


def store_pack(connection: Connection, pack: Pack) -> None:
    """Store a pack's content, unless it is stored already.

    Open cases go on with it after an upgrade of the rules, and old assessments can be explained by it.
    """
    # Test cases prove a pack when it is loaded; grading does not need them.
    document = pack.model_dump(mode="json", by_alias=True, exclude={"cases"}, exclude_none=True)
    connection.execute(
        upsert(connection.dialect.name, packs)
        .values(content_hash=pack.content_hash, pack=pack.pack, version=pack.version, document=document)
        .on_conflict_do_nothing()
    )


def stored_pack(connection: Connection, content_hash: str) -> Pack | None:
    """Return a pack by the hash of its content; None if it was never stored."""
    document = connection.scalar(select(packs.c.document).where(packs.c.content_hash == content_hash))
    return None if document is None else parse_pack(document)
