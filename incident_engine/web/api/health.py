"""Liveness, readiness and metrics."""

import asyncio

from fastapi import FastAPI
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, RedirectResponse, Response

from incident_engine import __version__
from incident_engine.web.context import AppContext
from incident_engine.web.metrics import OpenIncidentCollector


def install(app: FastAPI, context: AppContext) -> None:
    """Add the routes for orchestrators and Prometheus, and a redirect from / to the documentation."""
    context.metrics.registry.register(OpenIncidentCollector(context.database, context.reader.primary_pack))

    @app.get("/healthz", tags=["health"], summary="进程是否应答 · Whether the process answers")
    async def healthz() -> JSONResponse:
        # Checks nothing else: a restart cures a dead process, not a full disk.
        return JSONResponse({"status": "ok", "version": __version__})

    @app.get("/readyz", tags=["health"], summary="各部分是否正常 · Whether every part works")
    async def readyz() -> JSONResponse:
        reasons = await asyncio.to_thread(context.unready)  # it reads the store, which may hang
        status = "unready" if reasons else "ready"
        body = {"status": status, "reasons": reasons, "warnings": context.warnings()}
        return JSONResponse(body, 503 if reasons else 200)

    @app.get("/metrics", tags=["health"], summary="供 Prometheus 抓取的指标 · Metrics for Prometheus")
    def metrics() -> Response:
        return Response(generate_latest(context.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", metrics)):
        app.add_api_route(path, endpoint, methods=["HEAD"], include_in_schema=False)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")
