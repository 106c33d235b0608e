"""Whether what a playbook names exists, and whether its messages can be written whenever they are needed."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from incident_engine.common.errors import Finding, Problem
from incident_engine.common.validation import unknown_problems
from incident_engine.config.settings import Settings
from incident_engine.domain.grading.pack import Pack
from incident_engine.domain.messages.samples import failures, kind_of, uses
from incident_engine.domain.messages.templates import SUFFIXES, MessageBook, MessageForm
from incident_engine.domain.response.playbook import Playbook, StepTemplate, audiences_of, templates_of
from incident_engine.domain.response.triggers import ANY_LEVEL
from incident_engine.domain.values import LOCALES


def reference_problems(
    playbook: Playbook,
    settings: Settings,
    messages: MessageBook,
    packs: Sequence[Pack],
    reports: Collection[str],
) -> Iterator[Problem]:
    """Yield a problem for each name in a playbook that is nobody's. The primary pack is the first."""
    templates = dict.fromkeys(sorted(messages.names()))
    for place, step in enumerate(playbook.steps):
        where = ("steps", place)
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
    obligations = {demand.id: demand for pack in packs for demand in pack.obligations}
    levels = packs[0].severity
    for index, level in enumerate(step.on.level_reached or ()):
        yield from unknown_problems((*where, "on", "level_reached", index), "level", level, levels)
    for path, named in _by_level(step):
        for level in named:
            yield from unknown_problems((*where, *path, level), "level", level, [*levels, ANY_LEVEL])
        missing = [level for level in levels if level not in named and ANY_LEVEL not in named]
        if missing:
            said = f"says nothing for {', '.join(missing)}"
            yield Problem((*where, *path), said, f"every level of {packs[0].pack}, or {ANY_LEVEL}")
    if step.on.obligation is not None:
        yield from unknown_problems(
            (*where, "on", "obligation", "id"), "obligation", step.on.obligation.id, obligations
        )
    if step.fulfils is not None:
        yield from unknown_problems((*where, "fulfils"), "obligation", step.fulfils, obligations)


def _by_level(step: StepTemplate) -> Iterator[tuple[tuple[str, ...], Mapping[str, object]]]:
    yield ("offset",), step.offset
    if step.repeat is not None:
        yield ("repeat", "every"), step.repeat.every
    if step.deadline is not None:
        yield ("deadline", "within"), step.deadline.within or {ANY_LEVEL: None}
        yield ("deadline", "working_days"), step.deadline.working_days or {ANY_LEVEL: None}


def failing_templates(
    playbooks: Sequence[Playbook], messages: MessageBook, directory: Path, packs: Sequence[Pack]
) -> Iterator[Finding]:
    """Yield where a message of the playbooks cannot be written in a situation in which it is needed."""
    known = messages.names()
    others = {demand.id for pack in packs for demand in pack.obligations if demand.levels is None}
    others |= {demand.id for pack in packs[1:] for demand in pack.obligations}
    missing: set[str] = set()  # what no step names and every step needs is told once
    tried: set[tuple[object, ...]] = set()  # what was rendered for one step need not be for another alike
    for step in (step for playbook in playbooks for step in playbook.steps):
        is_of_level = step.on.obligation is None or step.on.obligation.id not in others
        for use, name in dict.fromkeys(uses(step)):
            if name not in known:
                if name not in {named for _, named in templates_of(step)}:
                    missing.add(name)
                continue
            alike = (use, name, is_of_level, kind_of(step))
            if alike in tried:
                continue
            tried.add(alike)
            for locale in LOCALES:
                for form in messages.forms(name, locale):
                    found = failures(step, locale, messages, level_based=is_of_level, use=use, template=name, form=form)
                    file = directory / locale / f"{name}{SUFFIXES[form]}"
                    yield from (Finding(str(file), int(each.path[0]), 1, each.sentence()) for each in found)
    for name in sorted(missing):
        said = f"no template '{name}', which the playbooks need"
        yield Finding(str(directory), 1, 1, f"{said}; expected {name}.md.j2 in every language")


def form_of(path: Path) -> MessageForm | None:
    """Return the form that a template's file name says; None if it is no template's."""
    return next((form for form, suffix in SUFFIXES.items() if path.name.endswith(suffix)), None)
