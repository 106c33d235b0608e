"""The timeline of an incident: events, levels and actions, line by line, in a reader's language."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from incident_engine.common.i18n import Translator
from incident_engine.domain.events.actions import NoteAdded, StepCompleted
from incident_engine.domain.events.harm import HarmAssessed
from incident_engine.domain.events.model import PlanFailed, RecoveryEstimated, RepairFailed
from incident_engine.domain.grading.level_history import LevelChange
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.incidents.incident import Impairment, Incident
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.regions import region_name
from incident_engine.domain.step_id import StepId
from incident_engine.domain.values import NEVER, LocalizedText, format_cite

Entry = tuple[datetime, str, str | None]
"""(instant, text, person)."""


@dataclass(frozen=True, slots=True)
class Chronicle:
    """Writes the timeline of an incident, with the level changes by one pack."""

    incident: Incident
    pack: Pack
    packs: Sequence[Pack]
    level_changes: Sequence[LevelChange]
    service_names: Mapping[str, LocalizedText]
    zone: tzinfo
    locale: str
    step_titles: Mapping[str, LocalizedText]

    def all_entries(self) -> list[dict[str, Any]]:
        """Return every entry in order: outages, levels, judgements, actions, the closing."""
        return _entries([*self._outages(), *self._judgements(), *self._measures()])

    def people_entries(self) -> list[dict[str, Any]]:
        """Return the actions and notes of people, in order."""
        return _entries(self._measures())

    def _of(self, title: str, text: str) -> str:
        """Return `title: text` as the language writes it."""
        return f"{title}：{text}" if self.locale.startswith("zh") else f"{title}: {text}"

    def _beside(self, text: str, detail: str) -> str:
        """Return `text (detail)` as the language writes it."""
        return f"{text}（{detail}）" if self.locale.startswith("zh") else f"{text} ({detail})"

    def _outages(self) -> Iterator[Entry]:
        """Yield impairments and restorations; regions hit at one instant share an entry."""
        say = Translator(self.locale)
        hit: dict[tuple[datetime, str, str], list[str]] = defaultdict(list)
        for outage in self.incident.outages:
            region = region_name(outage.region, self.locale)
            for interval in outage.intervals:
                kind = "outage.started" if interval.impairment is Impairment.DOWN else "outage.degraded"
                hit[interval.start, outage.service, kind].append(region)
                # Where down gives way to degraded, or degraded to down, nothing is restored.
                if interval.end != NEVER and all(other.start != interval.end for other in outage.intervals):
                    hit[interval.end, outage.service, "outage.restored"].append(region)
        for (at, service, what), regions in hit.items():
            name = self.service_names[service].in_(self.locale) if service in self.service_names else service
            yield at, self._of(self._beside(name, self._joined(regions)), say(what)), None
        for estimate in self.incident.events(RecoveryEstimated):
            expected = format_local(estimate.data.recovery_at, self.zone)
            yield estimate.occurred_at, self._of(say("recovery.estimated"), expected), None

    def _judgements(self) -> Iterator[Entry]:
        """Yield level changes, judgements of people, and the closing."""
        translate, incident = Translator(self.locale), self.incident
        for change in self.level_changes:
            names, level = self.pack.level_names, change.level
            named = f"{level} {names[level].in_(self.locale)}" if level else translate("below")
            if change.correction is not None:
                correction = change.correction.data
                yield change.at, f"{self._of(translate('level.corrected'), named)} — {correction.reason}", correction.by
            else:
                reached = self._beside(named, format_cite(change.cite, self.locale))
                yield change.at, self._of(translate("level reached"), reached), None
        for harm in incident.events(HarmAssessed):
            judged = self._joined((translate(harm.data.kind.value), translate(harm.data.seriousness.value)))
            yield harm.occurred_at, f"{self._of(translate('harm.assessed'), judged)} — {harm.data.reason}", harm.data.by
        for failure in incident.events(PlanFailed):
            yield failure.occurred_at, self._of(translate("plan.failed"), failure.data.reason), failure.data.by
        if incident.closing is not None:
            yield incident.closing.at, translate("incident.closed"), incident.closing.by
            for obligation, reason in incident.closing.overdue:
                text = f"{self._of(translate('closed overdue'), obligation)} — {reason}"
                yield incident.closing.at, text, incident.closing.by

    def _measures(self) -> Iterator[Entry]:
        """Yield notes, completions and failed repairs."""
        translate, incident = Translator(self.locale), self.incident
        for note in incident.events(NoteAdded):
            yield note.occurred_at, note.data.text, None
        for completion in incident.handling.completions:
            remark = f" — {completion.data.note}" if completion.data.note else ""
            text = self._of(translate("done"), self._completed(completion)) + remark
            yield completion.occurred_at, text, completion.data.by
        for failure in incident.events(RepairFailed):
            yield failure.occurred_at, self._of(translate("repair.failed"), failure.data.reason), failure.data.by

    def _completed(self, completion: StepCompleted) -> str:
        """Return the obligation, task or step that was completed, as readers know it."""
        obligations = {obligation.id: obligation for pack in self.packs for obligation in pack.obligations}
        fulfils, step_id = completion.data.fulfils, completion.data.step
        if fulfils in obligations:
            obligation = obligations[fulfils]
            return self._beside(obligation.says.in_(self.locale), format_cite(obligation.cite, self.locale))
        tasks = [task for task in self.incident.handling.tasks if step_id is not None and task.key in step_id]
        if tasks:
            return tasks[0].data.title or ""
        if fulfils is not None or step_id is None:
            return fulfils or "—"
        parsed = StepId.parse(step_id)
        name = parsed.step if parsed is not None else step_id
        return self.step_titles[name].in_(self.locale) if name in self.step_titles else name

    def _joined(self, names: Sequence[str]) -> str:
        return ("、" if self.locale.startswith("zh") else ", ").join(names)


def _entries(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    return [{"at": at, "text": text, "by": by} for at, text, by in sorted(entries, key=lambda entry: entry[0])]
