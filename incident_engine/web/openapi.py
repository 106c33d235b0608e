"""The API's documentation: Swagger UI from this package, nothing from elsewhere."""

import base64
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter
from pydantic.json_schema import models_json_schema
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from incident_engine import __version__
from incident_engine.intake.base import Format
from incident_engine.web.api.quarantine_answer import QuarantineAnswer
from incident_engine.web.auth import OPEN_TO_ALL

_REFERENCE = "#/components/schemas/{model}"
_STATIC = Path(__file__).parent / "static"
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>incident-engine API</title>
<link rel="stylesheet" href="static/swagger-ui/swagger-ui.css">
<link rel="icon" href="data:,">
</head>
<body>
<div id="api"></div>
<script src="static/swagger-ui/swagger-ui-bundle.js"></script>
<script>{script}</script>
</body>
</html>
"""
_SCRIPT = """
SwaggerUIBundle({url: "openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null,
                 docExpansion: "list", defaultModelsExpandDepth: 0});
"""
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src 'self' 'sha256-{_SCRIPT_HASH}'",
        "style-src 'self' 'unsafe-inline'",  # Swagger UI sets the style of single elements
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


def install(app: FastAPI, formats: Sequence[Format], *, needs_key: bool) -> None:
    """Serve the documentation at /docs, and describe the routes that read raw bodies."""
    app.mount("/static", StaticFiles(directory=_STATIC))
    generate = app.openapi

    async def docs(_: Request) -> Response:
        return HTMLResponse(_PAGE.replace("{script}", _SCRIPT), headers={"Content-Security-Policy": _POLICY})

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = generate()
            schema["info"]["version"] = __version__
            _describe_formats(schema, formats)
            _describe_action_bodies(schema)
            _describe_answers(schema, formats)
            if needs_key:
                schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
                schema["security"] = [{"key": []}]
                for path in OPEN_TO_ALL:
                    schema["paths"][path]["get"]["security"] = []
        return app.openapi_schema or {}

    app.add_route("/docs", docs, include_in_schema=False)
    setattr(app, "openapi", described)  # noqa: B010 - FastAPI's documented way to extend the schema


def _describe_formats(schema: dict[str, Any], formats: Iterable[Format]) -> None:
    """Add the routes of inbound formats; FastAPI does not see them, because they answer before it."""
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    for format_ in formats:
        docs = format_.docs
        for name, model in docs.models.items():
            model_schema = TypeAdapter[Any](model).json_schema(ref_template=_REFERENCE, mode="validation")
            components.update(model_schema.pop("$defs", {}))
            components[name] = model_schema
        content: dict[str, Any] = {"schema": docs.body}
        if docs.example is not None:
            content["example"] = docs.example
        schema["paths"][format_.path] = {
            "post": {
                "tags": ["intake"],
                "summary": docs.summary,
                "description": docs.description,
                "requestBody": {"required": True, "content": {"application/json": content}},
                "responses": {},
            }
        }


def _describe_action_bodies(schema: dict[str, Any]) -> None:
    """Add the bodies of routes that take a person's action; these read raw bodies to give the position of an error."""
    action_schema = {
        "type": "object",
        "required": ["by"],
        "properties": {
            "by": {"type": "string", "description": "谁 · who"},
            "note": {"type": "string", "description": "备注 · for the record (acknowledge, approve, complete)"},
            "reason": {"type": "string", "description": "理由 · why (skip, assign)"},
            "to": {"type": "string", "description": "移交给谁 · contact, rotation or audience (assign)"},
            "wording": {"type": "object", "description": "改定的文字 · subject and body by language (approve)"},
        },
    }
    bodies: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "/api/v1/steps/{step_id}/{action}": (action_schema, {"by": "王敏", "note": "已电话报送"}),
        "/api/v1/incidents/{incident_id}/steps": (
            {"$ref": "#/components/schemas/AdditionData"},
            {"by": "陈总", "reason": "复盘", "title": "核对日志卷容量", "assignee": "execution-group"},
        ),
        "/api/v1/incidents/{incident_id}/close": (
            {"$ref": "#/components/schemas/ClosingData"},
            {"by": "陈总", "reason": "观察期满", "overdue": [{"obligation": "formal-report", "reason": "正在补报"}]},
        ),
        "/api/v1/quarantine/{source}/{key}": (
            QuarantineAnswer.model_json_schema(),
            {"by": "王敏", "service": "core-banking", "regions": ["CN-GD"], "reason": "告警标签写错"},
        ),
    }
    for path, (body, example) in bodies.items():
        schema["paths"][path]["post"]["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        }


def _describe_answers(schema: dict[str, Any], formats: Iterable[Format]) -> None:
    """Describe every answer of every route, with its media types and schemas."""
    # Imported for the description alone: building its models would take time of every start.
    from incident_engine.web.api import answers  # noqa: PLC0415

    routes = answers.ANSWERS | {
        ("post", format_.path): answers.intake_answers(has_quarantine=format_.has_quarantine) for format_ in formats
    }
    models = {model for statuses in routes.values() for _, media in statuses.values() for model in media.values()}
    _, definitions = models_json_schema(
        [(model, "validation") for model in models if model is not None], ref_template=_REFERENCE
    )
    schema["components"]["schemas"] |= definitions["$defs"]
    for (method, path), statuses in routes.items():
        schema["paths"][path][method]["responses"] = {
            status: {
                "description": description,
                "content": {
                    media_type: {"schema": {"$ref": _REFERENCE.format(model=model.__name__)} if model else _NO_JSON}
                    for media_type, model in media.items()
                },
            }
            for status, (description, media) in sorted(statuses.items())
        }


_NO_JSON = {"type": "string"}
