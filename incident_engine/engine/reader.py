"""Questions about stored cases: verdicts, what-if, recurring incidents. Needs only a connection to read from."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from incident_engine.config.settings import Settings
from incident_engine.domain.events.model import Recorded
from incident_engine.domain.events.types import EventType
from incident_engine.domain.grading.assessment_document import trajectory_from
from incident_engine.domain.grading.obligation_status import ObligationStatus
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.grading.recurring import Recurrence, recurrences
from incident_engine.domain.incidents.fold import fold
from incident_engine.domain.incidents.incident import Incident
from incident_engine.domain.incidents.what_if import WhatIf, what_if_events
from incident_engine.domain.response.completion import overdue_obligations
from incident_engine.domain.response.playbook import closing_requests
from incident_engine.domain.response.step import Step
from incident_engine.domain.rulebook import Rulebook
from incident_engine.engine.case_types import CaseTypes, GradedCase
from incident_engine.store import cases
from incident_engine.store.assessments import latest_assessments
from incident_engine.store.events import cases_with_event, events_of
from incident_engine.store.packs import stored_pack
from incident_engine.store.steps import started_steps, steps_of


class Reader:
    """Reads cases and grades them, without writing anything."""

    def __init__(self, settings: Settings, rulebook: Rulebook, case_types: CaseTypes) -> None:
        self.reports = rulebook.reports
        self.primary_pack = rulebook.packs[0]
        self.customers = settings.bank.customers.audiences
        self.case_types = case_types
        self._primary = settings.grading.primary
        self.rulebook = rulebook
        self._closing_requests = closing_requests(rulebook.playbooks)
        self._packs_by_hash: dict[str, Pack] = {pack.content_hash: pack for pack in rulebook.packs}

    def case(self, connection: Connection, case_id: str, now: datetime) -> GradedCase | None:
        """Return a case with its packs and their verdicts at `now`; None if there is no such case."""
        if cases.case_row(connection, case_id) is None:
            return None
        return self.graded(connection, fold(case_id, events_of(connection, case_id)), now)

    def guessed_years(self, connection: Connection, case: GradedCase, now: datetime) -> Mapping[str, Sequence[int]]:
        """Return the years without published days off in which a planned step's dates were counted, by step id."""
        started = started_steps(steps_of(connection, case.incident.id))
        planned = case.type.plan(case.incident, case.assessments, now, started)
        return {step.id: step.guessed_years for step in planned}

    def what_if(self, connection: Connection, case: GradedCase, what_if: WhatIf, now: datetime) -> GradedCase:
        """Return a case as it would be at `now` if the supposed facts held.

        Raises InvalidDocumentError if they contradict known facts.
        """
        case_id = case.incident.id
        supposed = [Recorded(event, now) for event in what_if_events(case.incident, what_if, now)]
        return self.graded(connection, fold(case_id, [*events_of(connection, case_id), *supposed]), now)

    def graded(self, connection: Connection, incident: Incident, now: datetime) -> GradedCase:
        """Return a folded incident with its verdicts at `now` under the packs with which it began."""
        row = cases.case_row(connection, incident.id)
        assert row is not None, incident.id  # noqa: S101 - only stored incidents are graded
        case_type, packs = self.case_types.of_kind(row.kind), self._packs(connection, row)
        latest = latest_assessments(connection, incident.id)
        before = [latest.get(pack.pack) for pack in packs]
        assessments = [
            case_type.assess(incident, pack, now, trajectory_from(document) if document else ())
            for pack, document in zip(packs, before, strict=True)
        ]
        return GradedCase(case_type, incident, packs, assessments, before)

    def overdue(self, connection: Connection, case_id: str, now: datetime) -> list[ObligationStatus]:
        """Return the obligations of a case that are overdue at `now`, the earliest due first."""
        case = self.case(connection, case_id, now)
        return [] if case is None else overdue_obligations(case.assessments)

    def asks_for_closing(self, step: Step) -> bool:
        """Return whether a step asks a person for the closing, which alone completes it."""
        return (step.playbook, step.step) in self._closing_requests

    def packs_of(self, connection: Connection, case_id: str) -> list[Pack]:
        """Return the packs with which a case began, the primary one first; none if there is no such case."""
        row = cases.case_row(connection, case_id)
        return [] if row is None else self._packs(connection, row)

    def _packs(self, connection: Connection, row: cases.CaseRow) -> list[Pack]:
        hashes = list(row.pack_hashes.values())
        for content_hash in hashes:
            # An old case may have begun with a pack that the bank no longer uses.
            if content_hash not in self._packs_by_hash:
                pack = stored_pack(connection, content_hash)
                assert pack is not None, content_hash  # noqa: S101 - it was stored with the first case that began with it
                self._packs_by_hash[content_hash] = pack
        packs = [self._packs_by_hash[content_hash] for content_hash in hashes]
        return sorted(packs, key=lambda pack: pack.pack != self._primary)

    def recurring(self, connection: Connection, now: datetime) -> list[Recurrence]:
        """Return the incidents with one root cause that reach a level only together, by every pack in use."""
        case_ids = cases_with_event(connection, EventType.IMPACT_MEASURED)  # only these can name a root cause
        incidents = [fold(case_id, events_of(connection, case_id)) for case_id in case_ids]
        packs, hours = self.rulebook.packs, self.rulebook.hours
        return [recurrence for pack in packs for recurrence in recurrences(incidents, pack, hours, now)]
