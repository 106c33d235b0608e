"""The hot path: the two routes by which monitors report. They read raw bodies, and pass by FastAPI's own machinery."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from incident_engine.common.clock import Clock
from incident_engine.common.errors import InvalidDocumentError, MalformedBodyError, OverloadedError, StoreError
from incident_engine.common.telemetry import EventOutcome, Metrics
from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Event
from incident_engine.engine.service import Engine, Receipt
from incident_engine.intake import alertmanager, native
from incident_engine.store.quarantine import is_anything_in_quarantine, put_in_quarantine, release_from_quarantine
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer
from incident_engine.web import problems
from incident_engine.web.request import read_body

_UNKNOWN = "unknown"
_EXPECTED = (InvalidDocumentError, OverloadedError, StoreError)


@dataclass(frozen=True, slots=True)
class EventIntake:
    """Takes what monitors report, and answers once it is on disk."""

    settings: Settings
    writer: Writer
    engine: Engine
    metrics: Metrics
    clock: Clock
    mapper: alertmanager.AlertMapper

    @property
    def routes(self) -> Mapping[str, Callable[[Request], Awaitable[Response]]]:
        """Return what answers which path."""
        return {"/api/v1/events": self.events, "/api/v1/alertmanager": self.notification}

    async def events(self, request: Request) -> Response:
        """Take one event or an array in the native format: all are stored, or none."""
        now = self.clock.now()
        try:
            document = native.parse_json(await read_body(request, self.settings.server.max_body_bytes))
            latest = now + self.settings.intake.max_clock_skew
            parsed = native.parse_document(document, self.settings.service_names, latest)
            self.metrics.count_ahead(parsed.ahead)
            receipts = await self._report(parsed, document)
        except (InvalidDocumentError, MalformedBodyError):
            self.metrics.count_events(_UNKNOWN, EventOutcome.INVALID)
            raise
        return _taken({"events": [_receipt(receipt) for receipt in receipts]})

    async def notification(self, request: Request) -> Response:
        """Take a notification of Alertmanager; what cannot be mapped waits in quarantine and blocks nothing."""
        settings, now = self.settings, self.clock.now()
        try:
            found = alertmanager.parse_notification(
                native.parse_json(await read_body(request, settings.server.max_body_bytes))
            )
        except (InvalidDocumentError, MalformedBodyError):
            self.metrics.count_events(alertmanager.SOURCE, EventOutcome.INVALID)
            raise
        events, odd = self.mapper.map(found, now + settings.intake.max_clock_skew)
        self.metrics.count_ahead(sum(alert.reason is alertmanager.QuarantineReason.FROM_THE_FUTURE for alert in odd))
        receipts = await self._take(
            events, alertmanager.SOURCE, lambda unit: self._quarantine(unit, events, odd), len(odd)
        )
        answer = {
            "events": [_receipt(receipt) for receipt in receipts],
            "quarantined": [{"key": alert.key, "reason": alert.reason, "detail": alert.detail} for alert in odd],
        }
        return _taken(answer)

    def _quarantine(self, unit: UnitOfWork, events: Sequence[Event], odd: Sequence[alertmanager.Quarantined]) -> None:
        now = self.clock.now()
        ended = [
            event.id.removesuffix(alertmanager.RESOLVED) for event in events if event.id.endswith(alertmanager.RESOLVED)
        ]
        if ended and is_anything_in_quarantine(unit.connection):
            release_from_quarantine(unit.connection, alertmanager.SOURCE, ended)
        for alert in odd:
            put_in_quarantine(
                unit.connection, alertmanager.SOURCE, alert.key, alert.reason, alert.detail, dict(alert.document), now
            )
        if odd:
            unit.after_commit.append(
                lambda: self.metrics.count_events(alertmanager.SOURCE, EventOutcome.QUARANTINED, len(odd))
            )

    async def _report(self, parsed: native.Parsed, document: object) -> list[Receipt]:
        """Report what could be parsed even if something could not: the answer names everything that is wrong."""
        try:
            if parsed.problems:
                return await self._submit(
                    lambda unit: self.engine.report(unit, parsed.events, self.clock.now(), parsed.problems),
                    _UNKNOWN,
                    len(parsed.events),
                )
            events = [event for event in parsed.events if event is not None]
            return await self._take(events, _UNKNOWN)
        except InvalidDocumentError as error:
            raise InvalidDocumentError(native.located(error.problems, document)) from None

    async def _take(
        self, events: Sequence[Event], source: str, first: Callable[[UnitOfWork], None] = lambda _: None, more: int = 0
    ) -> list[Receipt]:
        """Report events together; if the engine itself fails at them, one by one, so that one cannot block others.

        `more` is how many others the `first` work stores.
        """

        def together(unit: UnitOfWork) -> list[Receipt]:
            first(unit)
            return self.engine.report(unit, events, self.clock.now())

        def each(unit: UnitOfWork) -> list[Receipt]:
            first(unit)
            return self.engine.report_each(unit, events, self.clock.now())

        try:
            return await self._submit(together, source, len(events) + more)
        except _EXPECTED:
            raise
        except Exception:  # noqa: BLE001 - `report_each` says of which event it is, in the log and in quarantine
            return await self._submit(each, source, len(events) + more)

    async def _submit(self, work: Callable[[UnitOfWork], list[Receipt]], source: str, events: int) -> list[Receipt]:
        try:
            return await self.writer.do(work, events)
        except OverloadedError:
            self.metrics.count_events(source, EventOutcome.OVERLOADED)
            raise


class HotPath:
    """Answers the routes of the intake itself, and passes everything else on."""

    def __init__(self, app: ASGIApp, intake: EventIntake) -> None:
        self._app = app
        self._metrics = intake.metrics
        self._routes = intake.routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await route(request)
        except ClientDisconnect:
            return  # nobody waits for an answer, and nothing was stored
        except Exception as error:
            handler = problems.handler_of(error)
            if handler is None:
                await problems.unexpected(request, error)(scope, receive, send)
                raise
            problems.count_refusal(error, self._metrics)
            response = handler(request, error)
        await response(scope, receive, send)


def _taken(answer: dict[str, object]) -> Response:
    return Response(to_json(answer), 202, media_type="application/json")


def _receipt(receipt: Receipt) -> dict[str, str | None]:
    return {
        "source": receipt.source,
        "id": receipt.id,
        "status": receipt.outcome.value,
        "incident": receipt.incident,
    }
