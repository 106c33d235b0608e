"""Grading a history of events from a file, without a daemon."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from incident_engine.common.errors import Finding, InvalidDocumentError, InvalidFilesError, MalformedBodyError, Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.common.yaml_loader import Document, load_text
from incident_engine.config.settings import Settings
from incident_engine.domain.calendar.holidays import Calendar
from incident_engine.domain.calendar.service_hours import ServiceHours
from incident_engine.domain.events.actions import StepCompleted
from incident_engine.domain.events.model import Event, ImpactMeasured, LevelCorrected, MaintenanceAnnounced, Recorded
from incident_engine.domain.grading.assessment import Assessment, assess
from incident_engine.domain.grading.assessment_document import assessment_document
from incident_engine.domain.grading.explanation import ExplainedRule, explain, explanation_document
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.recurring import Recurrence, recurrence_document, recurrences
from incident_engine.domain.incidents.correlation import split
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.engine.event_checks import correction_problems, measure_problems
from incident_engine.intake.document import parse_json
from incident_engine.intake.native import parse_events


@dataclass(frozen=True, slots=True)
class Graded:
    """An incident of the history with its verdicts."""

    incident: Incident
    assessments: tuple[Assessment, ...]
    explanations: tuple[tuple[ExplainedRule, ...], ...]
    """For each assessment, every rule taken apart."""


@dataclass(frozen=True, slots=True)
class GradingBasis:
    """What a history is graded by: packs, and the service hours of each service."""

    packs: Sequence[Pack]
    hours: Mapping[str, ServiceHours]
    calendars: Mapping[str, Calendar]


def read_events(text: str, name: str, services: Mapping[str, object]) -> list[Event]:
    """Return the events of a text in JSON, JSON lines or YAML. Raises InvalidFilesError with every finding."""
    if _looks_like_lines(text):
        return _from_lines(text, name, services)
    is_json = text.lstrip()[:1] in ("[", "{")
    document = _json_document(text, name) if is_json else load_text(text, name)
    if document.data is None:
        raise InvalidFilesError([Finding(name, 1, 1, "holds no events; expected one event or a list of them")])
    try:
        return parse_events(document.data, services)
    except InvalidDocumentError as error:
        places = dict(_places(text, document.data)) if is_json else document.positions
        raise replace(document, positions=places).refuse(error.problems) from None


def grade(
    events: Sequence[Event],
    basis: GradingBasis,
    settings: Settings,
    at: datetime | None,
    now: datetime,
    *,
    explained: bool = False,
) -> list[Graded]:
    """Return the incidents of a history with their verdicts, and every rule taken apart if wanted.

    `at` defaults, for each incident, to its end: the last restoration, or what people said of it later; to `now` while
    anything is down. Only what occurred up to `at` is taken into account: the verdict is the one that could be given
    then. Raises InvalidDocumentError for what a person says of an incident that is not there.
    """
    return [
        _graded(incident, basis, at or end_of(incident, history, now), explained=explained)
        for incident, history in incidents_of(events, settings, at)
    ]


def incidents_of(
    events: Sequence[Event], settings: Settings, at: datetime | None
) -> list[tuple[Incident, Sequence[Recorded]]]:
    """Return the incidents of a history, each with its events; what occurred after `at` is left out.

    Raises InvalidDocumentError for what a person says of an incident that is not there.
    """
    primary = settings.grading.primary
    known = [
        Recorded(_about(event, primary), event.occurred_at) for event in events if at is None or event.occurred_at <= at
    ]
    histories = split(known, settings.groups, settings.intake.window, settings.bank.zone)
    return [(fold(name, history), history) for name, history in histories.items()]


def end_of(incident: Incident, history: Sequence[Recorded], now: datetime) -> datetime:
    """Return when all that is known of an incident had been said; `now` while anything is down."""
    if incident.is_down:
        return now
    said = (r.event.occurred_at for r in history if not isinstance(r.event, MaintenanceAnnounced))
    return max(said, default=now)


def graded_document(
    graded: Sequence[Graded], repeated: Sequence[Recurrence], settings: Settings, *, explained: bool = False
) -> dict[str, Any]:
    """Return the verdicts as JSON values, with each rule taken apart if wanted."""
    zone = settings.bank.zone
    return {
        "incidents": [
            {
                "incident": found.incident.id,
                "services": list(found.incident.services),
                "regions": list(found.incident.regions),
                "assessments": [
                    assessment_document(assessment, zone)
                    | ({"explanation": explanation_document(rules, zone)} if explained else {})
                    for assessment, rules in zip(found.assessments, found.explanations, strict=True)
                ],
            }
            for found in graded
        ],
        "recurring": [recurrence_document(each, zone) for each in repeated],
    }


def _about(event: Event, primary: str) -> Event:
    """Return a correction with the pack that it is about: the primary one if it names none."""
    if not isinstance(event, LevelCorrected) or event.data.pack is not None:
        return event
    return event.model_copy(update={"data": event.data.model_copy(update={"pack": primary})})


def refuse_unknown_names(events: Sequence[Event], settings: Settings, packs: Sequence[Pack]) -> None:
    """Raise InvalidDocumentError for each figure, level, pack and obligation in the events that no pack knows."""
    by_id = {pack.pack: pack for pack in packs}
    problems = [
        replace(problem, message=f"event '{event.id}' of '{event.source}': {problem.message}")
        for event in events
        for problem in _wrong_names(_about(event, settings.grading.primary), by_id)
    ]
    if problems:
        raise InvalidDocumentError(problems)


def _wrong_names(event: Event, packs: Mapping[str, Pack]) -> Iterator[Problem]:
    match event:
        case ImpactMeasured():
            yield from measure_problems(event, list(packs.values()))
        case StepCompleted(data=done) if done.fulfils is not None:
            obligations = sorted({demand.id for pack in packs.values() for demand in pack.obligations})
            yield from unknown_problems(("data", "fulfils"), "obligation", done.fulfils, obligations)
        case LevelCorrected(data=said):
            yield from correction_problems(said.pack or "", said.level, packs)
        case _:
            return


def recurring(graded: Sequence[Graded], basis: GradingBasis, now: datetime) -> list[Recurrence]:
    """Return the incidents of a history that only together reach a level, by each pack that knows such."""
    incidents = [found.incident for found in graded]
    return [each for pack in basis.packs for each in recurrences(incidents, pack, basis.hours, now)]


def _graded(incident: Incident, basis: GradingBasis, at: datetime, *, explained: bool) -> Graded:
    return Graded(
        incident,
        tuple(assess(incident, pack, basis.hours, at, (), basis.calendars) for pack in basis.packs),
        tuple(explain(incident, pack, basis.hours, at) if explained else () for pack in basis.packs),
    )


def _looks_like_lines(text: str) -> bool:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    whole = [line for line in lines if line.startswith("{") and line.endswith("}")]
    return len(lines) > 1 and lines[0] in whole[:1] and len(whole) * 2 > len(lines)  # one or the other may be broken


def _from_lines(text: str, name: str, services: Mapping[str, object]) -> list[Event]:
    events: list[Event] = []
    findings: list[Finding] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            events += parse_events(parse_json(line.encode()), services)
        except MalformedBodyError as error:
            findings.append(Finding(name, number, error.column, f"not valid JSON: {error}"))
        except InvalidDocumentError as error:
            findings += [Finding(name, number, 1, f"{p.pointer}: {p.sentence()}") for p in error.problems]
    if findings:
        raise InvalidFilesError(findings)
    return events


def _json_document(text: str, name: str) -> Document:
    """Read JSON. Findings are placed by the events: JSON's readers keep no positions."""
    try:
        data = parse_json(text.encode())
    except MalformedBodyError as error:
        raise InvalidFilesError([Finding(name, error.line, error.column, f"not valid JSON: {error}")]) from None
    return Document(name, data)


def _places(text: str, data: object) -> Iterator[tuple[tuple[str | int, ...], tuple[int, int]]]:
    """Yield where each event of a JSON array begins."""
    if not isinstance(data, list):
        return
    decoder = json.JSONDecoder()
    at, line, counted = text.index("[") + 1, 1, 0
    for place in range(len(data)):
        while text[at] in " \t\r\n,":
            at += 1
        line += text.count("\n", counted, at)
        counted = at
        yield (place,), (line, at - (text.rfind("\n", 0, at) + 1) + 1)
        _, at = decoder.raw_decode(text, at)


def read_text(path: Path) -> str:
    """Return a file's text. Raises InvalidFilesError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise InvalidFilesError([Finding(str(path), 1, 1, f"is not UTF-8: {error.reason}")]) from None
