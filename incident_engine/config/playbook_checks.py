"""Load playbooks, check their references, and try their message templates in every situation that needs them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from incident_engine.common.errors import Finding, InvalidDocumentError, Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.common.yaml_loader import Document, load_file
from incident_engine.config.chosen_files import chosen_files, misnamed
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.messages.samples import failures, kind_of, uses
from incident_engine.domain.messages.templates import SUFFIXES, MessageBook
from incident_engine.domain.response.playbook import Playbook, StepTemplate, audiences_of, parse_playbook, templates_of
from incident_engine.domain.response.triggers import ANY_LEVEL
from incident_engine.domain.values import LOCALES


def load_playbooks(
    settings: Settings, directory: Path, config_file: Path, findings: list[Finding]
) -> dict[str, tuple[Playbook, Document]]:
    """Return the chosen playbooks and their documents by name; add problems to `findings`."""
    playbooks = chosen_files(settings.playbooks, directory, parse_playbook, ("playbooks",), config_file, findings)
    for name, (playbook, document) in playbooks.items():
        findings += misnamed(document, "playbook", playbook.playbook, name)
    return playbooks


def check_playbook(path: Path) -> list[Finding]:
    """Return the findings in a playbook's file, without its references."""
    document = load_file(path)
    try:
        parse_playbook(document.data)
    except InvalidDocumentError as error:
        return [document.finding(problem) for problem in error.problems]
    return []


def reference_problems(
    playbook: Playbook,
    settings: Settings,
    messages: MessageBook,
    packs: Sequence[Pack],
    reports: Collection[str],
) -> Iterator[Problem]:
    """Yield a problem for each name in a playbook that does not exist. The first pack is the primary one."""
    templates = dict.fromkeys(sorted(messages.names()))
    for position, step in enumerate(playbook.steps):
        where = ("steps", position)
        for path, name in audiences_of(step):
            yield from unknown_problems((*where, *path), "audience", name, settings.people.names)
        for path, name in templates_of(step):
            yield from unknown_problems((*where, *path), "template", name, templates)
        for index, channel in enumerate(step.channels or ()):
            yield from unknown_problems((*where, "channels", index), "channel", channel, settings.channels)
        if step.report is not None:
            yield from unknown_problems((*where, "report"), "report", step.report, sorted(reports))
        if packs:
            yield from _unknown_to_packs(step, where, packs)


def _unknown_to_packs(step: StepTemplate, where: tuple[str | int, ...], packs: Sequence[Pack]) -> Iterator[Problem]:
    obligations = [obligation.id for pack in packs for obligation in pack.obligations]
    levels = packs[0].severity
    for index, level in enumerate(step.on.level_reached or ()):
        yield from unknown_problems((*where, "on", "level_reached", index), "level", level, levels)
    by_level: dict[tuple[str, ...], Mapping[str, object]] = {("offset",): step.offset}
    if step.repeat is not None:
        by_level["repeat", "every"] = step.repeat.every
    if step.deadline is not None:
        by_level["deadline", "within"] = step.deadline.within or {ANY_LEVEL: None}
        by_level["deadline", "working_days"] = step.deadline.working_days or {ANY_LEVEL: None}
    for path, named in by_level.items():
        for level in named:
            yield from unknown_problems((*where, *path, level), "level", level, [*levels, ANY_LEVEL])
        missing = [level for level in levels if level not in named and ANY_LEVEL not in named]
        if missing:
            message = f"has no value for {', '.join(missing)}"
            yield Problem((*where, *path), message, f"every level of {packs[0].pack}, or {ANY_LEVEL}")
    if step.on.obligation is not None:
        yield from unknown_problems(
            (*where, "on", "obligation", "id"), "obligation", step.on.obligation.id, obligations
        )
    if step.fulfils is not None:
        yield from unknown_problems((*where, "fulfils"), "obligation", step.fulfils, obligations)


def failing_templates(
    playbooks: Sequence[Playbook], messages: MessageBook, directory: Path, packs: Sequence[Pack]
) -> Iterator[Finding]:
    """Yield a finding for each template that is missing, or that fails in a situation in which a step uses it."""
    names = messages.names()
    # Steps on these obligations may start without a level of the primary pack.
    unlevelled = {obligation.id for pack in packs for obligation in pack.obligations if obligation.levels is None}
    unlevelled |= {obligation.id for pack in packs[1:] for obligation in pack.obligations}
    missing: set[str] = set()  # templates that every playbook needs although no step names them: reported once
    tried: set[tuple[object, ...]] = set()  # rendering is slow, and many steps use a template in the same situation
    for step in (step for playbook in playbooks for step in playbook.steps):
        is_of_level = step.on.obligation is None or step.on.obligation.id not in unlevelled
        for use, name in dict.fromkeys(uses(step)):
            if name not in names:
                # A template that a step names itself has its finding in `reference_problems`.
                if name not in {named for _, named in templates_of(step)}:
                    missing.add(name)
                continue
            trial = (use, name, is_of_level, kind_of(step))
            if trial in tried:
                continue
            tried.add(trial)
            for locale, form in ((lang, form) for lang in LOCALES for form in messages.forms(name, lang)):
                file = directory / locale / f"{name}{SUFFIXES[form]}"
                problems = failures(step, locale, messages, level_based=is_of_level, use=use, template=name, form=form)
                yield from (Finding(str(file), int(problem.path[0]), 1, problem.sentence()) for problem in problems)
    for name in sorted(missing):
        message = f"no template '{name}', which the playbooks need"
        yield Finding(str(directory), 1, 1, f"{message}; expected {name}.md.j2 in every language")
