"""Write the texts of the report on a drill that its facts do not give: plan, people, problems, conclusion."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from incident_engine.common.i18n import Translator
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings
from incident_engine.documents.timeline_text import obligation_name
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.rulebook import Rulebook
from incident_engine.drills.checks import Check, ObligationOutcome, failed

FieldTexts = Mapping[str, Callable[[Translator], str]]
"""The text of each field by its id, in a reader's language; an empty text keeps the drafted facts, or a gap."""


@dataclass(frozen=True, slots=True)
class PlayedDrill:
    """A scenario that was played, with its results."""

    scenario: Scenario
    settings: Settings
    """The settings of the drill, not the bank's own."""
    rulebook: Rulebook
    incidents: Sequence[str]
    """The ids of the incidents."""
    checks: Sequence[Check]
    obligations: Sequence[ObligationOutcome]
    timelines: Mapping[str, Sequence[str]]
    """The lines of the timeline by language."""
    ended_at: datetime
    """The end of the drill on its own clock."""


def field_texts(played: PlayedDrill) -> FieldTexts:
    """Return the texts of a played drill for the fields of its report."""
    scenario, plan, checks = played.scenario, played.scenario.drill, played.checks
    failures, missed = failed(checks), [outcome for outcome in played.obligations if outcome.is_missed]
    zone, pack = played.settings.bank.zone, played.rulebook.packs[0]

    def people(translate: Translator) -> str:
        separator = "、" if translate.locale.startswith("zh") else ", "
        return plan.people.in_(translate.locale) if plan.people else separator.join(scenario.speakers)

    def plan_text(translate: Translator) -> str:
        title = scenario.title.in_(translate.locale)
        return f"{title}\n{plan.plan.in_(translate.locale)}" if plan.plan else title

    def problems(translate: Translator) -> str:
        lines = [f"{translate('not as expected')} — {check.text(translate)}" for check in failures]
        lines += [
            f"{translate('overdue')} — {obligation_name(late.obligation, late.instance, late.cite, pack, translate)}, "
            f"{translate('due')} {format_local(late.due_at, zone)}"
            for late in missed
        ]
        return "\n".join(lines) or translate("no problems")

    def conclusion(translate: Translator) -> str:
        met = sum(1 for outcome in played.obligations if outcome.met_at is not None and not outcome.is_missed)
        deadlines = f"{translate('deadlines met')}: {met}; {translate('deadlines missed')}: {len(missed)}"
        verdict = translate("drill went as expected" if not failures else "drill did not go as expected")
        return f"{verdict} ({len(checks) - len(failures)}/{len(checks)}). {deadlines}."

    return {
        "purpose": lambda translate: plan.purpose.in_(translate.locale) if plan.purpose else "",
        "plan": plan_text,
        "people": people,
        "preparation": lambda translate: plan.preparation.in_(translate.locale) if plan.preparation else "",
        "problems": problems,
        "conclusion": conclusion,
    }
