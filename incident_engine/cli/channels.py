"""`test-message` and `check --connect`: try the channels from the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from incident_engine.cli.options import Config, Lang, read_settings, translator_for
from incident_engine.cli.output import echo

if TYPE_CHECKING:
    from incident_engine.common.i18n import Translator
    from incident_engine.config.settings import Settings
    from incident_engine.delivery.trial import Trial


def send_test_message(
    contact: Annotated[str, typer.Argument(metavar="CONTACT", help="The id of a contact in the configuration.")],
    config: Config = None,
    lang: Lang = None,
) -> None:
    """Send a contact one message over each of its channels that says it is a test, and print the answers.

    Nothing is recorded; the daemon need not run. Exits with 1 if any channel did not accept the message.
    """
    import asyncio

    from incident_engine.common.clock import SystemClock
    from incident_engine.common.i18n import Translator
    from incident_engine.common.validation import nearest
    from incident_engine.delivery.trial import send_test

    settings, _ = read_settings(config)
    reader = settings.contact_by_id.get(contact)
    if reader is None:
        near = nearest(contact, settings.contact_by_id)
        hint = f"; did you mean {near!r}?" if near else f"; one of: {', '.join(settings.contact_by_id)}"
        raise typer.BadParameter(f"unknown contact {contact!r}{hint}", param_hint="CONTACT")
    now = SystemClock().now()
    words = Translator(reader.locale)
    local = now.astimezone(settings.bank.zone).isoformat(timespec="seconds")
    subject = f"{words('test message subject')} {settings.bank.name.in_(reader.locale)}"
    body = f"{subject}\n\n{words('test message text')} {local}\n"
    trials = asyncio.run(send_test(reader, settings.channels, settings.outgoing, (subject, body), now))
    _finish(trials, translator_for(lang), "test message accepted")


def connect(settings: "Settings", translate: "Translator") -> None:
    """Open each channel, print the answers, and exit with 1 if any cannot be reached."""
    import asyncio

    from incident_engine.delivery import trial

    _finish(asyncio.run(trial.connect(settings.channels, settings.outgoing)), translate, "channel reached")


def _finish(trials: "Sequence[Trial]", translate: "Translator", passed: str) -> None:
    for trial in trials:
        to = f" {trial.address}" if trial.address else ""
        outcome = translate(passed if trial.is_passed else trial.outcome)
        if trial.is_passed and not trial.answer:
            outcome = translate("channel not tried")
        answer = " ".join(trial.answer.split())
        echo(f"{trial.channel}{to}: {outcome}{f': {answer}' if answer else ''}")
    if not all(trial.is_passed for trial in trials):
        raise typer.Exit(1)
