"""The settings of an SMS gateway: its requests as templates, and how to read its answers."""

import json
import re
from datetime import timedelta
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from incident_engine.common.validation import Strict, invalid, unknown_name
from incident_engine.config.common import AnyChannelSettings, Form, Rate
from incident_engine.config.placeholders import Encode, fill, in_json, in_query, in_xml, placeholders, plainly
from incident_engine.config.secret import Secret
from incident_engine.domain.values import Duration, Identifier


def _several(value: object) -> object:
    return [value] if isinstance(value, str | int) and not isinstance(value, bool) else value


def _words(value: object) -> object:
    given = _several(value)
    return [str(each) if isinstance(each, int) else each for each in given] if isinstance(given, list) else given


Statuses = Annotated[tuple[Annotated[int, Field(ge=100, le=599)], ...], BeforeValidator(_several)]
Words = Annotated[tuple[str, ...], BeforeValidator(_words)]


def _template_of_address(text: str) -> str:
    match = re.match(r"https?://([^\s/?#]+)([/?#]\S*)?$", text)
    if match is None or placeholders(match[1]):
        raise invalid("not the address of a gateway", "https:// and a host without placeholders")
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


class SmsSuccess(Strict):
    """How an answer of the gateway looks that means: taken. Every part that is given must hold."""

    status: Statuses = Field(default=(200,), min_length=1)
    json_path: str | None = None
    """Where in a JSON answer the result stands: keys and places with dots, such as data.0.code."""
    equals: Words = ()
    """What stands there when the message was taken; any of several."""


class SmsCase(Strict):
    """Answers of the gateway of one kind: by their status, or by what stands at success.json_path."""

    status: Statuses = ()
    equals: Words = ()


_WORDS = ("to", "text", "subject", "body", "id", "locale", "timestamp")
"""What may stand in braces in the templates of an SMS gateway, beside secret.NAME."""
_ENCODERS: dict[str, Encode] = {"json": in_json, "form": in_query, "xml": in_xml, "text": plainly}


class SmsSettings(AnyChannelSettings):
    """Messages by the HTTP interface of an SMS gateway, described here."""

    form: ClassVar[Form] = "short"
    type: Literal["sms"]
    method: Literal["GET", "POST", "PUT"] = "POST"
    url: Annotated[str, AfterValidator(_template_of_address)]
    """With {to}, {text} and the like, percent-encoded; none in the host's name."""
    headers: dict[str, str] = {}
    body: str | None = None
    content: Literal["json", "form", "xml", "text"] = "json"
    """What the body is; placeholders are encoded accordingly."""
    secrets: dict[Identifier, Secret] = {}
    """Secrets for {secret.NAME} in url, headers and body."""
    success: SmsSuccess = SmsSuccess()
    permanent: SmsCase = SmsCase(status=(400, 404, 410, 422))
    """Answers after which trying again is of no use, such as an unknown number."""
    rate_limited: SmsCase = SmsCase(status=(429,))
    retry_after: str = "Retry-After"
    """The header of an answer that says how many seconds to wait."""
    longest: int = Field(default=500, ge=60)
    """Characters of one message; longer ones go out in numbered parts."""
    timeout: Duration = timedelta(seconds=10)
    rate: Rate = Rate()

    @model_validator(mode="after")
    def _templates_can_be_filled(self) -> Self:
        known = [*_WORDS, *(f"secret.{name}" for name in self.secrets)]
        templates = [self.url, *self.headers.values(), self.body or ""]
        used = [name for template in templates for name in placeholders(template)]
        for name in used:
            if name not in known:
                raise unknown_name("placeholder", name, known)
        if "to" not in used or not {"text", "body"} & set(used):
            raise invalid("the number or the text is nowhere in url, headers and body", "{to} and {text}")
        if self.method == "GET" and self.body is not None:
            raise invalid("a GET request has no body", "method: POST, or everything in url")
        if (
            self.body is not None
            and self.content == "json"
            and not _is_json(fill(self.body, dict.fromkeys(known, "x")))
        ):
            raise invalid("body is not JSON", "JSON with placeholders within quotation marks, or another content")
        if (self.success.json_path is None) != (not self.success.equals):
            raise invalid("success has only one of json_path and equals", "both, or neither")
        if self.success.json_path is None and (self.permanent.equals or self.rate_limited.equals):
            raise invalid("equals without success.json_path", "where the result stands in the answer")
        return self

    def address_problem(self, to: str | None) -> tuple[str, str] | None:
        """Return an error if there is no number."""
        return None if (to or "").strip() else ("an SMS channel needs a number", 'such as to: "+8613900000000"')

    @property
    def encode(self) -> Encode:
        """Return how values are spelled within the body."""
        return _ENCODERS[self.content]
