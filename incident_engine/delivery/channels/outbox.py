"""Messages as files: for a first trial without any account, and for printing."""

import asyncio
import os
from datetime import datetime
from pathlib import Path

from incident_engine.common.private_files import make_folder, open_new, write_file
from incident_engine.config.channels import OutboxSettings
from incident_engine.delivery.channels.base import DeliveryError, DeliveryOutcome
from incident_engine.store.claims import ClaimedDelivery


class OutboxChannel:
    """Writes one Markdown file a message; a repeat writes the same file again."""

    def __init__(self, settings: OutboxSettings) -> None:
        self._directory = settings.directory

    async def send(self, delivery: ClaimedDelivery, now: datetime) -> str:
        """Write the file and return its name."""
        try:
            path = await asyncio.to_thread(self._write, delivery)
        except OSError as error:
            raise DeliveryError(DeliveryOutcome.SERVER_ERROR, f"{self._directory}: {error.strerror}") from error
        return str(path)

    async def connect(self) -> str:
        """Write and remove a file, and return the folder."""
        try:
            await asyncio.to_thread(self._try)
        except OSError as error:
            raise DeliveryError(DeliveryOutcome.SERVER_ERROR, f"{self._directory}: {error.strerror}") from error
        return str(self._directory)

    def _try(self) -> None:
        make_folder(self._directory)
        trial = self._directory / ".trial"
        write_file(trial, b"")
        trial.unlink()

    async def close(self) -> None:
        """Do nothing: no connection is open."""

    def _write(self, delivery: ClaimedDelivery) -> Path:
        head = {
            "to": f"{delivery.contact} {delivery.address or ''}".strip(),
            "subject": delivery.subject,
            "locale": delivery.locale,
            "incident": delivery.case_id,
            "step": delivery.step_id,
            "id": delivery.id,
            "created_at": delivery.created_at.isoformat(),
        }
        # One line each: no value can begin another field of the head.
        lines = "\n".join(f"{name}: {' '.join(value.split())}" for name, value in head.items())
        folder = self._directory / delivery.case_id
        make_folder(folder)
        step = delivery.step_id.removeprefix(f"{delivery.case_id}:").replace(":", ".")
        stamp = f"{delivery.created_at:%Y%m%dT%H%M%SZ}"
        path = folder / f"{stamp}-{step[:90]}-{delivery.contact}-{delivery.id[-8:]}.md"
        temporary = path.with_suffix(".tmp")
        with open_new(temporary) as file:
            file.write(f"{lines}\n\n# {delivery.subject}\n\n{delivery.body}".encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)  # a reader of the folder never sees half a message
        return path
