"""The API's documentation: Swagger UI from this package, nothing from elsewhere."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from incident_engine import __version__
from incident_engine.domain.events.model import Event
from incident_engine.intake.alertmanager import Alert, Notification

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
<script>
SwaggerUIBundle({url: "openapi.json", dom_id: "#api", deepLinking: true, validatorUrl: null,
                 docExpansion: "list", defaultModelsExpandDepth: 0});
</script>
</body>
</html>
"""


def install(app: FastAPI, *, needs_key: bool) -> None:
    """Serve the documentation at /docs, and describe the routes that read raw bodies."""
    app.mount("/static", StaticFiles(directory=_STATIC))
    app.add_route("/docs", _docs, include_in_schema=False)
    plain = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = plain()
            schema["info"]["version"] = __version__
            _describe_posts(schema)
            if needs_key:
                schema["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
                schema["security"] = [{"key": []}]
        return app.openapi_schema or {}

    setattr(app, "openapi", described)  # noqa: B010 - FastAPI's documented way to extend the schema


async def _docs(_: Request) -> Response:
    return HTMLResponse(_PAGE)


def _describe_posts(schema: dict[str, Any]) -> None:
    components = schema.setdefault("components", {}).setdefault("schemas", {})
    template = "#/components/schemas/{model}"
    for adapter in (TypeAdapter[Any](Event), TypeAdapter[Any](Alert), TypeAdapter[Any](Notification)):
        adapted = adapter.json_schema(ref_template=template, mode="validation")
        components.update(adapted.pop("$defs", {}))
        if "title" in adapted:
            components[adapted["title"]] = adapted
        else:
            components["Event"] = adapted
    components["Notification"]["properties"]["alerts"]["items"] = {"$ref": "#/components/schemas/Alert"}
    one = {"$ref": "#/components/schemas/Event"}
    schema["paths"]["/api/v1/events"] = _post(
        "报告事件 · Report events",
        "一个事件或一组事件，全部保存或全部不保存；已知的事件不改变任何内容。"
        " One event or an array, in the native format: all are stored, or none. One that is known changes nothing.",
        {"oneOf": [one, {"type": "array", "items": one}]},
        {
            "source": "zabbix-bj",
            "id": "evt-81734",
            "type": "outage.started",
            "service": "core-banking",
            "regions": ["CN-GD", "湖南"],
            "occurred_at": "2013-06-23T10:35:00+08:00",
        },
    )
    schema["paths"]["/api/v1/alertmanager"] = _post(
        "接收 Alertmanager 通知 · Take a notification of Alertmanager",
        "Alertmanager 的 webhook（版本 4）；无法对应系统或地区的告警进入隔离区。"
        " Alertmanager's webhook, version 4. What cannot be mapped to a service and region waits in quarantine.",
        {"$ref": "#/components/schemas/Notification"},
        None,
    )

    _describe_bodies(schema)


def _describe_bodies(schema: dict[str, Any]) -> None:
    """Say what the routes read that take a person's deed: they read raw bodies, for errors with their places."""
    deeds = {
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
    bodies = {
        "/api/v1/steps/{step_id}/{action}": (deeds, {"by": "王敏", "note": "已电话报送"}),
        "/api/v1/incidents/{incident_id}/steps": (
            {"$ref": "#/components/schemas/AdditionData"},
            {"by": "陈总", "reason": "复盘", "title": "核对日志卷容量", "assignee": "execution-group"},
        ),
    }
    for path, (body, example) in bodies.items():
        schema["paths"][path]["post"]["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": body, "example": example}},
        }
        schema["paths"][path]["post"]["responses"] |= {code: {"description": text} for code, text in _ANSWERS.items()}
        schema["paths"][path]["post"]["responses"]["404"] = {"description": "无此步骤或事件 · There is no such one."}
        schema["paths"][path]["post"]["responses"]["410"] = {"description": "已归档 · It was archived."}


_ANSWERS = {
    "202": "已保存 · Stored; what became of each event, and its incident.",
    "400": "不是 JSON · Not JSON; with line and column.",
    "401": "密钥缺失或错误 · The bearer key is missing or wrong.",
    "413": "请求体过大 · The body is larger than server.max_body_bytes.",
    "422": "内容有误，未保存 · Invalid; every error with its JSON pointer. Nothing was stored.",
    "503": "过载，未保存，请重发 · Overloaded; nothing was stored, send it again.",
}


def _post(summary: str, description: str, body: dict[str, Any], example: dict[str, Any] | None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": body}
    if example is not None:
        content["example"] = example
    return {
        "post": {
            "tags": ["intake"],
            "summary": summary,
            "description": description,
            "requestBody": {"required": True, "content": {"application/json": content}},
            "responses": {code: {"description": text} for code, text in _ANSWERS.items()},
        }
    }
