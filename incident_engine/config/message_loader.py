"""Load and check the templates of messages from rules/messages."""

from pathlib import Path

from incident_engine.common.errors import Finding
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.templates import SUFFIXES, MessageBook, MessageForm, form_name, template_problems
from incident_engine.domain.values import LOCALES


def form_of(path: Path) -> MessageForm | None:
    """Return the form of a template by the suffix of its file; None for other files."""
    return next((form for form, suffix in SUFFIXES.items() if path.name.endswith(suffix)), None)


def check_template(path: Path) -> list[Finding]:
    """Return the findings in a message's template."""
    form = form_of(path)
    if form is None:
        expected = ", ".join(f"NAME{suffix}" for suffix in SUFFIXES.values())
        return [Finding(str(path), 1, 1, f"'{path.name}' is no template's name; expected one of: {expected}")]
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return [Finding(str(path), 1, 1, f"cannot be read: {error}")]
    return [
        Finding(str(path), int(problem.path[0]) if problem.path else 1, 1, problem.sentence())
        for problem in template_problems(source, form)
    ]


def load_messages(
    settings: Settings, directory: Path, findings: list[Finding], *, is_tried: bool = False
) -> MessageBook:
    """Load every template of every locale; add their problems to `findings`, unless they were tried before."""
    sources: dict[tuple[str, str], str] = {}
    for locale in LOCALES:
        for path in sorted((directory / locale).glob("*.j2")):
            template_findings = [] if is_tried else check_template(path)
            findings += template_findings
            form = form_of(path)
            if not template_findings and form is not None:
                name = path.name.removesuffix(SUFFIXES[form])
                sources[locale, form_name(name, form)] = path.read_text(encoding="utf-8")
    return MessageBook(sources, settings.bank.zone)
