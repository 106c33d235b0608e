"""The answers of the API, for its description. Handlers build dictionaries; nothing validates them on the way out."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from incident_engine.domain.events.effect import Effect

Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2013-06-23T10:35:00+08:00"])]
Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Count = Annotated[int, Field(ge=0)]
Seconds = Annotated[float, Field(ge=0)]
Text = dict[Literal["zh-CN", "en"], str]


class ErrorDetail(BaseModel):
    """One error of a request, with its place: a JSON pointer into the body, or the name of a parameter."""

    pointer: str = ""
    parameter: str = ""
    detail: str
    expected: str = ""
    nearest: str = ""


class ProblemDocument(BaseModel):
    """An error (RFC 9457)."""

    type: Literal["about:blank"]
    title: str
    status: Annotated[int, Field(ge=400, le=599)]
    detail: str


class InvalidProblem(ProblemDocument):
    """A request with errors, of which nothing was stored."""

    errors: list[ErrorDetail]
    """At most 100."""
    more: int = 0
    """The number of further errors."""


class ConflictProblem(ProblemDocument):
    """A known id with another content, a report that was answered before, or words to be confirmed, in `texts`."""

    errors: list[ErrorDetail] = []
    texts: list[dict[str, str]] = []


class MalformedProblem(ProblemDocument):
    """A body that is no JSON."""

    line: Annotated[int, Field(ge=1)] = 1
    column: Count = 0


class EventReceipt(BaseModel):
    """The outcome of one event."""

    source: str
    id: str
    status: Literal["accepted", "duplicate", "quarantined"]
    incident: str | None
    effect: Effect
    detail: Text


class QuarantinedReport(BaseModel):
    """A report that could not be mapped and waits in quarantine."""

    key: str
    reason: str
    detail: str


class EventsAnswer(BaseModel):
    """The outcome of each event, in the order of the body."""

    events: list[EventReceipt]


class AlertsAnswer(EventsAnswer):
    """The outcome of each event, and the alerts that wait in quarantine."""

    quarantined: list[QuarantinedReport]
    own: Count = 0
    """The number of the engine's own alerts that came back."""
    dropped: Count = 0
    """The number of alerts beyond the most that one request may put in quarantine."""


class FailedEvents(ProblemDocument):
    """A fault of the program; with `events` if it failed at some of them and took the others."""

    events: list[EventReceipt] = []


class AnsweredReport(BaseModel):
    """The outcome of a person's answer to a report in quarantine: its events, and the labels that it lacked."""

    source: str
    key: str
    state: Literal["mapped", "dismissed"]
    events: list[EventReceipt]
    labels: dict[str, str] = {}


class EventKey(BaseModel):
    """The key of an event."""

    source: str
    id: str


class ActionAnswer(BaseModel):
    """The outcome of a person's action."""

    incident: str
    event: EventKey
    status: Literal["accepted", "duplicate"]
    effect: Effect
    detail: Text


class IncidentRow(BaseModel):
    """An incident as it stands in the list."""

    id: str
    state: Literal["open", "restored", "closed"]
    level: str | None
    group: str | None
    services: list[str]
    regions: list[str]
    occurred_at: Instant | None
    restored_at: Instant | None
    opened_at: Instant
    closed_at: Instant | None


class IncidentList(BaseModel):
    """A page of incidents, and the number of all."""

    incidents: list[IncidentRow]
    total: Count


class LevelChange(BaseModel):
    """A level with the instant and the rule by which it was or will be reached."""

    level: str | None
    at: Instant
    rule: str
    cite: str
    corrected_by: str = ""
    reason: str = ""


class ObligationEntry(BaseModel):
    """One instance of an obligation with its deadline."""

    id: str
    instance: str
    due_at: Instant | None
    cite: str
    state: str
    to: str | None
    applies_at: Instant | None
    met_at: Instant | None
    met_by: str | None
    met_late: bool
    overdue_at_detection: bool
    missed: Count


class Levels(BaseModel):
    """The levels of an incident by a pack, and its obligations."""

    level: str | None
    trajectory: list[LevelChange]
    next: LevelChange | None
    forecast: list[LevelChange]
    obligations: list[ObligationEntry]


class AssessmentAnswer(Levels):
    """The grading of an incident by one pack; docs/grading.md describes the keys."""

    pack: str
    version: str
    content_hash: str
    at: Instant
    severity: Count
    level_retained: bool
    provisional: bool
    evidence: dict[str, Any]


class StepEntry(BaseModel):
    """A step of an incident."""

    id: str
    playbook: str
    step: str
    instance: str
    due_at: Instant
    audience: str
    template: str
    level: str | None
    obligation: str | None
    fulfils: str | None
    deadline: Instant | None
    awaits: str | None
    approval: str | None
    report: str | None
    parent_id: str | None
    assignee: str | None
    generation: Annotated[int, Field(ge=1)]
    state: Literal["pending", "awaiting", "started", "failed", "completed", "skipped", "withdrawn"]
    started_at: Instant | None
    approved_at: Instant | None
    approved_by: str | None
    completed_at: Instant | None
    completed_by: str | None
    reason: str | None


class AttemptEntry(BaseModel):
    """One attempt to deliver a message."""

    number: Annotated[int, Field(ge=1)]
    started_at: Instant
    ended_at: Instant | None
    outcome: str | None
    detail: str | None


class DeliveryEntry(BaseModel):
    """A message to one contact over one channel, with its attempts."""

    id: str
    step_id: str
    contact: str
    channel: str
    address: str | None
    locale: Literal["zh-CN", "en"]
    subject: str
    body: str
    priority: Annotated[int, Field(ge=0, le=2)]
    delay_seconds: Count
    position: Count
    state: Literal["pending", "sending", "delivered", "failed", "cancelled", "held"]
    due_at: Instant | None
    created_at: Instant
    ended_at: Instant | None
    attempts: list[AttemptEntry]


class IncidentAnswer(IncidentRow):
    """An incident with its assessments as of now, its steps and its messages."""

    detected_at: Instant | None
    recovery_estimated_at: Instant | None
    closed_by: str | None
    assessments: list[AssessmentAnswer]
    steps: list[StepEntry]
    deliveries: list[DeliveryEntry]


class SupposedLevels(Levels):
    """The levels under an assumption; the worst of them is the last that is or will be reached."""

    worst_level: str | None


class Supposition(BaseModel):
    """The levels by one pack, without and with the assumption."""

    pack: str
    as_known: SupposedLevels
    as_supposed: SupposedLevels


class Assumption(BaseModel):
    """The assumption: an instant of restoration, or more regions since an instant."""

    restored_at: Instant | None
    add_region: list[str]
    since: Instant | None


class WhatIfAnswer(BaseModel):
    """The levels of an incident under an assumption, beside those of the facts."""

    incident: str
    at: Instant
    what_if: Assumption
    assessments: list[Supposition]


class EventEntry(BaseModel):
    """An event in the native format, on the timeline."""

    at: Instant
    kind: Literal["event"]
    source: str
    id: str
    type: str
    occurred_at: Instant
    received_at: Instant
    effect: Effect
    detail: Text


class LevelEntry(BaseModel):
    """A level that was reached, or set by a person."""

    at: Instant
    kind: Literal["level"]
    pack: str
    level: str | None
    rule: str
    cite: str
    corrected_by: str | None
    reason: str | None


class ObligationTimelineEntry(BaseModel):
    """An obligation that was met, or whose deadline passed."""

    at: Instant
    kind: Literal["obligation"]
    pack: str
    obligation: str
    cite: str
    state: Literal["met", "overdue"]
    by: str | None = None
    due_at: Instant | None = None
    late: bool = False


class StepTimelineEntry(BaseModel):
    """A step that started."""

    at: Instant
    kind: Literal["step"]
    step: str
    audience: str
    template: str
    state: str


class DeliveryTimelineEntry(BaseModel):
    """An attempt to deliver a message."""

    at: Instant
    kind: Literal["delivery"]
    delivery: str
    step: str
    contact: str
    channel: str
    subject: str
    attempt: Annotated[int, Field(ge=1)]
    outcome: str | None
    detail: str | None


TimelineEntry = Annotated[
    EventEntry | LevelEntry | ObligationTimelineEntry | StepTimelineEntry | DeliveryTimelineEntry,
    Field(discriminator="kind"),
]


class TimelineAnswer(BaseModel):
    """All entries of an incident by time."""

    incident: str
    timeline: list[TimelineEntry]


class RecurrenceEntry(BaseModel):
    """Incidents with one root cause that together reach a level."""

    pack: str
    cite: str
    root_cause: str
    incidents: list[str]
    first_at: Instant
    last_at: Instant
    level: str | None
    at: Instant
    rule: str


class RecurringAnswer(BaseModel):
    """The recurring incidents."""

    recurring: list[RecurrenceEntry]


class QuarantineEntry(BaseModel):
    """A report in quarantine."""

    source: str
    key: str
    reason: str
    detail: str
    document: Any
    first_received_at: Instant
    last_received_at: Instant
    times: Annotated[int, Field(ge=1)]
    state: Literal["waiting", "mapped", "dismissed"]
    service: str | None
    regions: list[str] | None
    ended_by: str | None
    ended_reason: str | None
    ended_at: Instant | None


class QuarantineList(BaseModel):
    """A page of the quarantine, and the number of all its reports."""

    quarantine: list[QuarantineEntry]
    total: Count


class ArchivedIncident(BaseModel):
    """An incident in an archive file; the sum is that of its document."""

    id: str
    group: str
    levels: dict[str, str | None]
    occurred_at: Instant
    closed_at: Instant
    archived_at: Instant | None
    file: str
    sha256: str | None


class ArchiveAnswer(BaseModel):
    """A page of archived incidents, and the number of all."""

    archive: list[ArchivedIncident]
    total: Count


class ArchivedProblem(ProblemDocument):
    """An incident that was archived, with its file."""

    archived: ArchivedIncident


class ReportVersion(BaseModel):
    """A version of a report without its content."""

    version: Annotated[int, Field(ge=1)]
    state: str
    by: str | None
    at: Instant
    content_hash: str
    gaps: Count


class ReportEntry(BaseModel):
    """A report of an incident with all its versions."""

    report: str
    instance: str
    title: Text
    versions: list[ReportVersion]


class ReportsAnswer(BaseModel):
    """An incident's reports, and the ids of all that can be drafted."""

    incident: str
    reports: list[ReportEntry]
    available: list[str]


class ReportField(BaseModel):
    """A field of a report."""

    id: str
    text: str | None
    is_gap: bool


class ReportSection(BaseModel):
    """A section of a report."""

    id: str
    title: str
    fields: list[ReportField]


class ReportAnswer(BaseModel):
    """One version of a report in one language, with the ids of the fields that are still empty."""

    report: str
    version: Count
    instance: str
    state: str
    by: str | None
    at: Instant
    content_hash: str
    title: str
    sections: list[ReportSection]
    fields: dict[str, dict[str, str | None]]
    gaps: list[str]


class Deadlines(BaseModel):
    """Numbers of deadlines by their outcome."""

    met: Count
    late: Count
    missed: Count


class Messages(BaseModel):
    """Numbers of messages by their outcome."""

    delivered: Count
    failed: Count


class LessonEntry(BaseModel):
    """A lesson of an incident."""

    incident: str
    at: Instant
    by: str
    text: str


class TaskEntry(BaseModel):
    """A follow-up task."""

    incident: str
    title: str
    owner: str | None
    due_at: Instant | None
    done_at: Instant | None
    late: bool


class ReviewedIncident(BaseModel):
    """The figures of an incident; times are in seconds from its occurrence."""

    incident: str
    level: str | None
    services: list[str]
    regions: list[str]
    root_cause: str | None
    occurred_at: Instant | None
    seconds_to: dict[str, float | None]
    deadlines: Deadlines
    messages: Messages
    lessons: list[LessonEntry]
    tasks: list[TaskEntry]


class ReviewedArchives(BaseModel):
    """The archive files that were read with their numbers of incidents, and the error of each that was not."""

    files: dict[str, int]
    unread: dict[str, str]


class Spread(BaseModel):
    """The spread of a time over incidents."""

    count: Count
    median_seconds: float
    worst_seconds: float
    worst_incident: str


class IncidentTotals(BaseModel):
    """Numbers of incidents."""

    total: Count
    graded: Count
    by_level: dict[str, int]
    by_service: dict[str, int]
    by_root_cause: dict[str, int]


class ReviewAnswer(BaseModel):
    """The figures of a period, first and last day included."""

    from_: Day = Field(alias="from")
    to: Day
    at: Instant
    archived: ReviewedArchives
    incidents: IncidentTotals
    times: dict[str, Spread]
    deadlines: Deadlines
    messages: Messages
    lessons: list[LessonEntry]
    tasks: list[TaskEntry]
    list: list[ReviewedIncident]


class HealthAnswer(BaseModel):
    """The process answers."""

    status: Literal["ok"]
    version: str


class ReadinessAnswer(BaseModel):
    """The reasons why the daemon is not ready, and problems that do not keep it from being ready."""

    status: Literal["ready", "unready"]
    reasons: list[str]
    warnings: list[str]


JSON, PROBLEM, HTML = "application/json", "application/problem+json", "text/html; charset=utf-8"
DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
METRICS = "text/plain; version=1.0.0; charset=utf-8"
"""The media type of the metrics; Prometheus' client library sets it."""

Answers = dict[str, tuple[str, dict[str, type[BaseModel] | None]]]
"""By status: a description, and the model of each media type; None stands for a document that is no JSON."""

ALWAYS: Answers = {
    "400": ("Host 无效，或不是 JSON · No valid Host, or not JSON; with line and column.", {PROBLEM: MalformedProblem}),
    "401": ("密钥缺失或错误 · The bearer key is missing or wrong.", {PROBLEM: ProblemDocument}),
    "403": ("请求来自其他网站或代理 · From the page of another site, or through a proxy.", {PROBLEM: ProblemDocument}),
    "405": ("方法不允许 · Another method.", {PROBLEM: ProblemDocument}),
    "429": ("错误密钥过多 · Too many wrong keys from this address.", {PROBLEM: ProblemDocument}),
    "500": ("程序错误 · A fault of this program.", {PROBLEM: ProblemDocument}),
    "503": ("过载，请重发 · Overloaded or stopping; send it again.", {PROBLEM: ProblemDocument}),
}
"""The answers of every route behind the keys."""
PARAMETERS: Answers = {"422": ("参数有误 · Invalid parameters.", {PROBLEM: InvalidProblem})}
ONE_INCIDENT: Answers = {
    "404": ("无此项 · There is no such one.", {PROBLEM: ProblemDocument}),
    "410": ("已归档 · It was archived.", {PROBLEM: ArchivedProblem}),
}
BODY: Answers = {
    "413": ("请求体过大 · The body is too large, or has too many events.", {PROBLEM: ProblemDocument}),
    "422": ("内容有误，未保存 · Invalid; every error with its place. Nothing was stored.", {PROBLEM: InvalidProblem}),
}


def _ok(model: type[BaseModel], **others: str) -> Answers:
    media: dict[str, type[BaseModel] | None] = {JSON: model}
    return {"200": ("成功 · Done.", media | dict.fromkeys(others.values()))}


def _stored(model: type[BaseModel]) -> Answers:
    return {"202": ("已保存 · Stored; what became of each event, and its incident.", {JSON: model})}


_CONFLICT: Answers = {
    "409": (
        "编号已用于其他内容，或须先确认 · The id was used for another content, or the words must be confirmed.",
        {PROBLEM: ConflictProblem},
    )
}
_INCIDENT = "/api/v1/incidents/{incident_id}"
_REPORT = ALWAYS | PARAMETERS | ONE_INCIDENT | _ok(ReportAnswer, html=HTML, docx=DOCX)
_UNKNOWN: Answers = {"404": ONE_INCIDENT["404"]}
_ACTION = ALWAYS | ONE_INCIDENT | BODY | _CONFLICT | _stored(ActionAnswer)
_HEALTH: Answers = {"405": ALWAYS["405"]}
_UNREADY: Answers = {"503": ("未就绪 · Not ready.", {JSON: ReadinessAnswer})}
ANSWERS: dict[tuple[str, str], Answers] = {
    ("get", "/api/v1/incidents"): ALWAYS | PARAMETERS | _ok(IncidentList),
    ("get", _INCIDENT): ALWAYS | PARAMETERS | ONE_INCIDENT | _ok(IncidentAnswer),
    ("get", f"{_INCIDENT}/timeline"): ALWAYS | PARAMETERS | ONE_INCIDENT | _ok(TimelineAnswer),
    ("get", f"{_INCIDENT}/what-if"): ALWAYS | PARAMETERS | ONE_INCIDENT | _ok(WhatIfAnswer),
    ("get", f"{_INCIDENT}/reports"): ALWAYS | PARAMETERS | ONE_INCIDENT | _ok(ReportsAnswer),
    ("get", f"{_INCIDENT}/reports/{{report}}"): _REPORT,
    ("get", f"{_INCIDENT}/reports/{{report}}/{{instance}}"): _REPORT,
    ("get", "/api/v1/reports/summary"): ALWAYS | PARAMETERS | _ok(ReviewAnswer, html=HTML),
    ("get", "/api/v1/archive"): ALWAYS | PARAMETERS | _ok(ArchiveAnswer),
    ("get", "/api/v1/recurring"): ALWAYS | PARAMETERS | _ok(RecurringAnswer),
    ("get", "/api/v1/quarantine"): ALWAYS | PARAMETERS | _ok(QuarantineList),
    ("post", f"{_INCIDENT}/steps"): _ACTION,
    ("post", f"{_INCIDENT}/close"): _ACTION,
    ("post", "/api/v1/steps/{step_id}/{action}"): _ACTION,
    ("post", "/api/v1/quarantine/{source}/{key}"): ALWAYS | _UNKNOWN | BODY | _CONFLICT | _stored(AnsweredReport),
    ("get", "/healthz"): _HEALTH | _ok(HealthAnswer),
    ("get", "/readyz"): _HEALTH | _UNREADY | _ok(ReadinessAnswer),
    ("get", "/metrics"): ALWAYS | {"200": ("成功 · Done.", {METRICS: None})},
}
"""The answers of each route by method and path. The routes of inbound formats answer as `intake_answers` says."""


def intake_answers(*, has_quarantine: bool) -> Answers:
    """Return the answers of the route of an inbound format."""
    failed: Answers = {"500": (ALWAYS["500"][0], {PROBLEM: FailedEvents})}
    return ALWAYS | failed | BODY | _CONFLICT | _stored(AlertsAnswer if has_quarantine else EventsAnswer)
