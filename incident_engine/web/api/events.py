"""The hot path: the routes of all inbound formats. They read raw bodies and bypass FastAPI's own layers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial

from pydantic_core import to_json
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from incident_engine.common.clock import Clock
from incident_engine.common.errors import (
    ConflictError,
    InvalidDocumentError,
    MalformedBodyError,
    OverloadedError,
    StoreError,
    TooLargeError,
)
from incident_engine.common.telemetry import EventOutcome, LostReason, Metrics, RateLimitedLog, logger
from incident_engine.config.settings import Settings
from incident_engine.domain.events.effect import sentences
from incident_engine.domain.events.model import Event, Repeats
from incident_engine.engine.heard import HeardCases
from incident_engine.engine.quarantine import Quarantine
from incident_engine.engine.receipts import EventReporter, Receipt
from incident_engine.engine.truncation import record_truncation
from incident_engine.intake.base import Batch, Format, IntakeContext, Rejected
from incident_engine.store.unit_of_work import UnitOfWork
from incident_engine.store.writer import Writer
from incident_engine.web import problems
from incident_engine.web.parameters import refuse_unknown
from incident_engine.web.request import LARGE, read_body

_EXPECTED = (InvalidDocumentError, OverloadedError, StoreError)
_own_alerts = RateLimitedLog(lambda event, **fields: logger("web").warning(event, **fields), 3_600)
_ROUTE_THEM = 'route alerts with origin="incident-engine" to people, not back to incident-engine (README)'
_Taken = tuple[list[Receipt], list[Rejected]]
"""The receipts of events, and the reports that wait in quarantine."""
_FEW_OBJECTS = 256
"""Objects in a body up to which it is parsed in the event loop; an alert has three."""
_lost = RateLimitedLog(lambda event, **fields: logger("web").warning(event, **fields), 1)


@dataclass(frozen=True, slots=True)
class EventIntake:
    """Reports the events of request bodies to the engine, and answers once they are on disk."""

    settings: Settings
    writer: Writer
    engine: EventReporter
    metrics: Metrics
    clock: Clock
    formats: Sequence[Format]
    quarantine: Quarantine
    heard: HeardCases
    large_bodies: asyncio.Semaphore = field(default_factory=partial(asyncio.Semaphore, 1))
    """Held while a large body is read and parsed."""

    def routes(self) -> dict[str, Callable[[Request], Awaitable[Response]]]:
        """Return the handler of each format's path."""
        return {format_.path: partial(self.take, format_) for format_ in self.formats}

    async def take(self, format_: Format, request: Request) -> Response:
        """Store the events of one body. Answers 202 with a receipt for each, and with the reports in quarantine."""
        intake = self.settings.intake
        context = IntakeContext(self.clock.now(), intake.max_clock_skew, intake.max_events, intake.max_quarantined)
        try:
            refuse_unknown(request)
            batch = await self._batch(format_, request, context)
            self.metrics.count_ahead(batch.future_count)
            if batch.own_count:
                self.metrics.count_events(batch.source, EventOutcome.OWN, batch.own_count)
                _own_alerts("own_alerts_left_out", reason="own_alerts", count=batch.own_count, remedy=_ROUTE_THEM)
            receipts, remaining = await self._report(batch, context, format_.repeats)
        except ConflictError:
            raise  # counted by the engine, under the source of the event
        except (InvalidDocumentError, MalformedBodyError, TooLargeError) as error:
            self._count_refusal(format_, error)
            raise
        if batch.dropped:
            self.metrics.count_lost(batch.source, LostReason.QUARANTINE_LIMIT, batch.dropped)
            _lost(
                "alerts_dropped",
                reason=LostReason.QUARANTINE_LIMIT.value,
                source=batch.source,
                dropped=batch.dropped,
                most=self.settings.intake.max_quarantined,
            )
        answer: dict[str, object] = {"events": receipt_views(receipts, self.settings)}
        if format_.has_quarantine:
            rejected = ({"key": row.key, "reason": row.reason, "detail": row.detail} for row in remaining)
            answer["quarantined"] = list(rejected)
            if batch.own_count:
                answer["own"] = batch.own_count
            if batch.dropped:
                answer["dropped"] = batch.dropped
        elif any(row.outcome is EventOutcome.QUARANTINED for row in receipts):
            # A sender that reads only the status must not take a kept event for one that is graded.
            detail = "the engine failed at the events with status quarantined; the log has more"
            return problems.problem_response(500, "Events not taken", detail, events=answer["events"])
        return Response(to_json(answer), 202, media_type="application/json")

    async def _batch(self, format_: Format, request: Request, context: IntakeContext) -> Batch:
        """Return the events of a request's body; a large one is parsed in a thread, so that the event loop goes on."""
        intake = self.settings.intake
        async with AsyncExitStack() as turn:
            # One large body at a time: a thousand of them would need more memory than there is.
            wait = partial(turn.enter_async_context, self.large_bodies)
            body = await read_body(request, intake.max_body_bytes, "intake.max_body_bytes", wait)
            # A small body can hold thousands of invalid events, each of which takes longer than a good alert.
            if len(body) <= LARGE and body.count(b"{") <= _FEW_OBJECTS:
                return format_.parse(body, context)
            return await asyncio.to_thread(format_.parse, body, context)

    def _count_refusal(self, format_: Format, error: Exception) -> None:
        """Count and log a body that is refused. One that no sender repeats is lost, and the watchdog reports it."""
        self.metrics.count_events(format_.source, EventOutcome.INVALID)
        if isinstance(error, TooLargeError):
            reason = LostReason.BODY_TOO_LARGE
        elif format_.has_quarantine:  # a monitor; a sender of native events reads the answer
            reason = LostReason.BODY_INVALID
        else:
            return
        self.metrics.count_lost(format_.source, reason)
        # The error of an invalid body may quote its texts, which are not for the log.
        detail = {"error": str(error)} if isinstance(error, TooLargeError | MalformedBodyError) else {}
        _lost("body_refused", reason=reason.value, source=format_.source, path=format_.path, **detail)

    async def _report(self, batch: Batch, context: IntakeContext, repeats: Repeats) -> _Taken:
        """Report events together; if the engine itself fails, one by one, so that one event cannot block others."""

        def together(unit: UnitOfWork) -> _Taken:
            mapped, remaining = self.quarantine.receive(unit, batch, context)
            events = [*batch.events, *mapped]
            # Problems go along: the engine adds its own, so that the answer names everything that is wrong.
            receipts = self.engine.report(unit, events, self.clock.now(), batch.problems, repeats)
            self._record_truncation(unit, batch, mapped, receipts)
            self.heard.record(unit, receipts, self.clock.now())
            return receipts, remaining

        def one_by_one(unit: UnitOfWork) -> _Taken:
            mapped, remaining = self.quarantine.receive(unit, batch, context)
            events = [event for event in [*batch.events, *mapped] if event is not None]
            receipts = self.engine.report_each(unit, events, self.clock.now(), repeats)
            self._record_truncation(unit, batch, mapped, receipts)
            self.heard.record(unit, receipts, self.clock.now())
            return receipts, remaining

        try:
            try:
                return await self._submit(together, batch)
            except _EXPECTED:
                raise
            except Exception:
                if batch.problems:
                    raise
                return await self._submit(one_by_one, batch)
        except InvalidDocumentError as error:
            raise type(error)(batch.located(error.problems), error.more + batch.more_problems) from None

    def _record_truncation(
        self, unit: UnitOfWork, batch: Batch, mapped: Sequence[Event], receipts: Sequence[Receipt]
    ) -> None:
        if batch.truncated:
            events = [event for event in [*batch.events, *mapped] if event is not None]
            if record_truncation(unit, self.engine, events, receipts, batch.truncated, self.clock.now()):
                unit.after_commit.append(partial(self.metrics.count_truncated, batch.truncated))

    async def _submit(self, work: Callable[[UnitOfWork], _Taken], batch: Batch) -> _Taken:
        try:
            return await self.writer.do(work, len(batch.events) + len(batch.rejected))
        except OverloadedError:
            self.metrics.count_events(batch.source, EventOutcome.OVERLOADED)
            raise


def receipt_views(receipts: Sequence[Receipt], settings: Settings) -> list[dict[str, object]]:
    """Return receipts as answers have them, each with its effect in one sentence in both languages."""
    zone, names = settings.bank.zone, settings.service_names
    # The alerts of one notification mostly have the same effect, and wording it costs more than the rest.
    effects = {id(receipt.effect): receipt.effect for receipt in receipts}
    worded = {
        key: {"effect": effect.effect.value, "detail": sentences(effect, zone, names)}
        for key, effect in effects.items()
    }
    return [
        {
            "source": receipt.source,
            "id": receipt.id,
            "status": receipt.outcome.value,
            "incident": receipt.incident,
            **worded[id(receipt.effect)],
        }
        for receipt in receipts
    ]


class HotPath:
    """Answers the routes of the intake before the application, and passes all other requests on."""

    def __init__(self, app: ASGIApp, intake: EventIntake) -> None:
        self._app = app
        self._metrics = intake.metrics
        self._routes = intake.routes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a report, or pass the request on."""
        route = self._routes.get(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        if route is None:
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive, send)
        try:
            response = await route(request)
        except ClientDisconnect:
            return  # the sender is gone, and nothing was stored
        except Exception as error:
            handler = problems.handler_of(error)
            if handler is None:
                await problems.unexpected(request, error)(scope, receive, send)
                raise
            problems.count_refusal(error, self._metrics)
            response = handler(request, error)
        await response(scope, receive, send)
