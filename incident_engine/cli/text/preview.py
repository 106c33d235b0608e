"""The preview of a message on the terminal."""

from collections.abc import Iterator

from incident_engine.common.i18n import Translator
from incident_engine.config.scenario import Scenario
from incident_engine.config.settings import Settings
from incident_engine.domain.messages.formatting import format_duration, format_instant
from incident_engine.domain.messages.templates import MessageForm
from incident_engine.engine.preview import Preview, PreviewRequest


def preview_lines(
    preview: Preview, request: PreviewRequest, scenario: Scenario, settings: Settings, translate: Translator
) -> Iterator[str]:
    """Yield the printed lines of a preview: step, instant and reader, the message, and its length."""
    if preview.step is None:
        yield f"! {translate('no such step')}"
    else:
        at, after = format_instant(preview.at, translate.locale, settings.bank.zone), preview.at - scenario.start
        offset = translate("after the start").format(format_duration(after, translate.locale))
        yield f"{translate('step')}: {preview.step.id}"
        yield f"{translate('message time')}: {at} ({offset})"
    yield f"{translate('message reader')}: {preview.reader}"
    fallback = "" if preview.has_form else f" – {translate('no separate form')}"
    yield f"{translate('message form')}: {translate(request.form)}{fallback}"
    if request.form is not MessageForm.SHORT:
        yield f"{translate('subject')}: {preview.message.subject}"
    yield ""
    yield preview.message.body
    length = f"{translate('length')}: {len(preview.message.body.strip())}"
    parts = f" · {translate('text messages')}: {preview.message.sms_parts}" if request.form is MessageForm.SHORT else ""
    yield length + parts
