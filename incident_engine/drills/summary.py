"""Write the summary of a drill as lines of text."""

from collections.abc import Iterator

from incident_engine.common.i18n import Translator
from incident_engine.config.settings import Settings
from incident_engine.documents.timeline_text import obligation_name
from incident_engine.domain.messages.formatting import format_local
from incident_engine.domain.rulebook import Rulebook
from incident_engine.drills.checks import ObligationOutcome, deadlines
from incident_engine.drills.result import DrillResult


def summary(result: DrillResult, rulebook: Rulebook, settings: Settings, translate: Translator) -> Iterator[str]:
    """Yield the lines of a drill's summary."""
    trajectories = [incident["assessments"][0]["trajectory"] for incident in result.incidents]
    levels = [change["level"] or translate("below") for trajectory in trajectories for change in trajectory]
    states = [delivery["state"] for incident in result.incidents for delivery in incident["deliveries"]]
    met, missed = deadlines(result.incidents)
    yield f"{translate('summary')}:"
    yield f"  {translate('levels reached')}: {' → '.join(levels) or translate('none')}"
    yield f"  {translate('notices sent')}: {states.count('delivered')}"
    yield f"  {translate('deadlines met')}: {met}    {translate('deadlines missed')}: {missed}"
    yield f"  {translate('obligations')}:"
    yield from (f"    {_outcome_line(outcome, rulebook, settings, translate)}" for outcome in result.obligations)
    if not result.obligations:
        yield f"    {translate('none')}"
    yield f"  {translate('messages are in')} {result.directory / 'outbox'}"
    for file in result.reports:
        yield f"  {translate('drill report')}: {file}"
    if result.checks:
        yield f"  {translate('expectations')}:"
        yield from (f"    {'✔' if check.ok else '✘'} {check.text(translate)}" for check in result.checks)
        if not result.is_exact:
            yield f"    {translate('compared roughly')}"
    yield (
        f"  ✘ {translate('not as expected')}: {len(result.failures)}"
        if result.failures
        else f"  ✔ {translate('as expected')}"
    )


def _outcome_line(outcome: ObligationOutcome, rulebook: Rulebook, settings: Settings, translate: Translator) -> str:
    zone, met_at = settings.bank.zone, outcome.met_at
    name = obligation_name(outcome.obligation, outcome.instance, outcome.cite, rulebook.packs[0], translate)
    mark = "✘" if outcome.is_missed else "✔" if met_at is not None else "…"
    state = translate("met late") if outcome.is_missed and met_at is not None else translate(outcome.state.value)
    at = f" {format_local(met_at, zone)}" if met_at is not None else ""
    return f"{mark} {name}  {translate('due')} {format_local(outcome.due_at, zone)}  {state}{at}"
